"""★ Cases: a person in danger and what humans do about it. docs/safety-policy.md has the states and the times.

raise_signal() runs in the transaction of the message. Everything else is an act of a named member of staff: one
transaction that locks the case, checks that the act is still possible, and writes state, record and audit entry together.
Callers that also touch conversations (companion/takeover.py) lock those first.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db import transaction
from django.db.models import Q

from accounts import audit
from accounts.generation import policy_changed
from accounts.models import User
from safety import clock, escalation, ladder, recipients
from safety.engine import Verdict
from safety.escalation import record
from safety.models import CaseSignal, CrisisCase, Delivery, Presence

State, Category = CrisisCase.State, CrisisCase.Category

GENTLE_FOR: Final = dt.timedelta(hours=72)  # after the last case the companion stays gentle
SECOND_LOOK_WITHIN: Final = dt.timedelta(hours=24)
MOST_SEVERE: Final = 3  # cases of level 3 and 4 that one human can hold at once
STAFF: Final = recipients.STAFF
_CATEGORIES: Final = {
    "crisis": Category.SELF_HARM,
    "abuse": Category.ABUSE,
    "elder_health": Category.MEDICAL,
    "fraud": Category.PROPERTY_LOSS,
}


class CaseError(Exception):
    """The act is not possible now. `code`: gone, not_staff, oneself, taken, too_many, same_person."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Care:
    """What a person's cases mean for their conversations."""

    muted: bool = False  # the companion is silent everywhere
    human: bool = False  # somebody of the team has taken over
    gentle: bool = False
    case: int = 0  # the open one


def category_of(verdict: Verdict) -> CrisisCase.Category | None:
    """Which danger a verdict is about; None when nobody needs to be told."""
    if verdict.level < 2 or (verdict.reasons and verdict.reasons[0].startswith("engine.")):
        return None  # what could not be judged is on a list of its own until it is
    for reason in verdict.reasons:
        if (category := _CATEGORIES.get(reason.partition(".")[0])) is not None:
            return category
    return Category.OTHER


def raise_signal(
    user: User,
    *,
    message: uuid.UUID,
    conversation: uuid.UUID,
    verdict: Verdict,
    category: CrisisCase.Category,
    text: str,
    canary: bool = False,
    now: dt.datetime | None = None,
) -> CrisisCase:
    """A sign of danger opens a case or joins the one that is open, in the caller's transaction.

    A higher level restarts the ladder. The same message twice is one signal.
    """
    return take_signal(user.pk, message, conversation, verdict, category, text, now, canary=canary)[0]


def take_signal(
    user_id: uuid.UUID,
    message: uuid.UUID,
    conversation: uuid.UUID,
    verdict: Verdict,
    category: CrisisCase.Category,
    text: str,
    now: dt.datetime | None = None,
    *,
    canary: bool = False,
) -> tuple[CrisisCase, bool]:
    """raise_signal() for messages: also whether the case is new or graver by it. In a flood most change nothing in it."""
    now = now or clock.now()
    level = min(verdict.level, 4)
    case, opened = _open_or_join(user_id, conversation, level, category, now, canary)
    signal = CaseSignal(
        case=case,
        message=message,
        conversation=conversation,
        level=level,
        category=category,
        reasons=list(verdict.reasons),
        created_at=now,
    )
    signal.seal(user_id, text)
    CaseSignal.objects.bulk_create([signal], ignore_conflicts=True)
    stored, was_muted, was_level = vars(case).copy(), case.ai_muted, case.level
    case.conversation = conversation
    case.ai_muted = case.ai_muted or level >= 3
    if opened:
        record(case, "opened", now, level=level, category=category)
        audit.record("case.opened", actor=None, subject=user_id, target=case.number, level=level)
    else:
        record(case, "signal", now, level=level, category=category, message=str(message))
    if level > was_level:
        case.level, case.category = level, category
        record(case, "raised", now, level=level)
    fresh = opened or level > was_level
    if fresh:
        case.ladder_at = now
        contact = ladder.plan(level).contact
        if contact is not None:
            case.contact_due_at, case.contacts_told = now + contact, 0
    # Seen before it got graver, or handed back before it began again, is not seen.
    if case.state == State.ACKNOWLEDGED and (level > was_level or case.handed_back_at):
        escalation.restart(case, now)
    elif case.state in escalation.UNATTENDED and fresh:
        escalation.start(case, now)
    if category == Category.ABUSE and not case.safeguarding:
        # A case that was about something else may have told them already.
        escalation.turn_from_near(case, None if opened else now)
    if vars(case) != stored:
        escalation.keep(case)
    if opened or (case.ai_muted and not was_muted):
        policy_changed(user_id)
    return case, fresh


