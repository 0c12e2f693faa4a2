"""Many patterns, one pass, and always knowing what might still become a match.

Python's `re` can neither run a thousand patterns at once nor say how much of an unfinished text may be shown already.
Both come from one automaton: the patterns are compiled together, states are built when they are first needed, and
every place where a match could have begun is followed by its own pointer. A place whose pointer has died can no longer
be part of any match. Each character costs one dictionary look-up per live place, usually none to three.

A pattern is a small regular expression, written in folded text (see normalise.py):
  literal characters · (a|b) · a? · a{1,3} · [abc] · \\d any digit · \\? a sign · . anything that does not end a clause
A blank matches one blank or none. A match never begins or ends inside a Latin word or a number.
Repetition is always bounded, so no pattern can hold a text back for ever.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from safety.engine.normalise import is_word

CLAUSE_END: Final = frozenset("\n,.!?;:。、;…")
_DIGITS: Final = "0123456789"
_OTHER: Final = "\x00"  # any character that no pattern names
_END: Final = "\x01"  # any clause end that no pattern names
_STATE_LIMIT: Final = 20_000  # states kept; an odd text cannot make the table grow without end


class PatternError(ValueError):
    """A pattern that cannot be read; the message says which and why."""


class _Node:
    """One position in the patterns: where each character leads, where any character leads, what is reached freely."""

    __slots__ = ("accepts", "anything", "edges", "free")

    def __init__(self) -> None:
        self.edges: dict[str, list[int]] = {}
        self.anything: list[int] = []
        self.free: list[int] = []
        self.accepts: list[int] = []


class _Builder:
    """Recursive descent over one pattern, growing a shared table of positions.

    Words that begin alike share their positions, as long as those are reached by their characters alone.
    """

    def __init__(self, nodes: list[_Node], words: dict[tuple[int, str], int]) -> None:
        self.nodes, self._words = nodes, words
        self.pattern, self.at = "", 0

    def add(self, pattern: str, number: int) -> None:
        self.pattern, self.at = pattern, 0
        end = self._choice(0)
        if self.at != len(pattern):
            raise self._error(f"unexpected {pattern[self.at]!r}")
        self.nodes[end].accepts.append(number)

    def _error(self, what: str) -> PatternError:
        return PatternError(f"{self.pattern!r}: {what} at {self.at}")

    def _new(self) -> int:
        self.nodes.append(_Node())
        return len(self.nodes) - 1

    def _choice(self, start: int) -> int:
        end = self._new()
        while True:
            self.nodes[self._sequence(start)].free.append(end)
            if self.pattern[self.at : self.at + 1] != "|":
                return end
            self.at += 1

    def _sequence(self, start: int) -> int:
        here = start
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            begin = self.at
            self._skip_atom()
            low, high = self._times()
            after = self.at
            plain = (low, high) == (1, 1)
            for count in range(1, high + 1):
                self.at = begin
                following = self._atom(here, shared=plain)
                if count > low:
                    self.nodes[here].free.append(following)
                here = following
            self.at = after
        return here

    def _skip_atom(self) -> None:
        """Move past one atom without building it, to see how often it is wanted."""
        char = self.pattern[self.at]
        if char == "\\":
            self.at += 2
        elif char == "[":
            self.at = self._closing("]", self.at)
        elif char == "(":
            depth = 1
            while depth:
                self.at += 1
                if self.at >= len(self.pattern):
                    raise self._error("a bracket is not closed")
                depth += {"(": 1, ")": -1}.get(self.pattern[self.at], 0)
            self.at += 1
        else:
            self.at += 1

    def _closing(self, bracket: str, start: int) -> int:
        end = self.pattern.find(bracket, start)
        if end < 0:
            raise self._error("a bracket is not closed")
        return end + 1

    def _times(self) -> tuple[int, int]:
        if self.pattern.startswith("?", self.at):
            self.at += 1
            return 0, 1
        if not self.pattern.startswith("{", self.at):
            return 1, 1
        end = self._closing("}", self.at)
        low, _, high = self.pattern[self.at + 1 : end - 1].partition(",")
        if not low.isdigit() or not high.isdigit() or int(high) > 40:
            raise self._error("write {low,high} with high up to 40")
        self.at = end
        return int(low), int(high)

    def _atom(self, here: int, *, shared: bool) -> int:
        char = self.pattern[self.at]
        if char in "?{}*+^$":
            raise self._error(f"{char!r} cannot stand")
        if char == "(":
            self.at += 1
            end = self._choice(here)
            self.at += 1
            return end
        begin = self.at
        self._skip_atom()
        if char == "[":
            return self._reading(here, self.pattern[begin + 1 : self.at - 1])
        if char == "\\":
            escaped = self.pattern[begin + 1 : self.at]
            if not escaped or (escaped != "d" and escaped.isalnum()):
                raise self._error("only \\d is known")
            return self._reading(here, _DIGITS if escaped == "d" else escaped)
        if char == ".":
            end = self._new()
            self.nodes[here].anything.append(end)
            return end
        if char == " ":
            end = self._reading(here, " ")
            self.nodes[here].free.append(end)
            return end
        if not shared:
            return self._reading(here, char)
        if (here, char) not in self._words:
            self._words[here, char] = self._reading(here, char)
        return self._words[here, char]

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
        builder = _Builder(self._nodes, {})
        for number, pattern in enumerate(patterns):
            builder.add(pattern, number)
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
