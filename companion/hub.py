"""The open sockets of this process, and the way frames reach them without a database or Redis in between."""

import asyncio
import json
import logging
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Iterable
from typing import Any, Protocol

from accounts import realtime
from companion.access import Login

log = logging.getLogger(__name__)


class Listener(Protocol):
    """A socket, as the hub sees it."""

    user_id: uuid.UUID
    conversation_id: uuid.UUID

    @property
    def login(self) -> Login: ...

    async def deliver(self, seq: int, frames: list[dict[str, Any]]) -> None:
        """Durable frames; `seq` is the number of the last event among them."""

    def show(self, text: str) -> None:
        """An ephemeral frame, already serialised once for everybody."""

    async def look(self, newest: int) -> None:
        """The person has events up to `newest`; read those that were missed."""

    async def heartbeat(self, newest: int) -> None:
        """A sign of life, and a look."""

    async def end_session(self) -> None:
        """The login is over."""

    async def still_here(self) -> None:
        """Another process believes that the last window of the conversation was closed; this one is open."""


_by_conversation: defaultdict[uuid.UUID, set[Listener]] = defaultdict(set)
_by_user: defaultdict[uuid.UUID, set[Listener]] = defaultdict(set)


def join(listener: Listener) -> None:
    _by_conversation[listener.conversation_id].add(listener)
    _by_user[listener.user_id].add(listener)


def part(listener: Listener) -> None:
    """Forget a socket; one that is unknown or forgotten already is passed over."""
    if listener not in _by_user.get(listener.user_id, ()):
        return
    for index, key in ((_by_conversation, listener.conversation_id), (_by_user, listener.user_id)):
        index[key].discard(listener)
        if not index[key]:
            del index[key]
    if listener.user_id not in _by_user:
        realtime.part(listener.user_id)


def count(user_id: uuid.UUID) -> int:
    """Open sockets of one person in this process."""
    return len(_by_user.get(user_id, ()))


def shows(conversation_id: uuid.UUID) -> bool:
    """Is a page of the conversation open in this process?"""
    return conversation_id in _by_conversation


def everyone() -> list[Listener]:
    return [listener for listeners in _by_user.values() for listener in listeners]


async def deliver(conversation_id: uuid.UUID, seq: int, frames: list[dict[str, Any]]) -> None:
    """Give durable frames to every socket of the conversation here; other processes learn by doorbell."""
    listeners = list(_by_conversation.get(conversation_id, ()))
    await each(listener.deliver(seq, frames) for listener in listeners)


def show(conversation_id: uuid.UUID, frame: dict[str, Any]) -> None:
    """Give an ephemeral frame to every socket of the conversation here, in the order of the calls."""
    listeners = _by_conversation.get(conversation_id)
    if listeners:
        text = json.dumps(frame, ensure_ascii=False, separators=(",", ":"))
        for listener in listeners:
            listener.show(text)


async def rung(user_id: uuid.UUID, message: dict[str, Any]) -> None:
    """The doorbell of a person, of whatever process."""
    listeners = list(_by_user.get(user_id, ()))
    if message["type"] == "event":
        await each(listener.look(message["event"]) for listener in listeners)
    elif message["type"] == "window.closed":
        same = [listener for listener in listeners if listener.conversation_id.hex == message["conversation"]]
        await each(listener.still_here() for listener in same[:1])
    else:
        session = message["session"]  # None: every login of the person
        await each(listener.end_session() for listener in listeners if session in (None, listener.login[2]))


async def each(steps: Iterable[Awaitable[None]]) -> None:
    """Do something for many sockets at once; a fault of one is logged and keeps nothing from the others."""
    for result in await asyncio.gather(*steps, return_exceptions=True):
        if isinstance(result, Exception):
            log.warning("socket passed over: %s", type(result).__name__)