def _open_or_join(
    user_id: uuid.UUID,
    conversation: uuid.UUID,
    level: int,
    category: CrisisCase.Category,
    now: dt.datetime,
    canary: bool,
) -> tuple[CrisisCase, bool]:
    found = _lock_of(user_id)
    if found is not None:
        return found, False
    before = CrisisCase.objects.filter(
        user_id=user_id, state=State.CLOSED, closed_at__gt=now - GENTLE_FOR
    ).order_by("-pk")
    fresh = CrisisCase(
        user_id=user_id,
        conversation=conversation,
        level=level,
        category=category,
        opened_at=now,
        ladder_at=now,
        climb_due_at=now,
        next_due_at=now,
        earlier=before.first(),
        ladder=recipients.CANARY if canary else recipients.by_rung(User.objects.get(pk=user_id), now),
        is_canary=canary,
    )
    # Two conversations may raise the first signal at once: the database lets one in.
    CrisisCase.objects.bulk_create([fresh], ignore_conflicts=True)
    case = _lock_of(user_id)
    if case is None:  # closed by a human in the moment between
        return _open_or_join(user_id, conversation, level, category, now, canary)
    return case, case.public_id == fresh.public_id


def care_of(user_id: uuid.UUID, now: dt.datetime) -> Care:
    """One query, at most two rows: the newest case says everything."""
    newest = (
        CrisisCase.objects.filter(user_id=user_id)
        .filter(Q(closed_at=None) | Q(closed_at__gt=now - GENTLE_FOR))
        .order_by("-pk")
        .values_list("pk", "state", "ai_muted")
        .first()
    )
    if newest is None:
        return Care()
    pk, state, muted = newest
    if state == State.CLOSED:
        return Care(gentle=True)
    return Care(muted=muted, human=state == State.IN_CARE, gentle=True, case=pk)


def open_case(user_id: uuid.UUID) -> CrisisCase | None:
    return CrisisCase.objects.filter(user_id=user_id).exclude(state=State.CLOSED).first()


def may_handle(staff: User, case: CrisisCase) -> bool:
    """Nobody handles the case of themselves."""
    return staff.is_active and staff.is_staff and staff.role in STAFF and staff.pk != case.user_id


def lock(pk: int, staff: User) -> CrisisCase:
    """The open case, locked for an act of this member of staff. Raises CaseError."""
    case = _lock(pk=pk)
    if case is None:
        raise CaseError("gone")
    if not staff.is_active or not staff.is_staff or staff.role not in STAFF:
        raise CaseError("not_staff")
    if staff.pk == case.user_id:
        raise CaseError("oneself")
    return case


@transaction.atomic
def acknowledge(pk: int, staff: User, now: dt.datetime) -> CrisisCase:
    """Somebody has seen it: the moderators' ladder stops for ten minutes, the clock of the contact does not."""
    case = lock(pk, staff)
    if case.state == State.IN_CARE:
        raise CaseError("taken")
    case.state = State.ACKNOWLEDGED
    case.acknowledged_by, case.acknowledged_until = staff, now + ladder.ACKNOWLEDGED_FOR
    case.first_seen_at = case.first_seen_at or now
    case.climb_due_at = case.handed_back_at = None
    _done(case, "acknowledged", staff, now)
    return case


