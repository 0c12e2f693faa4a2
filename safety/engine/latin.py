"""Latin words put right: leet ("k1ll"), masked ("k*ll"), spelled ("d-i-e"), broken ("sui cide"), stretched, mistyped.

A word is only replaced by one that the lexicon knows, so that ordinary text, with its numbers and names, stays as it is.
"""

import itertools
import re
from collections.abc import Container, Iterable, Iterator
from typing import Final, NamedTuple

from safety.engine.normalise import fold

_LEET: Final = {
    "0": "o", "1": "il", "2": "z", "3": "e", "4": "a", "5": "s", "6": "gb", "7": "t", "8": "b", "9": "g",
    "@": "a", "$": "s", "!": "il", "|": "il", "+": "t", "€": "e", "£": "l", "(": "c", "<": "c", "#": "h", "¡": "i",
}  # fmt: skip
_SOUNDS: Final = {
    "1": "i",
    "!": "i",
    "|": "i",
    "2": "to",
    "4": "for",
    "u": "you",
    "r": "are",
}  # beside a word in leet
_GRAVE: Final = frozenset(
    [
        "die",
        "died",
        "dying",
        "dead",
        "kill",
        "killing",
        "killed",
        "suicide",
        "suicidal",
        "hurt",
        "hang",
        "kms",
        "myself",
    ]
)
_TOKEN: Final = re.compile(r"\S+")
_EDGES: Final = "\"'“”‘’.,;:?*_~()[]"
_SPELLED: Final = re.compile(r"[a-z](?:[^a-z0-9\s]{1,2}[a-z])+")
_DIVIDER: Final = re.compile(r"[._/|~,;:+=-]+")  # "i.want.to"
_MASK: Final = re.compile(r"[a-z]+[*#_•·%xX]+[a-z]*|[a-z]*[*#_•%]+[a-z]+")
_STRETCHED: Final = re.compile(r"([a-z])\1{2,}")
_MISTYPED: Final = ("suicide", "suicidal", "myself", "killing", "overdose", "worthless", "depressed")
_SHORT_MISTAKES: Final = frozenset(
    {"filling", "billing", "milling", "willing", "skilling", "chilling", "kissing"}
)
_MOST_VARIANTS: Final = 16
_LONGEST_WORD: Final = 64
_LETTERS_APART: Final = 3
_RUN: Final = 9  # letters of words run together
_LONGEST_KNOWN: Final = 10


class Repaired(NamedTuple):
    kind: str
    text: str
    offsets: tuple[int, ...]
    changed: frozenset[int]  # places in `text`


class _Token(NamedTuple):
    text: str  # small letters, without the punctuation around it
    start: int
    end: int


