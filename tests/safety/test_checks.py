"""An engine that could not understand messages is named at start."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import connection

from safety import checks
from safety.engine import heads as engine_heads
from safety.engine.heads import Heads


@pytest.fixture
def production(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A deployment with two small heads."""
    settings.PRODUCTION = True
    settings.EMBEDDINGS_BASE_URL = "http://127.0.0.1:8791/v1"
    settings.EMBEDDINGS_MODEL = "a-model"
    zeros = np.zeros((2, 2), np.float32)
    manifest = {"version": "1", "embeddings": {"model": "a-model"}}
    engine_heads.save(
        Heads(("one", "two"), np.zeros((2, 8), np.float32), zeros[0], zeros, zeros, manifest), tmp_path
    )
    monkeypatch.setattr(engine_heads, "MODEL", tmp_path)
    engine_heads.heads.cache_clear()
    yield settings
    engine_heads.heads.cache_clear()


def ids() -> list[str | None]:
    return [issue.id for issue in checks.messages_can_be_understood(None)]


def test_a_good_configuration_passes(production: Any) -> None:
    assert ids() == []


def test_production_without_embeddings_is_refused_and_development_is_not(production: Any) -> None:
    production.EMBEDDINGS_BASE_URL = ""
    assert ids() == ["safety.E003"]
    production.PRODUCTION = False
    assert ids() == []


def test_heads_for_another_model_are_refused_everywhere(production: Any) -> None:
    production.EMBEDDINGS_MODEL = "another-model"
    assert ids() == ["safety.E004"]
    production.PRODUCTION = False
    assert ids() == ["safety.E004"]


@pytest.mark.parametrize("damage", ["missing", "no json", "no model"])
def test_heads_that_cannot_be_used_are_refused(production: Any, tmp_path: Path, damage: str) -> None:
    manifest = tmp_path / "manifest.json"
    if damage == "missing":
        shutil.rmtree(tmp_path)
    elif damage == "no json":
        manifest.write_text("{")
    else:
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"embeddings": {}}))
    assert ids() == ["safety.E005"]


@pytest.fixture
def alerts(settings: Any) -> Any:
    """A deployment whose alerts reach somebody."""
    settings.PRODUCTION = True
    settings.ALERT_ON_CALL = ["oncall@example.org"]
    settings.ALERT_SMS_URL = "https://sms.example/send"
    settings.OUTSIDE_PING_URL = "https://watch.example/ping"
    settings.CANARY_ADDRESS = "canary@mail.example"
    settings.CANARY_IMAP_URL = "imaps://canary:secret@mail.example/INBOX"
    return settings


@pytest.mark.parametrize(
    ("name", "value", "issue", "accepted"),
    [
        ("ALERT_SMS_URL", "", "safety.E008", "ALERT_ACCEPT_ONE_CHANNEL"),
        ("OUTSIDE_PING_URL", "", "safety.E009", "OUTSIDE_PING_ACCEPT_NONE"),
        ("ALERT_ON_CALL", [], "safety.E010", None),
        ("ALERT_LEASE", 20.0, "safety.E011", None),
        ("CANARY_IMAP_URL", "", "safety.W002", None),
        ("CANARY_ADDRESS", "", "safety.W002", None),
    ],
)
def test_alerts_that_would_not_reach_anybody_are_named(
    alerts: Any, name: str, value: Any, issue: str, accepted: str | None
) -> None:
    assert checks.alerts_reach_somebody(None) == []
    setattr(alerts, name, value)
    assert [found.id for found in checks.alerts_reach_somebody(None)] == [issue]
    if accepted:
        setattr(alerts, accepted, True)
        assert checks.alerts_reach_somebody(None) == []


@pytest.mark.parametrize("name", ["ALERT_EMAIL_2_URL", "ALERT_VOICE_URL", "VAPID_PRIVATE_KEY"])
def test_any_second_way_out_will_do(alerts: Any, name: str) -> None:
    alerts.ALERT_SMS_URL = ""
    setattr(alerts, name, "something")
    assert checks.alerts_reach_somebody(None) == []


def test_in_development_only_what_is_wrong_anywhere_is_named(settings: Any) -> None:
    settings.ALERT_ON_CALL, settings.OUTSIDE_PING_URL = [], ""
    assert checks.alerts_reach_somebody(None) == []
    settings.ALERT_LEASE = settings.ALERT_TIMEOUT
    assert [found.id for found in checks.alerts_reach_somebody(None)] == ["safety.E011"]


@pytest.mark.django_db
@pytest.mark.parametrize(("value", "named"), [("off", True), ("on", False), ("remote_apply", False)])
def test_a_database_that_may_forget_is_refused_in_production(settings: Any, value: str, named: bool) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET LOCAL synchronous_commit = {value}")
        cursor.execute("SHOW fsync")
        fsync = cursor.fetchone()[0]  # servers of a test run are without
    assert checks.what_is_committed_stays(databases=["default"]) == []
    settings.PRODUCTION = True
    assert checks.what_is_committed_stays(databases=None) == []
    found = checks.what_is_committed_stays(databases=["default"])
    assert any("synchronous_commit" in issue.msg for issue in found) is named
    assert any("fsync" in issue.msg for issue in found) is (fsync == "off")
    assert {issue.id for issue in found} <= {"safety.E012"}
