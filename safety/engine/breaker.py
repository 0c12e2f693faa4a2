"""A circuit breaker: when an endpoint (of the model, of embeddings) keeps failing, stop asking it for a while.

Without it every turn of every person waits for the same time-out and the endpoint gets no rest. It is per
process and pure: the clock is passed in, and nothing here does I/O.
"""

import time
from collections.abc import Callable
from enum import StrEnum


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """Opens after `threshold` failures in a row; after a pause lets one probe through, and only one.

    `admit()` gives a ticket or None; every ticket is settled once with `success`, `failure` or `release` (no
    verdict: the person pressed stop). `answered` in between says that the reply has begun, so that others
    need not wait for the whole reply of a probe. Tickets from before the breaker last opened do not count.
    """

    def __init__(
        self,
        *,
        threshold: int = 5,
        pause: float = 10.0,
        longest_pause: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold = threshold
        self._first_pause = self._pause = pause
        self._longest_pause = longest_pause
        self._clock = clock
        self._ticket = 0
        self._failures = 0
        self._open_until: float | None = None
        self._probing = False

    @property
    def state(self) -> State:
        if self._open_until is None:
            return State.CLOSED
        if self._probing or self._clock() >= self._open_until:
            return State.HALF_OPEN
        return State.OPEN

    def admit(self) -> int | None:
        if self._open_until is not None:
            if self._probing or self._clock() < self._open_until:
                return None
            self._probing = True
        return self._ticket

    def answered(self, ticket: int) -> None:
        """Close for everybody, but on trial: the next failure opens again at once, with the longer pause."""
        if ticket == self._ticket and self._probing:
            self._probing = False
            self._open_until = None
            self._failures = self._threshold - 1

    def success(self, ticket: int) -> None:
        if ticket == self._ticket:
            self._probing = False
            self._open_until = None
            self._failures = 0
            self._pause = self._first_pause

    def failure(self, ticket: int) -> None:
        if ticket != self._ticket:
            return
        self._failures += 1
        if self._failures >= self._threshold:
            self._ticket += 1
            self._probing = False
            self._open_until = self._clock() + self._pause
            self._pause = min(self._pause * 2, self._longest_pause)

    def release(self, ticket: int) -> None:
        if ticket == self._ticket:
            self._probing = False
