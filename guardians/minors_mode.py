"""Minors' mode: state of the account beside the birth date. It only adds protection, and some of it nobody ends alone.

    CHOSEN      by themselves; an adult leaves it, with the yes of a guardian where there is one
    SUSPECTED   by signs over several messages (safety/age_reviews.py); only a human's decision ends it
    CONFIRMED   by that human; only another human's decision ends it

Who is under 18 by birth date is in the mode whatever this says. All functions run in the caller's transaction or their own
and tell open pages last (policy_changed), so that the next frame is judged by the new rights.
"""

import datetime as dt
import uuid
from typing import Literal

from django.db import transaction

from accounts import audit
from accounts.age import age_band
from accounts.generation import policy_changed
from accounts.models import User
from guardians import access, limits, links
from guardians.access import Right

Mode = User.MinorsMode
Where = Literal["sign_up", "settings", "chat"]


class ModeError(Exception):
    """The mode stays. `code`: off, birth_date, human (it waits for one), guardian (has to say yes), not_yours."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def turn_on(user: User, where: Where, *, now: dt.datetime) -> bool:
    """Somebody chooses the mode for themselves. False: it was on by more than their own choice, or by it."""
    with transaction.atomic():
        row = _locked(user.pk)
        if row.minors_mode:
            return False
        _store(user, Mode.CHOSEN, now)
        audit.record("mode.turned_on", actor=user.pk, subject=user.pk, where=where)
        policy_changed(user.pk)
    return True


def why_not_leave(user: User, actor: User, now: dt.datetime) -> str:
    """ "" when `actor` may end the mode of `user` now, else a code of ModeError."""
    if not user.minors_mode:
        return "off"
    if user.birth_date is None or age_band(user.birth_date, user.time_zone, now).is_minor:
        return "birth_date"
    if user.minors_mode != Mode.CHOSEN:
        return "human"
    if links.in_force(user):
        decides = access.guardians_of(user, Right.EDIT).filter(pk=actor.pk).exists()
        return "" if decides else "guardian"
    return "" if actor.pk == user.pk else "not_yours"


def leave(user: User, *, actor: User, now: dt.datetime) -> None:
    """An adult's own choice ends: by themselves, or by the guardian who still looks after them. Raises ModeError."""
    with transaction.atomic():
        if code := why_not_leave(_locked(user.pk), actor, now):
            raise ModeError(code)
        _store(user, Mode.OFF, now)
        audit.record("mode.left", actor=actor.pk, subject=user.pk)
        policy_changed(user.pk)


def suspect(user_id: uuid.UUID, now: dt.datetime) -> bool:
    """Signs of a younger age have added up. False: somebody in the mode already, or without a birth date to doubt."""
    with transaction.atomic():
        row = _locked(user_id)
        if row.minors_mode or row.birth_date is None or age_band(row.birth_date, row.time_zone, now).is_minor:
            return False
        _store(row, Mode.SUSPECTED, now)
        audit.record("age.suspected", actor=None, subject=user_id)
        policy_changed(user_id)
    return True


def decided(user_id: uuid.UUID, mode: User.MinorsMode, now: dt.datetime) -> None:
    """What a human decided about an age (safety/age_reviews.py, which writes the log): OFF or CONFIRMED.

    What the person chose themselves is theirs, so it is not ended by this.
    """
    with transaction.atomic():
        row = _locked(user_id)
        if row.minors_mode in (Mode.SUSPECTED, Mode.CONFIRMED) and row.minors_mode != mode:
            _store(row, mode, now)
        policy_changed(user_id)


def _locked(user_id: uuid.UUID) -> User:
    return User.objects.select_for_update(no_key=True).get(pk=user_id)


def _store(user: User, mode: User.MinorsMode, now: dt.datetime) -> None:
    User.objects.filter(pk=user.pk).update(minors_mode=mode, minors_mode_at=now)
    user.minors_mode, user.minors_mode_at = mode, now
    limits.forget(user)
