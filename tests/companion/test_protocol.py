"""docs/protocol.md and the code say the same."""

import re
import typing
from pathlib import Path

from companion import events, sentences
from companion.consumers import ChatConsumer

DOCUMENT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()


def _rows(heading: str) -> dict[str, str]:
    section = DOCUMENT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = {m[1]: m[2] for m in re.finditer(r"^\| `([a-z._]+)` \|(.*)\|$", section, re.MULTILINE)}
    return {kind: rest for kind, rest in rows.items() if kind not in ("type", "kind")}  # without the heads


def test_every_frame_of_the_server_is_documented_with_its_fields():
    rows = _rows("Server to client")
    frames = {}
    for frame in events.FRAMES:
        hints = typing.get_type_hints(frame, include_extras=False)
        (kind,) = typing.get_args(hints.pop("kind"))
        frames[kind] = set(hints)
    assert set(rows) == set(frames)
    for kind, fields in frames.items():
        for field in fields:
            assert f"`{field}`" in rows[kind], f"{kind}: {field} is not documented"


def test_every_frame_of_the_client_is_documented():
    assert set(_rows("Client to server")) == set(ChatConsumer._handlers.fget(ChatConsumer))


def test_every_code_is_documented():
    for code in sentences.CODES:
        assert f"`{code}`" in DOCUMENT


def test_every_close_code_is_documented():
    source = (Path(events.__file__).parent / "consumers.py").read_text()
    codes = set(re.findall(r"\b4[0-9]{3}\b", source))
    assert codes
    for code in codes:
        assert re.search(rf"^\| {code} \|", DOCUMENT, re.MULTILINE)


def test_an_ai_message_never_leaves_without_its_label():
    assert "ai_generated" in typing.get_type_hints(events.MessageFrame)
    for frame in (events.ReplyDelta, events.ReplySnapshot):
        assert typing.get_args(typing.get_type_hints(frame)["ai_generated"]) == (True,)
