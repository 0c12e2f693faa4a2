"""The embeddings client over real HTTP: what it accepts, every way to fail, deadlines, the breaker, secrecy."""

import asyncio
import base64
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import numpy as np
import pytest
from pytest_django import Settings

from safety.engine import client
from safety.engine.breaker import State
from safety.engine.client import Unavailable
from tests import endpoints
from tests.endpoints import nobody

KEY = "sk-very-secret-key"
TEXT = "my private diary line"
SIZE = 8
Change = Callable[[list[dict[str, Any]]], Any]


class Fake(endpoints.Fake):
    """An embeddings endpoint. The vector of a text tells its length."""

    def __init__(self) -> None:
        super().__init__()
        self.float = False
        self.change: Change = lambda data: data

    def reply(self, asked: dict[str, Any]) -> Any:
        if self.status != 200:
            return {"error": f"server text: {asked['input']}"}
        data = [
            {"object": "embedding", "index": index, "embedding": self.encoded(vector(text))}
            for index, text in enumerate(asked["input"])
        ]
        return {"object": "list", "data": self.change(data)}

    def encoded(self, values: np.ndarray) -> Any:
        return values.tolist() if self.float else base64.b64encode(values.tobytes()).decode()


def vector(text: str) -> np.ndarray:
    return np.full(SIZE, len(text), "<f4")


@pytest.fixture
async def fake(settings: Settings) -> AsyncIterator[Fake]:
    fake = Fake()
    async with fake.at("/embeddings") as settings.EMBEDDINGS_BASE_URL:
        settings.EMBEDDINGS_API_KEY = KEY
        settings.EMBEDDINGS_MODEL = "a-model"
        yield fake
        await client.close()
    client._breakers.clear()


async def code(*texts: str, deadline: float = 5.0) -> str:
    """How a call fails."""
    with pytest.raises(Unavailable) as raised:
        await client.embed(texts or (TEXT,), deadline=deadline)
    assert (str(raised.value), raised.value.__cause__, raised.value.__context__) == (
        raised.value.code,
        None,
        None,
    )
    return raised.value.code


# --- good answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("as_float", [False, True])
async def test_vectors_come_in_the_order_of_the_texts(fake: Fake, as_float: bool) -> None:
    fake.float = as_float
    found = await client.embed(["a", "bb", "ccc"], deadline=5)
    assert found.dtype == np.float32
    assert found.tolist() == [[n] * SIZE for n in (1.0, 2.0, 3.0)]
    assert client.status() == "ok"


async def test_an_answer_in_another_order_is_sorted_by_its_index(fake: Fake) -> None:
    fake.change = lambda data: data[::-1]
    assert (await client.embed(["a", "bb", "ccc"], deadline=5))[:, 0].tolist() == [1.0, 2.0, 3.0]


async def test_the_request_has_the_shape_of_openai(fake: Fake, settings: Settings) -> None:
    await client.embed(["你好", "\ud83d 🙂"], deadline=5)
    headers, body = fake.requests[0]
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body == {"model": "a-model", "input": ["你好", "\ud83d 🙂"], "encoding_format": "base64"}
    settings.EMBEDDINGS_API_KEY = ""
    await client.embed(["x"], deadline=5)
    assert "Authorization" not in fake.requests[1][0]


async def test_no_texts_need_no_request(fake: Fake) -> None:
    assert (await client.embed([], deadline=5)).shape[0] == 0
    assert fake.requests == []


# --- answers that must not be believed --------------------------------------------------------------


def changed(**entry: Any) -> Change:
    """The second entry of the answer is changed."""
    return lambda data: [data[0], data[1] | entry, *data[2:]]


