"""Appeals: another human looks again. What was decided takes effect in the same transaction, or nothing is decided.

Appeals stay open to somebody whose account is suspended. A refused companion is a matter of the package above;
companion/rulings.py names its first decider and brings its effect.
"""

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from django.db import IntegrityError, transaction
from django.db.models import Q

from accounts import audit
from accounts.models import User
from guardians import minors_mode
from guardians.models import Guardianship
from safety import age_reviews, care_notices, cases, operations, sanctions
from safety.models import Appeal, CareNotice, CrisisCase, Lane, Report, Sanction, Shift
from safety.moderation import NotPossible, check_decider, close, due, is_moderator, is_young, locked, number

Subject = Appeal.Subject

MAX_TEXT: Final = 4000  # characters
AGE_AGAIN: Final = dt.timedelta(days=30)  # between two appeals about an age
GUARDIAN_AGAIN: Final = dt.timedelta(
    days=30
)  # between two about a guardian who was not asked, or has not answered
HARM_COUNTS: Final = dt.timedelta(
    days=365
)  # how long a case of harm by somebody near makes such an appeal confidential
_ALARM: Final = "appeal.safeguarding"


@dataclass(frozen=True)
class Decided:
    """The decision that somebody objects to."""

    by: uuid.UUID | None  # None: not known, or gone
    at: dt.datetime


def ground(person: User, subject: Appeal.Subject, subject_id: uuid.UUID, now: dt.datetime) -> Decided | None:
    """What this person can object to; None when there is no such decision about them. Not for companions."""
    if subject is Subject.SANCTION:
        rows = Sanction.objects.filter(pk=subject_id, user=person, lifted_at=None)
        found = rows.values_list("imposed_by", "created_at", "until").first()
        return Decided(found[0], found[1]) if found and (found[2] is None or found[2] > now) else None
    if subject is Subject.REPORT:
        report = Report.objects.filter(public_id=subject_id, reporter=person, state="decided").first()
        return Decided(report.decided_by_id, report.decided_at) if report and report.decided_at else None
    if subject is Subject.GUARDIAN:
        return _of_guardian(person, subject_id, now)
    if subject is Subject.AGE and subject_id == person.pk and person.birth_date is not None:
        return _of_age(person, now)
    return None


def _of_age(person: User, now: dt.datetime) -> Decided | None:
    """The birth date, or what a human made of signs. While that human is still to decide, this is told to them."""
    review = age_reviews.newest_of(person.pk)
    if review is None:
        return Decided(None, now - AGE_AGAIN)
    if review.decided_at is None:
        return None
    return Decided(review.decided_by_id, max(review.decided_at, now - AGE_AGAIN))


def _of_guardian(person: User, link_id: uuid.UUID, now: dt.datetime) -> Decided | None:
    """Who looks after them, whether or not they asked the guardian first. A guardian never decides about it as staff."""
    link = Guardianship.objects.filter(pk=link_id, minor=person, state=Guardianship.State.ACTIVE).first()
    if link is None:
        return None
    return Decided(link.guardian_id, link.end_declined_at or now - GUARDIAN_AGAIN)


def harm_nearby(person: User, now: dt.datetime) -> bool:
    """Is harm by somebody near indicated by what has happened before? Then guardians learn nothing of an appeal."""
    found = CrisisCase.objects.filter(
        Q(category=CrisisCase.Category.ABUSE) | Q(safeguarding=True), user=person
    )
    return found.filter(opened_at__gt=now - HARM_COUNTS).exists()


def confidential(row: Appeal) -> bool:
    """About a guardian of whom harm may come: only who leads protection reads and decides it."""
    return row.subject == Subject.GUARDIAN and row.lane == Lane.SAFETY


def protects(staff: User) -> bool:
    """Leads protection: has such a shift, or is an operator where nobody has one."""
    leads = Shift.objects.filter(role=Shift.Role.SAFEGUARDING)
    return leads.filter(user=staff).exists() or (staff.role == User.Role.OPERATOR and not leads.exists())


