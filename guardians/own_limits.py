"""Limits that somebody sets for themselves. Stricter ones hold at once, wider ones from the next local day on.

So nobody talks themselves out of one at night (draft articles 11 and 17). Limits of age and guardians stand beside these and
are not widened by them (guardians/limits.py takes the strictest).
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import QuerySet

from accounts import audit, local_days
from accounts.generation import policy_changed
from accounts.models import User
from guardians import limits
from guardians.limits import Quiet, effective_policy
from guardians.models import Limits

MORNING = dt.time(6)
WEEK = dt.timedelta(days=7)
_SELF = Limits.Setter.SELF
_ROUND = 24 * 60


@dataclass(frozen=True)
class Own:
    """One's own limits; None: none."""

    daily_minutes: int | None = None
    quiet: Quiet | None = None


def own(user: User, now: dt.datetime) -> Own:
    """What holds at a moment, also one that is still to come."""
    rows = Limits.objects.filter(user=user, setter=_SELF, valid_from__lte=now)
    row = rows.order_by("-valid_from", "-pk").first()
    return _of(row) if row else Own()


def coming(user: User, now: dt.datetime) -> tuple[dt.datetime, Own] | None:
    """The next change that is noted already."""
    row = (
        Limits.objects.filter(user=user, setter=_SELF, valid_from__gt=now)
        .order_by("valid_from", "pk")
        .first()
    )
    return (row.valid_from, _of(row)) if row else None


def set_own(user: User, wished: Own, now: dt.datetime) -> dt.datetime | None:
    """Note what somebody wishes for themselves. Returns from when on it holds whole, None when it does now."""
    with transaction.atomic(durable=True):
        _hold(user)
        present = own(user, now)
        _ahead(user, now).delete()  # what was to come is outdated by the new wish
        strict = Own(
            _stricter(present.daily_minutes, wished.daily_minutes),
            wished.quiet if _minutes(wished.quiet) >= _minutes(present.quiet) else present.quiet,
        )
        later = _next_day(user, present, now) if wished != strict else None
        if strict != present:
            _note(user, strict, now)
        if later is not None:
            _note(user, wished, later)
        _changed(user)
    return later


def quiet_evening(user: User, now: dt.datetime) -> dt.datetime:
    """The companion rests from now until the morning; afterwards everything is as it was. Returns the end."""
    zone = effective_policy(user, now).zone
    begins = now.astimezone(ZoneInfo(zone)).time().replace(second=0, microsecond=0, tzinfo=None)
    with transaction.atomic(durable=True):
        _hold(user)
        present = own(user, now)
        usual = present.quiet
        ends = usual[1] if usual and usual[0] > usual[1] else MORNING
        date = local_days.date_of(now, zone)
        end = local_days.at(date if begins < ends else date + local_days.DAY, ends, zone, last=True)
        if usual is None or not _within(begins, usual):
            # A range needs two ends; in the very minute of the morning it begins with the next one.
            start = (
                begins
                if begins != ends
                else (dt.datetime.combine(date, begins) + dt.timedelta(minutes=1)).time()
            )
            _overlay(user, now, end, lambda before: replace(before, quiet=(start, ends)))
            _changed(user)
    return end


def lighter_week(user: User, minutes: int, now: dt.datetime) -> dt.datetime:
    """At most so many minutes a day for seven days, today included; afterwards everything is as it was."""
    zone = effective_policy(user, now).zone
    end = local_days.start(local_days.date_of(now, zone) + WEEK, zone)
    with transaction.atomic(durable=True):
        _hold(user)
        _overlay(
            user,
            now,
            end,
            lambda before: replace(before, daily_minutes=_stricter(before.daily_minutes, minutes)),
        )
        _changed(user)
    return end


def _overlay(user: User, now: dt.datetime, end: dt.datetime, change: Callable[[Own], Own]) -> None:
    """Change whatever holds between now and the end; from then on it is what it would have been."""
    afterwards = own(user, end)
    until_then = [(now, own(user, now))]
    between = _ahead(user, now).filter(valid_from__lt=end).order_by("valid_from", "pk")
    until_then += [(row.valid_from, _of(row)) for row in between]
    _ahead(user, now).filter(valid_from__lte=end).delete()
    for since, before in until_then:
        _note(user, change(before), since)
    _note(user, afterwards, end)


def _next_day(user: User, present: Own, now: dt.datetime) -> dt.datetime:
    """The next local midnight, or the end of the quiet hours that it lies in."""
    zone = effective_policy(user, now).zone
    tomorrow = local_days.date_of(now, zone) + local_days.DAY
    quiet = present.quiet
    if quiet and quiet[0] > quiet[1]:
        return local_days.at(tomorrow, quiet[1], zone, last=True)
    return local_days.start(tomorrow, zone)


def _stricter(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)


def _minutes(quiet: Quiet | None) -> frozenset[int]:
    """The minutes of a day that lie in a range."""
    if quiet is None:
        return frozenset()
    begins, ends = (time.hour * 60 + time.minute for time in quiet)
    return frozenset((begins + step) % _ROUND for step in range((ends - begins) % _ROUND))


def _within(time: dt.time, quiet: Quiet) -> bool:
    return time.hour * 60 + time.minute in _minutes(quiet)


def _of(row: Limits) -> Own:
    return Own(row.daily_minutes, row.quiet)


def _ahead(user: User, now: dt.datetime) -> QuerySet[Limits]:
    return Limits.objects.filter(user=user, setter=_SELF, valid_from__gt=now)


def _note(user: User, wished: Own, since: dt.datetime) -> None:
    begins, ends = wished.quiet or (None, None)
    Limits.objects.create(
        user=user,
        setter=_SELF,
        set_by=user,
        daily_minutes=wished.daily_minutes,
        quiet_from=begins,
        quiet_until=ends,
        valid_from=since,
    )


def _hold(user: User) -> None:
    """Two pages of the same person are one after the other."""
    User.objects.select_for_update(no_key=True).get(pk=user.pk)


def _changed(user: User) -> None:
    audit.record("limits.set", actor=user.pk, subject=user.pk, setter=_SELF.value)
    limits.forget(user)
    policy_changed(user.pk)
