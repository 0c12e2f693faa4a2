"""An engine that could not understand messages is named at start."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
