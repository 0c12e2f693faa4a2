"""Server-sent events from a model endpoint: bytes in, whole `data:` payloads out.

Lines are split as bytes, so a character or a line cut by the network is whole before it is decoded. Every
`data:` line is one payload: all OpenAI-compatible servers send it so, and it needs no blank line to end.
"""

from collections.abc import Iterator

MAX_LINE_BYTES = 256 * 1024

_OTHER_FIELDS = (b":", b"event:", b"id:", b"retry:")


class NotEvents(ValueError):
    """The bytes are no event stream, or one line is longer than anything a model sends."""


class EventParser:
    """Feed it what the socket gave, and b"" at the end; it keeps the unfinished last line."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop() if chunk else b""
        if len(self._rest) > MAX_LINE_BYTES:
            raise NotEvents("line too long")
        for line in lines:
            if payload := _payload(line):
                yield payload


def _payload(line: bytes) -> bytes:
    if line.startswith(b"data:"):
        if len(line) > MAX_LINE_BYTES:
            raise NotEvents("line too long")
        return line[5:].strip()
    line = line.strip()
    if line and not line.startswith(_OTHER_FIELDS):
        raise NotEvents("not an event stream")
    return b""
