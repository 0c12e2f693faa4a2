"""Mails about service notices: neutral words, one to each person, no name of a companion (shoulders are near).

Who is mailed becomes a row, in batches by the order of ids, so that a killed worker goes on where it was. A row is claimed
for LEASE before its mail is sent; a worker that dies between sending and noting sends that one mail twice, and no other.
"""

import datetime as dt
import logging
import smtplib
from typing import Final

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import connection, transaction
from django.db.models import F
from django.urls import reverse
from django.utils import formats, timezone, translation
from django.utils.translation import gettext

from accounts.models import User
from companion import leaving, service_notices
from companion.service_models import ServiceNotice, ServiceNoticeMail

log = logging.getLogger(__name__)

BATCH: Final = 50
ENROLMENT: Final = 2000  # people put on the list in one statement
ATTEMPTS: Final = 6
LEASE: Final = dt.timedelta(minutes=5)
PAUSE: Final = dt.timedelta(minutes=10)  # after a failure; twice as long after each further one
# Whoever leaves every day would otherwise never be told.
LATEST: Final = dt.timedelta(days=7)  # before the event no more waiting
# An outage is told on pages: a mail would come after it.
_MAILED: Final = tuple(kind for kind in ServiceNotice.Kind.values if kind != ServiceNotice.Kind.OUTAGE)
_CLAIM: Final = """
    UPDATE companion_servicenoticemail SET attempts = attempts + 1, next_at = %(lease)s WHERE id IN (
        SELECT id FROM companion_servicenoticemail WHERE next_at <= %(now)s
        ORDER BY next_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
    RETURNING id"""


def enrol(now: dt.datetime) -> int:
    """Put the people whom a published notice concerns on its list; how many rows were looked at."""
    looked = 0
    waiting = ServiceNotice.objects.filter(
        published_at__isnull=False, withdrawn_at=None, enrolled_at=None, kind__in=_MAILED
    )
    for pk in waiting.values_list("pk", flat=True):
        while count := _enrol_some(pk, now):
            looked += count
    return looked


def _enrol_some(pk: int, now: dt.datetime) -> int:
    with transaction.atomic(durable=True):
        notice = ServiceNotice.objects.select_for_update(of=("self",)).get(pk=pk)
        if notice.enrolled_at or notice.withdrawn_at:
            return 0
        people = service_notices.audience(notice)
        if notice.enrolled_to is not None:
            people = people.filter(pk__gt=notice.enrolled_to)
        ids = list(people.order_by("pk").values_list("pk", flat=True)[:ENROLMENT])
        ServiceNoticeMail.objects.bulk_create(
            [ServiceNoticeMail(notice=notice, user_id=user_id, next_at=now) for user_id in ids],
            ignore_conflicts=True,
        )
        if len(ids) < ENROLMENT:
            notice.enrolled_at = now
        else:
            notice.enrolled_to = ids[-1]
        notice.save(update_fields=["enrolled_at", "enrolled_to"])
    return len(ids)


def send(now: dt.datetime, batches: int = 20) -> int:
    """Send what is due, a batch at a time; how many mails went out."""
    sent = 0
    for _ in range(batches):
        claimed = _claim(now)
        if not claimed:
            break
        sent += _send_batch(claimed, now)
    return sent


def _claim(now: dt.datetime) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"now": now, "lease": now + LEASE, "limit": BATCH})
        return [row[0] for row in cursor.fetchall()]


def _send_batch(claimed: list[int], now: dt.datetime) -> int:
    rows = ServiceNoticeMail.objects.filter(pk__in=claimed).select_related("notice", "user").order_by("pk")
    sent = 0
    with get_connection() as mail:
        for row in rows:
            if row.notice.withdrawn_at or not row.user.is_active:
                _settle(row, next_at=None)
                continue
            if until := _waits(row.notice, leaving.quiet_until(row.user_id, now), now):
                ServiceNoticeMail.objects.filter(pk=row.pk).update(next_at=until, attempts=F("attempts") - 1)
                continue
            try:
                EmailMessage(*_words(row.notice, row.user), to=[row.user.email], connection=mail).send()
            except (smtplib.SMTPException, OSError) as error:
                log.error("a mail about a notice was not sent: %s", type(error).__name__)
                last = row.attempts >= ATTEMPTS
                _settle(row, next_at=None if last else now + PAUSE * 2 ** (row.attempts - 1))
                continue
            _settle(row, next_at=None, sent_at=timezone.now())
            sent += 1
    return sent


def _settle(row: ServiceNoticeMail, **values: object) -> None:
    ServiceNoticeMail.objects.filter(pk=row.pk).update(**values)


def _waits(notice: ServiceNotice, quiet: dt.datetime | None, now: dt.datetime) -> dt.datetime | None:
    """Nothing is sent for a day to somebody who has left; the end of the service is told all the same."""
    if quiet is None or quiet <= now or notice.kind == ServiceNotice.Kind.END_OF_SERVICE:
        return None
    # A removal is past already: nothing is lost by a day.
    late = notice.kind != ServiceNotice.Kind.PERSONA_REMOVAL and now >= notice.takes_effect_at - LATEST
    return None if late else quiet


def _words(notice: ServiceNotice, user: User) -> tuple[str, str]:
    """Subject and text in the person's language. A companion is not named: mails are read over shoulders."""
    with translation.override(user.language):
        shown = service_notices.show(notice, user.language, user.time_zone, timezone.now())
        zone = timezone.get_default_timezone()
        with timezone.override(user.time_zone or zone):
            date = formats.date_format(timezone.localtime(notice.takes_effect_at), "DATE_FORMAT")
        about_one = notice.kind in service_notices.OF_ONE_PERSONA
        subject = gettext("Anban: a notice for you") if about_one else f"Anban: {shown.title}"
        if about_one and notice.kind == ServiceNotice.Kind.PERSONA_REMOVAL:
            said = gettext("A companion that you have talked with is no longer here. The notice says why.")
        elif about_one:
            said = gettext("A companion that you have talked with ends on %(date)s.") % {"date": date}
        else:
            said = shown.text
        lines = [
            said,
            gettext("Read the notice: %(url)s") % {"url": _url("service_notices")},
        ]
        if shown.offers_export:
            lines.append(gettext("You can keep a copy of what was said: %(url)s") % {"url": _url("export")})
        lines.append(gettext("Help lines, at any hour: %(url)s") % {"url": _url("help")})
    return subject, "\n\n".join(lines) + "\n"


def _url(name: str) -> str:
    return f"{settings.SITE_URL}{reverse(name)}"
