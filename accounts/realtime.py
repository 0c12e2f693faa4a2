"""The only emitter of events: rows first, then a doorbell after the commit.

A row per event makes every page resumable with `since=`; the channel layer only says "look again" (it may drop, and does).
Numbers are per person, without gaps, in order of commit: the counter row stays locked until the transaction ends.
"""

import asyncio
import logging
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from channels.layers import get_channel_layer
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Event

log = logging.getLogger(__name__)

DOORBELL_SECONDS = 0.3  # a hung Redis must not hold anybody up
REPLAY_LIMIT = 500

_loop: asyncio.AbstractEventLoop | None = None
_ringing: set[asyncio.Task[None]] = set()


class NewEvent(NamedTuple):
    """An event about to be written. `data` holds ids and codes, never text."""

    kind: str
    conversation: uuid.UUID | None = None
    message: uuid.UUID | None = None
    data: dict[str, Any] | None = None


def attach_loop() -> None:
    """Remember the event loop of this process, so that code in worker threads can ring through it."""
    global _loop
    _loop = asyncio.get_running_loop()


def user_group(user_id: uuid.UUID) -> str:
    return f"user.{user_id.hex}"


def emit(user_id: uuid.UUID, *events: NewEvent) -> int:
    """Write events in the caller's transaction and ring after its commit. Returns the number of the last one."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_eventcounter (user_id, last) VALUES (%s, %s) "
            "ON CONFLICT (user_id) DO UPDATE SET last = accounts_eventcounter.last + EXCLUDED.last RETURNING last",
            [user_id, len(events)],
        )
        last: int = cursor.fetchone()[0]
    now = timezone.now()
    first = last - len(events) + 1
    Event.objects.bulk_create(
        Event(
            user_id=user_id,
            seq=first + i,
            kind=event.kind,
            conversation=event.conversation,
            message=event.message,
            data=event.data or {},
            created_at=now,
        )
        for i, event in enumerate(events)
    )
    transaction.on_commit(lambda: ring(user_id, {"type": "event", "event": last}))
    return last


def last_event(user_id: uuid.UUID) -> int:
    """The number of the person's newest event, 0 before the first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT last FROM accounts_eventcounter WHERE user_id = %s", [user_id])
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def replay(user_id: uuid.UUID, since: int) -> Sequence[Event]:
    """Events after `since`, oldest first; at most REPLAY_LIMIT: a page further behind loads itself anew."""
    return list(Event.objects.filter(user_id=user_id, seq__gt=since).order_by("seq")[:REPLAY_LIMIT])


def close_session(session_key: str, user_id: uuid.UUID) -> None:
    """Close the sockets of one login session (logout, session ended from the list)."""
    ring(user_id, {"type": "session.ended", "session": session_key})


def close_all_sessions(user_id: uuid.UUID) -> None:
    """Close every socket of a person (password change, ban, consent withdrawn)."""
    ring(user_id, {"type": "session.ended", "session": None})


def ring(user_id: uuid.UUID, message: dict[str, Any]) -> None:
    """Doorbell to all web processes: at most once, never waits longer than DOORBELL_SECONDS, never raises."""
    group = user_group(user_id)
    if _loop is not None and _loop.is_running():
        _loop.call_soon_threadsafe(_ring_soon, group, message)
        return
    try:
        asyncio.run(_send(group, message))
    except RuntimeError:  # called from a loop that is not a web process's
        log.warning("doorbell skipped: no usable event loop")


def _ring_soon(group: str, message: dict[str, Any]) -> None:
    task = asyncio.ensure_future(_send(group, message))
    _ringing.add(task)  # the loop keeps only weak references
    task.add_done_callback(_ringing.discard)


async def _send(group: str, message: dict[str, Any]) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        async with asyncio.timeout(DOORBELL_SECONDS):
            await layer.group_send(group, message)
    except Exception as error:  # whatever Redis does, the rows are written and the next poll finds them
        log.warning("doorbell failed: %s", type(error).__name__)
