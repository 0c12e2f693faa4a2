"""★ Service notices: announced in time, shown calmly, carried out when they are due (draft article 19, final article 20).

A companion, a feature or the service ends only by a notice that was published long enough before; the database knows the
shortest time as well. An outage and the removal of a harmful companion are told at once. Whatever ends stays readable and
can be exported.
"""

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone, translation
from django.utils.translation import gettext, ngettext

from accounts import audit, switches
from accounts.held import Held
from accounts.models import User
from accounts.switches import may_change as is_operator
from companion import portrayal, retirement
from companion.models import Conversation
from companion.service_models import FLOORS, READING_FLOOR, ServiceNotice, ServiceNoticeSeen

Kind = ServiceNotice.Kind
PAST: Final = dt.timedelta(days=30)  # for how long the status page tells of what is over
MOST: Final = 500  # notices kept in memory of either sort
AGAIN: Final = 3  # days before the end a banner that was put away comes back
REMOVAL_SHOWN: Final = dt.timedelta(days=7)
AT_ONCE: Final = frozenset({Kind.OUTAGE, Kind.PERSONA_REMOVAL})
OF_ONE_PERSONA: Final = frozenset({Kind.PERSONA_RETIREMENT, Kind.PERSONA_REMOVAL})
# After these, people may want a copy.
_ENDS: Final = OF_ONE_PERSONA | {Kind.FEATURE_RETIREMENT, Kind.END_OF_SERVICE}
# Those that somebody who is not signed in should know of.
PUBLIC: Final = frozenset({Kind.OUTAGE, Kind.END_OF_SERVICE})


