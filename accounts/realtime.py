"""The only emitter of events: rows first, then a doorbell after the commit.

A row per event makes every page resumable with `since=`; the channel layer only says "look again" (it may drop, and does).
Numbers are per person, without gaps, in order of commit: the counter row stays locked until the transaction ends.

A web process listens with one channel, which is in the group of every person with an open page here. Nobody waits for
Redis: without it a process still hears itself, and the patrol of each process finds the rest.
"""

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from channels.layers import get_channel_layer
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import Event

log = logging.getLogger(__name__)

DOORBELL_SECONDS = 0.3  # a hung Redis must not hold anybody up
# Events of one moment are one bell. Pages of this process have their frames by then, so its echo finds nothing to do.
DOORBELL_PAUSE = 0.03
EVERYBODY = "everybody"  # the group of all web processes
REPLAY_LIMIT = 500

Answer = Callable[[uuid.UUID, dict[str, Any]], Awaitable[None]]

_loop: asyncio.AbstractEventLoop | None = None  # of this web process, once it listens
_ear: asyncio.Task[None] | None = None
_answer: Answer | None = None
_with_everybody = False
_channel = f"doorbell.{uuid.uuid4().hex}"
_people: dict[
    uuid.UUID, bool
] = {}  # with an open page here; False: not in the group yet, because Redis was away
_newest: dict[uuid.UUID, int] = {}  # about to be rung
_tasks: set[asyncio.Task[None]] = set()


class NewEvent(NamedTuple):
    """An event about to be written. `data` holds ids and codes, never text."""

    kind: str
    conversation: uuid.UUID | None = None
    message: uuid.UUID | None = None
    data: dict[str, Any] | None = None


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


def emit_many(events: Mapping[uuid.UUID, Sequence[NewEvent]]) -> None:
    """The same for many people at once: three statements, and one round of bells after the commit."""
    people = sorted(events, key=lambda user_id: user_id.int)  # as the database sorts them
    if not people:
        return
    with connection.cursor() as cursor:
        # Counters in one order, so that two who do this never wait for each other.
        cursor.execute(
            "INSERT INTO accounts_eventcounter (user_id, last) SELECT * FROM unnest(%s::uuid[], %s::bigint[]) "
            "AS new (user_id, count) ORDER BY user_id "
            "ON CONFLICT (user_id) DO UPDATE SET last = accounts_eventcounter.last + EXCLUDED.last RETURNING user_id, last",
            [people, [len(events[user_id]) for user_id in people]],
        )
        newest: dict[uuid.UUID, int] = dict(cursor.fetchall())
        now = timezone.now()
        rows = [
            (user_id, newest[user_id] - len(events[user_id]) + 1 + i, event)
            for user_id in people
            for i, event in enumerate(events[user_id])
        ]
        cursor.execute(
            "INSERT INTO accounts_event (user_id, seq, kind, conversation, message, data, created_at) "
            "SELECT *, %s FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::uuid[], %s::uuid[], %s::jsonb[])",
            [
                now,
                [user_id for user_id, _seq, _event in rows],
                [seq for _user_id, seq, _event in rows],
                [event.kind for _user_id, _seq, event in rows],
                [event.conversation for _user_id, _seq, event in rows],
                [event.message for _user_id, _seq, event in rows],
                [json.dumps(event.data or {}) for _user_id, _seq, event in rows],
            ],
        )
    transaction.on_commit(lambda: ring_many(newest))


