"""Help lines: who can be called, where, when, and when somebody last checked that it is true.

They are data, so that an operator can correct them without touching code: HELP_LINES_FILE names a file in the form of
data/help_lines.toml that takes its place. A wrong number is worse than none, therefore safety/checks.py warns about age.
"""

import datetime as dt
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.utils.translation import get_language

_FILE: Final = Path(__file__).parent / "data" / "help_lines.toml"
KINDS: Final = frozenset(
    {"crisis", "youth", "elder", "medical", "police", "fire", "fraud", "abuse", "rights"}
)


@dataclass(frozen=True, slots=True)
class HelpLine:
    """One line. `name`, `hours` and `note` speak the language that is active when they are read."""

    number: str  # as dialled; "" when there is no telephone
    text: str  # where to send a text message; "" when there is none
    country: str  # ISO 3166, "" is anywhere
    kinds: frozenset[str]
    last_verified: dt.date
    names: Mapping[str, str]
    opening: Mapping[str, str]
    notes: Mapping[str, str]

    @property
    def name(self) -> str:
        return _spoken(self.names)

    @property
    def hours(self) -> str:
        return _spoken(self.opening)

    @property
    def note(self) -> str:
        return _spoken(self.notes)


def help_lines(country: str, *, kind: str | None = None) -> list[HelpLine]:
    """The lines of a country in the order to show them; those for anywhere when the country has none."""
    lines = every_line()
    local = [line for line in lines if line.country == country and (kind is None or kind in line.kinds)]
    return local or [line for line in lines if not line.country and (kind is None or kind in line.kinds)]


def every_line() -> tuple[HelpLine, ...]:
    """All lines of all countries."""
    return _read(Path(settings.HELP_LINES_FILE or _FILE))


@cache
def _read(path: Path) -> tuple[HelpLine, ...]:
    with path.open("rb") as file:
        return tuple(_line(entry) for entry in tomllib.load(file)["line"])


def _line(entry: Mapping[str, Any]) -> HelpLine:
    kinds = frozenset(entry["kinds"])
    if unknown := kinds - KINDS:
        raise ValueError(f"help line {entry['name']['en']!r}: unknown kinds {sorted(unknown)}")
    return HelpLine(
        number=entry.get("number", ""),
        text=entry.get("text", ""),
        country=entry["country"],
        kinds=kinds,
        last_verified=entry["last_verified"],
        names=entry["name"],
        opening=entry["hours"],
        notes=entry["note"],
    )


def _spoken(texts: Mapping[str, str]) -> str:
    return texts["zh" if (get_language() or "en").startswith("zh") else "en"]
