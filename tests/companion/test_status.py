"""The status page answers whatever is down, and tells nothing that is not for everybody."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.cache import caches
from django.db import OperationalError, connection
from django.test import Client
from django.utils import timezone

from accounts.models import User
from companion import service_notices
from companion.models import ServiceNotice
from companion.views import health, status
from safety.models import Heartbeat, OperationsAlert
from safety.resources import help_lines
from tests.endpoints import nobody

pytestmark = pytest.mark.django_db(transaction=True)
NUMBER = help_lines("CN")[0].number


@pytest.fixture(autouse=True)
def _look_anew(monkeypatch: pytest.MonkeyPatch, _nothing_remembered: None) -> None:
    monkeypatch.setattr(status, "_states", {})
    monkeypatch.setattr(status, "_looked_at", float("-inf"))
    service_notices._public.forget()
    for number in (1, 2):
        Heartbeat.objects.create(process=f"alerts-{number}", role="alerts", at=timezone.now())
    Heartbeat.objects.create(process="auditor", role="auditor", at=timezone.now())


@contextmanager
def database_away() -> Iterator[None]:
    """Every attempt to reach PostgreSQL fails, in the driver."""

    def refuse() -> None:
        raise OperationalError("connection refused")

    connection.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connection, "connect", refuse)
        yield


def get(client: Client | None = None, **query: str) -> Any:
    return (client or Client(headers={"Accept-Language": "en"})).get("/status/", query)


def look_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "_looked_at", float("-inf"))


def test_everything_works_and_everybody_can_read_it_in_two_languages() -> None:
    answer = get()
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "Everything that is set up works." in page and NUMBER in page
    assert 'http-equiv="refresh"' in page and "max-age=5" in answer["Cache-Control"]
    assert (
        "服务状态" in get(lang="zh-hans").content.decode()
        or 'lang="zh-hans"' in get(lang="zh-hans").content.decode()
    )
    assert Client().post("/status/").status_code == 405


def test_it_renders_with_the_database_down_also_for_somebody_signed_in(adult: User) -> None:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(adult)
    with database_away():
        answer = get(client)
    page = answer.content.decode()
    assert answer.status_code == 503
    assert "Nobody can sign in or write" in page and NUMBER in page
    assert "Not known" in page  # the state of the alerts


def test_it_renders_with_valkey_and_the_models_down(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.setattr(caches["default"]._cache, "_servers", ["redis://127.0.0.1:1/0"])  # type: ignore[attr-defined]
    monkeypatch.setattr(caches["default"]._cache, "_pools", {})  # type: ignore[attr-defined]
    with nobody() as url:
        settings.LLM_BASE_URL = settings.EMBEDDINGS_BASE_URL = url
        answer = get()
    page = answer.content.decode()
    assert answer.status_code == 200
    for said in ("companions stay silent", "Rules alone look", "some seconds late"):
        assert said in page


def test_it_reads_no_session_and_no_account(adult: User, django_assert_max_num_queries: Any) -> None:
    client = Client()
    client.force_login(adult)
    get(client)
    with django_assert_max_num_queries(0):  # within the seconds that a look holds
        get(client)


def test_one_look_serves_many_and_says_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    get()
    first = status.look()["database"].since
    with database_away():
        assert get().status_code == 200  # the look of a moment ago
        look_again(monkeypatch)
        assert get().status_code == 503
        since = status.look()["database"].since
        look_again(monkeypatch)
        assert status.look()["database"].since == since
    assert since is not None and first is not None and since > first


def test_alerts_and_mail_are_told_without_numbers(adult: User) -> None:
    Heartbeat.objects.all().delete()
    OperationsAlert.objects.create(code="channel.failing", subject="email")
    OperationsAlert.objects.create(code="invariant", subject="case.overdue")
    page = get().content.decode()
    assert "do not wait for an answer here" in page and "E-mails come late" in page
    for secret in ("case.overdue", "invariant", str(adult.pk), adult.email, "alerts-1"):
        assert secret not in page


def test_notices_of_everybody_are_shown_those_of_one_companion_are_not() -> None:
    now = timezone.now()
    for days, title, resolved in (
        (0, "Replies are slow", None),
        (3, "Was slow", now),
        (40, "Long ago", None),
    ):
        at = now - dt.timedelta(days=days)
        ServiceNotice.objects.create(
            kind="outage",
            title_en=title,
            title_zh=title,
            takes_effect_at=at,
            published_at=at,
            resolved_at=resolved or (None if days == 0 else at),
        )
    page = get().content.decode()
    assert page.index("Replies are slow") < page.index("The last 30 days") < page.index("Was slow")
    assert "Long ago" not in page
    look = service_notices.public_history("en", now, ask=False)
    with database_away():
        assert [each.title for each in look] == ["Replies are slow", "Was slow"]
        assert "Replies are slow" in get().content.decode()


def test_pages_lead_to_it() -> None:
    assert 'href="/status/"' in Client().get("/about/").content.decode()
    assert 'href="/status/"' in Client().get("/no-such-page/").content.decode()
    assert health.database() == "ok"
