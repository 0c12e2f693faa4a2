"""Decisions of the team that reach a companion: what was decided and what follows stand or fall together."""

import datetime as dt
import uuid
from collections.abc import Sequence

from django.db import transaction

from accounts import keyring
from accounts.models import User
from companion import authoring
from companion.models import Message, Persona
from safety import appeals, moderation
from safety.appeals import Decided
from safety.models import Appeal, Report
from safety.moderation import NotPossible

Subject = Appeal.Subject


def ground(person: User, subject: Appeal.Subject, subject_id: uuid.UUID, now: dt.datetime) -> Decided | None:
    """What this person can object to; None when there is no such decision about them."""
    if subject is not Subject.PERSONA:
        return appeals.ground(person, subject, subject_id, now)
    persona = Persona.objects.filter(public_id=subject_id, author=person, state=Persona.State.REFUSED).first()
    return Decided(persona.reviewed_by_id, persona.updated_at) if persona else None


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
                appeals.correct_age(row, staff, birth_date)
            case Subject.REPORT:
                _follow(appeals.replace_report(row, staff, report_decision, now), staff)
            case Subject.PERSONA:
                authoring.review_again(staff, row.subject_id)

    with transaction.atomic(durable=True):
        return appeals.decide(staff, pk, decision, reason, answer, now, take_effect=take_effect)


def _follow(report: Report, staff: User) -> None:
    if report.decision != Report.Decision.WITHDRAWN:
        return
    try:
        authoring.withdraw(staff, report.persona)
    except authoring.NotPossible:
        raise NotPossible("bad_decision") from None