def file(
    person: User,
    subject: Appeal.Subject,
    subject_id: uuid.UUID,
    text: str,
    against: Decided,
    now: dt.datetime,
    *,
    unsafe: bool = False,
) -> Appeal:
    """An appeal, or the open one about the same. Raises NotPossible("already") when a human looked a second time.

    `unsafe`: the person does not feel safe with the guardian whom it is about. It is confidential then, has the deadline of
    what concerns safety, and the people on call are told that it waits.
    """
    secret = subject is Subject.GUARDIAN and (unsafe or harm_nearby(person, now))
    mine = Appeal.objects.filter(person=person, subject=subject, subject_id=subject_id)
    if (waiting := mine.filter(state="open").first()) is not None:
        return _in_confidence(waiting, text, now) if secret and not confidential(waiting) else waiting
    if mine.filter(decided_at__gt=against.at).exists():
        raise NotPossible("already")
    row = Appeal(
        number=number("A"),
        lane=Lane.SAFETY if secret else Lane.MINORS if is_young(person, now) else Lane.ORDINARY,
        created_at=now,
        due_at=due(Lane.SAFETY if secret else "appeal", now),
        person=person,
        subject=subject,
        subject_id=subject_id,
        first_decider_id=against.by,
    )
    row.seal("text", text[:MAX_TEXT])
    try:
        with transaction.atomic():
            if secret:
                _protect(row, now)
            row.save(force_insert=True)
            audit.record(
                "appeal.filed", actor=person.pk, subject=person.pk, target=row.number, kind=subject.value
            )
    except IntegrityError:
        return mine.get(state="open")
    return row


def _in_confidence(row: Appeal, text: str, now: dt.datetime) -> Appeal:
    """What is open already becomes confidential by what is said now."""
    with transaction.atomic():
        _protect(row, now)
        row.lane, row.due_at = Lane.SAFETY, min(row.due_at, due(Lane.SAFETY, now))
        row.seal("text", f"{row.open('text')}\n\n{text}"[-MAX_TEXT:])
        row.save(update_fields=["lane", "due_at", "text"])
    return row


def _protect(row: Appeal, now: dt.datetime) -> None:
    """The guardian is out of every open case from now on, and the people on call learn that somebody waits."""
    cases.contact_unsafe(f"guardian:{row.first_decider_id}", now)
    operations.raise_alert(_ALARM, row.number, now=now)


def may_decide(staff: User, row: Appeal) -> bool:
    apart = is_moderator(staff) and staff.pk not in (row.person_id, row.first_decider_id)
    return apart and (protects(staff) or not confidential(row))


def decide(
    staff: User,
    pk: int,
    decision: Appeal.Decision,
    reason: Appeal.Reason,
    answer: str,
    now: dt.datetime,
    *,
    take_effect: Callable[[Appeal], None],
) -> Appeal:
    """Answer an appeal. `take_effect` runs in the same transaction when it is granted."""
    with transaction.atomic():
        row = locked(Appeal, pk)
        check_decider(staff, row.person_id)
        if row.first_decider_id == staff.pk:
            raise NotPossible("same_person")
        if confidential(row) and not protects(staff):
            raise NotPossible("not_lead")
        close(row, staff, decision.value, now)
        operations.resolve(_ALARM, row.number, now=now)
        row.reason = reason.value
        row.seal("answer", answer[:MAX_TEXT])
        row.save(update_fields=["state", "decision", "decided_by", "decided_at", "reason", "answer"])
        audit.record(
            "appeal.decided",
            actor=staff.pk,
            subject=row.person_id,
            target=row.number,
            decision=decision.value,
            reason=reason.value,
        )
        if decision is Appeal.Decision.UPHELD:
            take_effect(row)
    return row


def lift_sanction(row: Appeal, staff: User, now: dt.datetime) -> None:
    """The effect on a measure. One that ran out meanwhile has nothing left to lift."""
    try:
        sanctions.lift(staff, row.subject_id, now)
    except sanctions.NotAllowed as refused:
        if refused.code != "gone":
            raise NotPossible(refused.code) from None


def correct_age(row: Appeal, staff: User, birth_date: dt.date | None, now: dt.datetime) -> None:
    """The effect on an age: pages of the person read their rights anew. No date in the log.

    What a first human made of signs of a younger age ends with it; the birth date alone decides from here on.
    """
    if birth_date is None:
        raise NotPossible("bad_decision")
    told = care_notices.guardian_recipients(row.person)  # before their part in it is over
    User.objects.filter(pk=row.person_id).update(birth_date=birth_date)
    audit.record("account.age_corrected", actor=staff.pk, subject=row.person_id, target=row.number)
    if told and row.person.minors_mode == User.MinorsMode.CONFIRMED:
        care_notices.tell(CareNotice.Kind.MODE, row.person, f"mode:{row.person_id}", told, now, change="off")
    minors_mode.decided(row.person_id, User.MinorsMode.OFF, now)


def replace_report(row: Appeal, staff: User, decision: Report.Decision | None, now: dt.datetime) -> Report:
    """The effect on a report: the second human's decision stands instead of the first one's."""
    report = Report.objects.select_for_update(of=("self",)).get(public_id=row.subject_id)
    if decision is None or decision == report.decision:
        raise NotPossible("bad_decision")
    report.decision, report.decided_by, report.decided_at = decision.value, staff, now
    report.save(update_fields=["decision", "decided_by", "decided_at"])
    audit.record(
        "report.decided",
        actor=staff.pk,
        subject=report.reporter_id,
        target=report.number,
        decision=decision.value,
    )
    return report
