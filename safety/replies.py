"""Reviewed sentences: what a person reads when the companion does not answer, or when a reply was cut.

They are data with a version (data/replies.toml, and data/care.toml for a case) and not part of the translation catalogue,
so that each change is read by a second person in both languages and the shown wording can be named later.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

_DATA: Final = Path(__file__).parent / "data"
_FILES: Final = (_DATA / "replies.toml", _DATA / "care.toml")  # the version stands in the first
_RETIRED: Final = "withheld"  # shown for a code of an older version


def sentence(code: str, *, language: str) -> str:
    """The sentence of a code in "zh-hans" or "en"; any other language is answered in English.

    An unknown code gives a neutral line: stored conversations may name sentences that a later version retired.
    """
    texts = _sentences().get(code) or _sentences()[_RETIRED]
    return texts["zh" if language.lower().startswith("zh") else "en"]


def codes() -> frozenset[str]:
    """Every code there is."""
    return frozenset(_sentences())


def version() -> str:
    """The version of the wording, for the record of what was shown."""
    return str(_read()["version"])


@cache
def _read() -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for path in _FILES:
        with path.open("rb") as file:
            found |= tomllib.load(file)
    return found


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
