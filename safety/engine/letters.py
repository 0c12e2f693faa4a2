"""Which letters stand for which: tables of Unicode and OpenCC, cut down to what matching needs (about 5,000 entries).

Look-alikes are Unicode's own confusables (UTS 39, package confusable_homoglyphs). Traditional forms are OpenCC's character
table (package opencc-python-reimplemented), and a few pronouns and variants that OpenCC leaves to the context.
"""

import json
import re
import unicodedata
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_VARIANTS: Final = "姪侄 帳账 著着 祂他 妳你 牠它 覆覆"
_INVISIBLE: Final = frozenset("\u115f\u1160\u3164\uffa0")  # letters by category, nothing to the eye
_BLANK: Final = "\u2800"  # a Braille cell without a dot
_NAMED: Final = re.compile(
    r"(?:LATIN (?:SMALL|CAPITAL) LETTER|LATIN LETTER SMALL CAPITAL|MODIFIER LETTER CAPITAL"
    r"|NEGATIVE (?:SQUARED|CIRCLED) LATIN CAPITAL LETTER|PARENTHESIZED LATIN (?:SMALL|CAPITAL) LETTER"
    r"|REGIONAL INDICATOR SYMBOL LETTER) ([A-Z])(?: WITH .*)?"
)


def package_file(package: str, *parts: str) -> Path:
    """A data file of an installed package, without importing the package (and all that it loads)."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(package)
    return Path(spec.origin).parent.joinpath(*parts)


def _read_traditional() -> dict[str, str]:
    forms: dict[str, str] = {}
    for line in package_file("opencc", "dictionary", "TSCharacters.txt").read_text("utf-8").splitlines():
        char, _, simple = line.partition("\t")
        others = [form for form in simple.split() if form != char]
        if others:
            forms[char] = others[0]
    return forms | {pair[0]: pair[1] for pair in _VARIANTS.split()}


def _read_look_alikes() -> tuple[dict[str, str], dict[str, str]]:
    """Letters that look like a to z: those of other scripts, and Latin ones."""
    table = json.loads(package_file("confusable_homoglyphs", "confusables.json").read_text("utf-8"))
    foreign: dict[str, str] = {}
    latin: dict[str, str] = {}
    for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ":
        for entry in table.get(letter, ()):
            char = entry["c"]
            if len(char) != 1 or unicodedata.category(char)[0] != "L":
                continue
            if unicodedata.normalize("NFKD", char).isascii():
                continue  # itself, or a letter that folding knows better
            found = latin if unicodedata.name(char, "").startswith("LATIN ") else foreign
            found.setdefault(char, letter.lower())
    # A capital I looks like l, but is read as i where a word is hidden.
    return foreign | {"\u0406": "i", "\u0399": "i", "\u04c0": "i", "\u0493": "f"}, latin


SIMPLIFIED: Final = _read_traditional()
FOREIGN, _LATIN = _read_look_alikes()
# After a Latin letter.
WITHIN: Final = FOREIGN | dict(zip("\u043a\u043c\u0442\u03ba\u03c4", "kmtkt", strict=True))
_ALPHABETS: Final = frozenset(unicodedata.name(char).split()[0] for char in FOREIGN) - {"MATHEMATICAL"}


@cache
def foreign(char: str) -> bool:
    """Whether a letter belongs to an alphabet that has look-alikes of Latin letters, without being one."""
    return (
        char not in FOREIGN and char.isalpha() and unicodedata.name(char, " ").partition(" ")[0] in _ALPHABETS
    )


def plain(char: str) -> str:
    """What a letter without a decomposition of its own is read as: itself, a Latin letter, a blank or nothing."""
    if char in _INVISIBLE:
        return ""
    if char == _BLANK:
        return " "
    if char.isascii() or char in SIMPLIFIED:
        return SIMPLIFIED.get(char, char)
    if found := _NAMED.fullmatch(unicodedata.name(char, "")):
        return found[1].lower()
    return _LATIN.get(char, char)
