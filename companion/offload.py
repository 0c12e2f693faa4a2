"""Database work leaves the event loop in whole steps: one hop per transaction, never one per token or per query."""

import asyncio
import itertools
import math
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from heapq import heappop, heappush
from typing import Any, Final, TypeVar

from django.db import close_old_connections

T = TypeVar("T")

# Few threads on purpose: they share one interpreter lock with the loop that carries everybody's tokens.
_THREADS: Final = 4
_POOL = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="database")


class Gate:
    """Who waits is let in by the time they came, and as if they had come later the more they were let in of late.

    So a flood of some people is no wait for the others, nor for somebody's first cry for help, and nobody is overtaken
    by anybody who came LONGEST after them. For one event loop.
    """

    EACH: Final = 0.5  # seconds behind for each turn of late
    LONGEST: Final = 10.0  # seconds behind at most
    _FORGET: Final = 15.0  # seconds until a turn counts 1/e of one
    _PEOPLE: Final = 10_000  # whose turns are remembered

    def __init__(self, places: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free, self._clock = places, clock
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._turns: OrderedDict[uuid.UUID, tuple[float, float]] = OrderedDict()  # how many of late, and when

    @asynccontextmanager
    async def turn(self, person: uuid.UUID) -> AsyncIterator[None]:
        behind = self._behind(person)
        if self._free:
            self._free -= 1
        else:
            place = asyncio.get_running_loop().create_future()
            heappush(self._waiting, (self._clock() + behind, next(self._order), place))
            try:
                await place
            except asyncio.CancelledError:
                if not place.cancelled():  # let in at the moment of giving up
                    self._next()
                raise
        try:
            yield
        finally:
            self._next()

    def _behind(self, person: uuid.UUID) -> float:
        now = self._clock()
        before, at = self._turns.pop(person, (0.0, now))
        before *= math.exp((at - now) / self._FORGET)
        self._turns[person] = (before + 1, now)
        if len(self._turns) > self._PEOPLE:
            self._turns.popitem(last=False)
        return min(before * self.EACH, self.LONGEST)

    def _next(self) -> None:
        while self._waiting:
            place = heappop(self._waiting)[2]
            if not place.done():  # who gave up is passed over
                place.set_result(None)
                return
        self._free += 1


# One thread stays for those who open a page, stop, or leave.
_messages = Gate(_THREADS - 1)


async def run(step: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Run a synchronous step in a database thread; its connection goes back to the pool afterwards."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, partial(_step, step, *args, **kwargs))


async def run_in_turn(person: uuid.UUID, step: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """run() for the steps of messages, which can come as a flood."""
    async with _messages.turn(person):
        return await run(step, *args, **kwargs)


def _step(step: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    try:
        return step(*args, **kwargs)
    finally:
        close_old_connections()
