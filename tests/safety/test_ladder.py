"""Operators may be quicker than the ladder and never slower."""

import datetime as dt
from itertools import pairwise
from typing import Any

import pytest

from safety import checks, ladder


def seconds(plan: ladder.Plan) -> dict[int, float]:
    return {rung: at.total_seconds() for rung, at in plan.rungs.items()}


def test_a_quicker_time_is_taken(settings: Any) -> None:
    settings.ALERT_LADDER = {"4": {"2": 30, "contact": 0, "repeat": 60}}
    plan = ladder.plan(4)
    assert (seconds(plan)[2], plan.contact, plan.repeat) == (30, dt.timedelta(0), dt.timedelta(minutes=1))
    assert ladder.too_slow() == [] and checks.the_ladder_is_not_slower_than_allowed(None) == []


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        ({"4": {"2": 61}}, ["4.2"]),
        ({"4": {"contact": 121}}, ["4.contact"]),
        ({"3": {"repeat": 1801}}, ["3.repeat"]),
        ({"4": {"repeat": 0}}, ["4.repeat"]),  # would never come to rest
        ({"4": {"2": -1}}, ["4.2"]),
        ({"4": {"2": "60"}}, ["4.2"]),
        ({"4": {"2": None, "3": 10}}, ["4.2"]),
        ({"4": {"7": 1}, "5": {"1": 0}}, ["4.7", "5.1"]),
        ({"2": {"contact": 1}}, ["2.contact"]),  # at level 2 nobody outside is told
        ({"4": 5}, ["4"]),
    ],
)
def test_what_is_slower_or_unknown_is_named_at_start_and_has_no_effect(
    settings: Any, wish: dict[str, Any], named: list[str]
) -> None:
    before = {level: ladder.plan(level) for level in (2, 3, 4)}
    settings.ALERT_LADDER = wish
    assert ladder.too_slow() == named
    (error,) = checks.the_ladder_is_not_slower_than_allowed(None)
    assert error.id == "safety.E007" and all(name in error.msg for name in named)
    for level, plan in before.items():
        now = ladder.plan(level)
        assert (plan.contact, plan.repeat) == (now.contact, now.repeat)
        assert all(now.rungs[rung] <= at for rung, at in plan.rungs.items())


def test_something_that_is_no_table_is_refused(settings: Any) -> None:
    settings.ALERT_LADDER = [1]
    assert [error.id for error in checks.the_ladder_is_not_slower_than_allowed(None)] == ["safety.E007"]


@pytest.mark.parametrize("level", [2, 3, 4])
def test_every_level_has_a_last_rung_and_no_gap_longer_than_its_rounds(level: int) -> None:
    plan = ladder.plan(level)
    times = list(plan.rungs.values())
    assert times == sorted(times) and plan.after(ladder.LAST_RUNG) is None
    assert max(later - sooner for sooner, later in pairwise(times)) <= plan.repeat