@transaction.atomic
def claim(pk: int, staff: User, now: dt.datetime) -> CrisisCase:
    """Take the case over. Raises CaseError("taken") when somebody else has it, ("too_many") beyond MOST_SEVERE."""
    # One claim of a person after the other, so that the limit holds.
    Presence.objects.update_or_create(user=staff, defaults={"seen_at": now})
    case = lock(pk, staff)
    if case.state == State.IN_CARE and case.holder_id != staff.pk:
        raise CaseError("taken")
    _not_too_many(case, staff)
    _hold(case, staff, now)
    case.ai_muted = True
    _done(case, "claimed", staff, now)
    policy_changed(case.user_id)
    return case


@transaction.atomic
def touch(pk: int, staff: User, now: dt.datetime) -> None:
    """The holder does something for the person: the silence begins anew."""
    case = lock(pk, staff)
    if case.state != State.IN_CARE or case.holder_id != staff.pk:
        raise CaseError("taken")
    case.active_at = now
    escalation.keep(case)


@transaction.atomic
def transfer(pk: int, staff: User, to: User, now: dt.datetime) -> CrisisCase:
    """Give the case to a colleague. The holder or an operator does."""
    Presence.objects.select_for_update().filter(user=to).first()  # as in claim()
    case = lock(pk, staff)
    _only_holder(case, staff)
    if not may_handle(to, case):
        raise CaseError("oneself" if to.pk == case.user_id else "not_staff")
    _not_too_many(case, to)
    _hold(case, to, now)
    _done(case, "transferred", staff, now, to=str(to.pk))
    return case


@transaction.atomic
def hand_back(pk: int, staff: User, now: dt.datetime) -> CrisisCase:
    """The companion may answer again, gently. The case stays open until it is closed; after ten minutes it climbs again."""
    case = lock(pk, staff)
    _only_holder(case, staff)
    case.ai_muted, case.holder, case.handed_back_at = False, None, now
    case.state = State.ACKNOWLEDGED
    case.acknowledged_by, case.acknowledged_until = staff, now + ladder.ACKNOWLEDGED_FOR
    _done(case, "handed_back", staff, now)
    policy_changed(case.user_id)
    return case


@transaction.atomic
def close(
    pk: int,
    staff: User,
    now: dt.datetime,
    *,
    reason: CrisisCase.CloseReason,
    outcome: CrisisCase.Outcome,
) -> CrisisCase:
    """Only a human closes a case, with reason and outcome. Raises CaseError for a case that somebody else holds."""
    case = lock(pk, staff)
    if case.state == State.IN_CARE:
        _only_holder(case, staff)
    case.state, case.ai_muted = State.CLOSED, False
    case.closed_at, case.closed_by = now, staff
    case.close_reason, case.outcome = reason, outcome
    case.climb_due_at = case.contact_due_at = case.acknowledged_until = case.news_from = None
    case.first_seen_at = case.first_seen_at or now
    # Not those that are being sent at this moment.
    case.deliveries.filter(state=Delivery.State.PENDING).update(state=Delivery.State.CANCELLED)
    _done(case, "closed", staff, now, reason=reason, outcome=outcome)
    policy_changed(case.user_id)
    return case


@transaction.atomic
def second_look(pk: int, staff: User, now: dt.datetime) -> None:
    """Another human confirms that an imminent case was rightly closed."""
    case = CrisisCase.objects.select_for_update().filter(pk=pk, state=State.CLOSED).first()
    if case is None or case.second_at is not None:
        raise CaseError("gone")
    if not may_handle(staff, case):
        raise CaseError("not_staff")
    if staff.pk == case.closed_by_id:
        raise CaseError("same_person")
    case.second_by, case.second_at = staff, now
    _done(case, "second_look", staff, now)


