"""Fixtures for the tests of the model client: a fake server and settings that point at it."""

import socket
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest
from pytest_django import Settings

from companion import llm
from companion.llm import call
from tests.fake_llm import FakeLLM, fake_llm

__all__ = ["fake_llm"]

SECRET = "sk-very-secret-key"


@dataclass
class Outcome:
    """What one call gave: the pieces, the end, or the error."""

    pieces: list[str] = field(default_factory=list)
    finish: llm.Finish | None = None
    error: llm.ModelError | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def code(self) -> str | None:
        return self.error.code if self.error else None


async def ask(
    text: str = "hello", *, history: Sequence[llm.ChatMessage] = (), max_tokens: int | None = None
) -> Outcome:
    outcome = Outcome()
    try:
        async for item in llm.stream([*history, {"role": "user", "content": text}], max_tokens=max_tokens):
            if isinstance(item, llm.Finish):
                outcome.finish = item
            else:
                outcome.pieces.append(item)
    except llm.ModelError as error:
        outcome.error = error
    return outcome


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
async def model(
    fake_llm: FakeLLM, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[FakeLLM]:
    """The fake server, set as the endpoint, with short waits."""
    settings.LLM_BASE_URL = fake_llm.url
    settings.LLM_API_KEY = SECRET
    settings.LLM_MODEL = "fake"
    settings.LLM_CONNECT_TIMEOUT = 2.0
    settings.LLM_FIRST_TOKEN_TIMEOUT = 2.0
    settings.LLM_IDLE_TIMEOUT = 2.0
    settings.LLM_TOTAL_TIMEOUT = 10.0
    settings.LLM_MAX_TOKENS = 100
    settings.LLM_TEMPERATURE = 0.8
    settings.ANBAN_DEMO_MODEL = False
    monkeypatch.setattr(call, "RETRY_PAUSE", (0.0, 0.0))
    yield fake_llm
    await llm.close()
