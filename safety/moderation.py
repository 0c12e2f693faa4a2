"""Reports of replies and companions; and what all tickets share: numbers, lanes, deadlines, who may decide."""

import datetime as dt
import secrets
import uuid
from collections.abc import Mapping
from typing import Final, TypeVar

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import translation
from django.utils.translation import gettext

from accounts import audit, keyring
from accounts.models import User
from guardians.limits import effective_band
from safety import operations, readings
from safety.models import Lane, Report, StaffSession, Ticket

MAX_COMMENT: Final = 1000  # characters
# Hours until an answer; "appeal" stands beside the lanes. The source of the figures is docs/safety-policy.md.
# An operator may only be quicker (COMPLAINT_DEADLINES).
HOURS: Final[Mapping[str, int]] = {Lane.SAFETY: 24, Lane.MINORS: 24, Lane.ORDINARY: 168, "appeal": 72}
_SAFETY: Final = frozenset({Report.Reason.DANGER, Report.Reason.PRESSURE})
_MINORS: Final = frozenset({Report.Reason.MINOR})
_LETTERS: Final = "23456789ABCDEFGHJKMNPQRSTVWXYZ"  # none that is taken for another

AnyTicket = TypeVar("AnyTicket", bound=Ticket)


class NotPossible(Exception):
    """The act is refused. `code`: not_staff, oneself, same_person, gone, bad_decision, already, expired."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def number(prefix: str) -> str:
    """A new number, e.g. K-7F3Q-9XKD-2MTA: twelve letters of thirty, 58 bits."""
    parts = ("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3))
    return "-".join((prefix, *parts))


def hours(kind: str) -> int:
    """The published deadline of a lane, or of an appeal."""
    wished = settings.COMPLAINT_DEADLINES.get(kind, HOURS[kind])
    return wished if 1 <= wished <= HOURS[kind] else HOURS[kind]


def due(kind: str, now: dt.datetime) -> dt.datetime:
    return now + dt.timedelta(hours=hours(kind))


def is_moderator(person: User) -> bool:
    return person.is_active and person.is_staff and person.role in (User.Role.MODERATOR, User.Role.OPERATOR)


def is_young(person: User, now: dt.datetime) -> bool:
    """As protection goes: in minors' mode too, and while the age is not known."""
    band = effective_band(person, now)
    return band is None or band.is_minor


def report(
    reporter: User,
    *,
    kind: Report.Kind,
    target: uuid.UUID,
    persona: uuid.UUID,
    conversation: uuid.UUID | None,
    reason: Report.Reason,
    comment: str,
    now: dt.datetime,
) -> Report:
    """A report, or the one that this person has open about the same thing. Who calls has checked that they may see it."""
    lane = Lane.ORDINARY
    if reason in _SAFETY:
        lane = Lane.SAFETY
    elif reason in _MINORS or is_young(reporter, now):
        lane = Lane.MINORS
    row = Report(
        number=number("R"),
        lane=lane,
        created_at=now,
        due_at=due(lane, now),
        reporter=reporter,
        kind=kind,
        target=target,
        persona=persona,
        conversation=conversation,
        reason=reason,
    )
    if comment:
        row.seal(comment[:MAX_COMMENT])
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            audit.record(
                "report.filed", actor=reporter.pk, subject=reporter.pk, target=row.number, reason=reason.value
            )
    except IntegrityError:
        return Report.objects.get(reporter=reporter, kind=kind, target=target, state="open")
    return row


def may_decide(staff: User, row: Report) -> bool:
    return is_moderator(staff) and row.reporter_id != staff.pk


def check_decider(staff: User, person: uuid.UUID | None) -> None:
    """Staff, and not about what they said or are themselves. Raises NotPossible."""
    if not is_moderator(staff):
        raise NotPossible("not_staff")
    if person == staff.pk:
        raise NotPossible("oneself")


def note_reading(staff: User, row: Report, messages: int, now: dt.datetime) -> None:
    """The entry that somebody read what was reported. It is over at once, so it gives no right to read on."""
    assert row.conversation is not None
    session = StaffSession(
        staff=staff,
        subject=row.reporter,
        conversation=row.conversation,
        created_at=now,
        approved_at=now,
        expires_at=now,
        flagged=readings.close_to_each_other(staff, row.reporter),
        messages_read=messages,
    )
    with translation.override(row.reporter.language):
        reason = gettext("You reported a reply: %(number)s") % {"number": row.number}
    session.reason = keyring.encrypt(row.reporter_id, "staff_session.reason", session.pk, reason)
    with transaction.atomic():
        session.save(force_insert=True)
        audit.record(
            "reading.opened",
            actor=staff.pk,
            subject=row.reporter_id,
            target=f"reading:{session.pk}",
            basis=row.number,
        )


def decide_report(staff: User, pk: int, decision: Report.Decision, now: dt.datetime) -> Report:
    """Close a report, in the caller's transaction or its own. What follows for the companion is companion/rulings.py."""
    with transaction.atomic():
        row = locked(Report, pk)
        check_decider(staff, row.reporter_id)
        close(row, staff, decision.value, now)
        row.save(update_fields=["state", "decision", "decided_by", "decided_at"])
        audit.record(
            "report.decided",
            actor=staff.pk,
            subject=row.reporter_id,
            target=row.number,
            decision=decision.value,
        )
    return row


def locked(model: type[AnyTicket], pk: int) -> AnyTicket:
    """The open ticket, held until the transaction ends. Raises NotPossible when somebody has decided."""
    row: AnyTicket | None = model._default_manager.select_for_update(of=("self",)).filter(pk=pk).first()
    if row is None or row.state != "open":
        raise NotPossible("gone")
    return row


def close(row: Ticket, staff: User, decision: str, now: dt.datetime) -> None:
    """Set who decided what; the caller saves. An alert about a late answer ends with it."""
    row.state, row.decision, row.decided_by, row.decided_at = "decided", decision, staff, now
    operations.resolve("complaint.overdue", row.number, now=now)
