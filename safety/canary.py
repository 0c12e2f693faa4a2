"""The canary: every ten minutes a case of nobody travels the whole way and its notice is read back from a real mailbox.

A provider that says yes and delivers nothing is noticed by this and by nothing else (threat T3). The case goes through
raise_signal, the sweep (its first rung is empty), the outbox and the mail of this deployment; nobody of the staff sees it.
It is closed by this module. No other case is ever closed without a human.
"""

import datetime as dt
import logging
import uuid
from typing import Final

from django.conf import settings
from django.db import transaction

from accounts import audit
from accounts.models import User
from safety import cases, mailbox, operations, outbox
from safety.engine import Verdict
from safety.escalation import record
from safety.models import CrisisCase, Delivery

log = logging.getLogger(__name__)

State = CrisisCase.State
EVERY: Final = dt.timedelta(minutes=10)
# The auditor looks once a minute, so that a loss is told within twelve.
LOST_AFTER: Final = dt.timedelta(minutes=11)
KEPT: Final = dt.timedelta(days=1)
LEVEL: Final = 2  # real cases go first
ADDRESS: Final = "canary@anban.invalid"  # of the account: it cannot receive mail (RFC 2606) or sign in


def enabled() -> bool:
    return bool(settings.CANARY_ADDRESS and settings.CANARY_IMAP_URL)


def step(now: dt.datetime) -> None:
    """Look for the one on its way, and send the next when it is time. Reads a mailbox: outside of transactions."""
    if not enabled():
        operations.resolve("canary.lost", now=now)
        return
    newest = CrisisCase.objects.filter(is_canary=True).order_by("-pk").first()
    if newest is not None and newest.state != State.CLOSED:
        if _is_home(newest):
            _end(newest.pk, now, "canary_home")
        elif now - newest.opened_at >= LOST_AFTER:
            _end(newest.pk, now, "canary_lost")
        else:
            return
        if now - newest.opened_at < EVERY:
            return
    elif newest is not None and now - newest.opened_at < EVERY:
        return
    _send(now)


def age(now: dt.datetime) -> dt.timedelta | None:
    """How long ago the last one was read back; None when none was in the last day."""
    home = CrisisCase.objects.filter(is_canary=True, events__kind="canary_home").order_by("-pk").first()
    return None if home is None or home.closed_at is None else now - home.closed_at


def _is_home(case: CrisisCase) -> bool:
    """Every copy counts, also the one of the second provider."""
    notices = case.deliveries.filter(template="canary").exclude(state=Delivery.State.CANCELLED)
    keys = {outbox.message_key(notice): notice for notice in notices}
    waiting = {key for key, notice in keys.items() if notice.state != Delivery.State.CONFIRMED}
    try:
        found = mailbox.arrived(settings.CANARY_IMAP_URL, waiting) if waiting else set()
    except mailbox.MailboxError as error:
        log.error("the canary's mailbox was not read: %s", error)
        return False
    Delivery.objects.filter(pk__in=[keys[key].pk for key in found]).update(state=Delivery.State.CONFIRMED)
    return bool(keys) and found == waiting


@transaction.atomic(durable=True)
def _send(now: dt.datetime) -> None:
    CrisisCase.objects.filter(is_canary=True, closed_at__lt=now - KEPT).delete()
    person, new = User.objects.get_or_create(
        email=ADDRESS, defaults={"nickname": "Canary", "is_active": False, "language": "en"}
    )
    if new:
        person.set_unusable_password()
        person.save(update_fields=["password"])
    cases.raise_signal(
        person,
        message=uuid.uuid4(),
        conversation=uuid.uuid4(),
        verdict=Verdict(LEVEL, "help_card", {}, ("canary",)),
        category=CrisisCase.Category.OTHER,
        text="canary",
        canary=True,
        now=now,
    )


@transaction.atomic(durable=True)
def _end(pk: int, now: dt.datetime, kind: str) -> None:
    """The only end of a case that no human decides: of a canary, and the query says so."""
    case = (
        CrisisCase.objects.select_for_update()
        .filter(pk=pk, is_canary=True)
        .exclude(state=State.CLOSED)
        .first()
    )
    if case is None:
        return
    case.state, case.closed_at = State.CLOSED, now
    case.climb_due_at = case.contact_due_at = case.acknowledged_until = case.next_due_at = None
    case.save()
    case.deliveries.filter(state=Delivery.State.PENDING).update(state=Delivery.State.CANCELLED)
    record(case, kind, now)
    audit.record("case.closed", actor=None, subject=case.user_id, target=case.number, reason=kind)
    if kind == "canary_lost":
        operations.raise_alert("canary.lost", now=now)
    else:
        operations.resolve("canary.lost", now=now)