LIES: dict[str, Change] = {
    "one too few": lambda data: data[:-1],
    "one too many": lambda data: [*data, data[0] | {"index": 2}],
    "an index twice": changed(index=0),
    "an index beyond": changed(index=7),
    "a negative index": changed(index=-1),
    "no index": lambda data: [data[0], {"embedding": data[1]["embedding"]}],
    "another size": changed(embedding=[1.0] * (SIZE + 1)),
    "no numbers": lambda data: [entry | {"embedding": []} for entry in data],
    "a number alone": lambda data: [entry | {"embedding": 1.0} for entry in data],
    "nested": lambda data: [entry | {"embedding": [[1.0] * SIZE]} for entry in data],
    "not a number": changed(embedding=[float("nan")] * SIZE),
    "infinite": changed(embedding=[float("inf")] * SIZE),
    "too large": changed(embedding=[1e300] * SIZE),
    "far too large": changed(embedding=[10**400] * SIZE),
    "null": changed(embedding=None),
    "words": changed(embedding=["one"] * SIZE),
    "no base64": changed(embedding="***"),
    "half a number": changed(embedding=base64.b64encode(b"12345").decode()),
    "infinite in base64": changed(
        embedding=base64.b64encode(np.full(SIZE, np.inf, "<f4").tobytes()).decode()
    ),
    "no list": lambda data: {"a": 1},
}


@pytest.mark.parametrize("lie", LIES)
async def test_an_answer_that_is_not_one_vector_for_each_text_is_garbage(fake: Fake, lie: str) -> None:
    fake.change = LIES[lie]
    assert await code("a", "bb") == "garbage"


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b"<html>the hotel network</html>", b"[" * 100_000, b"\xff\xfe"]
)
async def test_a_body_that_is_no_answer_is_garbage(fake: Fake, body: bytes) -> None:
    fake.body = body
    assert await code() == "garbage"


async def test_an_answer_without_end_is_given_up_before_the_deadline(settings: Settings) -> None:
    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b" " * 65536)
                await writer.drain()

    async with bytes_from(flood, settings):
        assert await code(deadline=3) == "garbage"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (500, "unreachable"),
        (502, "unreachable"),
        (503, "busy"),
        (429, "busy"),
        (401, "garbage"),
        (404, "garbage"),
        (301, "garbage"),
        (307, "garbage"),
    ],
)
async def test_other_statuses_fail_and_nothing_is_followed(fake: Fake, status: int, expected: str) -> None:
    fake.status = status
    assert await code() == expected
    assert len(fake.requests) == 1


# --- endpoints that are not well --------------------------------------------------------------------


async def test_without_an_address_it_is_unconfigured(fake: Fake, settings: Settings) -> None:
    settings.EMBEDDINGS_BASE_URL = ""
    assert await code() == "unconfigured"
    assert client.status() == "unconfigured"


@pytest.mark.parametrize("url", ["{nobody}", "http://[::1", "no address", "ftp://127.0.0.1/"])
async def test_nobody_listening_and_no_address_fail_at_once(fake: Fake, settings: Settings, url: str) -> None:
    with nobody() as address:
        settings.EMBEDDINGS_BASE_URL = url.format(nobody=address)
        began = time.monotonic()
        assert await code() in ("unreachable", "garbage")
        assert time.monotonic() - began < 2


@pytest.mark.parametrize("deadline", [0.05, 0.3])
async def test_the_deadline_holds_and_the_request_is_given_up(fake: Fake, deadline: float) -> None:
    fake.wait = asyncio.Event()
    began = time.monotonic()
    assert await code(deadline=deadline) == "late"
    assert deadline - 0.01 <= time.monotonic() - began < deadline + 0.5
    async with asyncio.timeout(5):
        await fake.left.wait()


async def test_the_deadline_counts_for_the_whole_answer(settings: Settings) -> None:
    """A byte now and then buys no more time."""

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.01)

    async with bytes_from(trickle, settings):
        began = time.monotonic()
        assert await code(deadline=0.2) == "late"
        assert time.monotonic() - began < 0.7


