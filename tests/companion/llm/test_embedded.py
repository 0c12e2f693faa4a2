"""The embedded model as a server: the protocol with a stand-in for the engine, and once with the real models."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import aiohttp
import pytest
from aiohttp import web
from pytest_django import Settings

from companion import llm
from companion.llm import weights
from companion.llm.embedded import Embedded, Job, Reply
from companion.llm.engine import Busy, End
from companion.llm.server import BadRequest, application, parse
from tests.companion.llm.conftest import ask, free_port

HISTORY: list[llm.ChatMessage] = [
    {"role": "system", "content": "你是聊天角色“跳子”，由人工智能扮演。\n\n你是跳子，一只闲不住的野兔。"}
]


class StandIn:
    """In the place of the loaded models: counts up for ever, unless it is busy."""

    def __init__(self) -> None:
        self.busy = False
        self.stopped = asyncio.Event()
        self.name = "stand-in"
        self.loaded = True

    async def answer(self, job: Job) -> AsyncGenerator[str | End, None]:
        if self.busy:
            raise Busy
        try:
            for number in range(job.max_tokens):
                yield f"{number} 安 "
                await asyncio.sleep(0.001)
            yield End("length", 5, job.max_tokens)
        finally:
            self.stopped.set()


@asynccontextmanager
async def serving(stand_in: StandIn) -> AsyncIterator[str]:
    runner = web.AppRunner(application(cast(Embedded, stand_in)), handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()


async def test_the_client_reads_its_stream(settings: Settings) -> None:
    async with serving(StandIn()) as settings.LLM_BASE_URL:
        outcome = await ask(max_tokens=3)
        assert outcome.text == "0 安 1 安 2 安 "
        assert outcome.finish == llm.Finish("length", 5, 3)
        assert await llm.health() is True
        await llm.close()


async def test_without_streaming_the_reply_comes_whole() -> None:
    body = {"messages": [{"role": "user", "content": "x"}], "max_tokens": 2}
    async with (
        serving(StandIn()) as url,
        aiohttp.ClientSession() as session,
        session.post(f"{url}/chat/completions", json=body) as response,
    ):
        answer = await response.json()
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "0 安 1 安 "}
    assert answer["usage"] == {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


async def test_a_client_that_leaves_stops_the_generation(settings: Settings) -> None:
    stand_in = StandIn()
    async with serving(stand_in) as settings.LLM_BASE_URL:
        reply = llm.stream([{"role": "user", "content": "x"}], max_tokens=100_000)
        assert await anext(reply)
        await reply.aclose()
        async with asyncio.timeout(5):
            await stand_in.stopped.wait()
        await llm.close()


async def test_a_busy_model_says_so(settings: Settings) -> None:
    stand_in = StandIn()
    stand_in.busy = True
    async with serving(stand_in) as settings.LLM_BASE_URL:
        assert (await ask()).code == "overloaded"
        await llm.close()


@pytest.mark.parametrize(
    "body",
    [
        7,
        {},
        {"messages": "hello"},
        {"messages": []},
        {"messages": ["hello"]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "robot", "content": "x"}]},
        {"messages": [{"role": "system", "content": "x"}]},
        {"messages": [{"role": "user", "content": "x"}], "max_tokens": "many"},
        {"messages": [{"role": "user", "content": "x"}], "temperature": 9},
        {"messages": [{"role": "user", "content": "x"}], "stop": [1]},
    ],
)
def test_a_bad_request_is_told_apart(body: object) -> None:
    with pytest.raises(BadRequest):
        parse(body)


async def test_a_bad_request_is_answered_with_a_json_error() -> None:
    async with (
        serving(StandIn()) as url,
        aiohttp.ClientSession() as session,
        session.post(f"{url}/chat/completions", data=b"{") as response,
    ):
        assert response.status == 400
        assert (await response.json())["error"]["code"] == 400


@pytest.mark.parametrize("model", weights.EMBEDDED_MODELS, ids=lambda model: str(model.id))
def test_every_embedded_model_shows_its_version_and_its_licence(model: weights.EmbeddedModel) -> None:
    text = weights.licence_text(model.id)
    assert model.version
    assert "Prohibited Use Policy" in text
    assert "<p>" not in text


def test_a_reply_is_complete_after_its_sentences() -> None:
    reply = Reply(sentences=2)
    shown = []
    for piece in (" ", "Pi", " is 3.14", ". Right", "?", " Well", ", yes."):
        shown.append(reply.add(piece))
        if reply.complete:
            break
    assert "".join(shown) == reply.text == "Pi is 3.14. Right?"
    chinese = Reply(sentences=2)
    assert "".join(chinese.add(piece) for piece in ("好的", "。真", "的吗？“")) == "好的。真的吗？"


# --- the real models, in a process of their own --------------------------------------------------


@pytest.fixture(scope="module")
def demo_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    log = Path(tmp_path_factory.mktemp("demo") / "log")
    env = {**os.environ, "ANBAN_VAR_DIR": str(tmp_path_factory.mktemp("var"))}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "llm_server", "--port", str(port)], env=env, stdout=out, stderr=out
        )
        try:
            wait_for(log, "gemma-3-270m is ready", process)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0


@pytest.fixture
async def demo(demo_model: str, settings: Settings) -> AsyncIterator[None]:
    settings.LLM_BASE_URL = demo_model
    settings.LLM_MODEL = "anban-demo"
    settings.LLM_TEMPERATURE = 0.6
    # A real model on cores that have other work: what it says counts here, not when.
    settings.LLM_FIRST_TOKEN_TIMEOUT = settings.LLM_IDLE_TIMEOUT = 170.0
    yield
    await llm.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "script"),
    [("今天下雨了，不想出门。", ("\u4e00", "\u9fff")), ("It is raining and I stay at home.", ("A", "z"))],
)
async def test_it_answers_in_the_language_of_the_person(
    demo: None, said: str, script: tuple[str, str]
) -> None:
    outcome = await ask(said, history=HISTORY, max_tokens=60)
    assert outcome.error is None
    assert any(script[0] <= character <= script[1] for character in outcome.text)
    assert "\ufffd" not in outcome.text
    assert outcome.finish is not None
    assert outcome.finish.completion_tokens


@pytest.mark.slow
async def test_prompts_far_too_long_and_several_at_once_are_answered(demo: None) -> None:
    outcomes = await asyncio.gather(
        ask("很长的一句话。" * 3000, max_tokens=8),
        ask("a very long sentence " * 3000, max_tokens=8),
        *(ask(f"你好，我是{number}号。", max_tokens=8) for number in range(2)),
    )
    assert [outcome.error for outcome in outcomes] == [None] * 4
    assert all(outcome.text for outcome in outcomes)


def wait_for(log: Path, line: str, process: subprocess.Popen[bytes]) -> None:
    """The server says when it is ready; there is no other sign to wait on."""
    deadline = time.monotonic() + 60
    while line not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)