def last_event(user_id: uuid.UUID) -> int:
    """The number of the person's newest event, 0 before the first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT last FROM accounts_eventcounter WHERE user_id = %s", [user_id])
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def number(user_id: uuid.UUID, kind: str, message: uuid.UUID) -> int:
    """The number of an event about a message, 0 once it is forgotten."""
    rows = Event.objects.filter(user_id=user_id, kind=kind, message=message)
    return rows.values_list("seq", flat=True).first() or 0


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
    if _loop is not None and _loop.is_running():
        _loop.call_soon_threadsafe(_ring_here, user_id, message)
        return
    try:
        asyncio.run(_send(user_group(user_id), {**message, "user": user_id.hex}))
    except RuntimeError:  # called from a loop that is not a web process's
        log.warning("doorbell skipped: no usable event loop")


def ring_many(newest: Mapping[uuid.UUID, int]) -> None:
    """One doorbell for the newest events of many people: each process answers for those with a page there."""
    message = {"type": "events", "newest": {user_id.hex: last for user_id, last in newest.items()}}
    if _loop is not None and _loop.is_running():
        _loop.call_soon_threadsafe(lambda: _soon(_ring_many(message)))
        return
    try:
        asyncio.run(_send(EVERYBODY, message))
    except RuntimeError:  # called from a loop that is not a web process's
        log.warning("doorbells skipped: no usable event loop")


async def listen(answer: Answer) -> None:
    """Give every bell for people with an open page here to `answer`. Each new page calls this; the first one counts."""
    global _loop, _ear, _answer
    if _ear is None or _ear.done():
        _loop, _answer = asyncio.get_running_loop(), answer
        _ear = asyncio.create_task(_hear())
        await asyncio.sleep(0)  # its first step makes the channel that joins the groups
        await _join_everybody()


async def join(user_id: uuid.UUID) -> None:
    """Hear the bell of a person, from now on or, without Redis, from `join_again` on."""
    if _people.setdefault(user_id, False):
        return
    if await _regroup("group_add", user_group(user_id)) and user_id in _people:
        _people[user_id] = True


async def join_again() -> None:
    """Join what could not be joined while Redis was away."""
    await _join_everybody()
    for user_id in [user_id for user_id, heard in _people.items() if not heard]:
        await join(user_id)
        if not _people.get(user_id, True):  # still away
            return


def part(user_id: uuid.UUID) -> None:
    """The person's last page here is gone."""
    if _people.pop(user_id, None) is not None:
        _soon(_part(user_id))


async def _part(user_id: uuid.UUID) -> None:
    if user_id not in _people:  # who only reloaded a page is back already
        await _regroup("group_discard", user_group(user_id))


def _ring_here(user_id: uuid.UUID, message: dict[str, Any]) -> None:
    if message["type"] != "event":
        return _soon(_ring(user_id, message))
    if user_id not in _newest:
        asyncio.get_running_loop().call_later(DOORBELL_PAUSE, _ring_newest, user_id)
    _newest[user_id] = max(message["event"], _newest.get(user_id, 0))


def _ring_newest(user_id: uuid.UUID) -> None:
    _soon(_ring(user_id, {"type": "event", "event": _newest.pop(user_id)}))


async def _ring(user_id: uuid.UUID, message: dict[str, Any]) -> None:
    if not await _send(user_group(user_id), {**message, "user": user_id.hex}):
        await _take(user_id, message)


async def _ring_many(message: dict[str, Any]) -> None:
    if not await _send(EVERYBODY, message):
        _take_many(message)


async def _send(group: str, message: dict[str, Any]) -> bool:
    try:
        async with asyncio.timeout(DOORBELL_SECONDS):
            await get_channel_layer().group_send(group, message)
    except Exception as error:  # whatever Redis does, the rows are written and the next patrol finds them
        log.warning("doorbell failed: %s", type(error).__name__)
        return False
    return True


async def _hear() -> None:
    """As long as the process lives: a fault of Redis ends a connection, never the listening."""
    while True:
        try:
            message = await get_channel_layer().receive(_channel)
        except Exception as error:
            log.warning("doorbell not heard: %s", type(error).__name__)
            await asyncio.sleep(1)
        else:
            if message["type"] == "events":
                _take_many(message)
            else:
                # A task each: while one person's pages catch up, nobody else's wait.
                _soon(_take(uuid.UUID(message["user"]), message))


def _take_many(message: dict[str, Any]) -> None:
    newest = {uuid.UUID(user_id): last for user_id, last in message["newest"].items()}
    for user_id in newest.keys() & _people.keys():
        _soon(_take(user_id, {"type": "event", "event": newest[user_id]}))


async def _take(user_id: uuid.UUID, message: dict[str, Any]) -> None:
    if _answer is not None:
        await _answer(user_id, message)


async def _join_everybody() -> None:
    global _with_everybody
    _with_everybody = _with_everybody or await _regroup("group_add", EVERYBODY)


async def _regroup(change: Literal["group_add", "group_discard"], group: str) -> bool:
    try:
        async with asyncio.timeout(DOORBELL_SECONDS):
            await getattr(get_channel_layer(), change)(group, _channel)
    except Exception as error:
        log.warning("%s failed: %s", change, type(error).__name__)
        return False
    return True


def _soon(step: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(step)
    _tasks.add(task)  # the loop keeps only weak references
    task.add_done_callback(_tasks.discard)
