"""The ladder of a case: who is told when, until a human takes over. Pure.

Rung 1 is the page of everybody on duty, 2 their other channels, 3 the shift lead, 5 the people on call, 6 everybody, again
and again. Rung 4 is guardian or contact and has a clock of its own, because it runs on when a moderator has the case.
The source of the figures is docs/safety-policy.md; an operator may only be quicker (ALERT_LADDER, check safety.E007).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.conf import settings

CONTACT_RUNG: Final = 4
LAST_RUNG: Final = 6
ACKNOWLEDGED_FOR: Final = dt.timedelta(minutes=10)  # then the ladder begins anew, unless the human acts
SILENT_FOR: Final = dt.timedelta(
    minutes=15
)  # a moderator in charge who does nothing for so long has lost the case
SECOND_CONTACT: Final = dt.timedelta(minutes=5)  # after the first, unless that one answered
# rung → seconds after the level was reached
_RUNGS: Final[Mapping[int, Mapping[int, int]]] = {
    4: {1: 0, 2: 60, 3: 90, 5: 300, 6: 600},
    3: {1: 0, 2: 60, 3: 300, 5: 900, 6: 1800},
    2: {1: 0, 2: 900, 3: 1800, 6: 3600},
}
_CONTACT: Final[Mapping[int, int]] = {4: 120, 3: 600}  # seconds; level 2 tells nobody outside by itself
_REPEAT: Final[Mapping[int, int]] = {4: 600, 3: 1800, 2: 3600}  # seconds between rounds of the last rung
_REPEAT_AT_LEAST: Final = 60  # seconds; more often would only bury what else is to be sent


@dataclass(frozen=True)
class Plan:
    """The ladder of one level."""

    rungs: Mapping[int, dt.timedelta]
    contact: dt.timedelta | None
    repeat: dt.timedelta

    def after(self, rung: int) -> tuple[int, dt.timedelta] | None:
        """The rung above this one and its time; None on the last."""
        return next(((number, at) for number, at in self.rungs.items() if number > rung), None)


def plan(level: int) -> Plan:
    """The plan of a level, with the operator's quicker times."""
    rungs = {number: _quicker(level, str(number), seconds) for number, seconds in _RUNGS[level].items()}
    contact = _quicker(level, "contact", _CONTACT[level]) if level in _CONTACT else None
    return Plan(rungs, contact, _quicker(level, "repeat", _REPEAT[level]))


def too_slow() -> Sequence[str]:
    """Entries of ALERT_LADDER that nobody knows or that are slower than allowed; the plan does without them."""
    wrong = []
    for level, times in settings.ALERT_LADDER.items():
        known = _slowest(int(level)) if level in ("2", "3", "4") else {}
        if not isinstance(times, dict):
            wrong.append(level)
            continue
        wrong += [
            f"{level}.{name}"
            for name, seconds in times.items()
            if name not in known or not _allowed(name, seconds, known[name])
        ]
    return wrong


def _slowest(level: int) -> dict[str, int]:
    times = {str(number): seconds for number, seconds in _RUNGS[level].items()}
    times |= {"contact": _CONTACT[level]} if level in _CONTACT else {}
    return times | {"repeat": _REPEAT[level]}


def _allowed(name: str, wished: object, slowest: int) -> bool:
    least = _REPEAT_AT_LEAST if name == "repeat" else 0
    return isinstance(wished, int | float) and least <= wished <= slowest


def _quicker(level: int, name: str, seconds: int) -> dt.timedelta:
    times = settings.ALERT_LADDER.get(str(level))
    wished = times.get(name, seconds) if isinstance(times, dict) else seconds
    return dt.timedelta(seconds=wished if _allowed(name, wished, seconds) else seconds)
