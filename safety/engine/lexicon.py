"""The rules compiled, and what they find in a text: signals, each judged in its context."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

from safety.engine import disguise
from safety.engine.disguise import Reading, readings
from safety.engine.matching import Matcher
from safety.engine.normalise import Folded, normalise
from safety.engine.patterns import CLAUSE_END, Automaton
from safety.engine.rules import AI_FILES, USER_FILES, Context, Rule, Side, rules_of

__all__ = [
    "AI_FILES",
    "USER_FILES",
    "VERSION",
    "Context",
    "Lexicon",
    "Rule",
    "Side",
    "Signal",
    "judge",
    "lexicon",
]

VERSION: Final = "rules-2026.11.7"
_AMBIGUOUS: Final = 0.45  # the most that an ambiguous reading is worth by itself
_DISTRESS: Final = frozenset({"crisis", "extreme_emotion", "abuse"})
_PLAIN_ONLY: Final = frozenset({"exit", "pii", "identity", "dependence"})  # said openly or not at all
_REVERSED: Final = 4  # shorter words, in a longer text, are words both ways
_PARTICLES: Final = frozenset("啊吧啦了哦喔呢哈呀嘛哟咯噢~～ ")
_FILLERS: Final = frozenset(" ,.!?;:。、;…~\n")
_LEAD: Final = re.compile(  # "okay then, …"
    r"^[\s,.!?。、~]*(?:(?:好的?|嗯+|哦+|那|行|可以|ok(?:ay)?|well|alright|so)[吧了啦]?[\s,.!?。、~]*)*"
)


@dataclass(frozen=True, slots=True)
class Signal:
    """A rule that matched, after its guards. `start` and `end` are places in the original text."""

    rule: Rule
    level: int
    score: float
    guard: str
    start: int
    end: int
    via: str = ""  # the reading that showed it (disguise.py); "" for the text as it stands


class Lexicon:
    """The rules of one side, compiled together."""

    def __init__(self, rules: Iterable[Rule], *, disguises: bool = False) -> None:
        self.rules: Final = tuple(rules)
        self._reads = disguises
        owners = [(rule, pattern) for rule in self.rules for pattern in rule.patterns]
        self.owners: Final = tuple(rule for rule, _ in owners)  # the rule of each pattern
        self._patterns = [pattern for _, pattern in owners]
        self.matcher: Final = Matcher(self._patterns)

    @cached_property
    def automaton(self) -> Automaton:
        """The same patterns for a text that is still being written."""
        return Automaton(self._patterns)

    def detect(self, text: str) -> list[Signal]:
        """All signals of a text, strongest first. One per rule: the one that counts most.

        What people write is also read as it may be meant (disguise.py). A sign that is only there in an ambiguous
        reading counts little, unless the text has a sign of distress without it.
        """
        folded = normalise(text)
        best: dict[str, Signal] = {}
        for rule, level, score, guard, start, end in self._found(folded.text):
            _keep(best, Signal(rule, level, score, guard, *folded.span(start, end)))
        second = any(signal.rule.task in _DISTRESS and signal.level for signal in best.values())
        for reading, rule, level, score, guard, start, end in self._disguised_in(text, folded):
            if not second and not reading.decides(start, end, grave=rule.level > 2):
                level, score = min(level, 1), min(score, _AMBIGUOUS)
            _keep(best, Signal(rule, level, score, guard, *reading.span(start, end), via=reading.kind))
        return sorted(best.values(), key=lambda s: (-s.level, -s.score, s.rule.id))

    def readings(self, text: str) -> list[Reading]:
        """The readings of a text (disguise.py) in which a rule finds something that the text as it stands does not have.

        None for ordinary text: these are the few that are worth a second opinion.
        """
        return list({id(found[0]): found[0] for found in self._disguised_in(text, normalise(text))}.values())

    def _disguised_in(
        self, text: str, folded: Folded
    ) -> Iterator[tuple[Reading, Rule, int, float, str, int, int]]:
        """(reading, rule, level, score, guard, start, end) of every match that only a reading shows."""
        for reading in readings(text, folded) if self._reads else ():
            for rule, level, score, guard, start, end in self._found(reading.text):
                if rule.task in _PLAIN_ONLY or not reading.touches(start, end):
                    continue
                if reading.kind != "reversed" or end - start >= min(_REVERSED, len(reading.text) / 2):
                    yield reading, rule, level, score, guard, start, end

    def _found(self, text: str) -> Iterator[tuple[Rule, int, float, str, int, int]]:
        """(rule, level, score, guard, start, end) of every match in folded text."""
        context = Context(text)
        for number, start, end in self.matcher.scan(text):
            rule = self.owners[number]
            if _in_place(rule, text, start, end):
                yield rule, *judge(rule, context, start, end), start, end


def _keep(best: dict[str, Signal], signal: Signal) -> None:
    known = best.get(signal.rule.id)
    if known is None or (signal.level, signal.score) > (known.level, known.score):
        best[signal.rule.id] = signal


def judge(rule: Rule, context: Context, start: int, end: int) -> tuple[int, float, str]:
    """What a match is worth in its context, and the guard that says so: the strictest one that holds decides."""
    held = [guard for guard in rule.guards if guard.holds(context, start, end)]
    if not held:
        return rule.level, rule.score, ""
    strictest = min(held, key=lambda guard: (guard.level, guard.score))
    return min(rule.level, strictest.level), min(rule.score, strictest.score), strictest.name


def _in_place(rule: Rule, text: str, start: int, end: int) -> bool:
    """Exit words count only when they are what is said, not when they are talked about."""
    if rule.longest and len(text) > rule.longest:
        return False
    if rule.place == "anywhere":
        return True
    while end < len(text) and text[end] in _PARTICLES:
        end += 1
    lead = _LEAD.match(text)
    begins = start <= (lead.end() if lead else 0)
    if rule.place == "whole":
        return begins and all(char in _FILLERS for char in text[end:])
    begins = begins or text[start - 1] in CLAUSE_END or text[start - 2 : start] in (". ", "! ", "? ", ", ")
    return begins and (end == len(text) or text[end] in CLAUSE_END)


@cache
def lexicon(side: Side) -> Lexicon:
    """The compiled rules of one side."""
    if side == "user":
        disguise.warm_up()
    return Lexicon(rules_of(side), disguises=side == "user")
