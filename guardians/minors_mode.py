"""Minors' mode: state of the account beside the birth date. It only adds protection, and some of it nobody ends alone.

    CHOSEN      by themselves; who is of age leaves it again
    SUSPECTED   by signs over several messages (safety/age_reviews.py); only a human's decision ends it
    CONFIRMED   by that human; only another human's decision ends it

Who is under 18 by birth date is in the mode whatever this says, and so is whoever has a guardian in force: guardianship
is over with the birth date that allows leaving (guardians/endings.py). All functions run in the caller's transaction or
their own, and tell open pages last (policy_changed), so that the next frame is judged by the new rights.
"""

import datetime as dt
import uuid
from typing import Literal

from django.db import transaction

from accounts import audit
from accounts.age import age_band
from accounts.generation import count_policies, policy_changed
from accounts.models import User
from guardians import limits

Mode = User.MinorsMode
Where = Literal["sign_up", "settings", "chat"]


class ModeError(Exception):
    """The mode stays. `code`: off, birth_date, or human (only one of the team ends it)."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def turn_on(user: User, where: Where, *, now: dt.datetime) -> bool:
    """Somebody chooses the mode for themselves. False: it was on, by their birth date or otherwise."""
    with transaction.atomic():
        row = _locked(user.pk)
        if row.minors_mode or _minor_by_birth_date(row, now):
            return False
        _store(user, Mode.CHOSEN, now)
        audit.record("mode.turned_on", actor=user.pk, subject=user.pk, where=where)
        policy_changed(user.pk)
    return True


def why_not_leave(user: User, now: dt.datetime) -> str:
    """ "" when somebody may leave the mode now, else a code of ModeError."""
    if user.birth_date is None or _minor_by_birth_date(user, now):
        return "birth_date"
    if not user.minors_mode:
        return "off"
    return "" if user.minors_mode == Mode.CHOSEN else "human"


def leave(user: User, *, now: dt.datetime) -> None:
    """What somebody of age chose for themselves ends. Raises ModeError."""
    with transaction.atomic():
        if code := why_not_leave(_locked(user.pk), now):
            raise ModeError(code)
        _store(user, Mode.OFF, now)
        audit.record("mode.left", actor=user.pk, subject=user.pk)
        policy_changed(user.pk)


def suspect(user_id: uuid.UUID, now: dt.datetime) -> bool:
    """Signs of a younger age have added up. False: somebody in the mode already, or without a birth date to doubt.

    Open pages learn from an event of the caller's (POLICY_CHANGED), after what they are to be told first.
    """
    with transaction.atomic():
        row = _locked(user_id)
        if row.minors_mode or row.birth_date is None or _minor_by_birth_date(row, now):
            return False
        _store(row, Mode.SUSPECTED, now)
        audit.record("age.suspected", actor=None, subject=user_id)
        count_policies({user_id})
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


def _minor_by_birth_date(user: User, now: dt.datetime) -> bool:
    return user.birth_date is not None and age_band(user.birth_date, user.time_zone, now).is_minor


def _locked(user_id: uuid.UUID) -> User:
    return User.objects.select_for_update(no_key=True).get(pk=user_id)


def _store(user: User, mode: User.MinorsMode, now: dt.datetime) -> None:
    User.objects.filter(pk=user.pk).update(minors_mode=mode, minors_mode_at=now)
    user.minors_mode, user.minors_mode_at = mode, now
    limits.forget(user)
