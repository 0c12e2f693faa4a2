"""★ The right of staff to read what a person said: for a case, or by breaking the glass (threat T12).

Nobody has it by role alone. It names one reader, one person and one conversation, lasts half an hour, and the person can see
afterwards that it was used. Whatever is refused is an audit entry too, so call these functions outside of transactions
that the refusal would roll back.
"""

import datetime as dt
import secrets
import uuid
from typing import Final

from django.db import transaction

from accounts import audit, keyring
from accounts.models import User
from guardians import access, contacts, links
from guardians.models import EmergencyContact, Guardianship
from safety.cases import SECOND_LOOK_WITHIN, STAFF, State
from safety.models import CrisisCase, StaffSession

LASTS: Final = dt.timedelta(minutes=30)
APPROVE_WITHIN: Final = dt.timedelta(hours=24)
REASON_LENGTH: Final = 20  # characters, without the spaces around
IMMINENT: Final = 4  # a case of this level needs no second person before the glass breaks
REVIEWED_AT_RANDOM: Final = 20  # one in so many, besides those of people who are close


class Refused(Exception):
    """No right. `code`: not_staff, oneself, no_case, reason, other_staff, same_person, not_approved, expired, done."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def open_for_case(
    case: CrisisCase, staff: User, now: dt.datetime, *, conversation: uuid.UUID | None = None
) -> StaffSession:
    """The right to read the conversation of the case's newest signal, or another one that had a signal of the case.

    Every call is an act of the reader and lets it last half an hour from now; a page that only refreshes itself calls
    check(). Raises Refused.
    """
    about = conversation or case.conversation
    with transaction.atomic(durable=True):
        # The lock lets two tabs of one reader share one right.
        row = CrisisCase.objects.select_for_update(of=("self",), no_key=True).get(pk=case.pk)
        code = _why_not(staff, row.user_id) or ("" if _may_be_read(row, staff, now) else "no_case")
        if not code and about != row.conversation and not row.signals.filter(conversation=about).exists():
            code = "no_case"
        if code:
            _note_refusal(code, staff, row.user_id, row.number)
        else:
            session = _continued(row, staff, about, now) or _opened(row, staff, about, now)
    if code:
        raise Refused(code)
    return session


def break_glass(
    staff: User, subject: User, conversation: uuid.UUID, reason: str, now: dt.datetime
) -> StaffSession:
    """Ask to read without a case. No text is shown before a second person approved, except in imminent danger."""
    reason = reason.strip()
    code = _why_not(staff, subject.pk) or ("reason" if len(reason) < REASON_LENGTH else "")
    with transaction.atomic(durable=True):
        if code:
            _note_refusal(code, staff, subject.pk, f"conversation:{conversation}")
        else:
            cases = CrisisCase.objects.filter(user=subject, level__gte=IMMINENT).exclude(state=State.CLOSED)
            alone = cases.exists()
            session = StaffSession(
                staff=staff,
                subject=subject,
                conversation=conversation,
                created_at=now,
                expires_at=now + (LASTS if alone else APPROVE_WITHIN),
                approved_at=now if alone else None,
                flagged=_to_be_reviewed(staff, subject),
            )
            session.reason = keyring.encrypt(subject.pk, "staff_session.reason", session.pk, reason)
            session.save(force_insert=True)
            act = "reading.opened" if alone else "reading.requested"
            audit.record(act, actor=staff.pk, subject=subject.pk, target=_name(session), basis="break_glass")
    if code:
        raise Refused(code)
    return session


def approve(session: StaffSession, approver: User, now: dt.datetime) -> StaffSession:
    """A second person, who sees the reason and no text, lets the reader read for half an hour. Once, within a day."""
    with transaction.atomic(durable=True):
        row = StaffSession.objects.select_for_update(of=("self",)).get(pk=session.pk)
        code = _why_not_approve(row, approver, now)
        if code:
            _note_refusal(code, approver, row.subject_id, _name(row), act="approve")
        else:
            row.approved_by, row.approved_at, row.expires_at = approver, now, now + LASTS
            row.flagged = row.flagged or close_to_each_other(approver, row.subject)
            row.save(update_fields=["approved_by", "approved_at", "expires_at", "flagged"])
            audit.record("reading.approved", actor=approver.pk, subject=row.subject_id, target=_name(row))
    if code:
        raise Refused(code)
    return row


def check(session: StaffSession, staff: User, now: dt.datetime) -> None:
    """Before any text is opened: raises Refused unless this reader has the right at this moment."""
    row = StaffSession.objects.select_related("case").get(pk=session.pk)
    code = _why_not_now(row, staff, now)
    if code:
        _note_refusal(code, staff, row.subject_id, _name(row))
        raise Refused(code)


def review(session: StaffSession, operator: User) -> None:
    """An operator has looked at a flagged reading: was it right to read? Nobody reviews their own."""
    with transaction.atomic(durable=True):
        row = StaffSession.objects.select_for_update(of=("self",)).get(pk=session.pk)
        code = _why_not(operator, row.subject_id)
        if operator.role != User.Role.OPERATOR:
            code = "not_staff"
        elif operator.pk == row.staff_id:
            code = "same_person"
        elif row.reviewed_by_id is not None:
            code = "done"
        if code:
            _note_refusal(code, operator, row.subject_id, _name(row), act="review")
        else:
            StaffSession.objects.filter(pk=row.pk).update(reviewed_by=operator)
            audit.record("reading.reviewed", actor=operator.pk, subject=row.subject_id, target=_name(row))
    if code:
        raise Refused(code)


def open_reason(session: StaffSession) -> str:
    """What the reader wrote when breaking the glass; empty for a case, or when it does not open any more."""
    if session.reason is None:
        return ""
    try:
        return keyring.decrypt(session.subject_id, "staff_session.reason", session.pk, session.reason)
    except keyring.KeyringError:
        return ""


def close_to_each_other(staff: User, subject: User) -> bool:
    """Whether anything here says that the two know each other: family, the same guardian, the same person to call.

    What cannot be read counts as a yes: it only means that somebody looks at the reading afterwards.
    """
    family = {user.pk for user in (*access.guardians_of(subject), *access.wards_of(subject))}
    own = {user.pk for user in (*access.guardians_of(staff), *access.wards_of(staff))}
    if staff.pk in family or family & own:
        return True
    try:
        theirs, ours = _addresses(subject), _addresses(staff)
    except keyring.KeyringError:
        return True
    return bool(theirs & ours) or staff.email.casefold() in theirs or subject.email.casefold() in ours


def _addresses(user: User) -> set[str]:
    """E-mail addresses and telephone numbers of those who are near a person, in the clear and in memory only."""
    details = [
        contacts.open_details(row) for row in contacts.of(user) if row.state != EmergencyContact.State.REFUSED
    ]
    rows = Guardianship.objects.filter(minor=user).exclude(state=Guardianship.State.ENDED)
    details += [links.open_details(row) for row in rows]
    return {value.casefold() for one in details for value in (one.email, one.phone) if value}


def _to_be_reviewed(staff: User, subject: User) -> bool:
    return close_to_each_other(staff, subject) or secrets.randbelow(REVIEWED_AT_RANDOM) == 0


def _why_not(staff: User, subject: uuid.UUID) -> str:
    if not staff.is_active or not staff.is_staff or staff.role not in STAFF:
        return "not_staff"
    return "oneself" if staff.pk == subject else ""


def _may_be_read(case: CrisisCase, staff: User, now: dt.datetime) -> bool:
    """Open, or closed a short time ago and still in need of a second human's look."""
    if case.closed_at is None:
        return True
    waits = case.level >= IMMINENT and case.second_at is None and case.closed_by_id != staff.pk
    return waits and now < case.closed_at + SECOND_LOOK_WITHIN


