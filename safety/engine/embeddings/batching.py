"""Texts of many requests, embedded together by one thread: whatever waits when the thread is free goes as one batch.

Nobody waits for a batch to fill. A batch is small enough to be over well within the deadline of a turn; a long text
stands back a little behind shorter ones, and never for ever. What nobody waits for any more is not computed.
"""

import asyncio
import hashlib
import heapq
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

logger = logging.getLogger(__name__)

Vector = NDArray[np.float32]
Embed = Callable[[Sequence[str]], NDArray[np.float32]]

BATCH: Final = 32  # texts
# Pieces with padding. A batch of this size takes about 80 ms on one core, and a larger one is no faster per text.
BATCH_PIECES: Final = 640
WAITING: Final = 512  # texts in the queue, about two seconds of work: who comes later would be late anyway
REMEMBERED: Final = 4096  # vectors, 15 MB
_READ: Final = 2000  # characters the encoder reads of a text
_STANDS_BACK: Final = 0.001  # seconds for each piece
_LONGEST_WAIT: Final = 0.125  # seconds that a text stands back at most


class Full(Exception):
    """The queue has no room for these texts."""


@dataclass(order=True, slots=True)
class _Waiting:
    turn: float
    text: str = field(compare=False, repr=False)
    pieces: int = field(compare=False)
    vector: "asyncio.Future[Vector]" = field(compare=False, repr=False)


class Batcher:
    """`await vectors(texts)` from any number of requests of one event loop; `run` does the work."""

    def __init__(self, embed: Embed, thread: ThreadPoolExecutor) -> None:
        self._embed = embed
        self._thread = thread
        self._queue: list[_Waiting] = []
        self._filled = asyncio.Event()
        self._memory = _Memory()
        self.batches = 0

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def vectors(self, texts: Sequence[str]) -> list[Vector]:
        """One for each text, in their order. Raises Full, then nothing was queued."""
        known = [self._memory.find(text) for text in texts]
        missing = [text for text, vector in zip(texts, known, strict=True) if vector is None]
        if len(self._queue) + len(missing) > WAITING:
            self._forget_the_gone()
            if len(self._queue) + len(missing) > WAITING:
                raise Full
        loop = asyncio.get_running_loop()
        added = [self._add(text, loop) for text in missing]
        # A client that leaves cancels this, and with it the futures: those that still wait are not computed.
        found = iter(await asyncio.gather(*(one.vector for one in added)))
        return [next(found) if vector is None else vector for vector in known]

    async def run(self) -> None:
        """Work through the queue until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._filled.wait()
            batch = self._take()
            if not batch:
                self._filled.clear()
                continue
            try:
                found = await loop.run_in_executor(self._thread, self._embed, [one.text for one in batch])
            except Exception as error:
                # Its message may quote a text.
                logger.error("embedding %d texts failed: %s", len(batch), type(error).__name__)
                for one in batch:
                    if not one.vector.done():
                        one.vector.set_exception(RuntimeError("the encoder failed"))
                continue
            self.batches += 1
            for one, vector in zip(batch, found, strict=True):
                self._memory.keep(one.text, vector.copy())
                if not one.vector.done():
                    one.vector.set_result(vector)

    def _add(self, text: str, loop: asyncio.AbstractEventLoop) -> _Waiting:
        pieces = estimated_pieces(text)
        one = _Waiting(
            loop.time() + min(pieces * _STANDS_BACK, _LONGEST_WAIT), text, pieces, loop.create_future()
        )
        heapq.heappush(self._queue, one)
        self._filled.set()
        return one

    def _take(self) -> list[_Waiting]:
        """The next in turn, and those behind it as long as the batch, padded to its longest text, stays small."""
        batch: list[_Waiting] = []
        longest = 0
        while self._queue and len(batch) < BATCH:
            if self._queue[0].vector.done():
                heapq.heappop(self._queue)
                continue
            longest = max(longest, self._queue[0].pieces)
            if batch and longest * (len(batch) + 1) > BATCH_PIECES:
                break
            batch.append(heapq.heappop(self._queue))
        return batch

    def _forget_the_gone(self) -> None:
        self._queue = [one for one in self._queue if not one.vector.done()]
        heapq.heapify(self._queue)


class _Memory:
    """The latest vectors. Texts are not kept: the key is their hash under a secret of this process."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._vectors: OrderedDict[bytes, Vector] = OrderedDict()

    def find(self, text: str) -> Vector | None:
        key = self._key(text)
        if (vector := self._vectors.get(key)) is not None:
            self._vectors.move_to_end(key)
        return vector

    def keep(self, text: str, vector: Vector) -> None:
        self._vectors[self._key(text)] = vector
        if len(self._vectors) > REMEMBERED:
            self._vectors.popitem(last=False)

    def _key(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(), key=self._secret, digest_size=16).digest()


def estimated_pieces(text: str) -> int:
    """About one for a Chinese character, one for three Latin letters."""
    return 8 + len(text[:_READ].encode()) // 3
