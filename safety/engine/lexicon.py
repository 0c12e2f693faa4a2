"""The rules compiled, and what they find in a text: signals, each judged in its context."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Final

from safety.engine.matching import Matcher
from safety.engine.normalise import normalise
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

VERSION: Final = "rules-2026.11.1"
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


class Lexicon:
    """The rules of one side, compiled together."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules: Final = tuple(rules)
        owners = [(rule, pattern) for rule in self.rules for pattern in rule.patterns]
        self.owners: Final = tuple(rule for rule, _ in owners)  # the rule of each pattern
        self._patterns = [pattern for _, pattern in owners]
        self.matcher: Final = Matcher(self._patterns)

    @cached_property
    def automaton(self) -> Automaton:
        """The same patterns for a text that is still being written."""
        return Automaton(self._patterns)

    def detect(self, text: str) -> list[Signal]:
        """All signals of a text, strongest first. One per rule: the one that counts most."""
        folded = normalise(text)
        context = Context(folded.text)
        best: dict[str, Signal] = {}
        for number, start, end in self.matcher.scan(folded.text):
            rule = self.owners[number]
            if not _in_place(rule, folded.text, start, end):
                continue
            level, score, guard = judge(rule, context, start, end)
            signal = Signal(rule, level, score, guard, *folded.span(start, end))
            known = best.get(rule.id)
            if known is None or (signal.level, signal.score) > (known.level, known.score):
                best[rule.id] = signal
        return sorted(best.values(), key=lambda s: (-s.level, -s.score, s.rule.id))


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
    return Lexicon(rules_of(side))