@transaction.atomic
def tell_contact_now(pk: int, staff: User, recipient: str, now: dt.datetime) -> int:
    """One tap: tell this guardian or contact now. Returns 0 when they cannot be reached by any channel."""
    case = lock(pk, staff)
    if recipient not in case.ladder.get("4", []):
        raise CaseError("gone")
    told = escalation.tell_near(case, now, only=recipient)
    audit.record(
        "case.contact_notice",
        actor=staff.pk,
        subject=case.user_id,
        target=case.number,
        recipient=recipient,
        told=told,
    )
    if told and not case.safeguarding:  # otherwise the record says already what came of it instead
        record(case, "contact_notice", now, actor=staff.pk, recipient=recipient, told=told)
    escalation.keep(case)
    return told


@transaction.atomic
def withhold_contact(pk: int, staff: User, now: dt.datetime, *, reason: str) -> CrisisCase:
    """Decide that nobody near is told: a false alarm, or they may be the danger. `reason` is a code."""
    case = lock(pk, staff)
    case.contact_due_at = None
    if reason == "unsafe":
        escalation.turn_from_near(case, now)
        escalation.tell_near(case, now)
    else:
        case.deliveries.filter(template="near", state=Delivery.State.PENDING).update(
            state=Delivery.State.CANCELLED
        )
    _done(case, "contact_withheld", staff, now, reason=reason)
    return case


def contact_unsafe(recipient: str, now: dt.datetime) -> None:
    """The person marked a contact as unsafe: out of every open ladder at once, in the caller's transaction.

    Others near may be close to that one: the safeguarding lead is told instead of them.
    """
    # Not ladder__4__contains: Django takes a key of digits for a place in a list.
    rows = CrisisCase.objects.exclude(state=State.CLOSED).filter(ladder__contains={"4": [recipient]})
    for case in rows.select_for_update(of=("self",)).order_by("pk"):
        place = case.ladder["4"].index(recipient)
        case.ladder["4"].remove(recipient)
        case.contacts_told -= place < case.contacts_told
        escalation.turn_from_near(case, now)
        record(case, "contact_unsafe", now, recipient=recipient)
        escalation.keep(case)


def open_cases() -> Sequence[CrisisCase]:
    """The queue: by level, then by time to the next breach, then by age."""
    rows = CrisisCase.objects.exclude(state=State.CLOSED).filter(is_canary=False)
    return list(rows.select_related("user", "holder").order_by("-level", "next_due_at", "opened_at"))


_OPEN_OF: Final = (
    f"SELECT {', '.join(f'{field.column}' for field in CrisisCase._meta.concrete_fields)} FROM safety_crisiscase "
    "WHERE user_id = %s AND state <> 'closed' FOR UPDATE"
)


def _lock_of(user_id: uuid.UUID) -> CrisisCase | None:
    """The person's open case, locked. Compiled once, because every message of a flood asks."""
    return next(iter(CrisisCase.objects.raw(_OPEN_OF, [user_id])), None)


def _lock(**which: object) -> CrisisCase | None:
    rows = CrisisCase.objects.select_for_update(of=("self",)).exclude(state=State.CLOSED)
    return rows.filter(**which).first()


def _not_too_many(case: CrisisCase, staff: User) -> None:
    severe = CrisisCase.objects.filter(holder=staff, state=State.IN_CARE, level__gte=3).exclude(pk=case.pk)
    if case.level >= 3 and severe.count() >= MOST_SEVERE:
        raise CaseError("too_many")


def _hold(case: CrisisCase, staff: User, now: dt.datetime) -> None:
    case.state, case.holder, case.active_at = State.IN_CARE, staff, now
    case.acknowledged_by, case.acknowledged_until = staff, None
    case.first_seen_at = case.first_seen_at or now
    case.first_held_at = case.first_held_at or now
    case.climb_due_at = case.handed_back_at = None


def _only_holder(case: CrisisCase, staff: User) -> None:
    if case.state != State.IN_CARE or (case.holder_id != staff.pk and staff.role != User.Role.OPERATOR):
        raise CaseError("taken")


def _done(case: CrisisCase, kind: str, staff: User, now: dt.datetime, **data: object) -> None:
    """Record and store an act of a human."""
    record(case, kind, now, actor=staff.pk, **data)
    audit.record(f"case.{kind}", actor=staff.pk, subject=case.user_id, target=case.number, **data)
    escalation.keep(case)
