"""One streaming request to a chat endpoint: its deadlines, its response, and what the bytes mean."""

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp

from companion.llm.sse import EventParser

Code = Literal[
    "unconfigured", "unreachable", "timeout", "refused", "overloaded", "garbage", "too_long", "breaker_open"
]

MAX_REPLY_CHARACTERS = 32_000
RETRY_STATUS = frozenset({429, 502, 503, 504})
RETRY_PAUSE = (0.1, 0.4)
# After the model said why it stopped only the usage figures are missing; nobody waits long for those.
USAGE_TIMEOUT = 1.0
# The end of a finished response mostly comes in the same packet; with it the connection can be used again.
DRAIN_TIMEOUT = 0.05


@dataclass(frozen=True)
class Endpoint:
    """Where the model is and how long we wait for it, in seconds."""

    base_url: str
    api_key: str = field(repr=False)
    model: str
    connect_timeout: float
    first_token_timeout: float
    idle_timeout: float
    total_timeout: float
    max_tokens: int
    temperature: float
    demo: bool

    @property
    def headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        return headers


@dataclass(frozen=True)
class Finish:
    """The last item of a stream. Token counts are the endpoint's, None when it does not tell."""

    reason: Literal["stop", "length"]
    prompt_tokens: int | None
    completion_tokens: int | None


class ModelError(Exception):
    """The model could not answer, or not to the end; `code` says why, in our words only."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code: Code = code


class Call:
    """`open`, then `read` until `done`, then always `close`."""

    def __init__(self, endpoint: Endpoint, request: Mapping[str, Any]) -> None:
        self.done = False
        self.status: int | None = None
        self.characters = 0
        self._endpoint = endpoint
        self._body = json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        self._last = now + endpoint.total_timeout
        self._deadline = min(self._last, now + endpoint.first_token_timeout)
        self._response: aiohttp.ClientResponse | None = None
        self._parser = EventParser()
        self._failed: Code | None = None
        self._reason: Literal["stop", "length"] | None = None
        self._usage: dict[str, Any] = {}
        self._half = ""

    async def open(self, session: aiohttp.ClientSession) -> None:
        """Send the request; once more when the endpoint could not be reached or had no time for it."""
        code = await self._send(session)
        if self.status in RETRY_STATUS or (code == "unreachable" and self.status is None):
            await asyncio.sleep(random.uniform(*RETRY_PAUSE))
            code = await self._send(session)
        if code is not None:
            raise ModelError(code)

    async def _send(self, session: aiohttp.ClientSession) -> Code | None:
        self.status = None
        try:
            async with asyncio.timeout_at(self._deadline):
                response = await session.post(
                    f"{self._endpoint.base_url}/chat/completions",
                    data=self._body,
                    headers=self._endpoint.headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._endpoint.connect_timeout),
                )
        except aiohttp.ConnectionTimeoutError:
            return "unreachable"
        except TimeoutError:
            return "timeout"
        except (aiohttp.ClientConnectionError, OSError):
            return "unreachable"
        except (aiohttp.InvalidURL, ValueError):
            return "unconfigured"
        except aiohttp.ClientError:
            return "garbage"
        self.status = response.status
        if response.status == 200:
            self._response = response
            return None
        response.close()
        if response.status in (429, 503):
            return "overloaded"
        return "unreachable" if response.status >= 500 else "refused"

    async def read(self) -> list[str]:
        """Wait for more and return the text in it. An error behind that text is raised by the next call."""
        if self._failed is None:
            chunk = await self._receive()
        if self._failed is not None:
            raise ModelError(self._failed)
        texts = self._texts(chunk)
        self.done = self.done or (not chunk and self._failed is None)
        return texts

    def wait_again(self) -> None:
        """Set the next deadline, once the text was passed on: a slow reader is not the model's fault."""
        if self.characters:
            pause = self._endpoint.idle_timeout if self._reason is None else USAGE_TIMEOUT
            self._deadline = min(self._last, self._loop.time() + pause)

    async def _receive(self) -> bytes:
        assert self._response is not None, "open() comes first"
        try:
            async with asyncio.timeout_at(self._deadline):
                return await self._response.content.readany()
        except TimeoutError:
            # With the reason known the reply is whole, and only the figures did not come.
            self._failed = "timeout" if self._reason is None else None
        except (aiohttp.ClientError, OSError):
            self._failed = "unreachable" if self._reason is None else None
        return b""

    def _texts(self, chunk: bytes) -> list[str]:
        texts: list[str] = []
        try:
            for payload in self._parser.feed(chunk):
                if payload == b"[DONE]":
                    self.done = True
                    break
                text = self._text(json.loads(payload.decode()))
                room = MAX_REPLY_CHARACTERS - self.characters
                if text and room:
                    texts.append(text[:room])
                    self.characters += len(texts[-1])
                if len(text) > room:
                    self._failed = "too_long"
                if self._failed is not None:
                    break
        except (ValueError, RecursionError, AttributeError, TypeError, LookupError):
            self._failed = "garbage"
        return texts

    def _text(self, event: dict[str, Any]) -> str:
        """Read one event: text, why the model stopped, usage, or an error that came after the status line."""
        if (error := event.get("error")) is not None:
            busy = isinstance(error, dict) and str(error.get("code")) in ("429", "503")
            self._failed = "overloaded" if busy else "refused"
            return ""
        usage = event.get("usage")
        if isinstance(usage, dict):
            self._usage = usage
        choices = event.get("choices")
        if not choices:
            return ""
        choice = choices[0]
        if reason := choice.get("finish_reason"):
            self._reason = "length" if reason == "length" else "stop"
        content = (choice.get("delta") or {}).get("content")
        return self._clean(content) if isinstance(content, str) else ""

    def _clean(self, text: str) -> str:
        """Text that can be encoded: halves of a character escaped apart are joined, NUL is dropped."""
        text = (self._half + text).replace("\0", "")
        self._half = ""
        try:
            text.encode()
        except UnicodeEncodeError:
            if "\ud800" <= text[-1] <= "\udbff":
                self._half, text = text[-1], text[:-1]
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text

    def finish(self) -> Finish:
        prompt, completion = self._usage.get("prompt_tokens"), self._usage.get("completion_tokens")
        return Finish(self._reason or "stop", _count(prompt), _count(completion))

    async def close(self) -> None:
        """Hand a finished connection back to the pool; close any other, so that the server stops working."""
        response = self._response
        if response is None:
            return
        if self.done and not response.content.at_eof():
            try:
                async with asyncio.timeout(DRAIN_TIMEOUT):
                    await response.content.readany()
            except (TimeoutError, aiohttp.ClientError, OSError):
                pass
        if response.content.at_eof():
            response.release()
        else:
            response.close()


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
