"""A fake OpenAI-compatible model server for the tests: real HTTP, scripted behaviour, no model.

In a test: the fixture `fake_llm` is a running `FakeLLM`; `fake_llm.script(...)` sets what comes next.
On a command line: `python -m tests.fake_llm --port 9009`, then LLM_BASE_URL=http://127.0.0.1:9009/v1.
Over HTTP: POST /control with the fields of `Script` as JSON, for example {"fault": "hang", "times": 1}.
In a message: `[[hang]]`, `[[reply:text]]`, `[[gap:0.05]]`, `[[markdown]]` in the last user message.
"""

import argparse
import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import pytest
from aiohttp import web

MARKDOWN = "**Bold**, *soft*, `code`\n\n- one\n- two\n\n[a link](https://example.org) <b>raw</b> ![x](http://e/x.png)"
UNICODE = "安伴在这里。👩‍👩‍👧 ça va — 𠮷野家"
_MARKER = re.compile(r"\[\[(\w+)(?::(.*?))?\]\]", re.DOTALL)


@dataclass
class Script:
    """How to answer. `times` counts the requests a fault is for (-1: all); the ones after it go well.

    fault: hang (nothing ever comes), hang_mid / drop / error_event (after `after` tokens), an HTTP status,
    garbage (HTML), binary (random bytes), huge (1 MB of tokens), long_line (1 MB in one line).
    raw: these bytes as the whole body, one write each, instead of a proper stream.
    """

    reply: str | None = None
    gap: float = 0.0
    fault: str = ""
    times: int = -1
    after: int = 3
    finish: str | None = "stop"
    usage: bool = True
    raw: list[bytes] | None = None


@dataclass
class Seen:
    """One request as it arrived, and how it ended: `disconnected` when the client left before the end."""

    headers: dict[str, str]
    body: dict[str, Any]
    connection: int
    tokens_sent: int = 0
    disconnected: bool = False
    ended: threading.Event = field(default_factory=threading.Event)

    def wait_ended(self, timeout: float = 5.0) -> bool:
        return self.ended.wait(timeout)


