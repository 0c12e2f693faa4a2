"""The event parser puts lines together whatever way the network cut them."""

import pytest

from companion.llm.sse import MAX_LINE_BYTES, EventParser, NotEvents

STREAM = b"".join(
    [
        b": comment\r\nevent: message\r\n",
        'data: {"a": "安伴"}\r\n\r\n'.encode(),
        b'data:{"b":1}\n\nid: 7\nretry: 5\n\n',
        b"data: [DONE]\n\n",
    ]
)
PAYLOADS = ['{"a": "安伴"}'.encode(), b'{"b":1}', b"[DONE]"]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_every_way_to_cut_the_bytes_gives_the_same_payloads(size: int) -> None:
    parser = EventParser()
    found = [
        payload
        for start in range(0, len(STREAM), size)
        for payload in parser.feed(STREAM[start : start + size])
    ]
    assert found == PAYLOADS


def test_a_last_line_without_a_line_break_is_read_at_the_end() -> None:
    parser = EventParser()
    assert list(parser.feed(b"data: [DONE]")) == []
    assert list(parser.feed(b"")) == [b"[DONE]"]


@pytest.mark.parametrize("body", [b"<html>\n", b'{"error": "no"}\n', b"\x00\xff\xfe\n", b"data\n"])
def test_anything_but_events_is_refused(body: bytes) -> None:
    with pytest.raises(NotEvents):
        list(EventParser().feed(body))


def test_a_line_without_end_is_refused_while_it_grows() -> None:
    parser = EventParser()
    for _ in range(MAX_LINE_BYTES // 8192):
        assert list(parser.feed(b"x" * 8192)) == []
    with pytest.raises(NotEvents):
        list(parser.feed(b"x"))
