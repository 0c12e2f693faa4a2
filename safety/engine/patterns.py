"""Many patterns, one pass, and always knowing what might still become a match.

Python's `re` can neither run a thousand patterns at once nor say how much of an unfinished text may be shown already.
Both come from one automaton: the patterns are compiled together, states are built when they are first needed, and
every place where a match could have begun is followed by its own pointer. A place whose pointer has died can no longer
be part of any match. Each character costs one dictionary look-up per live place, usually none to three.

A pattern is a small regular expression, written in folded text (see normalise.py):
  literal characters · (a|b) · a? · a{1,3} · [abc] · \\d any digit · \\? a sign · . anything that does not end a clause
A blank matches one blank or none. A match never begins or ends inside a Latin word or a number.
Repetition is always bounded, so no pattern can hold a text back for ever. Whole texts are searched faster by the
Matcher (matching.py); `scan` is the measure it is held to.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from safety.engine.normalise import is_word

CLAUSE_END: Final = frozenset("\n,.!?;:。、;…")
_DIGITS: Final = "0123456789"
_MOST_TIMES: Final = 40
_OTHER: Final = "\x00"  # any character that no pattern names
_END: Final = "\x01"  # any clause end that no pattern names
_STATE_LIMIT: Final = 20_000  # states kept; an odd text cannot make the table grow without end


class PatternError(ValueError):
    """A pattern that cannot be read; the message says which and why."""


@dataclass(frozen=True, slots=True)
class One:
    """One character out of some."""

    chars: str
    single: bool = False  # written as itself, so that words that begin alike can share it


@dataclass(frozen=True, slots=True)
class Anything:
    """Any character that does not end a clause."""


@dataclass(frozen=True, slots=True)
class Blank:
    """A blank, or none."""


@dataclass(frozen=True, slots=True)
class Row:
    """One after the other."""

    parts: tuple["Part", ...]


@dataclass(frozen=True, slots=True)
class Either:
    """One of them."""

    choices: tuple["Part", ...]


@dataclass(frozen=True, slots=True)
class Times:
    """Again and again, at least `low` and at most `high` times."""

    part: "Part"
    low: int
    high: int


Part = One | Anything | Blank | Row | Either | Times


class _Parser:
    """Recursive descent over one pattern."""

    def __init__(self, pattern: str) -> None:
        self.pattern, self.at = pattern, 0

    def whole(self) -> Part:
        part = self._choice()
        if self.at != len(self.pattern):
            raise self._error(f"unexpected {self.pattern[self.at]!r}")
        return part

    def _error(self, what: str) -> PatternError:
        return PatternError(f"{self.pattern!r}: {what} at {self.at}")

    def _choice(self) -> Part:
        choices = [self._row()]
        while self.pattern.startswith("|", self.at):
            self.at += 1
            choices.append(self._row())
        return choices[0] if len(choices) == 1 else Either(tuple(choices))

    def _row(self) -> Part:
        parts: list[Part] = []
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            part = self._atom()
            low, high = self._times()
            parts.append(part if (low, high) == (1, 1) else Times(part, low, high))
        return parts[0] if len(parts) == 1 else Row(tuple(parts))

    def _times(self) -> tuple[int, int]:
        if self.pattern.startswith("?", self.at):
            self.at += 1
            return 0, 1
        if not self.pattern.startswith("{", self.at):
            return 1, 1
        end = self._closing("}", self.at)
        low, _, high = self.pattern[self.at + 1 : end - 1].partition(",")
        if not low.isdigit() or not high.isdigit() or int(high) > _MOST_TIMES:
            raise self._error(f"write {{low,high}} with high up to {_MOST_TIMES}")
        self.at = end
        return int(low), int(high)

    def _closing(self, bracket: str, start: int) -> int:
        end = self.pattern.find(bracket, start)
        if end < 0:
            raise self._error("a bracket is not closed")
        return end + 1

    def _atom(self) -> Part:
        char = self.pattern[self.at]
        if char in "?{}*+^$":
            raise self._error(f"{char!r} cannot stand")
        begin, self.at = self.at, self.at + 1
        if char == "(":
            inside = self._choice()
            if not self.pattern.startswith(")", self.at):
                raise self._error("a bracket is not closed")
            self.at += 1
            return inside
        if char == "[":
            self.at = self._closing("]", begin)
            return One(self.pattern[begin + 1 : self.at - 1])
        if char == "\\":
            escaped = self.pattern[self.at : self.at + 1]
            self.at += 1
            if not escaped or (escaped != "d" and escaped.isalnum()):
                raise self._error("only \\d is known")
            return One(_DIGITS if escaped == "d" else escaped)
        if char == ".":
            return Anything()
        return Blank() if char == " " else One(char, single=True)


def parse(pattern: str) -> Part:
    """A pattern as a tree; PatternError says what is wrong with it."""
    return _Parser(pattern).whole()


class _Node:
    """One position in the patterns: where each character leads, where any character leads, what is reached freely."""

    __slots__ = ("accepts", "anything", "edges", "free")

    def __init__(self) -> None:
        self.edges: dict[str, list[int]] = {}
        self.anything: list[int] = []
        self.free: list[int] = []
        self.accepts: list[int] = []


class _Builder:
    """Grows a shared table of positions, pattern by pattern.

    Words that begin alike share their positions, as long as those are reached by their characters alone.
    """

    def __init__(self, nodes: list[_Node]) -> None:
        self.nodes = nodes
        self._words: dict[tuple[int, str], int] = {}

    def add(self, part: Part, number: int) -> None:
        self.nodes[self._grow(part, 0)].accepts.append(number)

    def _new(self) -> int:
        self.nodes.append(_Node())
        return len(self.nodes) - 1

    def _grow(self, part: Part, here: int) -> int:
        """The position after `part` when it begins at `here`."""
        match part:
            case Row(parts):
                for each in parts:
                    here = self._grow(each, here)
                return here
            case Either(choices):
                end = self._new()
                for each in choices:
                    self.nodes[self._grow(each, here)].free.append(end)
                return end
            case Times(inner, low, high):
                for count in range(1, high + 1):
                    # Of its own: a way around it must not lead into a position that other patterns share.
                    following = self._new()
                    self.nodes[self._grow(inner, here)].free.append(following)
                    if count > low:
                        self.nodes[here].free.append(following)
                    here = following
                return here
            case Anything():
                end = self._new()
                self.nodes[here].anything.append(end)
                return end
            case Blank():
                end = self._reading(here, " ")
                self.nodes[here].free.append(end)
                return end
            case One(chars, single):
                if not single:
                    return self._reading(here, chars)
                if (here, chars) not in self._words:
                    self._words[here, chars] = self._reading(here, chars)
                return self._words[here, chars]

    def _reading(self, here: int, chars: str) -> int:
        end = self._new()
        for char in chars:
            self.nodes[here].edges.setdefault(char, []).append(end)
        return end


class State:
    """A set of positions reached together. `next` fills itself while texts are read."""

    __slots__ = ("accepts", "next", "nodes")

    def __init__(self, nodes: frozenset[int], accepts: tuple[int, ...]) -> None:
        self.nodes = nodes
        self.accepts = accepts
        self.next: dict[str, State | None] = {}


class Automaton:
    """Patterns compiled together. `patterns[i]` is reported as i."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._nodes: list[_Node] = [_Node()]
        builder = _Builder(self._nodes)
        for number, pattern in enumerate(patterns):
            builder.add(parse(pattern), number)
        named = {char for node in self._nodes for char in node.edges}
        self.symbols: Final = dict.fromkeys(CLAUSE_END, _END) | {char: char for char in named}
        self._states: dict[frozenset[int], State] = {}
        self.start: Final = self._state({0})
        if self.start.accepts:
            raise PatternError(f"{patterns[self.start.accepts[0]]!r} matches nothing at all")

    def step(self, state: State, symbol: str) -> State | None:
        """The state after one more symbol; None when nothing can match any more."""
        try:
            return state.next[symbol]
        except KeyError:
            pass
        within = symbol != _END and symbol not in CLAUSE_END
        reached: set[int] = set()
        for number in state.nodes:
            node = self._nodes[number]
            reached.update(node.edges.get(symbol, ()))
            if within:
                reached.update(node.anything)
        following = self._state(reached) if reached else None
        state.next[symbol] = following
        return following

    def _state(self, reached: set[int]) -> State:
        todo = list(reached)
        while todo:
            for other in self._nodes[todo.pop()].free:
                if other not in reached:
                    reached.add(other)
                    todo.append(other)
        # Positions that only lead on freely say nothing about the future: leaving them out merges equal states.
        nodes = frozenset(
            n for n in reached if (node := self._nodes[n]).edges or node.anything or node.accepts
        )
        state = self._states.get(nodes)
        if state is None:
            if len(self._states) > _STATE_LIMIT:
                self._forget()
            accepts = tuple(sorted({number for n in nodes for number in self._nodes[n].accepts}))
            state = self._states[nodes] = State(nodes, accepts)
        return state

    def _forget(self) -> None:
        """Drop the table; states in use stay alive with their readers and are built anew by others."""
        self._states.clear()
        self.start.next.clear()
        self._states[self.start.nodes] = self.start


