"""The outside hears from us only while nobody is forgotten; each fault is told once, and taken back when it is over."""

import datetime as dt
import logging
import os
import signal as signals
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from accounts.models import User
from safety import auditor, canary, cases, clock, escalation
from safety.management.commands import run_auditor
from safety.management.commands.run_auditor import Command
from safety.models import CrisisCase, Delivery, Heartbeat, OperationsAlert
from tests.faults import Proxy, _database, database
from tests.live import ROOT, _test_database_url
from tests.safety.test_escalation import HOUR, MINUTE
from tests.safety.test_escalation import signal as crisis

__all__ = ["_database", "database"]
pytestmark = pytest.mark.django_db(transaction=True)


class Outside:
    """Whoever waits for our calls. Answers with the next of `answers`, then 200."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.answers: list[int] = []
        self.called = threading.Event()
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outside.calls.append(self.path)
                self.send_response(outside.answers.pop(0) if outside.answers else 200)
                self.end_headers()
                outside.called.set()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/ping/anban?k=1"


@pytest.fixture
def outside(settings: Any) -> Iterator[Outside]:
    outside = Outside()
    threading.Thread(target=outside.server.serve_forever, daemon=True).start()
    settings.OUTSIDE_PING_URL = outside.url
    settings.ALERT_ON_CALL = ["oncall@example.org"]
    yield outside
    outside.server.shutdown()
    outside.server.server_close()


@pytest.fixture
def now(moderator: User) -> dt.datetime:
    """All is well: two dispatchers, now and for the hours of virtual time, and somebody on duty."""
    now = clock.now()
    for number in (1, 2):
        Heartbeat.objects.create(process=f"alerts-{number}", role="alerts", at=now + 99 * HOUR)
    return now


def standing() -> set[tuple[str, str]]:
    return set(OperationsAlert.objects.filter(resolved_at=None).values_list("code", "subject"))


def test_while_all_is_well_the_outside_is_called_and_the_auditor_is_alive(
    outside: Outside, now: dt.datetime
) -> None:
    assert Command().round("auditor/1", threading.Event()) == run_auditor.EVERY
    assert outside.calls == ["/ping/anban?k=1"] and standing() == set()
    assert Heartbeat.objects.get(role="auditor").process == "auditor/1"


def _no_dispatchers() -> None:
    Heartbeat.objects.filter(role="alerts").delete()


def _a_case_that_is_overdue() -> None:
    past = clock.now() - HOUR
    crisis(User.objects.get(email="adult@example.org"), past)
    Delivery.objects.all().delete()
    CrisisCase.objects.update(next_due_at=past)


def _a_canary_lost() -> None:
    OperationsAlert.objects.create(code="canary.lost")


def _a_canary_that_cannot_fly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "step", lambda now: 1 / 0)


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (_no_dispatchers, "dispatchers.too_few"),
        (_a_case_that_is_overdue, "case.overdue"),
        (_a_canary_lost, "canary.lost"),
    ],
)
def test_a_fault_is_told_to_the_people_on_call_and_the_outside_hears_nothing(
    outside: Outside,
    now: dt.datetime,
    adult: User,
    settings: Any,
    fault: Callable[[], None],
    name: str,
) -> None:
    settings.CANARY_ADDRESS, settings.CANARY_IMAP_URL = "canary@example.org", "file:///nowhere"
    fault()
    Command().round("auditor/1", threading.Event())
    assert outside.calls == []
    assert ("invariant", name) in standing()
    told = Delivery.objects.filter(alert__code="invariant", alert__subject=name)
    assert set(told.values_list("template", "recipient")) == {("operations", "oncall:0")}
    assert Heartbeat.objects.filter(role="auditor").exists()  # it lives, and looked


def test_a_broken_part_does_not_keep_the_others_from_being_looked_at(
    outside: Outside, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    _a_canary_that_cannot_fly(monkeypatch)
    _no_dispatchers()
    Command().round("auditor/1", threading.Event())
    assert standing() == {("invariant", "canary.failed"), ("invariant", "dispatchers.too_few")}
    assert outside.calls == []


def test_a_fault_that_is_over_is_taken_back_and_told_anew_when_it_returns(now: dt.datetime) -> None:
    OperationsAlert.objects.create(code="invariant", subject="auditor")  # by a web process, while it was away
    Heartbeat.objects.filter(process="alerts-1").delete()
    assert auditor.look(now) == ["dispatchers.too_few"]
    assert standing() == {("invariant", "dispatchers.too_few")}
    for minute in range(59):
        auditor.look(now + minute * MINUTE)
    assert OperationsAlert.objects.filter(subject="dispatchers.too_few").count() == 1
    Heartbeat.objects.create(process="alerts-1", role="alerts", at=now + 99 * HOUR)
    assert auditor.look(now + HOUR) == [] and standing() == set()
    Heartbeat.objects.filter(process="alerts-1").delete()
    auditor.look(now + HOUR)
    assert OperationsAlert.objects.filter(subject="dispatchers.too_few").count() == 2


def test_people_on_call_are_told_once_an_hour_of_a_fault_that_lasts(
    outside: Outside, now: dt.datetime
) -> None:
    Heartbeat.objects.filter(process="alerts-1").delete()
    for minute in range(0, 150, 5):
        auditor.look(now + minute * MINUTE)
    assert Delivery.objects.filter(alert__subject="dispatchers.too_few").count() == 3


def test_a_duty_of_people_is_told_but_the_machine_lives_on(
    outside: Outside, now: dt.datetime, adult: User, moderator: User, supervisor: User
) -> None:
    case = crisis(adult, now)
    cases.close(case.pk, moderator, now, reason=CrisisCase.CloseReason.SAFE, outcome=CrisisCase.Outcome.NONE)
    User.objects.filter(pk=moderator.pk).update(is_active=False)
    assert auditor.look(now + 25 * HOUR) == []
    assert standing() == {("roster.gap", ""), ("second_look.missing", case.number)}
    User.objects.filter(pk=moderator.pk).update(is_active=True)
    cases.second_look(case.pk, supervisor, now + 25 * HOUR)
    auditor.look(now + 25 * HOUR)
    assert standing() == set()


def test_what_was_wrong_with_a_case_ends_with_it(now: dt.datetime, adult: User, moderator: User) -> None:
    case = crisis(adult, now)
    for code in ("contact.none", "case.stuck"):
        OperationsAlert.objects.create(code=code, subject=case.number)
    auditor.look(now)
    assert standing() == {("contact.none", case.number)}  # the sweep works again: it is due later
    escalation.sweep(now + MINUTE)
    cases.close(case.pk, moderator, now, reason=CrisisCase.CloseReason.SAFE, outcome=CrisisCase.Outcome.NONE)
    auditor.look(now + MINUTE)
    assert standing() == set()


def test_a_call_that_fails_is_tried_again(
    outside: Outside, now: dt.datetime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(run_auditor, "AGAIN", 0.0)
    outside.answers = [500, 503]
    with caplog.at_level(logging.ERROR):
        Command().round("auditor/1", threading.Event())
    assert len(outside.calls) == 3
    assert [record.getMessage() for record in caplog.records] == [
        "the outside was not reached: http.500",
        "the outside was not reached: http.503",
    ]


@pytest.mark.parametrize(
    ("url", "code"),
    [("", ""), ("http://127.0.0.1:1/", "ConnectionRefusedError"), ("http://:x/", "ValueError")],
)
def test_an_outside_that_is_away_is_a_code(settings: Any, url: str, code: str) -> None:
    settings.OUTSIDE_PING_URL = url
    assert auditor.ping() == code


# The process


@pytest.fixture
def process(
    outside: Outside, database: Proxy, tmp_path: Path
) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "ANBAN_ENV": "test",
            "DATABASE_URL": _through(database),
            "OUTSIDE_PING_URL": outside.url,
        }
        with (tmp_path / "log").open("ab") as log:
            running.append(
                subprocess.Popen(
                    [sys.executable, "manage.py", "run_auditor"], cwd=ROOT, env=environment, stderr=log
                )
            )
        return running[-1]

    yield start
    for one in running:
        one.kill()
        one.wait()


def _through(proxy: Proxy) -> str:
    url = urlsplit(_test_database_url())
    return f"postgresql://{url.username}@127.0.0.1:{proxy.port}{url.path}"


def test_the_process_calls_the_outside_at_once_and_ends_when_told(
    process: Callable[[], subprocess.Popen[bytes]], outside: Outside, now: dt.datetime
) -> None:
    auditing = process()
    assert outside.called.wait(30)
    auditing.send_signal(signals.SIGTERM)
    assert auditing.wait(10) == 0


def test_the_process_survives_a_lost_database_and_calls_nobody_meanwhile(
    process: Callable[[], subprocess.Popen[bytes]],
    outside: Outside,
    now: dt.datetime,
    database: Proxy,
    tmp_path: Path,
) -> None:
    database.cut()
    auditing = process()
    until = time.monotonic() + 30
    while b"the auditor saw nothing: OperationalError" not in (tmp_path / "log").read_bytes():
        assert auditing.poll() is None and time.monotonic() < until
        assert not outside.called.wait(0.1)
    database.heal()
    assert outside.called.wait(30)
