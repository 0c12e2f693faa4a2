"""Every match of many patterns in a whole text, at a cost that does not depend on what was read before.

Each pattern gets a set of literal strings of which every one of its matches must contain one. An Aho-Corasick automaton
finds those in one pass; only the few patterns whose strings are there are then tried as regular expressions, and only
around them. The result is what the streaming Scanner finds (patterns.py), match for match; a test holds them together.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import ahocorasick_rs

from safety.engine.normalise import is_word
from safety.engine.patterns import (
    CLAUSE_END,
    Anything,
    Blank,
    Either,
    One,
    Part,
    PatternError,
    Row,
    Times,
    parse,
)

_MOST_STRINGS: Final = 100  # alternatives that are written out; more, and each part is looked at alone
_EDGE: Final = "(?:(?<![a-z0-9])|(?![a-z0-9]))"  # not inside a Latin word
_NOT_END: Final = "[^" + re.escape("".join(sorted(CLAUSE_END))) + "]"


class Matcher:
    """Patterns compiled together. `patterns[i]` is reported as i."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns: list[tuple[re.Pattern[str], int]] = []
        owners: dict[str, list[int]] = {}
        for number, pattern in enumerate(patterns):
            part = parse(pattern)
            strings = _required(part)
            if strings is None:
                raise PatternError(f"{pattern!r} needs a few letters that always stand in it")
            for string in strings:
                owners.setdefault(string, []).append(number)
            self._patterns.append((re.compile(f"{_EDGE}(?:{_expression(part)}){_EDGE}"), _longest(part)))
        self._owners = list(owners.values())
        self._strings = ahocorasick_rs.AhoCorasick(list(owners)) if owners else None

    def scan(self, text: str) -> Iterator[tuple[int, int, int]]:
        """Every (pattern, start, end) in a text, overlapping ones included."""
        if self._strings is None:
            return
        dense = text.replace(" ", "")  # a blank may be missing, so the strings are looked for without any
        places: dict[int, tuple[int, int]] = {}
        for string, start, end in self._strings.find_matches_as_indexes(dense, overlapping=True):
            for number in self._owners[string]:
                first, _ = places.get(number, (start, end))
                places[number] = (min(first, start), end)
        if not places:
            return
        blanks = len(text) - len(dense)
        for number, (first, last) in places.items():
            pattern, longest = self._patterns[number]
            # With `blanks` of them left out, a place in `dense` is at most that much further on in the text.
            begin, limit = max(0, first - longest), min(len(text), last + blanks + longest)
            while found := pattern.search(text, begin, limit):
                begin = found.start()
                for end in range(begin + 1, min(begin + longest, len(text)) + 1):
                    inside = end < len(text) and is_word(text[end - 1]) and is_word(text[end])
                    if not inside and pattern.fullmatch(text, begin, end):
                        yield number, begin, end
                begin += 1


def stretches(part: Part) -> Iterator[frozenset[str]]:
    """The literal strings of a pattern: all four of "(好|真)想死了?", and two of "想.{0,4}死"."""
    strings = _strings(part).all
    if strings is not None:
        yield strings
        return
    match part:
        case Either(choices):
            for choice in choices:
                yield from stretches(choice)
        case Times(inner):
            yield from stretches(inner)
        case Row(parts):
            joined: frozenset[str] = frozenset([""])
            for each in parts:
                longer = _joined([joined, _strings(each).all])
                if longer is None:
                    yield joined
                    yield from stretches(each)
                joined = longer or _strings(each).all or frozenset([""])
            yield joined


class _Strings(NamedTuple):
    all: frozenset[str] | None  # every text that the part matches, without blanks; None: too many
    some: frozenset[str] | None  # strings of which each match contains one; None: there are none

    @property
    def best(self) -> frozenset[str] | None:
        return min((s for s in (self.all, self.some) if s and "" not in s), key=_expected, default=None)


def _expected(strings: frozenset[str]) -> float:
    """How often one of the strings would stand at a place of an ordinary text."""
    return sum(12.0 ** -sum(1.0 if is_word(char) else 2.2 for char in string) for string in strings)


def _required(part: Part) -> frozenset[str] | None:
    strings = _strings(part).best
    return strings and frozenset(
        s for s in strings if not any(s[:end] in strings for end in range(1, len(s)))
    )


@lru_cache(maxsize=4096)  # words and their lists come again in many patterns
def _strings(part: Part) -> _Strings:
    match part:
        case One(chars):
            return _Strings(frozenset(chars), None)
        case Blank():
            return _Strings(frozenset([""]), None)
        case Anything():
            return _Strings(None, None)
        case Either(choices):
            each = [_strings(choice) for choice in choices]
            best = [choice.best for choice in each]
            some = None if None in best else frozenset().union(*(strings for strings in best if strings))
            return _Strings(_few([choice.all for choice in each]), some)
        case Times(inner, low, high):
            once = _strings(inner)
            every = _few([_joined([once.all] * count) for count in range(low, high + 1)])
            return _Strings(every, once.best if low else None)
        case Row(parts):
            return _row([_strings(each) for each in parts])


def _row(parts: list[_Strings]) -> _Strings:
    """Neighbours are joined while they stay few; the best stretch is what the row requires."""
    stretches: list[frozenset[str]] = []
    joined: frozenset[str] = frozenset([""])
    for part in parts:
        longer = _joined([joined, part.all])
        if longer is None:
            stretches.append(joined)
            if part.some:
                stretches.append(part.some)
            longer = part.all or frozenset([""])
        joined = longer
    whole = joined if not stretches else None
    stretches.append(joined)
    return _Strings(whole, min((s for s in stretches if "" not in s), key=_expected, default=None))


def _joined(sets: Sequence[frozenset[str] | None]) -> frozenset[str] | None:
    result = frozenset([""])
    for strings in sets:
        if strings is None or len(result) * len(strings) > _MOST_STRINGS:
            return None
        result = frozenset(left + right for left in result for right in strings)
    return result


def _few(sets: Sequence[frozenset[str] | None]) -> frozenset[str] | None:
    union: set[str] = set()
    for strings in sets:
        if strings is None or len(union) + len(strings) > _MOST_STRINGS:
            return None
        union |= strings
    return frozenset(union)


def _expression(part: Part) -> str:
    """The part as a regular expression."""
    match part:
        case One(chars):
            escaped = "".join(re.escape(char) for char in chars)
            return escaped if len(chars) == 1 else f"[{escaped}]"
        case Blank():
            return " ?"
        case Anything():
            return _NOT_END
        case Either(choices):
            return "(?:" + "|".join(_expression(choice) for choice in choices) + ")"
        case Times(inner, low, high):
            return f"(?:{_expression(inner)}){{{low},{high}}}"
        case Row(parts):
            return "".join(_expression(each) for each in parts)


def _longest(part: Part) -> int:
    """How many characters a match can have."""
    match part:
        case One() | Blank() | Anything():
            return 1
        case Either(choices):
            return max(_longest(choice) for choice in choices)
        case Times(inner, _, high):
            return high * _longest(inner)
        case Row(parts):
            return sum(_longest(each) for each in parts)
