"""Reviewed replies for humans of the team: a beginning that is safe to send, with blanks that are filled in and seen first.

Data with a version (data/canned.toml), like the sentences of safety/replies.py.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

_FILE: Final = Path(__file__).parent / "data" / "canned.toml"
_BLANK: Final = re.compile(r"\{[a-z_]+\}")
PHASES: Final = ("opening", "ask", "listen", "plan", "help", "contact", "closing")


@dataclass(frozen=True)
class Canned:
    """One reply in one language."""

    code: str
    phase: str
    text: str


def replies(language: str, *, category: str = "", age: str = "") -> Sequence[Canned]:
    """Those that fit a case, in the order of a conversation. `language` is "zh-hans" or "en" (any other: English);
    `age` is minor, adult or elder; empty fits all."""
    key = "zh" if language.lower().startswith("zh") else "en"
    fitting = [
        Canned(entry["code"], entry["phase"], entry[key])
        for entry in _read()["reply"]
        if _fits(entry["categories"], category) and _fits(entry.get("ages", ()), age)
    ]
    return sorted(fitting, key=lambda one: PHASES.index(one.phase))


def unfilled(text: str) -> Sequence[str]:
    """Blanks that are still in a text."""
    return tuple(dict.fromkeys(_BLANK.findall(text)))


def version() -> str:
    return str(_read()["version"])


def _fits(listed: Sequence[str], wanted: str) -> bool:
    return not listed or not wanted or wanted in listed


@cache
def _read() -> Mapping[str, Any]:
    with _FILE.open("rb") as file:
        return tomllib.load(file)
