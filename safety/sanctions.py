"""Measures against an account: graded, with a reason, an end and an appeal.

Nobody is suspended for being in danger (E-24). While a crisis case is open, and for 72 hours after it, only functions
that touch other people may be closed; help lines, humans and the way out stay.
"""

import datetime as dt
import uuid
from collections.abc import Collection, Sequence
from typing import Final

from django.db import models, transaction
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from accounts import audit
from accounts.generation import policy_changed
from accounts.models import User
from safety.models import CrisisCase, Sanction
from safety.moderation import is_moderator

Kind, Function = Sanction.Kind, Sanction.Function

AFTER_A_CASE: Final = dt.timedelta(hours=72)
LONGEST_SUSPENSION: Final = dt.timedelta(days=90)
_GRAVITY: Final = {Kind.END: 3, Kind.SUSPEND: 2, Kind.RESTRICT: 0}


class Reason(models.TextChoices):
    """Why. The person reads the sentence, the database keeps the code."""

    ABUSE = "abuse", _("Threats or insults towards people, members of the team among them.")
    FRAUD = "fraud", _("Trying to cheat others, or preparing to.")
    DANGER_TO_OTHERS = "danger_to_others", _("Something that puts other people in danger.")
    ILLEGAL_CONTENT = "illegal_content", _("Content that the law forbids to offer or to ask for.")
    HARM_TO_MINORS = "harm_to_minors", _("Content or acts that harm children or young people.")
    BORROWED_IDENTITY = "borrowed_identity", _("An account in the name or with the details of somebody else.")
    EVASION = "evasion", _("Getting around an earlier measure.")


class NotAllowed(Exception):
    """The measure is refused. `code`: not_staff, not_operator, oneself, staff, no_function, until, case, gone."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def all_in_force(user_id: uuid.UUID, now: dt.datetime) -> Sequence[Sanction]:
    """What holds now, the gravest first."""
    rows = Sanction.objects.filter(user_id=user_id, lifted_at__isnull=True).filter(
        Q(until__isnull=True) | Q(until__gt=now)
    )
    newest_first = rows.order_by("-created_at")
    return sorted(newest_first, key=lambda row: _GRAVITY[Kind(row.kind)] + blocks_chat(row), reverse=True)


def in_force(user_id: uuid.UUID, now: dt.datetime) -> Sanction | None:
    """The gravest measure that holds now; None when there is none. One that closes conversations comes before others."""
    return next(iter(all_in_force(user_id, now)), None)


def closes(sanction: Sanction, function: Sanction.Function) -> bool:
    return sanction.kind != Kind.RESTRICT or function in sanction.functions


def blocks_chat(sanction: Sanction) -> bool:
    """Does it stop turns? One that only closes publishing does not."""
    return closes(sanction, Function.CHAT)


def closed(user_id: uuid.UUID, function: Sanction.Function, now: dt.datetime) -> bool:
    return any(closes(row, function) for row in all_in_force(user_id, now))


def impose(
    staff: User,
    user: User,
    kind: Sanction.Kind,
    *,
    reason: Reason,
    evidence: str,
    now: dt.datetime,
    functions: Collection[Sanction.Function] = (),
    until: dt.datetime | None = None,
) -> Sanction:
    """Put a measure into force and tell the person's pages. Raises NotAllowed."""
    _may_impose(staff, user, kind)
    if kind is Kind.RESTRICT and not functions:
        raise NotAllowed("no_function")
    if until is not None and until <= now:
        raise NotAllowed("until")
    if kind is Kind.SUSPEND and (until is None or until > now + LONGEST_SUSPENSION):
        raise NotAllowed("until")
    names = sorted(function.value for function in functions) if kind is Kind.RESTRICT else []
    with transaction.atomic():
        _lock(user.pk)
        if (kind is not Kind.RESTRICT or Function.CHAT in functions) and _in_danger(user.pk, now):
            raise NotAllowed("case")
        sanction = Sanction.objects.create(
            user=user,
            kind=kind,
            functions=names,
            reason=reason.value,
            evidence=evidence,
            imposed_by=staff,
            created_at=now,
            until=until,
        )
        audit.record(
            "sanction.imposed",
            actor=staff.pk,
            subject=user.pk,
            target=f"sanction:{sanction.pk}",
            kind=kind.value,
            functions=names,
            reason=reason.value,
            evidence=evidence,
            until=until.isoformat() if until else None,
        )
        policy_changed(user.pk)
    return sanction


def lift(staff: User, sanction_id: uuid.UUID, now: dt.datetime) -> None:
    """End a measure before its time. Raises NotAllowed; `gone` when it was lifted or ran out already."""
    sanction = Sanction.objects.filter(pk=sanction_id).first()
    if sanction is None:
        raise NotAllowed("gone")
    _may_impose(staff, User.objects.get(pk=sanction.user_id), Kind(sanction.kind))
    with transaction.atomic():
        _lock(sanction.user_id)
        changed = (
            Sanction.objects.filter(pk=sanction_id, lifted_at=None)
            .filter(Q(until__isnull=True) | Q(until__gt=now))
            .update(lifted_at=now, lifted_by=staff)
        )
        if not changed:
            raise NotAllowed("gone")
        audit.record(
            "sanction.lifted", actor=staff.pk, subject=sanction.user_id, target=f"sanction:{sanction_id}"
        )
        policy_changed(sanction.user_id)


def _may_impose(staff: User, user: User, kind: Sanction.Kind) -> None:
    if not is_moderator(staff):
        raise NotAllowed("not_staff")
    if staff.pk == user.pk:
        raise NotAllowed("oneself")
    if user.is_staff:
        raise NotAllowed("staff")  # their rights are taken in the admin, by an operator
    if kind is Kind.END and staff.role != User.Role.OPERATOR:
        raise NotAllowed("not_operator")


def _in_danger(user_id: uuid.UUID, now: dt.datetime) -> bool:
    cases = CrisisCase.objects.filter(user_id=user_id, is_canary=False)
    return cases.filter(~Q(state=CrisisCase.State.CLOSED) | Q(closed_at__gt=now - AFTER_A_CASE)).exists()


def _lock(user_id: uuid.UUID) -> None:
    """Measures against one person one after the other."""
    User.objects.select_for_update(no_key=True).get(pk=user_id)
