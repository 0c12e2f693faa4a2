"""The model of the benchmark: an OpenAI-compatible server that streams stamped tokens at a fixed pace.

A bare asyncio protocol, because at fifty conversations it writes ten thousand tokens a second on the core that it shares
with the client: python -m benchmarks.stub --port 9009
"""

import argparse
import asyncio
import json
import re
from typing import cast

from benchmarks import stamps

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_USAGE = {"prompt_tokens": 500, "completion_tokens": stamps.TOKENS, "total_tokens": 500 + stamps.TOKENS}


class Model(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    def __init__(self) -> None:
        self._received = b""
        self._next: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self._next is not None:
            self._next.cancel()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if separator and len(body) >= (int(length[1]) if length else 0):
            self._received = b""
            if head.startswith(b"POST"):
                self._transport.write(_STREAM)
                self._speak(0, stamps.arrival(stamps.now()), self._loop.time())
            else:
                self._list_models()

    def _list_models(self) -> None:
        """What a program asks to see whether the model is there."""
        body = json.dumps({"object": "list", "data": [{"id": "stub", "object": "model"}]}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)

    def _speak(self, number: int, before: str, began: float) -> None:
        """Write one token and plan the next by the clock of the whole reply, so that delays do not add up."""
        self._transport.write(_event({"content": before + stamps.token(number, stamps.now())}))
        number += 1
        if number < stamps.TOKENS:
            due = began + number * stamps.GAP
            self._next = self._loop.call_at(due, self._speak, number, "", began)
        else:
            end = _event({}, finish="stop") + _chunk({"choices": [], "usage": _USAGE})
            self._transport.write(end + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    return _chunk({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _chunk(event: dict[str, object]) -> bytes:
    return _framed(b"data: " + json.dumps(event).encode() + b"\n\n")


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Model, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A stub model that streams stamped tokens.")
    parser.add_argument("--port", type=int, required=True)
    asyncio.run(serve(parser.parse_args().port))
