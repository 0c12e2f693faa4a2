"""Database work leaves the event loop in whole steps: one hop per transaction, never one per token or per query."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from django.db import close_old_connections

T = TypeVar("T")

# Few threads on purpose: they share one interpreter lock with the loop that carries everybody's tokens.
_POOL = ThreadPoolExecutor(max_workers=4, thread_name_prefix="database")


async def run(step: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """Run a synchronous step in a database thread; its connection goes back to the pool afterwards."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, partial(_step, step, *args, **kwargs))


def _step(step: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    try:
        return step(*args, **kwargs)
    finally:
        close_old_connections()
