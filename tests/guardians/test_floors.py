"""Operators may be stricter than the built-in limits and reminders, never less strict; the start says so."""

import datetime as dt
from typing import Any

import pytest
from django.core.checks import run_checks
from django.utils import timezone

from accounts.models import User
from guardians import limits
from guardians.limits import EffectivePolicy, effective_policy
from guardians.models import Limits
from tests.cast import make_user

NIGHT = (dt.time(22), dt.time(6))


def policy_of(user: User) -> EffectivePolicy:
    return effective_policy(User.objects.get(pk=user.pk), timezone.now())


def ids() -> set[str | None]:
    return {issue.id for issue in run_checks() if issue.id and issue.id.startswith("guardians.")}


def test_the_built_in_settings_pass() -> None:
    assert ids() == set()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("JURISDICTIONS", ["CN", "US-XX"], "guardians.E001"),
        ("JURISDICTIONS", [], "guardians.E001"),
        ("BREAK_EVERY_MINUTES", 121, "guardians.E002"),
        ("BREAK_EVERY_MINUTES", 0, "guardians.E002"),
        ("REALITY_EVERY_MINUTES", 31, "guardians.E002"),
        ("MINORS_DAILY_MINUTES", {"16_17": 121}, "guardians.E003"),
        ("MINORS_DAILY_MINUTES", {"14_15": 61}, "guardians.E003"),
        ("MINORS_DAILY_MINUTES", {"14_15": 0}, "guardians.E003"),
        ("MINORS_DAILY_MINUTES", {"14_15": "30"}, "guardians.E003"),
        ("MINORS_DAILY_MINUTES", {"adult": 30}, "guardians.E003"),
        ("MINORS_QUIET_HOURS", ["22 to 6"], "guardians.E004"),
        ("MINORS_QUIET_HOURS", ["at night"], "guardians.E004"),
        ("MINORS_QUIET_HOURS", ["21:00-21:00"], "guardians.E004"),
    ],
)
def test_a_wider_or_unreadable_setting_is_refused(
    settings: Any, name: str, value: Any, expected: str
) -> None:
    setattr(settings, name, value)
    assert ids() == {expected}


@pytest.mark.django_db
@pytest.mark.parametrize(("years", "minutes"), [(12, 60), (15, 60), (17, 120), (29, None), (71, None)])
def test_time_and_nights_by_age(years: int, minutes: int | None) -> None:
    policy = policy_of(make_user("somebody", years))
    assert policy.daily_minutes == minutes
    assert policy.quiet == ((NIGHT,) if minutes else ())


@pytest.mark.django_db
def test_an_operator_may_be_stricter(settings: Any) -> None:
    settings.MINORS_DAILY_MINUTES = {"16_17": 45}
    settings.MINORS_QUIET_HOURS = ["12:00-14:00"]
    young, grown = policy_of(make_user("young", 17)), policy_of(make_user("grown", 30))
    assert young.daily_minutes == 45
    assert young.quiet == (NIGHT, (dt.time(12), dt.time(14)))
    assert (grown.daily_minutes, grown.quiet) == (None, ())


@pytest.mark.django_db
def test_even_an_unchecked_setting_widens_nothing(settings: Any) -> None:
    settings.MINORS_DAILY_MINUTES = {"14_15": 600}
    settings.BREAK_EVERY_MINUTES, settings.REALITY_EVERY_MINUTES = 600, 600
    policy = policy_of(make_user("young", 15))
    assert policy.daily_minutes == limits.DAILY[policy.age_band or ""]  # type: ignore[index]
    assert (policy.reminders.break_every, policy.reminders.reality_every) == (120, 30)


@pytest.mark.django_db
@pytest.mark.parametrize("setter", Limits.Setter.values)
def test_nobody_sets_a_minor_s_limits_wider_than_the_age_allows(setter: str) -> None:
    young = make_user("young", 15)
    Limits.objects.create(user=young, setter=setter, daily_minutes=600, valid_from=timezone.now())
    assert policy_of(young).daily_minutes == 60
    Limits.objects.create(user=young, setter=setter, daily_minutes=20, valid_from=timezone.now())
    assert policy_of(young).daily_minutes == 20


@pytest.mark.django_db
def test_the_strictest_jurisdiction_counts_for_everybody(settings: Any) -> None:
    settings.JURISDICTIONS = ["US-NY"]
    grown, young = make_user("grown", 30), make_user("young", 15)
    assert policy_of(grown).reminders == limits.Reminders(120, None, start=True)  # never later than two hours
    settings.JURISDICTIONS = ["CN", "US-WA"]
    assert policy_of(grown).reminders == limits.Reminders(120, None, start=True)
    assert policy_of(young).reminders == limits.Reminders(60, 30, start=True)
    settings.JURISDICTIONS = ["CN"]
    assert policy_of(grown).reminders == limits.Reminders(120, None, start=False)
