"""The embedding server: its protocol and its queue with a stand-in for the encoder, and the real one over HTTP."""

import asyncio
import base64
import json
import logging
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web

from devstack.supervisor import check_port, free_port, understands
from safety.engine import client
from safety.engine.embeddings import batching
from safety.engine.embeddings.server import (
    MAX_BODY_BYTES,
    MAX_CHARACTERS,
    MAX_TEXTS,
    BadRequest,
    Service,
    application,
    parse,
)

MODEL = "a-model"
ROOT = Path(__file__).parents[2]


class StandIn:
    """In the place of the encoder: notes its batches, and can be held."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = threading.Event()
        self.open.set()
        self.begun = threading.Event()
        self.problem: Exception | None = None

    def load(self) -> batching.Embed:
        def embed(texts: Sequence[str]) -> np.ndarray:
            self.batches.append(list(texts))
            self.begun.set()
            assert self.open.wait(10)
            if self.problem is not None:
                raise self.problem
            return np.array([[len(text), 1] for text in texts], np.float32)

        return embed

    def reset(self) -> None:
        self.batches.clear()
        self.begun.clear()


class Api:
    """A client that looks at statuses and bodies."""

    def __init__(self, url: str, session: aiohttp.ClientSession, stand_in: StandIn, service: Service) -> None:
        self.url, self.session, self.stand_in, self.service = url, session, stand_in, service

    async def post(self, body: Any, **more: Any) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.post(f"{self.url}/embeddings", data=data, **more) as response:
            return response.status, await response.json(content_type=None)

    async def embed(self, *texts: str) -> tuple[int, Any]:
        return await self.post({"model": MODEL, "input": texts})

    async def state(self) -> dict[str, Any]:
        async with self.session.get(self.url.replace("/v1", "/health")) as response:
            found: dict[str, Any] = await response.json()
        return found

    async def hold(self) -> asyncio.Task[tuple[int, Any]]:
        """Keep the encoder busy with one text until `stand_in.open` is set."""
        self.stand_in.reset()
        self.stand_in.open.clear()
        held = asyncio.create_task(self.embed("held"))
        assert await asyncio.to_thread(self.stand_in.begun.wait, 5)
        self.stand_in.batches.clear()
        return held

    async def until(self, waiting: int) -> None:
        async with asyncio.timeout(5):
            while (await self.state())["waiting"] != waiting:
                pass


@asynccontextmanager
async def serving(load: Callable[[], batching.Embed], stand_in: StandIn) -> AsyncIterator[Api]:
    service = Service(MODEL, load)
    runner = web.AppRunner(application(service), handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        yield Api(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", session, stand_in, service)
    stand_in.open.set()
    await runner.cleanup()


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    stand_in = StandIn()
    async with serving(stand_in.load, stand_in) as api:
        await api.service.loaded.wait()
        stand_in.reset()
        yield api


# --- the protocol -----------------------------------------------------------------------------------


async def test_the_answer_has_the_shape_of_openai(api: Api) -> None:
    status, body = await api.embed("你好", "a")
    assert status == 200
    assert (body["object"], body["model"]) == ("list", MODEL)
    assert body["data"] == [
        {"object": "embedding", "index": 0, "embedding": [2.0, 1.0]},
        {"object": "embedding", "index": 1, "embedding": [1.0, 1.0]},
    ]
    assert set(body["usage"]) == {"prompt_tokens", "total_tokens"}


async def test_base64_holds_little_endian_floats(api: Api) -> None:
    _, body = await api.post({"input": "abc", "encoding_format": "base64"})
    assert base64.b64decode(body["data"][0]["embedding"]) == np.array([3, 1], "<f4").tobytes()


async def test_half_a_character_is_no_stumbling_block(api: Api) -> None:
    status, _ = await api.post(b'{"input": ["\\ud83d", "\\ud83d\\ude42", "\\u0000"]}')
    assert status == 200
    assert sorted(text for batch in api.stand_in.batches for text in batch) == ["\x00", "\ufffd", "🙂"]


@pytest.mark.parametrize(
    "body",
    [
        7,
        {},
        {"input": None},
        {"input": []},
        {"input": [1]},
        {"input": [[1, 2]]},
        {"input": ["x"] * (MAX_TEXTS + 1)},
        {"input": "x" * (MAX_CHARACTERS + 1)},
        {"input": "x", "model": "another"},
        {"input": "x", "encoding_format": "int8"},
    ],
)
def test_a_bad_request_is_told_apart(body: Any) -> None:
    with pytest.raises(BadRequest):
        parse(body, MODEL)


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b"[" * 100_000])
async def test_what_is_not_json_is_answered_in_json(api: Api, body: bytes) -> None:
    status, answer = await api.post(body)
    assert (status, answer["error"]["code"]) == (400, 400)


async def test_a_body_that_is_too_large_is_refused(api: Api) -> None:
    async with api.session.post(f"{api.url}/embeddings", data=b" " * (MAX_BODY_BYTES + 1)) as response:
        assert response.status == 413


async def test_models_and_health_are_told(api: Api) -> None:
    async with api.session.get(f"{api.url}/models") as response:
        assert (await response.json())["data"][0]["id"] == MODEL
    state = await api.state()
    assert (state["status"], state["model"], state["waiting"]) == ("ok", MODEL, 0)
    assert 10_000_000 < state["memory_bytes"] < 10_000_000_000


async def test_while_the_encoder_loads_requests_are_turned_away_at_once() -> None:
    stand_in = StandIn()
    stand_in.open.clear()
    async with serving(stand_in.load, stand_in) as api:
        assert (await api.embed("x"))[0] == 503
        async with api.session.get(api.url.replace("/v1", "/health")) as response:
            assert (response.status, (await response.json())["status"]) == (503, "loading")
        stand_in.open.set()
        await api.service.loaded.wait()
        assert (await api.embed("x"))[0] == 200


# --- the queue --------------------------------------------------------------------------------------


async def test_what_waits_when_the_encoder_is_free_goes_as_one_batch(api: Api) -> None:
    held = await api.hold()
    others = [asyncio.create_task(api.embed(f"text {n:02}")) for n in range(batching.BATCH + 8)]
    await api.until(waiting=len(others))
    api.stand_in.open.set()
    answers = await asyncio.gather(held, *others)
    assert all(status == 200 for status, _ in answers)
    assert [len(batch) for batch in api.stand_in.batches] == [batching.BATCH, 8]


async def test_each_gets_the_vectors_of_its_own_texts(api: Api) -> None:
    answers = await asyncio.gather(*(api.embed("x" * n, "y" * (2 * n)) for n in range(1, 60)))
    for n, (_, body) in enumerate(answers, 1):
        assert [entry["embedding"][0] for entry in body["data"]] == [n, 2 * n]


async def test_short_texts_pass_long_ones_and_do_not_share_their_batch(api: Api) -> None:
    held = await api.hold()
    long = [asyncio.create_task(api.embed(f"{n}" + "很长" * 900)) for n in range(3)]
    await api.until(waiting=3)
    short = [asyncio.create_task(api.embed(f"短 {n}")) for n in range(10)]
    await api.until(waiting=13)
    api.stand_in.open.set()
    await asyncio.gather(held, *long, *short)
    assert [len(batch) for batch in api.stand_in.batches] == [10, 1, 1, 1]
    assert all(text.startswith("短") for text in api.stand_in.batches[0])


async def test_a_long_text_has_its_turn_although_short_ones_keep_coming(api: Api) -> None:
    """It stands back for a bounded time: short ones that come later than that wait behind it."""
    held = await api.hold()
    long = asyncio.create_task(api.embed("很长" * 900))
    await api.until(waiting=1)
    arrived = asyncio.get_running_loop().time()
    async with asyncio.timeout(5):
        while asyncio.get_running_loop().time() < arrived + 0.15:
            await api.state()
    short = asyncio.create_task(api.embed("短"))
    await api.until(waiting=2)
    api.stand_in.open.set()
    await asyncio.gather(held, long, short)
    assert [len(batch[0]) for batch in api.stand_in.batches] == [1800, 1]


async def test_a_full_queue_turns_away_at_once_and_keeps_what_it_has(api: Api) -> None:
    held = await api.hold()
    half = batching.WAITING // 2
    kept = [asyncio.create_task(api.embed(*(f"{m} {n}" for n in range(half)))) for m in range(2)]
    await api.until(waiting=batching.WAITING)
    status, body = await api.embed("one too many")
    assert (status, body["error"]["code"]) == (503, 503)
    api.stand_in.open.set()
    assert {status for status, _ in await asyncio.gather(held, *kept)} == {200}


async def test_what_nobody_waits_for_any_more_is_not_computed(api: Api) -> None:
    held = await api.hold()
    gone = asyncio.create_task(api.embed(*(f"gone {n}" for n in range(MAX_TEXTS))))
    await api.until(waiting=MAX_TEXTS)
    gone.cancel()
    stays = asyncio.create_task(api.embed("stays"))
    await api.until(waiting=MAX_TEXTS + 1)
    # The place of those that are gone is free as well.
    more = asyncio.create_task(api.embed(*(f"more {n}" for n in range(MAX_TEXTS))))
    last = asyncio.create_task(api.embed(*(f"last {n}" for n in range(MAX_TEXTS - 1))))
    await api.until(waiting=2 * MAX_TEXTS)
    api.stand_in.open.set()
    assert {status for status, _ in await asyncio.gather(held, stays, more, last)} == {200}
    assert not any(text.startswith("gone") for batch in api.stand_in.batches for text in batch)


async def test_a_text_that_was_embedded_lately_costs_nothing(api: Api) -> None:
    first = await api.embed("again", "once")
    api.stand_in.reset()
    assert await api.embed("again", "once") == first
    assert api.stand_in.batches == []


async def test_vectors_are_remembered_under_a_keyed_hash_and_in_bounds(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batching, "REMEMBERED", 3)
    for n in range(5):
        await api.embed(f"secret {n}")
    assert api.service._batcher is not None
    memory = api.service._batcher._memory
    assert len(memory._vectors) == 3
    assert not any(b"secret" in key for key in memory._vectors)
    assert batching._Memory()._key("x") != memory._key("x")


async def test_a_failing_encoder_is_an_error_without_text_and_the_next_request_goes_well(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    api.stand_in.problem = ValueError("cannot embed 'my diary'")
    with caplog.at_level(logging.DEBUG):
        status, body = await api.embed("my diary")
    assert status == 500
    assert "ValueError" in caplog.text
    assert "diary" not in caplog.text + json.dumps(body)
    api.stand_in.problem = None
    assert (await api.embed("my diary"))[0] == 200


# --- the real server --------------------------------------------------------------------------------


@pytest.fixture
async def real(embedding_server: str) -> AsyncIterator[str]:
    yield embedding_server
    await client.close()


async def test_it_gives_the_vectors_of_the_encoder_through_the_client(real: str) -> None:
    found = await client.embed(["今天很开心", "I am happy today", "股票跌了", "今天很开心"], deadline=10)
    assert found.shape == (4, 896)
    assert np.allclose((found[:, :384] ** 2).sum(1), 1, atol=1e-3)
    assert np.allclose((found[:, 384:] ** 2).sum(1), 1, atol=1e-3)
    alike, different = found[0] @ found[1], found[0] @ found[2]
    assert alike > different
    assert np.array_equal(found[0], found[3])


async def test_many_calls_at_once_are_batched(real: str) -> None:
    before = await health(real)
    vectors = await asyncio.gather(
        *(client.embed([f"第{n}条消息，今天有点累"], deadline=10) for n in range(128))
    )
    after = await health(real)
    assert {vector.shape for vector in vectors} == {(1, 896)}
    assert after["batches"] - before["batches"] <= 128 / 4


async def test_a_long_text_does_not_hold_up_short_ones(real: str) -> None:
    """Short messages that come while long ones wait are done before most of those are."""
    long = [
        asyncio.create_task(client.embed([f"{n}" + "我不知道该怎么说，" * 300], deadline=10))
        for n in range(6)
    ]
    async with asyncio.timeout(10):
        while not (await health(real))["waiting"]:
            pass
    await asyncio.gather(*(client.embed([f"短消息 {n}"], deadline=10) for n in range(8)))
    assert sum(task.done() for task in long) <= 3
    await asyncio.gather(*long)


@pytest.mark.parametrize(
    "text", ["", " ", "\x00", "\ud83d", "👩‍👩‍👧", "喂" * 5000, "a" * 19_999, "\u202e\u200b", "𠮷野家"]
)
async def test_whatever_people_write_has_a_vector(real: str, text: str) -> None:
    assert np.isfinite(await client.embed([text], deadline=10)).all()


async def health(url: str) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(url.replace("/v1", "/health")) as response,
    ):
        found: dict[str, Any] = await response.json()
    return found


def test_make_run_sees_when_it_is_ready(embedding_server: str) -> None:
    assert understands(int(embedding_server.split(":")[2].split("/")[0]))
    assert not understands(free_port())


def test_a_busy_port_is_told_before_anything_is_loaded(embedding_server: str) -> None:
    port = embedding_server.split(":")[2].split("/")[0]
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "manage.py", "embedding_server", "--port", port],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert f"Port {port} on 127.0.0.1 cannot be used" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 20


def test_it_stops_when_told_even_while_it_loads() -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "embedding_server", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "ANBAN_ENV": "test"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None
        process.terminate()
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0
    assert output == "Stopped.\n"
    check_port(port)
