"""The client for any OpenAI-compatible `/embeddings` endpoint: vectors within a deadline, or `Unavailable`.

A turn waits for this, so nothing here waits longer than it was told to, and an endpoint that keeps failing is left alone
for a while. What comes back decides about people's safety: it is checked to be one finite vector for each text, in their
order. No text and no key ever reaches an exception or a log.
"""

import asyncio
import base64
import json
import logging
from collections.abc import Sequence
from typing import Any, Final, Literal

import aiohttp
import numpy as np
from django.conf import settings
from numpy.typing import NDArray

from safety.engine.breaker import Breaker, State
from safety.engine.session import Sessions, read

logger = logging.getLogger(__name__)

Code = Literal["unconfigured", "late", "unreachable", "busy", "garbage", "open"]
Status = Literal["ok", "down", "unconfigured"]

# What says that the endpoint is unwell; who is busy answers others.
_UNWELL: Final[frozenset[Code]] = frozenset({"late", "unreachable", "garbage"})
# Short pauses: while it is open nobody's message is understood, and a probe costs one person a deadline.
_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 15.0
_BYTES_PER_TEXT: Final = 256 * 1024  # of an answer: 8,000 numbers written out

_sessions = Sessions(limit=0, keepalive_timeout=60, auto_decompress=False)
_breakers: dict[str, Breaker] = {}


class Unavailable(Exception):
    """There are no vectors now; `code` says why, in our words only."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code: Code = code


class _Failed(Exception):
    """As Unavailable, inside this module."""

    def __init__(self, code: Code, *, stale: bool = False) -> None:
        super().__init__(code)
        self.code: Code = code
        self.stale = stale  # a kept connection was closed by the other side before it read the request


async def embed(texts: Sequence[str], *, deadline: float) -> NDArray[np.float32]:
    """(texts, size), within `deadline` seconds for everything."""
    url = settings.EMBEDDINGS_BASE_URL
    if not url:
        raise Unavailable("unconfigured")
    if not texts:
        return np.empty((0, 0), np.float32)
    breaker = _breaker(url)
    ticket = breaker.admit()
    if ticket is None:
        raise Unavailable("open")
    failed: Code | None = None
    settle = breaker.release  # what a cancelled turn leaves: no verdict
    try:
        async with asyncio.timeout(deadline):
            vectors = _vectors(await _answer(url, _request(texts), len(texts)), len(texts))
        settle = breaker.success
    except TimeoutError:
        failed = "late"
    except _Failed as error:
        failed = error.code
    finally:
        if failed in _UNWELL:
            settle = breaker.failure
        settle(ticket)
    if failed is not None:
        # Raised out here so that the exception carries no other one, which may name the URL or the headers.
        logger.warning("embeddings failed: %s", failed)
        raise Unavailable(failed)
    return vectors


def status() -> Status:
    """What a page may say about the endpoint, from what this process has seen; no I/O."""
    if not settings.EMBEDDINGS_BASE_URL:
        return "unconfigured"
    return "ok" if _breaker(settings.EMBEDDINGS_BASE_URL).state is State.CLOSED else "down"


async def close() -> None:
    """Close the running loop's session: at shutdown, and at the end of a loop made for one task."""
    await _sessions.close()


def _request(texts: Sequence[str]) -> bytes:
    body = {"model": settings.EMBEDDINGS_MODEL, "input": list(texts), "encoding_format": "base64"}
    return json.dumps(body, separators=(",", ":")).encode()


async def _answer(url: str, body: bytes, texts: int) -> bytes:
    """The body of the answer; asked once more, at once, when a kept connection turns out to be closed."""
    try:
        return await _post(url, body, texts)
    except _Failed as error:
        if not error.stale:
            raise
    return await _post(url, body, texts)


async def _post(url: str, body: bytes, texts: int) -> bytes:
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    if settings.EMBEDDINGS_API_KEY:
        headers["Authorization"] = f"Bearer {settings.EMBEDDINGS_API_KEY}"
    begun = False
    try:
        async with _sessions.current().post(
            f"{url}/embeddings", data=body, headers=headers, allow_redirects=False
        ) as response:
            begun = True
            if response.status != 200:
                raise _Failed(_code(response.status))
            return await read(response, limit=texts * _BYTES_PER_TEXT)
    except (aiohttp.ClientConnectorError, aiohttp.InvalidURL) as error:
        raise _Failed("unreachable") from error
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise _Failed("unreachable", stale=not begun) from error
    except (aiohttp.ClientPayloadError, OSError) as error:
        raise _Failed("unreachable") from error
    except (aiohttp.ClientError, ValueError) as error:
        raise _Failed("garbage") from error


def _code(status: int) -> Code:
    if status in (429, 503):
        return "busy"
    return "unreachable" if status >= 500 else "garbage"


def _vectors(answer: bytes, texts: int) -> NDArray[np.float32]:
    """The checked vectors in the order of the texts; `index` says which is which."""
    try:
        rows: dict[int, NDArray[np.float32]] = {}
        for entry in json.loads(answer)["data"]:
            rows[int(entry["index"])] = _vector(entry["embedding"])
        vectors = np.stack([rows.pop(index) for index in range(texts)])
    except (ValueError, TypeError, LookupError, OverflowError, AttributeError, RecursionError):
        raise _Failed("garbage") from None
    if rows or vectors.ndim != 2 or not vectors.shape[1] or not np.isfinite(vectors).all():
        raise _Failed("garbage")
    return vectors


def _vector(value: Any) -> NDArray[np.float32]:
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value, validate=True), "<f4").astype(np.float32, copy=False)
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as such
        return np.asarray(value, np.float32)


def _breaker(url: str) -> Breaker:
    return _breakers.setdefault(url, Breaker(pause=_PAUSE, longest_pause=_LONGEST_PAUSE))
