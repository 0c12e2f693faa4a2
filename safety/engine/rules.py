"""The rules as data: curated, versioned patterns per task, with the contexts in which they do not count.

The files in data/ are read once. A rule's id names its task and category ("crisis.explicit.wish_to_die"). A guard such as
"figurative" or "news" lowers what a match is worth; it never raises it.
What rules cannot do is written in docs/safety-policy.md: they know words, not meanings.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from safety.engine.normalise import DATA, fold
from safety.engine.patterns import PatternError

Side = Literal["user", "ai"]
Place = Literal["anywhere", "clause", "whole"]

USER_FILES: Final = (
    "crisis",
    "distress",
    "danger",
    "exit",
    "harm",
    "jailbreak",
    "roleplay",
    "fraud",
    "secrets",
    "dependence",
)
AI_FILES: Final = ("reply",)
_CONTEXT: Final = 28  # characters of context that a guard sees on each side
_MACRO: Final = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Guard:
    """A context that lowers a match: patterns looked for before it, after it, or in the whole message."""

    name: str
    level: int  # the match counts for no more than this level …
    score: float  # … and this score
    before: re.Pattern[str] | None
    after: re.Pattern[str] | None
    message: re.Pattern[str] | None
    unless: re.Pattern[str] | None

    def holds(self, context: "Context", start: int, end: int) -> bool:
        text = context.text
        if context.mentions(self.unless):
            return False
        if self.before is not None and self.before.search(text[max(0, start - _CONTEXT) : start]):
            return True
        if self.after is not None and self.after.match(text[end : end + _CONTEXT]):
            return True
        return context.mentions(self.message)


class Context:
    """A message as guards see it. Looks at the whole message once per pattern, however many matches it has."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._mentions: dict[re.Pattern[str], bool] = {}

    def mentions(self, pattern: re.Pattern[str] | None) -> bool:
        if pattern is None:
            return False
        if pattern not in self._mentions:
            self._mentions[pattern] = pattern.search(self.text) is not None
        return self._mentions[pattern]


@dataclass(frozen=True, slots=True)
class Rule:
    """One family of phrases."""

    id: str
    level: int
    score: float
    guards: tuple[Guard, ...]
    place: Place
    longest: int  # messages longer than this cannot match; 0 is no limit
    bands: frozenset[str]  # empty: for everybody
    unless_relationship: frozenset[str]
    leaving: bool  # only when the person was leaving
    patterns: tuple[str, ...]

    @property
    def task(self) -> str:
        return self.id.partition(".")[0]

    @property
    def category(self) -> str:
        return self.id.split(".")[1]

    def applies(self, *, age_band: str, relationship: str = "", leaving: bool = False) -> bool:
        """Whether the rule is meant for this person and companion."""
        if self.bands and age_band not in self.bands:
            return False
        if relationship in self.unless_relationship:
            return False
        return leaving or not self.leaving


@cache
def rules_of(side: Side) -> tuple[Rule, ...]:
    """The rules for what people write ("user") or for what the companion is about to say ("ai")."""
    guards = engine_guards()
    names = USER_FILES if side == "user" else AI_FILES
    return tuple(rule for name in names for rule in read_rules(DATA / f"{name}.toml", guards))


def read_rules(path: Path, guards: Mapping[str, Guard]) -> list[Rule]:
    """The rules of one file. A mistake in it is an error that names the rule."""
    with path.open("rb") as file:
        data = tomllib.load(file)
    words = data.get("words", {})
    return [_rule(entry, words, guards) for entry in data["rule"]]


def _rule(entry: dict[str, Any], words: Mapping[str, str], guards: Mapping[str, Guard]) -> Rule:
    patterns = tuple(_expand(pattern, words) for pattern in (*entry.get("zh", ()), *entry.get("en", ())))
    for pattern in patterns:
        if wrong := [char for char in pattern if fold(char) != char]:
            raise PatternError(f"{entry['id']}: write {pattern!r} in folded form ({''.join(wrong)!r} is not)")
    return Rule(
        id=entry["id"],
        level=entry["level"],
        score=entry["score"],
        guards=tuple(guards[name] for name in entry.get("guards", ())),
        place=entry.get("place", "anywhere"),
        longest=entry.get("longest", 0),
        bands=frozenset(entry.get("bands", ())),
        unless_relationship=frozenset(entry.get("unless_relationship", ())),
        leaving=entry.get("leaving", False),
        patterns=patterns,
    )


def _expand(pattern: str, words: Mapping[str, str]) -> str:
    while _MACRO.search(pattern):
        pattern = _MACRO.sub(lambda match: f"({words[match[1]]})", pattern)
    return pattern


@cache
def engine_guards() -> Mapping[str, Guard]:
    """The contexts that rules for messages and replies name."""
    return read_guards(tomllib.loads((DATA / "guards.toml").read_text(encoding="utf-8")))


def read_guards(data: Mapping[str, Mapping[str, Any]]) -> dict[str, Guard]:
    return {
        name: Guard(
            name,
            entry["level"],
            entry["score"],
            *(_any_of(entry.get(k)) for k in ("before", "after", "message", "unless")),
        )
        for name, entry in data.items()
    }


def _any_of(patterns: list[str] | None) -> re.Pattern[str] | None:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else None