def _why_not_now(session: StaffSession, staff: User, now: dt.datetime) -> str:
    if session.staff_id != staff.pk:
        return "other_staff"
    if code := _why_not(staff, session.subject_id):
        return code
    if session.case is None and session.approved_at is None:
        return "not_approved"
    if now >= session.expires_at:
        return "expired"
    return "no_case" if session.case and not _may_be_read(session.case, staff, now) else ""


def _why_not_approve(session: StaffSession, approver: User, now: dt.datetime) -> str:
    if code := _why_not(approver, session.subject_id):
        return code
    if approver.pk == session.staff_id:
        return "same_person"
    if session.case_id is not None or session.approved_at is not None:
        return "done"
    return "expired" if now >= session.created_at + APPROVE_WITHIN else ""


def _continued(
    case: CrisisCase, staff: User, conversation: uuid.UUID, now: dt.datetime
) -> StaffSession | None:
    live = StaffSession.objects.filter(
        case=case, staff=staff, conversation=conversation, expires_at__gt=now
    ).order_by("-created_at")
    session = live.first()
    if session is not None:
        session.expires_at = now + LASTS
        session.save(update_fields=["expires_at"])
    return session


def _opened(case: CrisisCase, staff: User, conversation: uuid.UUID, now: dt.datetime) -> StaffSession:
    session = StaffSession.objects.create(
        staff=staff,
        subject=case.user,
        case=case,
        conversation=conversation,
        created_at=now,
        expires_at=now + LASTS,
        flagged=_to_be_reviewed(staff, case.user),
    )
    audit.record(
        "reading.opened", actor=staff.pk, subject=case.user_id, target=_name(session), basis=case.number
    )
    return session


def _note_refusal(code: str, staff: User, subject: uuid.UUID, target: str, **data: str) -> None:
    audit.record("reading.refused", actor=staff.pk, subject=subject, target=target, code=code, **data)


def _name(session: StaffSession) -> str:
    return f"reading:{session.pk}"
