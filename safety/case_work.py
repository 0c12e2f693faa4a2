"""Work on a case that is not its course: who is there, notes, the checklist for emergency services, colleagues.

Acts follow the shape of safety/cases.py: one transaction, the case locked, record and audit entry together.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.db.models import Count, Q
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts import audit
from accounts.models import User
from safety import cases, escalation, recipients
from safety.cases import CaseError
from safety.models import CaseEvent, CaseNote, CrisisCase, Delivery, OperationsAlert, Presence, Shift

PRESENT_FOR: Final = dt.timedelta(seconds=60)  # after the last sign of a person at the page
NOTE_MAX: Final = 4000  # characters

# What is made sure of when emergency services are called. One human does it, another one confirms it.
CHECKLIST: Final[dict[str, Promise]] = {
    "location": _("Where the person is: address, floor, door"),
    "service": _("Emergency services called"),
    "number": _("Number of the call written into a note"),
    "facts": _("Services know age, danger and means of access"),
    "line": _("Somebody stays in touch with the person until help is there"),
    "arrived": _("Services confirmed that they arrived"),
}
STEPS: Final = ("done", "confirmed", "withdrawn")


@dataclass(frozen=True)
class Check:
    """One line of the checklist as it stands."""

    item: str
    label: Promise
    done_by: uuid.UUID | None = None
    confirmed_by: uuid.UUID | None = None
    at: dt.datetime | None = None


@dataclass(frozen=True)
class Load:
    """What one member of staff carries now."""

    staff: User
    present: bool
    on_duty: bool
    severe: int
    cases: int

    @property
    def full(self) -> bool:
        return self.severe >= cases.MOST_SEVERE


def present(staff: User, now: dt.datetime) -> None:
    """A sign of the human at the page, not of the page."""
    Presence.objects.update_or_create(user=staff, defaults={"seen_at": now})


def noticed(staff: User, shown: Sequence[int], now: dt.datetime) -> None:
    """These cases stand on this page: the first notice of each, and the notices of this human, have arrived."""
    fresh = CrisisCase.objects.filter(pk__in=shown, first_notice_at=None).exclude(user=staff)
    for pk in sorted(fresh.values_list("pk", flat=True)):  # one lock at a time
        CrisisCase.objects.filter(pk=pk, first_notice_at=None).update(first_notice_at=now)
    Delivery.objects.filter(
        case__in=shown,
        channel=Delivery.Channel.IN_APP,
        recipient=f"staff:{staff.pk}",
        state=Delivery.State.ACCEPTED,
    ).update(state=Delivery.State.CONFIRMED, confirmed_at=now)


def team(now: dt.datetime) -> list[Load]:
    """Every moderator and operator who is here or on duty or has a case, whoever can take one first."""
    held = Q(held_cases__state=cases.State.IN_CARE)
    on_duty = set(recipients.on_duty(Shift.Role.MODERATOR, now).values_list("pk", flat=True))
    seen = set(Presence.objects.filter(seen_at__gt=now - PRESENT_FOR).values_list("user", flat=True))
    rows = User.objects.filter(is_active=True, is_staff=True, role__in=cases.STAFF).annotate(
        held=Count("held_cases", filter=held),
        severe=Count("held_cases", filter=held & Q(held_cases__level__gte=3)),
    )
    loads = [Load(row, row.pk in seen, row.pk in on_duty, row.severe, row.held) for row in rows]
    shown = [load for load in loads if load.present or load.on_duty or load.cases]
    return sorted(shown, key=lambda load: (not load.present, load.severe, load.cases, str(load.staff.pk)))


@transaction.atomic
def note(pk: int, staff: User, text: str, now: dt.datetime) -> CaseNote:
    """For the colleagues, also after the end of the case. Raises CaseError("empty") or ("too_long")."""
    text = text.strip()
    if not text:
        raise CaseError("empty")
    if len(text) > NOTE_MAX:
        raise CaseError("too_long")
    case = _any(pk, staff)
    row = keep_note(case, staff, text, now)
    _done(case, "noted", staff, now, note=str(row.public_id))
    return row


def keep_note(case: CrisisCase, staff: User, text: str, now: dt.datetime) -> CaseNote:
    """The sealed row of a note, in the transaction of the act that it belongs to."""
    row = CaseNote(case=case, author=staff, created_at=now)
    row.seal(case.user_id, text)
    row.save(force_insert=True)
    return row


def checks(case: CrisisCase) -> list[Check]:
    """The checklist, told from the record."""
    rows: dict[str, Check] = {item: Check(item, label) for item, label in CHECKLIST.items()}
    for event in CaseEvent.objects.filter(case=case, kind="checklist").order_by("pk"):
        item, step = event.data.get("item"), event.data.get("step")
        if item not in rows:
            continue
        before = rows[item]
        if step == "done":
            rows[item] = Check(item, before.label, event.actor, None, event.at)
        elif step == "confirmed":
            rows[item] = Check(item, before.label, before.done_by, event.actor, event.at)
        else:
            rows[item] = Check(item, before.label)
    return list(rows.values())


@transaction.atomic
def check(pk: int, staff: User, item: str, step: str, now: dt.datetime) -> None:
    """Note a step of the checklist. Raises CaseError("same_person") for whoever would confirm their own."""
    case = cases.lock(pk, staff)
    row = {check.item: check for check in checks(case)}.get(item)
    if row is None or step not in STEPS:
        raise CaseError("gone")
    if step == "done" and row.done_by is not None:
        raise CaseError("checked")
    if step == "confirmed":
        if row.done_by is None or row.confirmed_by is not None:
            raise CaseError("checked")
        if row.done_by == staff.pk:
            raise CaseError("same_person")
    if step == "withdrawn" and row.done_by is None:
        raise CaseError("checked")
    _done(case, "checklist", staff, now, item=item, step=step)


@transaction.atomic
def transfer(pk: int, staff: User, to: User, now: dt.datetime) -> CrisisCase:
    """To a colleague who is at the page and can carry it. Raises CaseError("away") or ("colleague_full")."""
    if not Presence.objects.select_for_update().filter(user=to, seen_at__gt=now - PRESENT_FOR).exists():
        raise CaseError("away")
    try:
        return cases.transfer(pk, staff, to, now)
    except CaseError as error:
        if error.code == "too_many":
            raise CaseError("colleague_full") from None
        raise


def waiting_for_second_look() -> Sequence[CrisisCase]:
    """Imminent cases that one human closed."""
    rows = CrisisCase.objects.filter(
        state=cases.State.CLOSED, level__gte=4, second_at=None, is_canary=False
    ).order_by("closed_at")
    return list(rows.select_related("closed_by"))


@transaction.atomic
def acknowledge_alert(pk: int, staff: User, now: dt.datetime) -> None:
    """An operator has seen that something is wrong with the service itself; it ends when the fault ends."""
    if staff.role != User.Role.OPERATOR or not staff.is_staff or not staff.is_active:
        raise CaseError("not_operator")
    changed = OperationsAlert.objects.filter(pk=pk, resolved_at=None, acknowledged_at=None).update(
        acknowledged_by=staff, acknowledged_at=now
    )
    if not changed:
        raise CaseError("gone")
    audit.record("alert.acknowledged", actor=staff.pk, target=f"alert:{pk}")


def _any(pk: int, staff: User) -> CrisisCase:
    """The case, open or closed, locked for an act of this member of staff."""
    case = CrisisCase.objects.select_for_update(of=("self",)).filter(pk=pk).first()
    if case is None:
        raise CaseError("gone")
    if not cases.may_handle(staff, case):
        raise CaseError("oneself" if staff.pk == case.user_id else "not_staff")
    return case


def _done(case: CrisisCase, kind: str, staff: User, now: dt.datetime, **data: str) -> None:
    """Record an act; the holder's silence begins anew with it."""
    escalation.record(case, kind, now, actor=staff.pk, **data)
    audit.record(f"case.{kind}", actor=staff.pk, subject=case.user_id, target=case.number, **data)
    if case.state == cases.State.IN_CARE and case.holder_id == staff.pk:
        case.active_at = now
        escalation.keep(case)