class Scanner:
    """Reads a text character by character. `accepted` holds (pattern, start, end) of what matched so far.

    A match is reported when the next character, or `finish()`, shows that it does not end inside a word.
    """

    def __init__(self, automaton: Automaton) -> None:
        self._automaton = automaton
        self._live: list[tuple[int, State]] = []
        self._at = 0
        self._last = " "

    @property
    def earliest(self) -> int:
        """Where the earliest possible match begins; the length of the text when there is none."""
        return self._live[0][0] if self._live else self._at

    def read(self, char: str) -> list[tuple[int, int, int]]:
        """Take one character; the matches that are now known to be whole."""
        at, last = self._at, self._last
        found: list[tuple[int, int, int]] = []
        inside = is_word(last) and is_word(char)
        automaton = self._automaton
        symbol = automaton.symbols.get(char, _OTHER)
        live = []
        for start, state in self._live:
            if state.accepts and not inside:
                found += [(pattern, start, at) for pattern in state.accepts]
            following = automaton.step(state, symbol)
            if following is not None:
                live.append((start, following))
        if not inside:
            following = automaton.step(automaton.start, symbol)
            if following is not None:
                live.append((at, following))
        self._live = live
        self._last = char
        self._at = at + 1
        return found

    def finish(self) -> list[tuple[int, int, int]]:
        """The matches that end with the text."""
        found = [(pattern, start, self._at) for start, state in self._live for pattern in state.accepts]
        self._live = []
        return found


def scan(automaton: Automaton, text: str) -> Iterator[tuple[int, int, int]]:
    """Every (pattern, start, end) in a text, overlapping ones included."""
    scanner = Scanner(automaton)
    for char in text:
        yield from scanner.read(char)
    yield from scanner.finish()
