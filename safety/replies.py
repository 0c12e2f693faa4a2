"""Reviewed sentences: what a person reads when the companion does not answer, or when a reply was cut.

They are data with a version (data/replies.toml) and not part of the translation catalogue, so that each change is read by
a second person in both languages and the shown wording can be named later.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from safety.engine.policy import Verdict

_FILE: Final = Path(__file__).parent / "data" / "replies.toml"
_RETIRED: Final = "withheld"  # shown for a code of an older version
UNAVAILABLE: Final = "unavailable"
_GROUPS: Final = {"fraud": "fraud", "abuse": "abuse", "elder_health": "health"}  # the rest is about a life


def sentence(code: str, *, language: str) -> str:
    """The sentence of a code in "zh-hans" or "en"; any other language is answered in English.

    An unknown code gives a neutral line: stored conversations may name sentences that a later version retired.
    """
    texts = _sentences().get(code) or _sentences()[_RETIRED]
    return texts["zh" if language.lower().startswith("zh") else "en"]


def code_for(verdict: Verdict) -> str:
    """The sentence that stands in for the companion's reply after a verdict other than "answer" and "exit"."""
    task, _, rest = (verdict.reasons[0] if verdict.reasons else "").partition(".")
    category = rest.partition(".")[0]
    wanted = {
        "ask": ["ask.story"],
        "comfort": ["comfort.l1"],
        "help_card": [f"{_GROUPS.get(task, 'comfort')}.l{verdict.level}", "comfort.l2"],
        "hold": [f"{_GROUPS.get(task, 'crisis')}.l{verdict.level}", f"crisis.l{verdict.level}"],
        "refuse": [f"refuse.{category}", f"refuse.{task}"],
    }.get(verdict.action, [])
    if verdict.reasons == (UNAVAILABLE,):
        wanted = [UNAVAILABLE]
    return next((code for code in wanted if code in codes()), _RETIRED)


def unavailable() -> Verdict:
    """The verdict when the engine itself failed: fail closed, with the help card and a word about it."""
    return Verdict(2, "help_card", {}, (UNAVAILABLE,))


def codes() -> frozenset[str]:
    """Every code there is."""
    return frozenset(_sentences())


def version() -> str:
    """The version of the wording, for the record of what was shown."""
    return str(_read()["version"])


@cache
def _read() -> Mapping[str, Any]:
    with _FILE.open("rb") as file:
        return tomllib.load(file)


@cache
def _sentences() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for group, entry in _read().items():
        if not isinstance(entry, dict):
            continue
        if isinstance(entry.get("en"), str):
            found[group] = entry
        else:
            found |= {f"{group}.{name}": texts for name, texts in entry.items()}
    return found
