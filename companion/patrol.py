"""One round for all sockets of a process: heartbeat, missed events, and logins that are over.

A round costs three queries for any number of sockets (threat T19: a login that ended is noticed within
SOCKET_IDLE_CHECK_SECONDS even when Redis is away).
"""

import asyncio
import logging
import uuid

from django.conf import settings

from accounts import realtime
from companion import access, hub, offload

log = logging.getLogger(__name__)

PATIENCE = 5.0  # seconds for the database; a page believes in a line that is silent for 40

_task: asyncio.Task[None] | None = None


def begin() -> None:
    """Go round for as long as sockets are open. Called for each new one."""
    global _task
    if _task is None or _task.done():
        _task = asyncio.create_task(_rounds())


async def _rounds() -> None:
    while hub.everyone():
        await asyncio.sleep(settings.SOCKET_IDLE_CHECK_SECONDS)
        await _round()


async def _round() -> None:
    listeners = hub.everyone()
    over: set[access.Login] = set()
    newest: dict[uuid.UUID, int] = {}
    try:
        async with asyncio.timeout(PATIENCE):
            over, newest = await offload.run(access.look_over, {listener.login for listener in listeners})
    except Exception as error:  # the database is away or hangs, which no page should take for a dead line
        log.warning("patrol saw nothing: %s", type(error).__name__)
    await hub.each(
        listener.end_session()
        if listener.login in over
        else listener.heartbeat(newest.get(listener.user_id, 0))
        for listener in listeners
    )
    await realtime.join_again()
