"""The clocks of a case, each counting to its breach. Pure; docs/safety-policy.md explains the figures.

They are what the team promises itself. What happens by itself, and when, is the ladder's (safety/ladder.py).
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from safety.models import CrisisCase

State = CrisisCase.State
Name = Literal["notice", "claim", "reply", "contact", "close"]
Status = Literal["running", "breached", "met", "late", "none"]
NAMES: Final[tuple[Name, ...]] = ("notice", "claim", "reply", "contact", "close")
# Events that stop or restart a clock.
EVENTS: Final = frozenset({"raised", "contact_notice", "contact_withheld", "safeguarding_told"})

_NOTICE: Final = dt.timedelta(seconds=5)
# Seconds by level.
_CLAIM: Final[Mapping[int, int]] = {4: 180, 3: 300, 2: 1800}
_REPLY: Final[Mapping[int, int]] = {4: 60, 3: 120, 2: 600}
_CLOSE: Final[Mapping[int, int]] = {4: 4 * 3600, 3: 12 * 3600, 2: 24 * 3600}


@dataclass(frozen=True)
class Clock:
    """One clock: `due` while it runs, `at` when it was stopped."""

    name: Name
    status: Status
    due: dt.datetime | None = None
    at: dt.datetime | None = None

    @property
    def open(self) -> bool:
        return self.status in ("running", "breached")


def clocks(
    case: CrisisCase,
    events: Iterable[tuple[str, dt.datetime]],
    waiting_since: dt.datetime | None,
    now: dt.datetime,
) -> tuple[Clock, ...]:
    """The clocks of an open case. `events`: kind and time of those in EVENTS; `waiting_since`: the person's oldest
    message that no human has answered."""
    last = dict(sorted(events, key=lambda event: event[1]))
    graver = last.get("raised", case.opened_at)
    return (
        # Who acts without having been shown anything knows of it too.
        _stopped("notice", case.first_notice_at or case.first_seen_at, case.opened_at + _NOTICE, now),
        _claim(case, graver, now),
        _reply(case, waiting_since, now),
        _contact(case, last, now),
        _stopped("close", case.closed_at, graver + _seconds(_CLOSE, case), now),
    )


def next_breach(of: Iterable[Clock], otherwise: dt.datetime) -> dt.datetime:
    """What comes, or came, first."""
    return min((clock.due for clock in of if clock.open and clock.due), default=otherwise)


def _claim(case: CrisisCase, graver: dt.datetime, now: dt.datetime) -> Clock:
    held = case.first_held_at
    if held is not None and case.state not in (State.OPEN, State.ESCALATING):
        return Clock("claim", "met", at=held)
    # Whoever had it is gone: from the new start of the ladder.
    since = case.ladder_at if held is not None else graver
    return _stopped("claim", None, since + _seconds(_CLAIM, case), now)


def _reply(case: CrisisCase, waiting_since: dt.datetime | None, now: dt.datetime) -> Clock:
    if case.state != State.IN_CARE:
        return Clock("reply", "none")
    if waiting_since is None:
        return Clock("reply", "met", at=case.active_at)
    return _stopped("reply", None, waiting_since + _seconds(_REPLY, case), now)


def _contact(case: CrisisCase, last: Mapping[str, dt.datetime], now: dt.datetime) -> Clock:
    if case.contact_due_at is not None:
        return _stopped("contact", None, case.contact_due_at, now)
    told = last.get("contact_notice") or last.get("safeguarding_told")
    return Clock("contact", "met", at=told) if told else Clock("contact", "none")


def _stopped(name: Name, at: dt.datetime | None, due: dt.datetime, now: dt.datetime) -> Clock:
    if at is not None:
        return Clock(name, "met" if at <= due else "late", due, at)
    return Clock(name, "running" if now < due else "breached", due)


def _seconds(of: Mapping[int, int], case: CrisisCase) -> dt.timedelta:
    return dt.timedelta(seconds=of[case.level])
