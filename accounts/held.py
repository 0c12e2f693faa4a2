"""Small facts that every request needs and that may be some seconds old: read once, kept in this process.

While the database is away the last answer holds, and before the first one the one to start with.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from django.db import DatabaseError

log = logging.getLogger(__name__)

T = TypeVar("T")
EVERY: "list[Held[Any]]" = []


class Held(Generic[T]):
    """What `read` said, at most `seconds` ago. One thread asks; the others go on with what was known."""

    def __init__(self, name: str, read: Callable[[], T], start: T, seconds: float) -> None:
        self._name = name
        self._read = read
        self._start = self._value = start
        self._seconds = seconds
        self._until = 0.0  # by time.monotonic
        self._asking = threading.Lock()
        EVERY.append(self)

    def get(self) -> T:
        """Never raises for a database that is away."""
        if time.monotonic() >= self._until and self._asking.acquire(blocking=False):
            try:
                self._value = self._read()
            except DatabaseError as error:
                log.error("%s not read: %s", self._name, type(error).__name__)
            finally:
                self._until = time.monotonic() + self._seconds
                self._asking.release()
        return self._value

    def last(self) -> T:
        """What is known, without asking: for the event loop."""
        return self._value

    def forget(self) -> None:
        """Ask at the next chance; until then what was known holds."""
        self._until = 0.0

    def rest(self) -> None:
        """As at the beginning, and ask nobody until `forget`: tests begin so."""
        self._value, self._until = self._start, float("inf")
