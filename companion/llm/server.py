"""The demonstration model as an OpenAI-compatible server: `/v1/chat/completions`, `/v1/models`, `/health`.

It stands where a real inference server will stand later, so the application talks to both in the same way.
Nothing of a conversation is logged.
"""

import json
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from companion.llm.embedded import DEFAULT_REPLY_TOKENS, Embedded, Job
from companion.llm.engine import Busy, End, Refused
from companion.llm.transcript import Message

MODEL = "anban-demo"
MAX_BODY_BYTES = 1024 * 1024


class BadRequest(Exception):
    """The body is no chat request; the text says what is wrong with it."""


def application(embedded: Embedded) -> web.Application:
    app = web.Application(client_max_size=MAX_BODY_BYTES)

    async def chat(request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json()
            job = parse(body)
        except (ValueError, BadRequest) as error:
            return _error(400, str(error) if isinstance(error, BadRequest) else "The body is not JSON.")
        reply = _Reply(embedded.name)
        async with aclosing(embedded.answer(job)) as pieces:
            try:
                first = await anext(pieces, None)
            except Busy:
                return _error(503, "All places are taken. Try again in a moment.")
            except Refused:
                return _error(400, "The model did not take this request.")
            if body.get("stream"):
                return await _stream(request, reply, _from(first, pieces), body)
            return web.json_response(reply.whole([piece async for piece in _from(first, pieces)]))

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    async def health(request: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "loaded": embedded.loaded})

    app.router.add_post("/v1/chat/completions", chat)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/health", health)
    return app


def parse(body: Any) -> Job:
    """A checked job from the body of a request; what a small model cannot do (tools, images) is left out."""
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list):
        raise BadRequest("There is no list of messages.")
    messages = tuple(_message(message) for message in body["messages"])
    if not any(role == "user" for role, _ in messages):
        raise BadRequest("There is no message of a user.")
    limit = body.get("max_tokens") or body.get("max_completion_tokens") or DEFAULT_REPLY_TOKENS
    temperature = body.get("temperature", 0.8)
    stop = body.get("stop") or []
    stop = [stop] if isinstance(stop, str) else stop
    if not isinstance(limit, int) or not isinstance(temperature, int | float) or not 0 <= temperature <= 2:
        raise BadRequest("max_tokens or temperature is not a number in its range.")
    if not isinstance(stop, list) or not all(isinstance(text, str) for text in stop):
        raise BadRequest("stop is not a list of texts.")
    return Job(messages, max(1, limit), float(temperature), tuple(text for text in stop if text)[:8])


def _message(message: Any) -> Message:
    role = message.get("role") if isinstance(message, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):  # the form with parts
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    if role not in ("system", "user", "assistant") or not isinstance(content, str):
        raise BadRequest("A message needs a role and a text.")
    return role, content


async def _from(
    first: str | End | None, rest: AsyncGenerator[str | End, None]
) -> AsyncGenerator[str | End, None]:
    if first is not None:
        yield first
    async for piece in rest:
        yield piece


async def _stream(
    request: web.Request, reply: "_Reply", pieces: AsyncGenerator[str | End, None], body: dict[str, Any]
) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    await response.write(reply.event({"role": "assistant", "content": ""}))
    try:
        async for piece in pieces:
            if isinstance(piece, str):
                await response.write(reply.event({"content": piece}))
                continue
            await response.write(reply.event({}, finish=piece.reason))
            if (body.get("stream_options") or {}).get("include_usage"):
                await response.write(reply.usage_event(piece))
    except Refused:
        await response.write(b'data: {"error": {"message": "The model stopped.", "code": 500}}\n\n')
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


class _Reply:
    """The envelope of one reply in the OpenAI shapes."""

    def __init__(self, model: str) -> None:
        self._envelope = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}

    def event(self, delta: dict[str, str], finish: str | None = None) -> bytes:
        return self._chunk([{"index": 0, "delta": delta, "finish_reason": finish}])

    def usage_event(self, end: End) -> bytes:
        return self._chunk([], usage=_usage(end))

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        chunk = {**self._envelope, "object": "chat.completion.chunk", "choices": choices, **more}
        return b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"

    def whole(self, pieces: list[str | End]) -> dict[str, Any]:
        text = "".join(piece for piece in pieces if isinstance(piece, str))
        end = next((piece for piece in pieces if isinstance(piece, End)), End("stop", 0, 0))
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": end.reason}
        return {**self._envelope, "object": "chat.completion", "choices": [choice], "usage": _usage(end)}


def _usage(end: End) -> dict[str, int]:
    prompt, written = end.prompt_tokens, end.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status)
