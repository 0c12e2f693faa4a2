"""A house of its own for each test, on the test database."""

import json
import os
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.house import House
from tests.fake_llm import FakeLLM, fake_llm
from tests.live import companions

__all__ = ["companions", "fake_llm", "houses", "seed"]

Houses = Callable[..., House]


@pytest.fixture
def houses(companions: None, fake_llm: FakeLLM, tmp_path: Path, settings: Any) -> Iterator[Houses]:
    """Make a house; the settings of its processes are keyword arguments. The test process climbs the same ladder."""
    with ExitStack() as stack:

        def make(**options: str) -> House:
            directory = tmp_path / f"house{len(list(tmp_path.iterdir()))}"
            directory.mkdir()
            house = stack.enter_context(House(directory, fake_llm.url, **options))
            settings.ALERT_LADDER = json.loads(house.site.environment["ALERT_LADDER"])
            return house

        yield make


@pytest.fixture
def seed() -> int:
    """CHAOS_SEED repeats a run, as far as processes can be repeated."""
    return int(os.environ.get("CHAOS_SEED") or random.randrange(10_000))
