"""One round for all sockets of a process: heartbeat, logins that are over, and messages per minute per person.

A round costs three queries for any number of sockets (threat T19: a login that ended is noticed within
SOCKET_IDLE_CHECK_SECONDS even when Redis is away).
"""

import asyncio
import logging
import uuid
from collections import OrderedDict

from django.conf import settings

from companion import access, hub, offload
from companion.buckets import Bucket

log = logging.getLogger(__name__)


class Patrol:
    """Runs while sockets are open."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None
        self._rates: OrderedDict[uuid.UUID, Bucket] = OrderedDict()

    def begin(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._rounds())

    def within_rate(self, user_id: uuid.UUID) -> bool:
        """MESSAGES_PER_MINUTE for one person over all sockets of this process."""
        limit = settings.MESSAGES_PER_MINUTE
        bucket = self._rates.pop(user_id, None) or Bucket(limit / 60, limit)
        self._rates[user_id] = bucket
        if len(self._rates) > 20_000:
            self._rates.popitem(last=False)
        return bucket.take()

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
