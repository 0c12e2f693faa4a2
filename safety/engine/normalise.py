"""One spelling for matching, with a way back to the original.

People hide words from filters (spaces, zero-width and full-width characters, traditional forms) and models do too, by
accident or because they were asked to. Folding happens character by character, so that a stream can be folded piece by
piece and every folded character remembers where it came from. The original text is never changed.

The fold: NFKD without marks, lower case, invisible characters dropped (zero-width, bidi, tag characters, variation
selectors, fillers), traditional to simplified, look-alike letters to Latin ones (unless the text is written in their
alphabet), apostrophes dropped, repeated punctuation reduced to one, and nothing between two Han characters when it is
only spacing or ornament ("自 杀", "自*杀", one character a line).
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from safety.engine.letters import FOREIGN, WITHIN, foreign, plain

DATA: Final = Path(__file__).parent / "data"

_ORNAMENT: Final = frozenset("-_.*·•~|/\\+^=#`'<>")
_JOINING: Final = frozenset("*^`'")  # between Latin letters these hide a word ("f*ck") rather than divide two
_APOSTROPHES: Final = frozenset("'`‘’ʼ´")
_SPELLED: Final = re.compile(  # one letter, a sign, one letter, the same sign …
    r"(?<![^\s.,!?])[A-Za-z]([^\S\n]|[.*·_~-])[A-Za-z](?:\1(?:['’]\1)?[A-Za-z])*(?![.*·_~-]?[^\s.,!?;:…\"')”’*_~-])"
)
_SPELLED_LETTERS: Final = 5  # fewer are initials


def is_han(char: str) -> bool:
    return "\u4e00" <= char <= "\u9fff" or "\u3400" <= char <= "\u4dbf" or char == "〇"


def is_word(char: str) -> bool:
    """A Latin letter or digit: the alphabet in which words have edges."""
    return "a" <= char <= "z" or "0" <= char <= "9"


@lru_cache(maxsize=16384)
def fold(char: str) -> str:
    """What one character looks like after folding: nothing, one character, or a few."""
    folded = []
    # Some symbols are named after the one letter that they show, and decompose to more than it: "(a)".
    whole = plain(char)
    for part in unicodedata.normalize("NFKD", char) if whole == char else whole:
        category = unicodedata.category(part)
        if part == "\n":
            folded.append(part)
        elif category[0] == "Z" or part == "\t":
            folded.append(" ")
        elif category[0] not in "MC" or category in ("Cn", "Co"):
            folded.append(plain(part))
    return "".join(folded).casefold()


class Folder:
    """Folds a stream. `text` grows as chunks come in; `offsets[i]` is where `text[i]` came from.

    What stands between two words is kept back until the next character says whether it matters.
    """

    def __init__(self) -> None:
        self.text: list[str] = []
        self.offsets: list[int] = []
        self.read = 0  # characters of the original taken in
        self._between: list[tuple[str, int]] = []
        self._alone = 0  # folded characters since the last separator
        self._foreign = False  # a letter of another alphabet was there: its look-alikes are what they are

    def feed(self, chunk: str) -> None:
        text, offsets, between = self.text, self.offsets, self._between
        for position, original in enumerate(chunk, self.read):
            for char in fold(original) if original < "\u0370" else self._latin(original):
                if char in _APOSTROPHES and text and is_word(text[-1]) and not between:
                    continue
                if char in _ORNAMENT or char in " \n":
                    between.append((char, position))
                    continue
                if between:
                    self._settle(char)
                if text and char == text[-1] and not char.isalnum() and char != "\ufffd":
                    continue
                text.append(char)
                offsets.append(position)
                self._alone += 1
        self.read += len(chunk)

    def _latin(self, original: str) -> str:
        """The fold of a character that may be a look-alike: a Latin letter in a Latin word, and until the text shows
        letters of the other alphabet that look like nothing else.
        """
        folded = fold(original)
        within = not self._between and bool(self.text) and is_word(self.text[-1])
        table = WITHIN if within else FOREIGN
        look = table.get(original) or table.get(folded)
        if look is None:
            self._foreign = self._foreign or foreign(folded[:1])
            return folded
        return look if within or not self._foreign else folded

    def _settle(self, coming: str) -> None:
        """Decide about what stood between the last character and the one that comes."""
        between = dict(reversed(self._between))  # each separator with its first place
        first = self._between[0]
        self._between.clear()
        alone, self._alone = self._alone, 0
        if not self.text:
            return
        last = self.text[-1]
        if is_han(last) and is_han(coming) and ("\n" not in between or alone == 1):
            return
        if is_word(last) and is_word(coming) and between.keys() <= _JOINING:
            return
        char = next((char for char in "\n. " if char in between), first[0])
        if is_word(last) and is_word(coming) and char not in "\n.":
            char = " "
        self.text.append(char)
        self.offsets.append(between.get(char, first[1]))


@dataclass(frozen=True, slots=True)
class Folded:
    """A whole text, folded. `span()` gives back the place in the original."""

    text: str
    offsets: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The half-open range of the original that became text[start:end]."""
        if start >= end:
            return (0, 0)
        return (self.offsets[start], self.offsets[end - 1] + 1)


def normalise(text: str) -> Folded:
    """Fold a whole text; words spelled letter by letter ("k i l l") are joined first."""
    folder = Folder()
    spelled = list(_SPELLED.finditer(text))
    if sum(match.end() - match.start() + 1 for match in spelled) < 2 * _SPELLED_LETTERS:
        folder.feed(text)
        return Folded("".join(folder.text), tuple(folder.offsets))
    dropped = {at for match in spelled for at in range(*match.span()) if not text[at].isalpha()}
    kept = [index for index in range(len(text)) if index not in dropped]
    folder.feed("".join(text[index] for index in kept))
    return Folded("".join(folder.text), tuple(kept[offset] for offset in folder.offsets))