async def test_a_reset_in_the_middle_of_the_answer_is_unreachable(settings: Settings) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"data": [')
        await writer.drain()
        writer.transport.abort()

    async with bytes_from(half, settings):
        assert await code() == "unreachable"


async def test_a_kept_connection_that_was_closed_meanwhile_is_not_noticed(settings: Settings) -> None:
    """The second request meets the server's end of the first connection; a new one is tried at once."""
    served = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal served
        await reader.readuntil(b"}")
        served += 1
        body = json.dumps({"data": [{"index": 0, "embedding": [1.0, 2.0]}]}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await reader.read(1)  # the next request has begun
        writer.transport.abort()

    async with bytes_from(once, settings):
        for _ in range(3):
            assert (await client.embed(["x"], deadline=5)).tolist() == [[1.0, 2.0]]
    assert served == 3


async def test_a_server_that_always_hangs_up_is_asked_twice_and_no_more(settings: Settings) -> None:
    calls = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        await reader.readuntil(b"}")
        calls += 1
        writer.transport.abort()

    async with bytes_from(hang_up, settings):
        assert await code() == "unreachable"
    assert calls == 2


# --- the breaker ------------------------------------------------------------------------------------


async def test_five_failures_open_the_breaker_and_a_good_probe_closes_it(
    fake: Fake, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.status = 500
    for _ in range(5):
        assert await code() == "unreachable"
    assert client.status() == "down"
    began = time.monotonic()
    assert await code() == "open"
    assert time.monotonic() - began < 0.05
    assert len(fake.requests) == 5

    breaker = client._breaker(settings.EMBEDDINGS_BASE_URL)
    assert breaker.state is State.OPEN
    later = time.monotonic() + 1.1
    monkeypatch.setattr(breaker, "_clock", lambda: later)
    fake.status = 200
    assert len(await client.embed(["x"], deadline=5)) == 1
    assert client.status() == "ok"


async def test_lateness_opens_the_breaker(fake: Fake) -> None:
    fake.wait = asyncio.Event()
    for _ in range(5):
        await code(deadline=0.02)
    assert await code() == "open"


async def test_a_busy_endpoint_is_asked_again(fake: Fake) -> None:
    fake.status = 503
    for _ in range(8):
        assert await code() == "busy"
    assert client.status() == "ok"


async def test_a_cancelled_turn_says_nothing_about_the_endpoint(fake: Fake) -> None:
    fake.wait = asyncio.Event()
    for _ in range(8):
        fake.arrived.clear()
        task = asyncio.create_task(client.embed([TEXT], deadline=5))
        async with asyncio.timeout(5):
            await fake.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert client.status() == "ok"


# --- secrecy, proxies, loops --------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_neither_text_nor_key_nor_server_text_is_told(
    fake: Fake, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    fake.status, fake.body = status, b"server text: " + TEXT.encode()
    with caplog.at_level(logging.DEBUG):
        await code()
    assert "embeddings failed" in caplog.text
    for secret in (TEXT, KEY, "server text"):
        assert secret not in caplog.text


async def test_proxies_of_the_environment_are_not_used(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    with nobody() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.removesuffix("/v1"))
        assert len(await client.embed(["x"], deadline=5)) == 1


def test_each_loop_has_a_session_of_its_own_and_ended_loops_are_forgotten(settings: Settings) -> None:
    with nobody() as settings.EMBEDDINGS_BASE_URL:
        for _ in range(3):
            assert asyncio.run(code()) == "unreachable"
    (last,) = client._sessions
    assert last.is_closed()
    client._sessions.pop(last).detach()


# --- helpers ----------------------------------------------------------------------------------------


@asynccontextmanager
async def bytes_from(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any], settings: Settings
) -> AsyncIterator[None]:
    """A server of bytes, not of HTTP, as the endpoint."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    settings.EMBEDDINGS_BASE_URL = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield
    finally:
        await client.close()
        server.close()
