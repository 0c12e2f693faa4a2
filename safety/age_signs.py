"""Does somebody write like a person under 18 although their account says otherwise? Signs, and what they add up to.

Pure. The signs are data with a version (safety/data/age_signs.toml). One message never decides, nor one evening, nor one
kind of hint: several messages on several occasions have to add up, and what is long ago counts less.
docs/safety-policy.md explains it.
"""

import datetime as dt
import tomllib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from safety.engine.lexicon import Lexicon
from safety.engine.policy import DECISION
from safety.engine.rules import engine_guards, read_guards, read_rules

_DATA: Final = Path(__file__).parent / "data" / "age_signs.toml"
LEAST_MESSAGES: Final = 3
LEAST_OCCASIONS: Final = 2
LEAST_KINDS: Final = 2  # of hints; the trained part is none
MEANING: Final = "meaning"  # the sign of the trained part
_BY_MEANING: Final = "minor."  # beginning of its reason codes
_LONGEST: Final = (
    600  # characters of a message that are looked at; people say their age early or in few words
)


class SignSetError(ValueError):
    """The set contradicts its own promises."""


class Seen(NamedTuple):
    """A sign that is kept: which message, which sign, when."""

    message: uuid.UUID
    code: str
    at: dt.datetime


@dataclass(frozen=True)
class SignSet:
    version: str
    days: int
    half_life: int  # days
    rest: int  # days
    wanted: int  # points
    messages: int
    occasions: int
    apart: dt.timedelta
    alone: frozenset[str]  # signs that need no other kind beside them
    points: Mapping[str, int]
    lexicon: Lexicon

    @property
    def window(self) -> dt.timedelta:
        return dt.timedelta(days=self.days)


def found(text: str, reasons: Sequence[str] = ()) -> tuple[str, ...]:
    """The signs in one message; `reasons` are those of its verdict."""
    known = sign_set()
    signals = known.lexicon.detect(text[:_LONGEST])
    codes = {signal.rule.category for signal in signals if signal.score >= DECISION}
    if any(reason.startswith(_BY_MEANING) for reason in reasons):
        codes.add(MEANING)
    return tuple(sorted(codes))


def adds_up(seen: Iterable[Seen], now: dt.datetime) -> bool:
    """Enough messages, on enough occasions, worth enough by now. A message counts by its weightiest sign, once."""
    known = sign_set()
    kinds: set[str] = set()
    worth: dict[uuid.UUID, float] = {}
    times: dict[uuid.UUID, dt.datetime] = {}
    for sign in seen:
        if (age := now - sign.at) > known.window:
            continue
        faded = known.points.get(sign.code, 0) * 0.5 ** (age / dt.timedelta(days=known.half_life))
        worth[sign.message] = max(faded, worth.get(sign.message, 0.0))
        times[sign.message] = sign.at
        kinds.add(sign.code)
    if len(worth) < known.messages or sum(worth.values()) < known.wanted:
        return False
    if len(kinds - {MEANING}) < LEAST_KINDS and not kinds & known.alone:
        return False
    return _occasions(sorted(times.values()), known.apart) >= known.occasions


def _occasions(times: Sequence[dt.datetime], apart: dt.timedelta) -> int:
    return 1 + sum(later - earlier >= apart for earlier, later in pairwise(times))


@cache
def sign_set() -> SignSet:
    """The set this version carries."""
    return read(_DATA)


def read(path: Path) -> SignSet:
    """Raises SignSetError where a single message or a single occasion could decide, or a sign is worth nothing."""
    data: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    rules = read_rules(path, {**engine_guards(), **read_guards(data["guard"])})
    reached, points = data["reached"], data["points"]
    if reached["messages"] < LEAST_MESSAGES or reached["occasions"] < LEAST_OCCASIONS:
        raise SignSetError("one message or one occasion could decide")
    if max(points.values()) * (LEAST_MESSAGES - 1) >= reached["points"] * 2:
        raise SignSetError("one sign is worth nearly everything")
    if unknown := {rule.category for rule in rules} ^ (points.keys() - {MEANING}):
        raise SignSetError(f"signs without points, or points without a sign: {sorted(unknown)}")
    return SignSet(
        version=data["version"],
        lexicon=Lexicon(rules),
        wanted=reached["points"],
        messages=reached["messages"],
        occasions=reached["occasions"],
        apart=dt.timedelta(hours=reached["apart"]),
        alone=frozenset(reached["alone"]),
        points=points,
        **data["window"],
    )
