"""Dependence judged from time and codes: a score with its reasons, and the step that follows. Pure and explainable.

The signal set is data (safety/data/dependence.toml) and has a version. It knows minutes, returns and the reason codes of
verdicts, never what somebody said. Draft articles 9, 11 and 16, final articles 10 and 18; docs/safety-policy.md explains it
to a clinician, ADR 0017 says why it is made like this.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, Final

_DATA: Final = Path(__file__).parent / "data" / "dependence.toml"
MOST: Final = 100
_GROWN: Final = frozenset({"adult", "elder"})


class SignalSetError(ValueError):
    """The signal set contradicts its own promises."""


class Step(IntEnum):
    """What follows, the gentlest first. Each contains the ones before it."""

    NONE = 0
    NOTICE = 1  # the partner is an AI, and what this is based on
    GUIDANCE = 2  # the companion is told to keep boundaries
    COOL_DOWN = 3  # a quiet evening or a limit of one's own is offered
    HUMAN = 4  # somebody of the team looks at the reasons

    @property
    def code(self) -> str:
        return "" if self is Step.NONE else self.name.lower()

    @classmethod
    def of(cls, code: str) -> "Step":
        return cls[code.upper()] if code else cls.NONE


@dataclass(frozen=True)
class Day:
    """Minutes of use on one local day, and those of the night before its morning or after its evening."""

    minutes: int = 0
    night: int = 0


@dataclass(frozen=True)
class Figures:
    """What is known of one person's use. Numbers only."""

    days: Sequence[Day] = ()  # of the window for time
    returns: int = 0
    said: Mapping[str, int] = field(default_factory=dict)  # signal: days of the window for words


@dataclass(frozen=True)
class Reason:
    """One signal that counts: how much, and the figure behind it."""

    code: str
    points: int
    figure: int

    def stored(self) -> list[str | int]:
        return [self.code, self.points, self.figure]


@dataclass(frozen=True)
class Judgement:
    score: int
    reasons: tuple[Reason, ...]  # the weightiest first
    step: Step


@dataclass(frozen=True)
class Signal:
    code: str
    points: tuple[tuple[int, int], ...]  # (from this figure on, points), rising
    reasons: tuple[str, ...]  # beginnings of reason codes, of what was said

    def worth(self, figure: int) -> int:
        return max((points for least, points in self.points if figure >= least), default=0)


@dataclass(frozen=True)
class Measure:
    """What counts as much, by age."""

    long_day: int  # minutes
    night: tuple[int, int]  # local hours, from and until
    night_minutes: int

    def is_night(self, hour: int) -> bool:
        begins, ends = self.night
        return begins <= hour < ends if begins < ends else hour >= begins or hour < ends


@dataclass(frozen=True)
class SignalSet:
    version: str
    time_days: int
    words_days: int
    quick_return: int  # minutes
    notice_again_days: int
    look_again_days: int
    rest_days: int
    signals: tuple[Signal, ...]
    measures: Mapping[str, Measure]
    steps: Mapping[str, Mapping[Step, int]]

    def measure(self, band: str) -> Measure:
        return self.measures[_group(band)]

    def said(self, reasons: Sequence[str]) -> set[str]:
        """The signals that the reason codes of one message speak of."""
        return {
            signal.code
            for signal in self.signals
            if signal.reasons and any(code.startswith(signal.reasons) for code in reasons)
        }


def judge(figures: Figures, *, band: str, before: Step = Step.NONE) -> Judgement:
    """The score and the step of today. `before` is the step of the last day that was judged: one more a day at most.

    Nothing is remembered but that step, so what is no longer true stops counting by itself.
    """
    known = signal_set()
    measure = known.measure(band)
    figure = {
        "time.long_days": sum(day.minutes >= measure.long_day for day in figures.days),
        "time.nights": sum(day.night >= measure.night_minutes for day in figures.days),
        "exit.returns": figures.returns,
        **dict(figures.said),
    }
    found = [
        Reason(signal.code, points, figure[signal.code])
        for signal in known.signals
        if (points := signal.worth(figure.get(signal.code, 0)))
    ]
    found.sort(key=lambda reason: (-reason.points, reason.code))
    score = min(MOST, sum(reason.points for reason in found))
    wanted = max(
        (step for step, least in known.steps[_group(band)].items() if score >= least), default=Step.NONE
    )
    return Judgement(score, tuple(found), Step(min(wanted, before + 1)))


def speaks_of(reasons: Sequence[str]) -> bool:
    """Whether the verdict on a message is worth a look at its person at once."""
    return bool(signal_set().said(reasons))


@cache
def signal_set() -> SignalSet:
    """The set this version carries."""
    return read(tomllib.loads(_DATA.read_text(encoding="utf-8")))


def read(data: Mapping[str, Any]) -> SignalSet:
    """Raises SignalSetError where one signal alone could bring somebody before a human, or steps do not rise."""
    signals = tuple(
        Signal(
            row["code"],
            tuple((least, points) for least, points in row["points"]),
            tuple(row.get("reasons", ())),
        )
        for row in data["signal"]
    )
    measures = {
        group: Measure(row["long_day"], (row["night"][0], row["night"][1]), row["night_minutes"])
        for group in ("young", "grown")
        if (row := data["measure"][group])
    }
    steps = {
        group: {step: data["steps"][group][step.code] for step in Step if step}
        for group in ("young", "grown")
    }
    for group, each in steps.items():
        if list(each.values()) != sorted(set(each.values())):
            raise SignalSetError(f"the steps of {group} do not rise")
        if any(signal.worth(MOST) >= each[Step.HUMAN] for signal in signals):
            raise SignalSetError("one signal alone would bring somebody before a human")
    if any(
        young > grown for young, grown in zip(steps["young"].values(), steps["grown"].values(), strict=True)
    ):
        raise SignalSetError("the young are noticed later than adults")
    return SignalSet(
        version=data["version"],
        signals=signals,
        measures=measures,
        steps=steps,
        quick_return=data["measure"]["quick_return"],
        **data["window"],
        **data["pace"],
    )


def _group(band: str) -> str:
    """Whose measures count. An age that is not known is a young one."""
    return "grown" if band in _GROWN else "young"
