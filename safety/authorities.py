"""Reports to an authority: prepared by one operator, approved by another, sent by hand, recorded. No button sends."""

import datetime as dt
import uuid
from typing import Final

from django.db import transaction

from accounts import audit
from accounts.models import User
from safety.models import AuthorityReport, CrisisCase
from safety.moderation import NotPossible

State = AuthorityReport.State

APPROVED_WITHIN: Final = dt.timedelta(hours=24)  # facts change: a later approval needs a new proposal
MAX_NOTE: Final = 4000  # characters


def is_operator(person: User) -> bool:
    return person.is_active and person.is_staff and person.role == User.Role.OPERATOR


def propose(
    staff: User,
    subject: User,
    *,
    case: CrisisCase | None,
    authority: str,
    basis: AuthorityReport.Basis,
    note: str,
    now: dt.datetime,
) -> AuthorityReport:
    _check(staff, subject.pk)
    if case is not None and case.user_id != subject.pk:
        raise NotPossible("gone")
    row = AuthorityReport(
        subject=subject, case=case, authority=authority, basis=basis, proposed_by=staff, proposed_at=now
    )
    row.seal(note[:MAX_NOTE])
    with transaction.atomic():
        row.save(force_insert=True)
        _record("authority.proposed", staff, row, basis=basis.value, case=case.number if case else "")
    return row


def approve(staff: User, pk: int, now: dt.datetime) -> AuthorityReport:
    """The second person. Never the first, never the person it is about, and not after 24 hours."""
    with transaction.atomic():
        row = _locked(staff, pk, State.PROPOSED)
        if row.proposed_by_id == staff.pk:
            raise NotPossible("same_person")
        if now > row.proposed_at + APPROVED_WITHIN:
            raise NotPossible("expired")
        row.state, row.approved_by, row.approved_at = State.APPROVED, staff, now
        row.save(update_fields=["state", "approved_by", "approved_at"])
        _record("authority.approved", staff, row)
    return row


def sent(staff: User, pk: int, reference: str, now: dt.datetime) -> AuthorityReport:
    """Note that it went out, and under which file number the operator keeps what was sent."""
    if not reference.strip():
        raise NotPossible("bad_decision")
    with transaction.atomic():
        row = _locked(staff, pk, State.APPROVED)
        row.state, row.reference, row.sent_at = State.SENT, reference.strip(), now
        row.save(update_fields=["state", "reference", "sent_at"])
        _record("authority.sent", staff, row)
    return row


def withdraw(staff: User, pk: int, now: dt.datetime) -> AuthorityReport:
    """Before it was sent, by either of the two or by another operator."""
    with transaction.atomic():
        row = _locked(staff, pk, State.PROPOSED, State.APPROVED)
        row.state = State.WITHDRAWN
        row.save(update_fields=["state"])
        _record("authority.withdrawn", staff, row)
    return row


def _locked(staff: User, pk: int, *states: str) -> AuthorityReport:
    row = AuthorityReport.objects.select_for_update(of=("self",)).filter(pk=pk).first()
    if row is None or row.state not in states:
        raise NotPossible("gone")
    _check(staff, row.subject_id)
    return row


def _check(staff: User, subject: uuid.UUID) -> None:
    if not is_operator(staff):
        raise NotPossible("not_staff")
    if staff.pk == subject:
        raise NotPossible("oneself")


def _record(action: str, staff: User, row: AuthorityReport, **data: str) -> None:
    audit.record(
        action, actor=staff.pk, subject=row.subject_id, target=f"authority_report:{row.public_id}", **data
    )
