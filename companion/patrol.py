"""One round for all sockets of a process: heartbeat, missed events, and logins that are over.

A round costs three queries for any number of sockets (threat T19: a login that ended is noticed within
SOCKET_IDLE_CHECK_SECONDS even when Redis is away).
"""

import asyncio
import logging

from django.conf import settings

from companion import access, hub, offload

log = logging.getLogger(__name__)


class Patrol:
    """Runs while sockets are open."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._rounds())

    async def _rounds(self) -> None:
        while hub.everyone():
            await asyncio.sleep(settings.SOCKET_IDLE_CHECK_SECONDS)
            try:
                await self.round()
            except Exception as error:  # the database may be away; the next round tries again
                log.warning("patrol failed: %s", type(error).__name__)

    async def round(self) -> None:
        listeners = hub.everyone()
        logins = {listener.login for listener in listeners}
        dead, newest = await offload.run(access.look_over, logins)
        for listener in listeners:
            if listener.login in dead:
                await listener.end_session()
            else:
                await listener.heartbeat(newest.get(listener.user_id, 0))


patrol = Patrol()