class FakeLLM:
    """The server on a thread with its own event loop, so that sync and async tests use it alike."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.url = ""
        self._arrived = threading.Event()
        self._script = Script()
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def disconnects(self) -> int:
        return sum(seen.disconnected for seen in self.requests)

    def wait_request(self, timeout: float = 5.0) -> bool:
        """Wait until a first request has arrived."""
        return self._arrived.wait(timeout)

    def script(self, **changes: Any) -> None:
        """Replace the script: what is not named is back at its default."""
        self._script = Script(**changes)

    def reset(self) -> None:
        """Forget what was scripted and seen, for the next test."""
        self.requests.clear()
        self._arrived.clear()
        self.script()

    def start(self, port: int = 0) -> "FakeLLM":
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._serve(port), self._loop).result(10)
        return self

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self, port: int) -> None:
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/control", self._control)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def _close(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "fake", "object": "model"}]})

    async def _control(self, request: web.Request) -> web.Response:
        wanted = await request.json()
        self.script(**{f.name: wanted[f.name] for f in fields(Script) if f.name in wanted})
        return web.json_response({"requests": len(self.requests), "disconnects": self.disconnects})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        seen = Seen(dict(request.headers), body, id(request.transport))
        self.requests.append(seen)
        self._arrived.set()
        script = self._next(body)
        try:
            return await self._answer(request, seen, script)
        except (asyncio.CancelledError, ConnectionError):
            seen.disconnected = True
            raise
        finally:
            seen.ended.set()

    def _next(self, body: dict[str, Any]) -> Script:
        """The script of this request: what the test set, changed by the markers in the message."""
        base = self._script
        script = Script(**{f.name: getattr(base, f.name) for f in fields(Script)})
        if base.fault and base.times == 0:
            script.fault = ""
        elif base.fault and base.times > 0:
            base.times -= 1
        said = _last_user_text(body)
        for name, value in _MARKER.findall(said):
            if name == "markdown":
                script.reply = MARKDOWN
            elif name == "unicode":
                script.reply = UNICODE
            elif name == "reply":
                script.reply = value
            elif name == "gap":
                script.gap = float(value)
            else:
                script.fault = name
        if script.reply is None:
            script.reply = f"You said: {_MARKER.sub('', said).strip() or 'nothing'}. I am listening to you."
        return script

    async def _answer(self, request: web.Request, seen: Seen, script: Script) -> web.StreamResponse:
        if script.fault.isdigit():
            error = {"error": {"message": "server text with the prompt: secret", "code": int(script.fault)}}
            return web.json_response(error, status=int(script.fault))
        if script.fault == "hang":
            await asyncio.Event().wait()
        reply = "long words " * 100_000 if script.fault == "huge" else script.reply or ""
        if not seen.body.get("stream") and script.raw is None:
            return web.json_response(_whole(reply, script))
        html = script.fault == "garbage"
        response = web.StreamResponse(headers={"Content-Type": "text/html" if html else "text/event-stream"})
        await response.prepare(request)
        async for chunk in self._bytes(reply, seen, script):
            await response.write(chunk)
        if script.fault == "drop" and request.transport is not None:
            request.transport.abort()
        await response.write_eof()
        return response

    async def _bytes(self, reply: str, seen: Seen, script: Script) -> AsyncIterator[bytes]:
        if script.raw is not None:
            for part in script.raw:
                yield part
                await asyncio.sleep(script.gap or 0.002)
            return
        if script.fault == "garbage":
            yield b"<html><body>\n<h1>Welcome to the hotel network</h1>\n</body></html>\n"
            return
        if script.fault == "binary":
            yield bytes(range(256)) * 40
            return
        if script.fault == "long_line":
            yield b"data: " + b"x" * 1_000_000 + b"\n\n"
            return
        yield _event({"role": "assistant", "content": ""})
        for number, token in enumerate(_tokens(reply)):
            if script.fault == "hang_mid" and number == script.after:
                await asyncio.Event().wait()
            if script.fault == "drop" and number == script.after:
                return
            if script.fault == "error_event" and number == script.after:
                yield b'data: {"error": {"message": "secret server text", "code": 500}}\n\n'
                return
            yield _event({"content": token})
            seen.tokens_sent += 1
            if script.gap:
                await asyncio.sleep(script.gap)
        if script.finish:
            yield _event({}, finish=script.finish)
        if script.usage:
            yield b"data: " + json.dumps({"choices": [], "usage": _usage(reply)}).encode() + b"\n\n"
        yield b"data: [DONE]\n\n"


@pytest.fixture
def fake_llm() -> Iterator[FakeLLM]:
    """A fresh server on a port of its own, so that no test meets another one's breaker."""
    server = FakeLLM().start()
    yield server
    server.stop()


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    event = {
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n"


def _whole(reply: str, script: Script) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply}
    choice = {"index": 0, "message": message, "finish_reason": script.finish}
    return {"object": "chat.completion", "choices": [choice], "usage": _usage(reply)}


def _usage(reply: str) -> dict[str, int]:
    written = len(_tokens(reply))
    return {"prompt_tokens": 7, "completion_tokens": written, "total_tokens": 7 + written}


def _tokens(text: str) -> list[str]:
    """Words with the space before them, and single characters where a script has no spaces."""
    return re.findall(r"\s?[!-~]+|\s+|.", text, re.DOTALL)


def _last_user_text(body: dict[str, Any]) -> str:
    for message in reversed(body.get("messages", [])):
        if message.get("role") == "user":
            return str(message.get("content", ""))
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description="A fake OpenAI-compatible model server.")
    parser.add_argument("--port", type=int, default=9009)
    parser.add_argument("--gap", type=float, default=0.02, help="seconds between tokens")
    options = parser.parse_args()
    server = FakeLLM()
    server.script(gap=options.gap)
    server.start(options.port)
    print(f"Fake model at {server.url}", flush=True)  # noqa: T201
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        server.stop()


if __name__ == "__main__":
    main()