class Words:
    """The words that may be hidden."""

    def __init__(self, words: Iterable[str]) -> None:
        self._known: Final = frozenset(word for word in words if len(word) > 1)
        self._in_a_run: Final = self._known | {"i", "a"}
        self._by_length: dict[int, list[str]] = {}
        for word in sorted(self._known):
            self._by_length.setdefault(len(word), []).append(word)
        self._mistyped = {cut: word for word in _MISTYPED for cut in (word, *_without_one(word))}

    def repaired(self, text: str) -> Repaired | None:
        """The text with its hidden words put right; None when there are none."""
        small = text.lower() if text.isascii() else "".join(_small(char) for char in text)
        tokens = [token for token in map(_stripped, _TOKEN.finditer(small)) if token.text]
        found = list(self._found(tokens))
        if not found:
            return None
        kind = found[0][0]
        if any(kind == "leet" for kind, *_ in found):
            taken = {start for _, start, _, _ in found}
            for token in tokens:
                if token.start not in taken and (
                    word := _SOUNDS.get(token.text) or self._figures(token.text)
                ):
                    found.append(("leet", token.start, token.end, word))
        plain: list[str] = []
        offsets: list[int] = []
        changed: set[int] = set()
        at = 0
        for _, start, end, word in sorted(found, key=lambda each: each[1]):
            if start < at:
                continue
            plain += text[at:start]
            offsets += range(at, start)
            changed.update(range(len(plain), len(plain) + len(word)))
            plain += word
            offsets += [min(start + place, end - 1) for place in range(len(word))]
            at = end
        plain += text[at:]
        offsets += range(at, len(text))
        return Repaired(kind, "".join(plain), tuple(offsets), frozenset(changed))

    def _figures(self, token: str) -> str | None:
        """A word written without a letter ("70" for "to")."""
        if token.isalpha() or not all(char in _LEET for char in token):
            return None
        choices = itertools.islice(itertools.product(*(_LEET[char] for char in token)), _MOST_VARIANTS)
        return next((word for word in map("".join, choices) if word in self._known), None)

    def _found(self, tokens: list[_Token]) -> Iterator[tuple[str, int, int, str]]:
        """(kind, start, end, word) of every word that can be put right."""
        at = 0
        while at < len(tokens):
            token = tokens[at]
            if len(token.text) == 1 and token.text.isalpha():
                letters = list(itertools.takewhile(lambda each: len(each.text) == 1, tokens[at:]))
                if (word := self._spelled(letters)) is not None:
                    yield word
                at += len(letters)
                continue
            if (neighbours := self._joined(tokens, at)) is not None:
                yield (
                    "broken",
                    token.start,
                    tokens[at + neighbours - 1].end,
                    "".join(each.text for each in tokens[at : at + neighbours]),
                )
                at += neighbours
                continue
            if (
                token.text not in self._known
                and len(token.text) <= _LONGEST_WORD
                and (one := self._one(token.text))
            ):
                yield one[0], token.start, token.end, one[1]
            at += 1

    def _spelled(self, letters: list[_Token]) -> tuple[str, int, int, str] | None:
        joined = "".join(each.text for each in letters)
        if len(letters) < _LETTERS_APART or not joined.isalpha() or not self._inside(joined):
            return None
        return "spelled", letters[0].start, letters[-1].end, self._apart(joined) or joined

    def _joined(self, tokens: list[_Token], at: int) -> int | None:
        """How many neighbours make one known word together ("sui cide")."""
        word = tokens[at].text
        for count, token in enumerate(tokens[at + 1 : at + 3], 2):
            word += token.text
            if len(word) > 3 and word in self._known:
                parts = [part.text for part in tokens[at : at + count]]
                known = all(part in self._known for part in parts) and word not in _MISTYPED
                return None if known else count
        return None

    def _inside(self, letters: str) -> bool:
        return letters in self._known or any(
            letters[start:end] in self._known
            for start in range(len(letters))
            for end in range(start + 3, min(len(letters), start + 10) + 1)
        )

    def _one(self, token: str) -> tuple[str, str] | None:
        """(kind, word) for one token."""
        token = token.replace("'", "").replace("’", "")
        if token.isalpha():
            if len(token) >= _RUN and (words := self._apart(token)):
                return "broken", words
            if _STRETCHED.search(token):
                for times in (r"\1", r"\1\1"):
                    if (word := _STRETCHED.sub(times, token)) in self._known:
                        return "stretched", word
            return self._mistake(token)
        if not any("a" <= char <= "z" for char in token):
            return None
        if _SPELLED.fullmatch(token):
            letters = "".join(char for char in token if char.isalpha())
            return ("spelled", letters) if len(letters) > 2 and self._inside(letters) else None
        parts = _DIVIDER.split(token)
        if len(parts) > 2 and sum(1 for part in parts if part in self._known or len(part) == 1) * 2 > len(
            parts
        ):
            return "broken", " ".join(parts)
        apart = "".join(char for char in token if char.isalpha())
        if apart in self._known and len(apart) > 3 and not any(char.isdigit() for char in token):
            return "broken", apart
        choices = [_LEET.get(char, char) for char in token]
        for variant in itertools.islice(itertools.product(*choices), _MOST_VARIANTS):
            word = "".join(variant)
            if word in self._known:
                return "leet", word
            if _STRETCHED.search(word) and (once := _STRETCHED.sub(r"\1", word)) in self._known:
                return "leet", once
        if _MASK.fullmatch(token):
            return self._masked(token)
        return None

    def _apart(self, letters: str) -> str | None:
        """Words run together."""
        words = fewest(letters, self._in_a_run, longest=_LONGEST_KNOWN)
        return " ".join(words) if words and (len(words) > 2 or not _GRAVE.isdisjoint(words)) else None

    def _masked(self, token: str) -> tuple[str, str] | None:
        shape = re.compile("".join(char if "a" <= char <= "z" else "." for char in token))
        letters = sum(1 for char in token if "a" <= char <= "z")
        fits = [word for word in self._by_length.get(len(token), ()) if shape.fullmatch(word)]
        fits = [word for word in fits if word in _GRAVE] or (fits if len(token) > 3 else [])
        return ("masked", fits[0]) if letters > 1 and fits else None

    def _mistake(self, token: str) -> tuple[str, str] | None:
        if len(token) < 5 or token in _SHORT_MISTAKES:
            return None
        for cut in (token, *_without_one(token)):
            word = self._mistyped.get(cut)
            if word and word[0] == token[0] and word[-1] == token[-1] and abs(len(word) - len(token)) < 2:
                return "mistyped", word
        return None


def _small(char: str) -> str:
    folded = fold(char)
    return folded if len(folded) == 1 and char not in "*'`" else char


def _stripped(match: re.Match[str]) -> _Token:
    whole = match[0]
    left = whole.lstrip(_EDGES)
    inner = left.rstrip(_EDGES)
    if len(inner) > 1:
        inner = inner.rstrip("!") or "!"
    start = match.start() + len(whole) - len(left)
    return _Token(inner, start, start + len(inner))


def _without_one(word: str) -> list[str]:
    return [word[:at] + word[at + 1 :] for at in range(len(word))]


def fewest(letters: str, known: Container[str], *, longest: int) -> tuple[str, ...]:
    """The known parts, of at most so many letters, that fill the whole; as few as possible, none when they do not."""
    best: list[tuple[str, ...] | None] = [()]
    for end in range(1, len(letters) + 1):
        found: tuple[str, ...] | None = None
        for start in range(max(0, end - longest), end):
            before, part = best[start], letters[start:end]
            if before is not None and part in known and (found is None or len(before) + 1 < len(found)):
                found = (*before, part)
        best.append(found)
    return best[-1] or ()