class Refused(Exception):
    """`code`: not_operator, too_soon, no_text, same_person, too_late, no_persona, no_feature, gone."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Shown:
    """A notice as a person reads it, in their language and by the days of their zone."""

    public_id: uuid.UUID
    kind: str
    title: str
    text: str
    when: str  # "in 14 days", or that it has happened
    at: dt.datetime
    readable_until: dt.datetime | None
    over: bool
    offers_export: bool
    may_dismiss: bool
    unseen: bool


def lead(kind: str) -> dt.timedelta:
    """How long before the event a notice of this kind is published at least."""
    floor = FLOORS.get(kind, 0)
    return dt.timedelta(days=max(floor, int(settings.NOTICE_LEAD_DAYS.get(kind, floor))))


def reading() -> dt.timedelta:
    """How long after an end everything stays readable and can be exported, at least."""
    return dt.timedelta(days=max(READING_FLOOR, settings.NOTICE_READING_DAYS))


# --- by operators --------------------------------------------------------------------------------------------


def draft(operator: User, notice: ServiceNotice) -> ServiceNotice:
    """Keep a notice that nobody reads yet. Raises Refused."""
    _ask(operator)
    _check(notice)
    notice.created_by = operator
    with transaction.atomic(durable=True):
        notice.save(force_insert=True)
        _record("service_notice.drafted", operator, notice)
    return notice


def publish(operator: User, pk: int, now: dt.datetime) -> ServiceNotice:
    """Make it public. Its text and its time stand from now on. Raises Refused when it comes too late."""
    _ask(operator)
    with transaction.atomic(durable=True):
        notice = _held(pk, published_at=None)
        _check(notice)
        if notice.kind in AT_ONCE:
            notice.takes_effect_at = min(notice.takes_effect_at, now)
        elif notice.takes_effect_at < now + lead(notice.kind):
            raise Refused("too_soon")
        if notice.kind == Kind.END_OF_SERVICE and notice.created_by_id == operator.pk:
            raise Refused("same_person")
        notice.published_by, notice.published_at = operator, now
        notice.readable_until = max(filter(None, (notice.readable_until, notice.takes_effect_at + reading())))
        notice.save()
        _record("service_notice.published", operator, notice)
        transaction.on_commit(_public.forget)
    return notice


def withdraw(operator: User, pk: int, now: dt.datetime) -> None:
    """It will not happen. What has happened cannot be withdrawn."""
    _ask(operator)
    with transaction.atomic(durable=True):
        notice = _held(pk, withdrawn_at=None, carried_out_at=None)
        if notice.published_at and notice.kind in AT_ONCE:
            raise Refused("too_late")
        notice.withdrawn_at = now
        notice.save(update_fields=["withdrawn_at"])
        _record("service_notice.withdrawn", operator, notice)
        transaction.on_commit(_public.forget)


def resolve(operator: User, pk: int, now: dt.datetime) -> None:
    """An outage is over."""
    _ask(operator)
    with transaction.atomic(durable=True):
        notice = _held(pk, kind=Kind.OUTAGE, published_at__isnull=False, resolved_at=None)
        notice.resolved_at = now
        notice.save(update_fields=["resolved_at"])
        _record("service_notice.resolved", operator, notice)
        transaction.on_commit(_public.forget)


def carry_out(now: dt.datetime) -> int:
    """Do what is due. One that fails is tried again at the next look and keeps no other from happening."""
    due = ServiceNotice.objects.filter(
        published_at__isnull=False, withdrawn_at=None, carried_out_at=None, takes_effect_at__lte=now
    ).exclude(kind__in=AT_ONCE)
    done = 0
    for pk in due.values_list("pk", flat=True):
        with transaction.atomic(durable=True):
            notice = (
                ServiceNotice.objects.select_for_update()
                .filter(pk=pk, carried_out_at=None, withdrawn_at=None)
                .first()
            )
            if notice is None:  # another worker was quicker
                continue
            if notice.kind == Kind.PERSONA_RETIREMENT:
                retirement.retire(notice, now)
            elif notice.kind == Kind.FEATURE_RETIREMENT:
                _turn_off(notice.feature, now)
            elif notice.kind == Kind.END_OF_SERVICE:
                for name in (switches.Name.SIGN_UPS, switches.Name.PERSONAS):
                    _turn_off(name, now)
            notice.carried_out_at = now
            notice.save(update_fields=["carried_out_at"])
            _record("service_notice.carried_out", None, notice)
            transaction.on_commit(_public.forget)
            done += 1
    return done


# --- for people ----------------------------------------------------------------------------------------------


def banners(user: User | None, language: str, now: dt.datetime) -> list[Shown]:
    """What stands above the pages of this reader: no query while nothing is announced."""
    current = [notice for notice in _public.get() if _current(notice, now)]
    if user is None:
        return [show(n, language, settings.TIME_ZONE, now) for n in current if n.kind in PUBLIC]
    current = _concerning(user.pk, current)
    if not current:
        return []
    away = dict(
        ServiceNoticeSeen.objects.filter(user=user, notice__in=current).values_list(
            "notice_id", "dismissed_at"
        )
    )
    return [
        show(notice, language, user.time_zone, now)
        for notice in current
        if not _put_away(notice, away.get(notice.pk), now)
    ]


def of_persona(persona_pk: int, language: str, zone: str, now: dt.datetime) -> list[Shown]:
    """What is announced about one companion, for whoever looks at its page."""
    about = [notice for notice in _public.get() if notice.persona_id == persona_pk and _current(notice, now)]
    return [show(notice, language, zone, now) for notice in about]


def inbox(user: User, now: dt.datetime) -> list[Shown]:
    """Every notice that concerns this person, the newest first."""
    rows = list(_of(user))
    seen = set(
        ServiceNoticeSeen.objects.filter(user=user, seen_at__isnull=False).values_list("notice_id", flat=True)
    )
    return [show(row, user.language, user.time_zone, now, unseen=row.pk not in seen) for row in rows]


def unseen(user: User) -> bool:
    """Is there a notice that this person has not opened? For the mark in the menu."""
    rows = _concerning(user.pk, _public.get())
    if not rows:
        return False
    seen = ServiceNoticeSeen.objects.filter(user=user, notice__in=rows, seen_at__isnull=False).count()
    return seen < len(rows)


def mark_seen(user: User, now: dt.datetime) -> None:
    """The inbox was opened. What is sent twice changes nothing."""
    ServiceNoticeSeen.objects.bulk_create(
        [ServiceNoticeSeen(notice=row, user=user, seen_at=now) for row in _of(user)], ignore_conflicts=True
    )
    ServiceNoticeSeen.objects.filter(user=user, seen_at=None).update(seen_at=now)


def dismiss(user: User, public_id: uuid.UUID, now: dt.datetime) -> bool:
    """Put a banner away; False when there is no such notice for this person. The last days bring it back."""
    notice = _of(user).filter(public_id=public_id).first()
    if notice is None:
        return False
    ServiceNoticeSeen.objects.update_or_create(notice=notice, user=user, defaults={"dismissed_at": now})
    return True


def public_history(language: str, now: dt.datetime, *, ask: bool = True) -> list[Shown]:
    """What the status page tells everybody: current and of the last 30 days; nothing about single companions.

    Without `ask` what was known last: while the database is away nobody waits for it.
    """
    known = _public.get() if ask else _public.last()
    rows = [row for row in known if row.kind not in OF_ONE_PERSONA and not _long_over(row, now)]
    return [show(row, language, settings.TIME_ZONE, now) for row in rows]


def show(notice: ServiceNotice, language: str, zone: str, now: dt.datetime, *, unseen: bool = False) -> Shown:
    with translation.override(language):
        return Shown(
            public_id=notice.public_id,
            kind=notice.kind,
            title=_said(notice, "title", language) or _title(notice, language),
            text=_said(notice, "text", language) or _text(notice),
            when=_when(notice, zone, now),
            at=notice.takes_effect_at,
            readable_until=notice.readable_until if notice.kind in _ENDS else None,
            over=not _current(notice, now),
            offers_export=notice.kind in _ENDS,
            may_dismiss=notice.kind not in (Kind.OUTAGE, Kind.END_OF_SERVICE),
            unseen=unseen,
        )


def days_until(at: dt.datetime, zone: str, now: dt.datetime) -> int:
    """In calendar days of the person: what happens tomorrow at one is tomorrow, also at eleven tonight."""
    local = ZoneInfo(zone)
    return (at.astimezone(local).date() - now.astimezone(local).date()).days


def _when(notice: ServiceNotice, zone: str, now: dt.datetime) -> str:
    if notice.withdrawn_at:
        return gettext("Withdrawn: it does not happen.")
    if notice.kind == Kind.OUTAGE:
        return gettext("It is over.") if notice.resolved_at else gettext("We are working on it.")
    if notice.kind == Kind.PERSONA_REMOVAL or notice.carried_out_at or notice.takes_effect_at <= now:
        return gettext("It has happened.")
    days = days_until(notice.takes_effect_at, zone, now)
    if days <= 0:
        return gettext("Today.")
    if days == 1:
        return gettext("Tomorrow.")
    return ngettext("In %(days)s day.", "In %(days)s days.", days) % {"days": days}


def _title(notice: ServiceNotice, language: str) -> str:
    if notice.kind in OF_ONE_PERSONA and notice.persona is not None:
        name = portrayal.face(notice.persona, language).name
        if notice.kind == Kind.PERSONA_REMOVAL:
            return gettext("%(name)s is no longer here") % {"name": name}
        return gettext("%(name)s ends") % {"name": name}
    return str(Kind(notice.kind).label)


def _text(notice: ServiceNotice) -> str:
    if notice.kind != Kind.PERSONA_REMOVAL:
        return ""
    why = str(ServiceNotice.Why(notice.why).label) if notice.why else ""
    stays = gettext("What you said to each other stays readable, and you can keep a copy.")
    return f"{why} {stays}".strip()


def _said(notice: ServiceNotice, field: str, language: str) -> str:
    chinese, english = getattr(notice, f"{field}_zh"), getattr(notice, f"{field}_en")
    said: str = (chinese or english) if language.startswith("zh") else (english or chinese)
    return said


def _current(notice: ServiceNotice, now: dt.datetime) -> bool:
    """Does it belong above pages?"""
    if notice.published_at is None or notice.withdrawn_at:
        return False
    if notice.kind == Kind.OUTAGE:
        return notice.resolved_at is None
    if notice.kind == Kind.PERSONA_REMOVAL:
        return now < notice.published_at + REMOVAL_SHOWN
    if notice.kind == Kind.END_OF_SERVICE:
        return notice.readable_until is None or now < notice.readable_until
    return now < notice.takes_effect_at


def _long_over(notice: ServiceNotice, now: dt.datetime) -> bool:
    last = (
        notice.withdrawn_at
        or notice.resolved_at
        or (None if notice.kind == Kind.OUTAGE else notice.takes_effect_at)
    )
    return not _current(notice, now) and last is not None and last < now - PAST


def _put_away(notice: ServiceNotice, at: dt.datetime | None, now: dt.datetime) -> bool:
    if at is None or notice.kind in (Kind.OUTAGE, Kind.END_OF_SERVICE):
        return False
    last_days = notice.takes_effect_at - dt.timedelta(days=AGAIN)
    return notice.kind == Kind.PERSONA_REMOVAL or now < last_days or at >= last_days


def _concerning(user_id: uuid.UUID, notices: Iterable[ServiceNotice]) -> list[ServiceNotice]:
    """Those about one companion only for people who have talked with it."""
    notices = list(notices)
    named = {notice.persona_id for notice in notices if notice.persona_id is not None}
    if not named:
        return notices
    known = set(
        Conversation.objects.filter(user_id=user_id, persona_id__in=named).values_list(
            "persona_id", flat=True
        )
    )
    return [each for each in notices if each.persona_id is None or each.persona_id in known]


def audience(notice: ServiceNotice) -> QuerySet[User]:
    """Whom a notice concerns, as far as they can still sign in."""
    people = User.objects.filter(is_active=True)
    if notice.kind in OF_ONE_PERSONA:
        return people.filter(pk__in=Conversation.objects.filter(persona=notice.persona).values("user_id"))
    return people


def _published() -> QuerySet[ServiceNotice]:
    # The card of a companion that members wrote is needed for its name.
    return (
        ServiceNotice.objects.filter(published_at__isnull=False)
        .select_related("persona")
        .order_by("-published_at", "-pk")
    )


def _of(user: User) -> QuerySet[ServiceNotice]:
    """Everything published that concerns this person."""
    talked = Conversation.objects.filter(user=user).values("persona_id")
    return _published().filter(Q(persona=None) | Q(persona__in=talked))


def _recent() -> list[ServiceNotice]:
    """What pages may have to show. Removals, of which authors make many, must not crowd out the others."""
    removals = Q(kind=Kind.PERSONA_REMOVAL)
    standing = _published().filter(Q(withdrawn_at=None) | Q(kind__in=PUBLIC)).exclude(removals)
    recent = _published().filter(removals, published_at__gt=timezone.now() - REMOVAL_SHOWN)
    return [*standing[:MOST], *recent[:MOST]]


_public: "Held[list[ServiceNotice]]" = Held("service notices", _recent, [], 5.0)


def _check(notice: ServiceNotice) -> None:
    """What a notice must hold before anybody reads it."""
    if notice.kind == Kind.PERSONA_REMOVAL:
        raise Refused("gone")  # made by retirement.remove alone
    if not all((notice.title_zh, notice.title_en, notice.text_zh, notice.text_en)):
        raise Refused("no_text")
    if notice.kind == Kind.PERSONA_RETIREMENT and (
        notice.persona is None or notice.persona.state != notice.persona.State.PUBLISHED
    ):
        raise Refused("no_persona")
    if notice.kind == Kind.FEATURE_RETIREMENT and notice.feature not in switches.Name.values:
        raise Refused("no_feature")


def _turn_off(name: str, now: dt.datetime) -> None:
    switches.change(None, switches.Name(name), off=True, reason=switches.Reason.END, now=now)


def _ask(operator: User) -> None:
    if not is_operator(operator):
        raise Refused("not_operator")


def _held(pk: int, **state: object) -> ServiceNotice:
    notice = ServiceNotice.objects.select_for_update(of=("self",)).filter(pk=pk, **state).first()
    if notice is None:
        raise Refused("gone")
    return notice


def _record(action: str, operator: User | None, notice: ServiceNotice) -> None:
    audit.record(
        action,
        actor=operator.pk if operator else None,
        target=f"service_notice:{notice.public_id}",
        kind=notice.kind,
    )
