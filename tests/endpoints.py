"""Endpoints whose answers a test decides: in a thread for a whole site, in the event loop for a client, or nobody at all.

Those in a thread are embeddings that mean what they are told to, and a judge.
"""

import asyncio
import base64
import json
import math
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from aiohttp import web

from safety.engine.heads import LANGUAGES, heads, language

CALM = 0.02


class Endpoint:
    """Answers POST requests with JSON. `stop` is how a server looks that is gone; `start` brings it back at its address."""

    def __init__(self, answer: Callable[[dict[str, Any]], Any]) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.arrived = threading.Event()
        self.gate = threading.Event()  # nobody is answered while it is clear
        self.gate.set()
        self._port = 0
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> "Endpoint":
        endpoint = self

        class Handler(BaseHTTPRequestHandler):  # of HTTP 1.0: a connection for each request
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.asked.append(body)
                endpoint.arrived.set()
                if not endpoint.gate.wait(30):
                    return
                answer = json.dumps(endpoint.answer(body)).encode()
                try:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except OSError:  # nobody waits any more
                    pass

            def log_message(self, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self._server is not None:
            self.gate.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def embeddings(meant: Mapping[str, Mapping[str, float]]) -> Endpoint:
    """Texts that contain a key mean what it says; all others are calm."""

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        rows = []
        for index, text in enumerate(body["input"]):
            scores = next((scores for key, scores in meant.items() if key in text), {})
            vector = base64.b64encode(vector_of(text, scores).tobytes()).decode()
            rows.append({"object": "embedding", "index": index, "embedding": vector})
        return {"object": "list", "data": rows}

    return Endpoint(answer)


def vector_of(text: str, scores: Mapping[str, float]) -> np.ndarray:
    """An embedding for which the heads of this version give these scores, and a calm one for every other task."""
    trained = heads()
    row = LANGUAGES.index(language(text))
    wished = np.array([scores.get(name, CALM) for name in trained.names])
    logits = np.array([math.log(score / (1 - score)) for score in wished])
    target = logits / trained.slopes[row] + trained.thresholds[row] - trained.biases
    return np.linalg.lstsq(trained.weights, target, rcond=None)[0].astype("<f4")


def judge(says: str) -> Endpoint:
    return Endpoint(lambda body: {"choices": [{"message": {"role": "assistant", "content": says}}]})


class Fake:
    """An endpoint in the event loop of the test. What it says may change from one request to the next."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.status = 200
        self.body: bytes | None = None  # instead of what it would say
        self.wait: asyncio.Event | None = None  # nobody is answered before
        self.arrived = asyncio.Event()
        self.left = asyncio.Event()  # somebody did not wait for the answer

    def reply(self, asked: dict[str, Any]) -> Any:
        """What is answered, as JSON."""
        raise NotImplementedError

    async def answer(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self.requests.append((dict(request.headers), asked))
        self.arrived.set()
        if self.wait is not None:
            try:
                await self.wait.wait()
            except asyncio.CancelledError:
                self.left.set()
                raise
        if self.status in (301, 307):
            return web.Response(status=self.status, headers={"Location": str(request.url)})
        body = json.dumps(self.reply(asked)).encode() if self.body is None else self.body
        return web.Response(status=self.status, body=body, content_type="application/json")

    @asynccontextmanager
    async def at(self, path: str) -> AsyncIterator[str]:
        """Answer there; the base URL."""
        app = web.Application()
        app.router.add_post(f"/v1{path}", self.answer)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        finally:
            await runner.cleanup()


@contextmanager
def nobody() -> Iterator[str]:
    """The base URL of an endpoint that is away: somebody holds the port and does not listen."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/v1"
