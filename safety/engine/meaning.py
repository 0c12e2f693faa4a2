"""What messages mean, by embeddings and heads: the second stage, outside the transaction and with a deadline.

    wanted = engine.wanted(text, author="user", history=history)
    meaning = await understand(wanted, deadline=0.25)      # None: late or down, the rules stand alone
    verdict = engine.assess(text, …, meaning=meaning)

A conversation asks for the same earlier messages again and again: their scores are remembered for a while, in memory,
under a keyed hash of the text.
"""

import logging
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from safety.engine import client
from safety.engine.heads import Array, HeadsError, heads
from safety.engine.scores import Meaning, name, readable

log = logging.getLogger(__name__)

_REMEMBERED: Final = 8192  # texts; about 200 bytes each


class _Memory(OrderedDict[bytes, Array]):
    """The scores asked for last."""

    def keep(self, key: bytes, row: Array) -> None:
        self[key] = row
        self.move_to_end(key)
        if len(self) > _REMEMBERED:
            self.popitem(last=False)


_memory = _Memory()


async def understand(texts: Iterable[str], *, deadline: float, remember: bool = True) -> Meaning | None:
    """The scores of all texts within so many seconds, or None. What is asked once only need not be remembered."""
    named = {name(clear): clear for clear in map(readable, texts)}
    missing = {key: clear for key, clear in named.items() if key not in _memory}
    found = {key: _memory[key] for key in named if key in _memory}
    if missing:
        try:
            vectors = await client.embed(list(missing.values()), deadline=deadline)
            rows = heads().score(vectors, list(missing.values()))
        except (client.Unavailable, HeadsError) as error:
            log.warning("messages not understood: %s", error)
            return None
        for key, row in zip(missing, rows, strict=True):
            found[key] = row
            if remember:
                _memory.keep(key, row)
    return Meaning(found)
