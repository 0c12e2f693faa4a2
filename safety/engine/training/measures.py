"""What was found against what should have been found: shares with their intervals, F1, accuracy.

All of them count rows of the test part (rows.py); 0.5 is the decision.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from safety.engine.policy import DECISION, Verdict
from safety.engine.training.rows import USER_TASKS, Row

_Z: Final = 1.959964  # of a two-sided 95 % interval


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927), without continuity correction: honest for small numbers too."""
    if not of:
        return 0.0, 1.0
    share, square = hits / of, _Z * _Z / of
    middle = share + square / 2
    width = _Z * math.sqrt(share * (1 - share) / of + square / of / 4)
    # At the ends the formula gives exactly 0 or 1; floating point should not say otherwise.
    low = 0.0 if hits == 0 else (middle - width) / (1 + square)
    high = 1.0 if hits == of else (middle + width) / (1 + square)
    return low, high


@dataclass(frozen=True, slots=True)
class Share:
    hits: int
    of: int

    @property
    def value(self) -> float:
        return self.hits / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.hits, self.of)

    def __str__(self) -> str:
        """For a table: "94 % (80–98), 30 of 32"."""
        if not self.of:
            return "–"
        low, high = self.interval
        return f"{percent(self.value)} % ({percent(low)}–{percent(high)}), {self.hits} of {self.of}"

    @property
    def short(self) -> str:
        return f"{percent(self.value)} %" if self.of else "–"


def percent(share: float) -> str:
    """Whole percents, with a decimal where a whole one would hide a miss or a false alarm."""
    value = 100 * share
    return f"{value:.1f}" if 0 < value < 10 or 99 < value < 100 else f"{value:.0f}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was made of a row: by the whole engine, by its rules alone, and by a plain list of words."""

    row: Row
    whole: Verdict
    rules: Verdict
    listed: bool

    def positive(self) -> bool:
        return self.row.positive is True

    def negative(self) -> bool:
        return self.row.positive is False


System = Callable[[Outcome], bool]


def by_engine(outcome: Outcome) -> bool:
    return said_yes(outcome.whole, outcome.row.task)


def by_rules(outcome: Outcome) -> bool:
    return said_yes(outcome.rules, outcome.row.task)


def by_list(outcome: Outcome) -> bool:
    return outcome.listed


def said_yes(verdict: Verdict, task: str) -> bool:
    """Whether the decision on a task is yes. On harmless lines (over_refusal): whether anything at all was decided."""
    if task == "over_refusal":
        return verdict.action != "answer" or any(
            verdict.scores.get(one, 0.0) >= DECISION for one in USER_TASKS
        )
    return verdict.scores.get(task, 0.0) >= DECISION


def share(outcomes: Iterable[Outcome], system: System) -> Share:
    answers = [system(outcome) for outcome in outcomes]
    return Share(sum(answers), len(answers))


def recall(outcomes: Iterable[Outcome], system: System = by_engine) -> Share:
    """Of the rows that should be found, those that were."""
    return share(filter(Outcome.positive, outcomes), system)


def flagged(outcomes: Iterable[Outcome], system: System = by_engine) -> Share:
    """Of the rows that should be left alone, those that were not."""
    return share(filter(Outcome.negative, outcomes), system)


def accuracy(outcomes: Sequence[Outcome], system: System = by_engine) -> Share:
    found, false = recall(outcomes, system), flagged(outcomes, system)
    return Share(found.hits + false.of - false.hits, found.of + false.of)


def f1(outcomes: Sequence[Outcome], system: System = by_engine) -> float:
    """The harmonic mean of precision and recall."""
    found, false = recall(outcomes, system), flagged(outcomes, system)
    return 2 * found.hits / max(1, found.of + found.hits + false.hits)
