"""Limits for oneself: stricter at once, wider from the next local day, and never wider than others'."""

import datetime as dt

import pytest

from accounts.models import AuditEntry, User
from guardians import own_limits
from guardians.limits import effective_policy
from guardians.models import Limits
from guardians.own_limits import Own

pytestmark = pytest.mark.django_db(transaction=True)

# An evening in Shanghai (UTC+8): 21:00 on 5 November 2026.
EVENING = dt.datetime(2026, 11, 5, 13, 0, tzinfo=dt.UTC)
MIDNIGHT = dt.datetime(2026, 11, 5, 16, 0, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
NIGHT = (dt.time(22), dt.time(6))


def policy(user: User, now: dt.datetime) -> tuple[int | None, tuple[tuple[dt.time, dt.time], ...]]:
    found = effective_policy(User.objects.get(pk=user.pk), now)
    return found.daily_minutes, found.quiet


def test_a_stricter_limit_holds_at_once(adult: User) -> None:
    assert own_limits.set_own(adult, Own(60), EVENING) is None
    assert policy(adult, EVENING) == (60, ())
    assert own_limits.set_own(adult, Own(30, NIGHT), EVENING + SECOND) is None
    assert policy(adult, EVENING + SECOND) == (30, (NIGHT,))


def test_a_wider_limit_holds_from_the_next_local_day(adult: User) -> None:
    own_limits.set_own(adult, Own(30), EVENING)
    assert own_limits.set_own(adult, Own(90), EVENING + SECOND) == MIDNIGHT
    assert policy(adult, MIDNIGHT - SECOND) == (30, ())
    assert policy(adult, MIDNIGHT) == (90, ())


def test_nobody_talks_themselves_out_of_the_night_at_night(adult: User) -> None:
    own_limits.set_own(adult, Own(None, NIGHT), EVENING)
    late = EVENING + dt.timedelta(hours=2)
    morning = dt.datetime(2026, 11, 5, 22, 0, tzinfo=dt.UTC)  # 06:00 there
    assert own_limits.set_own(adult, Own(), late) == morning
    assert policy(adult, morning - SECOND)[1] == (NIGHT,)
    assert policy(adult, morning)[1] == ()


def test_one_half_may_be_stricter_and_the_other_wider(adult: User) -> None:
    own_limits.set_own(adult, Own(60, NIGHT), EVENING)
    later = own_limits.set_own(adult, Own(20, (dt.time(23), dt.time(6))), EVENING + SECOND)
    assert policy(adult, EVENING + SECOND) == (20, (NIGHT,))
    assert later is not None and policy(adult, later) == (20, ((dt.time(23), dt.time(6)),))


def test_a_new_wish_takes_the_place_of_one_that_was_to_come(adult: User) -> None:
    own_limits.set_own(adult, Own(30), EVENING)
    own_limits.set_own(adult, Own(90), EVENING + SECOND)
    own_limits.set_own(adult, Own(20), EVENING + 2 * SECOND)
    assert policy(adult, MIDNIGHT) == (20, ())


def test_nobody_widens_what_age_and_guardian_set(minor: User, guardian: User) -> None:
    Limits.objects.create(
        user=minor, setter=Limits.Setter.GUARDIAN, set_by=guardian, daily_minutes=40, valid_from=EVENING
    )
    own_limits.set_own(minor, Own(600), EVENING + SECOND)
    assert policy(minor, MIDNIGHT + dt.timedelta(days=2)) == (40, (NIGHT,))
    own_limits.set_own(minor, Own(15), MIDNIGHT + dt.timedelta(days=2))
    assert policy(minor, MIDNIGHT + dt.timedelta(days=2, seconds=1))[0] == 15


def test_it_is_noted_and_open_pages_learn_of_it(adult: User) -> None:
    before = User.objects.get(pk=adult.pk).policy_generation
    own_limits.set_own(adult, Own(30), EVENING)
    entry = AuditEntry.objects.get(action="limits.set")
    assert (entry.actor, entry.subject, entry.data) == (adult.pk, adult.pk, {"setter": "self"})
    assert User.objects.get(pk=adult.pk).policy_generation == before + 1


def test_a_quiet_evening_ends_by_itself_in_the_morning(adult: User) -> None:
    own_limits.set_own(adult, Own(60, (dt.time(13), dt.time(14))), EVENING)
    end = own_limits.quiet_evening(adult, EVENING + SECOND)
    assert end == dt.datetime(2026, 11, 5, 22, 0, tzinfo=dt.UTC)
    assert policy(adult, EVENING + SECOND) == (60, ((dt.time(21), dt.time(6)),))
    assert policy(adult, end) == (60, ((dt.time(13), dt.time(14)),))


def test_a_quiet_evening_within_quiet_hours_changes_nothing(adult: User) -> None:
    own_limits.set_own(adult, Own(None, (dt.time(20), dt.time(8))), EVENING)
    assert own_limits.quiet_evening(adult, EVENING + SECOND) == dt.datetime(2026, 11, 6, 0, 0, tzinfo=dt.UTC)
    assert Limits.objects.filter(user=adult).count() == 1


@pytest.mark.parametrize("minute", [0, 1, 59])
def test_a_quiet_evening_can_begin_at_any_minute_of_the_day(adult: User, minute: int) -> None:
    for hour in range(24):
        Limits.objects.all().delete()
        now = EVENING.replace(hour=hour, minute=minute)
        end = own_limits.quiet_evening(adult, now)
        assert now < end <= now + dt.timedelta(days=1)
        ((begins, ends),) = policy(adult, now)[1]
        assert begins != ends


def test_a_lighter_week_ends_by_itself_and_keeps_what_was_to_come(adult: User) -> None:
    own_limits.set_own(adult, Own(30), EVENING)
    own_limits.set_own(adult, Own(300), EVENING + SECOND)  # from midnight on
    end = own_limits.lighter_week(adult, 45, EVENING + 2 * SECOND)
    assert end == MIDNIGHT + dt.timedelta(days=6)
    assert policy(adult, EVENING + 2 * SECOND)[0] == 30
    assert policy(adult, MIDNIGHT)[0] == policy(adult, end - SECOND)[0] == 45
    assert policy(adult, end)[0] == 300


def test_an_evening_in_a_lighter_week_leaves_the_week_as_it_is(adult: User) -> None:
    end = own_limits.lighter_week(adult, 45, EVENING)
    morning = own_limits.quiet_evening(adult, EVENING + SECOND)
    assert policy(adult, morning) == (45, ())
    assert policy(adult, end) == (None, ())
