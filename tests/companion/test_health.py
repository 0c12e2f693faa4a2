"""/health/ tells how the alert path is, in few queries; web processes notice when the auditor is away."""

import datetime as dt
import time
from typing import Any

import pytest
from django.test import Client

from companion.views import health
from safety import clock
from safety.models import Heartbeat, OperationsAlert

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = dt.timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _long_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process runs for a while and has told of no auditor yet."""
    monkeypatch.setattr(health, "_began", time.monotonic() - 2 * health.AUDITOR_SILENT)
    monkeypatch.setattr(health, "_told_at", -health._LOOK_EVERY)


@pytest.fixture
def now() -> dt.datetime:
    """The alert path as it should be."""
    now = clock.now()
    for number in (1, 2):
        Heartbeat.objects.create(process=f"alerts-{number}", role="alerts", at=now)
    Heartbeat.objects.create(process="auditor", role="auditor", at=now)
    return now


def state() -> dict[str, Any]:
    answer = Client().get("/health/")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def alarms() -> list[str]:
    return list(OperationsAlert.objects.filter(code="invariant").values_list("subject", flat=True))


def test_a_service_that_is_well(now: dt.datetime, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(3):
        found = state()
    assert found["alerts"] == "ok"
    assert (found["dispatchers"], found["violations"], found["duty_gap"]) == (2, [], False)
    assert 0 <= found["auditor_age"] < 30 and found["canary_age"] is None
    assert alarms() == []


def test_one_dispatcher_is_too_few_and_none_is_down(now: dt.datetime) -> None:
    Heartbeat.objects.filter(process="alerts-1").update(at=now - 11 * SECOND)
    assert (state()["alerts"], state()["dispatchers"]) == ("degraded", 1)
    Heartbeat.objects.filter(role="alerts").delete()
    assert (state()["alerts"], state()["dispatchers"]) == ("down", 0)


def test_what_does_not_hold_is_named(now: dt.datetime) -> None:
    OperationsAlert.objects.create(code="invariant", subject="case.overdue")
    OperationsAlert.objects.create(code="invariant", subject="old", resolved_at=now)
    found = state()
    assert (found["alerts"], found["violations"]) == ("degraded", ["case.overdue"])


def test_a_gap_on_the_roster_is_seen(now: dt.datetime) -> None:
    OperationsAlert.objects.create(code="roster.gap")
    assert (state()["alerts"], state()["duty_gap"]) == ("degraded", True)


def test_a_canary_that_never_came_home_is_seen(now: dt.datetime, settings: Any) -> None:
    settings.CANARY_ADDRESS = "canary@example.org"
    assert state()["alerts"] == "degraded"


@pytest.mark.parametrize("silent_for", [None, 181])
def test_an_auditor_that_is_away_is_told_once_a_minute_at_most(
    now: dt.datetime, silent_for: int | None
) -> None:
    rows = Heartbeat.objects.filter(role="auditor")
    if silent_for is None:
        rows.delete()
    else:
        rows.update(at=now - silent_for * SECOND)
    for _ in range(3):
        assert state()["alerts"] == "degraded"
    assert alarms() == ["auditor"]
    assert OperationsAlert.objects.get().count == 1


def test_an_auditor_that_looked_lately_is_left_alone(now: dt.datetime) -> None:
    Heartbeat.objects.filter(role="auditor").update(at=now - 170 * SECOND)
    state()
    assert alarms() == []


def test_a_web_process_that_just_started_gives_the_auditor_time(
    now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "_began", time.monotonic())
    Heartbeat.objects.filter(role="auditor").delete()
    assert state()["alerts"] == "degraded"
    assert alarms() == []
