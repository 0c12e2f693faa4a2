"""Decisions of the team that reach a companion: what was decided and what follows stand or fall together."""

import datetime as dt
import uuid
from collections.abc import Sequence

from django.db import transaction

from accounts import keyring
from accounts.models import User
from companion import authoring, dependence, turns
from companion.models import DependenceScore, Message, Persona
from guardians import endings
from safety import appeals, care_notices, moderation, use_reviews
from safety.appeals import Decided
from safety.dependence import signal_set
from safety.models import Appeal, CareNotice, Report, UseReview
from safety.moderation import NotPossible

Subject = Appeal.Subject


def ground(person: User, subject: Appeal.Subject, subject_id: uuid.UUID, now: dt.datetime) -> Decided | None:
    """What this person can object to; None when there is no such decision about them."""
    if subject is Subject.DEPENDENCE:
        return _judged(person, subject_id, now)
    if subject is not Subject.PERSONA:
        return appeals.ground(person, subject, subject_id, now)
    persona = Persona.objects.filter(public_id=subject_id, author=person, state=Persona.State.REFUSED).first()
    return Decided(persona.reviewed_by_id, persona.updated_at) if persona else None


def _judged(person: User, subject_id: uuid.UUID, now: dt.datetime) -> Decided | None:
    """What follows from one's use: decided by a program, or kept by a human who looked. One appeal in four weeks."""
    if subject_id != person.pk or dependence.objectionable(person.pk, now) is None:
        return None
    looked = UseReview.objects.filter(person=person, decided_by__isnull=False).order_by("-pk").first()
    return Decided(looked.decided_by_id if looked else None, now - dt.timedelta(days=signal_set().rest_days))


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
    """An appeal (safety/appeals.py); one about dependence is noted on the judgement."""
    with transaction.atomic(durable=True):
        row = appeals.file(person, subject, subject_id, text, against, now, unsafe=unsafe)
        if subject is Subject.DEPENDENCE and (judged := dependence.objectionable(person.pk, now)) is not None:
            DependenceScore.objects.filter(pk=judged.pk, objected_at=None).update(objected_at=now)
    return row


def judgement(row: Appeal) -> DependenceScore | None:
    """What an appeal about dependence is about: the newest judgement before it."""
    if row.subject != Subject.DEPENDENCE:
        return None
    rows = DependenceScore.objects.filter(user=row.person_id, objected_at__isnull=False)
    return rows.order_by("-day").first()


def reported(staff: User, report: Report, now: dt.datetime) -> Sequence[tuple[Message, str]]:
    """The reported reply and the message before it, with their texts, for whoever decides about an open report.

    Nothing else of the conversation opens by a report. Each look is a reading that the person can see afterwards. Raises
    NotPossible.
    """
    if report.state != "open" or not moderation.may_decide(staff, report):
        raise NotPossible("gone")
    if report.conversation is None:
        return []
    rows = Message.objects.filter(
        conversation__public_id=report.conversation, conversation__user=report.reporter_id
    )
    reply = rows.filter(public_id=report.target).first()
    if reply is None:
        return []
    before = rows.filter(pk__lt=reply.pk).exclude(state=Message.State.REPLACED).order_by("-pk").first()
    shown = [row for row in (before, reply) if row is not None]
    moderation.note_reading(staff, report, len(shown), now)
    return [(row, _text(row, report.reporter_id)) for row in shown]


def _text(message: Message, owner: uuid.UUID) -> str:
    try:
        return message.open(owner)
    except keyring.KeyringError:
        return ""  # erased


def decide_report(staff: User, pk: int, decision: Report.Decision, now: dt.datetime) -> Report:
    with transaction.atomic(durable=True):
        row = moderation.decide_report(staff, pk, decision, now)
        _follow(row, staff)
    return row


def decide_appeal(
    staff: User,
    pk: int,
    decision: Appeal.Decision,
    reason: Appeal.Reason,
    answer: str,
    now: dt.datetime,
    *,
    birth_date: dt.date | None = None,
    report_decision: Report.Decision | None = None,
) -> Appeal:
    """`birth_date` and `report_decision` say what holds instead, where an age or a report is granted."""

    def take_effect(row: Appeal) -> None:
        match row.subject:
            case Subject.SANCTION:
                appeals.lift_sanction(row, staff, now)
            case Subject.AGE:
                appeals.correct_age(row, staff, birth_date, now)
            case Subject.REPORT:
                _follow(appeals.replace_report(row, staff, report_decision, now), staff)
            case Subject.DEPENDENCE:
                dependence.rest(row.person_id)
            case Subject.GUARDIAN:
                _end_link(row, staff, now)
            case Subject.PERSONA:
                authoring.review_again(staff, row.subject_id)

    with transaction.atomic(durable=True):
        return appeals.decide(staff, pk, decision, reason, answer, now, take_effect=take_effect)


def _end_link(row: Appeal, staff: User, now: dt.datetime) -> None:
    """The link is over. The guardians are told, unless one of them may be the danger."""
    turns.stop_all(row.person_id)  # before the person is locked; the last reply may be asked for again
    if not endings.by_ruling(row.subject_id, staff, now):
        raise NotPossible("bad_decision")
    care_notices.over(f"unlink:{row.subject_id}", now)
    if not appeals.confidential(row):
        whom = [*care_notices.guardian_recipients(row.person), f"guardian:{row.first_decider_id}"]
        about = f"guardianship:{row.subject_id}"
        care_notices.tell(CareNotice.Kind.GUARDIANS, row.person, about, whom, now, change="ruling")


def decide_use(staff: User, pk: int, decision: UseReview.Decision, now: dt.datetime) -> UseReview:
    """A human looked at signs of dependence. That the companion keeps boundaries comes with the next judgement."""

    def take_effect(row: UseReview) -> None:
        if decision is UseReview.Decision.EXPLAINED:
            dependence.rest(row.person_id)

    with transaction.atomic(durable=True):
        return use_reviews.decide(staff, pk, decision, now, take_effect=take_effect)


def _follow(report: Report, staff: User) -> None:
    if report.decision != Report.Decision.WITHDRAWN:
        return
    try:
        authoring.withdraw(staff, report.persona)
    except authoring.NotPossible:
        raise NotPossible("bad_decision") from None
