"""The client for any OpenAI-compatible `/chat/completions` endpoint, streaming.

Plain aiohttp with one session per event loop, because the official SDK costs several times as much per turn.
The rules: try again only before the first token, and only when the endpoint did not take the request; every
wait has an end; a stopped consumer closes the connection, which stops the model; no text of the server,
nothing of the prompt and no key ever reaches an exception or a log.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Literal, TypedDict

import aiohttp
from django.conf import settings

from companion.llm.call import Call, Code, Endpoint, Finish, ModelError
from safety.engine.breaker import Breaker, State

__all__ = ["ChatMessage", "Finish", "ModelError", "close", "endpoint", "health", "status", "stream"]

logger = logging.getLogger(__name__)

Status = Literal["ok", "down", "demo", "unconfigured"]

HEALTH_TIMEOUT = 2.0
# What says that the endpoint is unwell. A refusal is about this one request, too long is our own limit, and who
# is overloaded answers others: leaving that one alone would only waste what it can do.
_UNWELL: frozenset[Code] = frozenset({"unreachable", "timeout", "garbage"})

_sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
_breakers: dict[str, Breaker] = {}


class ChatMessage(TypedDict):
    role: Literal["system", "user", "assistant"]
    content: str


def endpoint() -> Endpoint:
    return Endpoint(
        base_url=settings.LLM_BASE_URL.rstrip("/"),
        api_key=settings.LLM_API_KEY,
        model=settings.LLM_MODEL,
        connect_timeout=settings.LLM_CONNECT_TIMEOUT,
        first_token_timeout=settings.LLM_FIRST_TOKEN_TIMEOUT,
        idle_timeout=settings.LLM_IDLE_TIMEOUT,
        total_timeout=settings.LLM_TOTAL_TIMEOUT,
        max_tokens=settings.LLM_MAX_TOKENS,
        temperature=settings.LLM_TEMPERATURE,
        demo=settings.ANBAN_DEMO_MODEL,
    )


async def stream(
    messages: Sequence[ChatMessage], *, max_tokens: int | None = None, stop: Sequence[str] = ()
) -> AsyncGenerator[str | Finish, None]:
    """Yield the reply piece by piece, then one `Finish`; whatever goes wrong is raised as `ModelError`.

    What was yielded before an error stays valid. Closing the generator or cancelling its task closes the
    connection, and with it the generation.
    """
    target = endpoint()
    if not target.base_url:
        raise ModelError("unconfigured")
    breaker = _breaker(target.base_url)
    ticket = breaker.admit()
    if ticket is None:
        raise ModelError("breaker_open")
    call = Call(target, _request(target, messages, max_tokens or target.max_tokens, stop))
    settle = breaker.release
    failed: Code | None = None
    try:
        await call.open(_session())
        while not call.done:
            for text in await call.read():
                breaker.answered(ticket)
                yield text
            call.wait_again()
        settle = breaker.success
    except ModelError as error:
        failed = error.code
        if failed in _UNWELL:
            settle = breaker.failure
        elif failed != "overloaded":
            settle = breaker.success
    finally:
        settle(ticket)
        await call.close()
    if failed is None and not call.characters:
        failed = "garbage"  # a reply without a word; the endpoint itself is well
    if failed is not None:
        # Raised out here so that the exception carries no other one, which may name the URL or the headers.
        logger.warning("model call failed: %s (HTTP status %s)", failed, call.status)
        raise ModelError(failed)
    yield call.finish()


def _request(
    target: Endpoint, messages: Sequence[ChatMessage], max_tokens: int, stop: Sequence[str]
) -> dict[str, Any]:
    request: dict[str, Any] = {
        "model": target.model,
        "messages": list(messages),
        "max_tokens": max_tokens,
        "temperature": target.temperature,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    return request | {"stop": list(stop)} if stop else request


async def health() -> bool:
    """Whether the endpoint lists its models within two seconds. It says nothing about the breaker."""
    target = endpoint()
    if not target.base_url:
        return False
    url = f"{target.base_url}/models"
    try:
        async with (
            asyncio.timeout(HEALTH_TIMEOUT),
            _session().get(url, headers=target.headers, allow_redirects=False) as response,
        ):
            return response.status < 300
    except (aiohttp.ClientError, OSError, ValueError):
        return False


def status() -> Status:
    """What a page may say about the model, from what this process has seen; no I/O."""
    target = endpoint()
    if not target.base_url:
        return "unconfigured"
    if _breaker(target.base_url).state is not State.CLOSED:
        return "down"
    return "demo" if target.demo else "ok"


async def close() -> None:
    """Close the running loop's session: at shutdown, and at the end of a loop made for one task."""
    session = _sessions.pop(asyncio.get_running_loop(), None)
    if session is not None:
        await session.close()


def _breaker(base_url: str) -> Breaker:
    return _breakers.setdefault(base_url, Breaker())


def _session() -> aiohttp.ClientSession:
    """The running loop's session. It keeps no cookies, so nothing passes from one person to the next."""
    loop = asyncio.get_running_loop()
    session = _sessions.get(loop)
    if session is None or session.closed:
        for ended in [other for other in _sessions if other.is_closed()]:
            _sessions.pop(ended).detach()
        session = _sessions[loop] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
        )
    return session
