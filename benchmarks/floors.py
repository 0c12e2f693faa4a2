"""The floor: a relay over a websocket that stores both messages and does nothing else.

aiohttp serves the socket and calls the model, psycopg writes each message in a commit of its own. No session, no
framework, no history. Whatever the application costs more than this is the price of what it does.

BENCH_MODEL_URL=… BENCH_DATABASE_URL=… python -m benchmarks.floors --port 9010
"""

import argparse
import json
import os
from collections.abc import AsyncIterator
from contextlib import suppress

import aiohttp
from aiohttp import web
from psycopg_pool import AsyncConnectionPool

from benchmarks.client import HISTORY, PEOPLE, SAID

# The one table of the relay and of the plain Django chat, with the same history as the application's people have.
SCHEMA = f"""
CREATE TABLE message (
    id bigserial PRIMARY KEY, conversation bigint NOT NULL, author varchar(4) NOT NULL, body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX message_history ON message (conversation, id DESC);
INSERT INTO message (conversation, author, body)
SELECT conversation, CASE number % 2 WHEN 0 THEN 'user' ELSE 'ai' END, '{SAID}'
FROM generate_series(0, {PEOPLE - 1}) AS conversation, generate_series(0, {HISTORY - 1}) AS number;
ANALYZE message;
"""
_INSERT = "INSERT INTO message (conversation, author, body) VALUES (%s, %s, %s)"

_POOL = web.AppKey("pool", AsyncConnectionPool)
_MODEL = web.AppKey("model", aiohttp.ClientSession)


async def pieces(session: aiohttp.ClientSession, messages: list[dict[str, str]]) -> AsyncIterator[str]:
    """The model's reply, piece by piece."""
    request = {"model": "stub", "stream": True, "messages": messages}
    async with session.post(f"{os.environ['BENCH_MODEL_URL']}/chat/completions", json=request) as response:
        async for line in response.content:
            if line.startswith(b"data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    if piece := choice["delta"].get("content"):
                        yield piece


def model_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


def delta(text: str, offset: int) -> str:
    """The frames are those of the application, so that one client measures all."""
    return json.dumps({"kind": "reply.delta", "offset": offset, "text": text})


def finished() -> str:
    return json.dumps({"kind": "reply.finished", "message": {"state": "complete"}})


async def _chat(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    await socket.send_str('{"kind": "ready"}')
    conversation = int(request.match_info["conversation"])
    with suppress(ConnectionError):
        async for frame in socket:
            await _turn(request.app, socket, conversation, json.loads(frame.data)["text"])
    return socket


async def _turn(app: web.Application, socket: web.WebSocketResponse, conversation: int, text: str) -> None:
    async with app[_POOL].connection() as connection:
        await connection.execute(_INSERT, [conversation, "user", text])
    reply = ""
    async for piece in pieces(app[_MODEL], [{"role": "user", "content": text}]):
        await socket.send_str(delta(piece, len(reply)))
        reply += piece
    async with app[_POOL].connection() as connection:
        await connection.execute(_INSERT, [conversation, "ai", reply])
    await socket.send_str(finished())


async def _health(request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def _resources(app: web.Application) -> AsyncIterator[None]:
    pool = AsyncConnectionPool(
        os.environ["BENCH_DATABASE_URL"], min_size=4, max_size=12, kwargs={"autocommit": True}, open=False
    )
    async with pool, model_session() as session:
        app[_POOL], app[_MODEL] = pool, session
        yield


def application() -> web.Application:
    app = web.Application()
    app.router.add_get("/health/", _health)
    app.router.add_get("/ws/chat/{conversation}/", _chat)
    app.cleanup_ctx.append(_resources)
    return app


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A websocket relay that stores both messages.")
    parser.add_argument("--port", type=int, required=True)
    web.run_app(application(), host="127.0.0.1", port=parser.parse_args().port, access_log=None, print=None)
