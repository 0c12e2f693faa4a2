"""Database work leaves the event loop in whole steps: one hop per transaction, never one per token or per query."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from channels.db import database_sync_to_async

T = TypeVar("T")

# Few threads on purpose: they share one interpreter lock with the loop that carries everybody's tokens.
_POOL = ThreadPoolExecutor(max_workers=4, thread_name_prefix="database")


async def run(step: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Run a synchronous step in a database thread; its connection goes back to the pool afterwards."""
    result: T = await database_sync_to_async(step, thread_sensitive=False, executor=_POOL)(*args, **kwargs)
    return result
