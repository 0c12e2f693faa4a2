"""`manage.py run_alerts` as a process: stopped, frozen, killed and cut off from its database."""

import datetime as dt
import os
import signal as signals
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Event, User
from devstack.places import REPOSITORY
from safety import crash, outbox, tasks
from safety.models import CrisisCase, Delivery, Heartbeat
from tests.faults import Proxy, _database, database
from tests.live import _test_database_url
from tests.providers import MailHost, mail_host
from tests.safety.test_cases import signal

__all__ = ["_database", "database", "mail_host"]
pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 90.0  # seconds for a process to start on a machine with other work; nothing waits this long when it goes well
SHORT = {"ALERT_LEASE": "2.5", "ALERT_TIMEOUT": "1.2"}  # as short as the checks allow

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def run_alerts(mail_host: MailHost, tmp_path: Path) -> Iterator[Start]:
    """Starts a process against the test database and the mail host."""
    started = []

    def start(**environment: str) -> "subprocess.Popen[bytes]":
        values = {
            "DATABASE_URL": _test_database_url(),
            "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(mail_host.port),
            **environment,
        }
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "run_alerts", "--name", "test"],
                cwd=REPOSITORY,
                env={**os.environ, **values},
                stdout=log,
                stderr=log,
            )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def until(happened: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def mail_due_now(user: User, level: int = 4) -> Delivery:
    """A case whose second rung is due at once."""
    case = signal(user, level)
    outbox.dispatch("before")
    now = timezone.now() - dt.timedelta(seconds=1)
    CrisisCase.objects.filter(pk=case.pk).update(climb_due_at=now, next_due_at=now)
    until(lambda: case.deliveries.filter(channel="email").exists())
    return case.deliveries.get(channel="email", rung=2)


def state_of(row: Delivery) -> str:
    return Delivery.objects.values_list("state", flat=True).get(pk=row.pk)


def test_it_tells_pages_sends_mail_beats_and_finishes_what_it_has_in_hand(
    adult: User, moderator: User, mail_host: MailHost, run_alerts: Start, tmp_path: Path
) -> None:
    process = run_alerts()
    until(Heartbeat.objects.exists)
    assert Heartbeat.objects.get().process.startswith("test/")
    began = time.monotonic()
    signal(adult, 4)
    until(lambda: Event.objects.filter(user_id=moderator.pk, kind="alert.raised").exists())
    assert time.monotonic() - began < 5
    mail_host.answer = "hang"
    row = mail_due_now(adult)
    assert mail_host.seen.wait(PATIENCE)
    process.terminate()
    mail_host.go_on.set()
    assert process.wait(PATIENCE) == 0
    assert state_of(row) == "accepted" and not Heartbeat.objects.exists()
    log = (tmp_path / "log").read_text()
    assert "example.org" not in log and "Moderator" not in log


def test_one_that_was_stopped_for_longer_than_its_lease_changes_nothing(
    adult: User, moderator: User, mail_host: MailHost, run_alerts: Start
) -> None:
    process = run_alerts(**SHORT)
    until(Heartbeat.objects.exists)
    mail_host.answer = "hang"
    row = mail_due_now(adult)
    assert mail_host.seen.wait(PATIENCE)
    process.send_signal(signals.SIGSTOP)
    mail_host.answer = "250"
    until(lambda: outbox.dispatch("other") and state_of(row) == "accepted")
    after = Delivery.objects.values().get(pk=row.pk)
    assert (after["owner"], after["attempt_no"]) == ("other", 2)
    mail_host.go_on.set()
    process.send_signal(signals.SIGCONT)
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert Delivery.objects.values().get(pk=row.pk) == after
    assert len(mail_host.ids) == 2 and set(mail_host.ids) == {f"<{outbox.message_key(row)}>"}


def test_one_that_is_killed_after_the_provider_took_a_mail_costs_one_copy_with_the_same_key(
    adult: User, moderator: User, mail_host: MailHost, run_alerts: Start
) -> None:
    process = run_alerts(CRASH_AT="after_accepted", **SHORT)
    until(Heartbeat.objects.exists)
    row = mail_due_now(adult)
    assert process.wait(PATIENCE) == 137
    assert state_of(row) == "leased"
    until(lambda: outbox.dispatch("other") and state_of(row) == "accepted")
    assert mail_host.ids == [f"<{outbox.message_key(row)}>"] * 2


def test_it_outlives_a_database_that_goes_away(
    adult: User, moderator: User, run_alerts: Start, database: Proxy
) -> None:
    path = _test_database_url().split("?")[0].rpartition("/")[2]
    user = connection.settings_dict["USER"]
    process = run_alerts(DATABASE_URL=f"postgresql://{user}@127.0.0.1:{database.port}/{path}")
    until(Heartbeat.objects.exists)
    database.cut()
    Heartbeat.objects.all().delete()
    signal(adult, 4)
    database.heal()
    until(lambda: Event.objects.filter(user_id=moderator.pk, kind="alert.raised").exists())
    assert process.poll() is None and Delivery.objects.filter(state="accepted").count() == 1


def test_celery_is_a_third_pair_of_hands(adult: User, moderator: User) -> None:
    signal(adult, 4)
    assert tasks.sweep_alerts() == 1
    assert Delivery.objects.get().state == "accepted"


def test_nothing_crashes_on_purpose_in_production(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    died = []
    monkeypatch.setattr(os, "_exit", died.append)
    monkeypatch.setenv("CRASH_AT", "after_claim")
    for environment in ("production", "test"):
        settings.ENVIRONMENT = environment
        for point in crash.POINTS:
            crash.crash_at(point)
    assert died == [137]
