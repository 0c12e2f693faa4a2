"""The socket of a guardian's open page: that something there has changed, and nothing about what.

Frames hold ids and codes only (docs/protocol.md, "The family socket"); the page fetches the part that changed and is asked
for its rights again then. Alerts and requests come with the guardian's own events, within a moment; minutes and what other
guardians change are looked at with each heartbeat.
"""

import asyncio
import json
import logging
import uuid
from collections.abc import Mapping
from typing import Any, Final

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.utils import timezone

from accounts import realtime
from accounts.models import User
from companion import access, hub, offload, patrol
from companion.access import Actor
from companion.buckets import Bucket
from guardians import dashboard
from guardians.access import Right, links_with

log = logging.getLogger(__name__)

DONE, TRY_LATER, MALFORMED, SESSION_ENDED, NOT_FOUND, TOO_MANY, TOO_FAST = (
    1000,
    1013,
    4400,
    4401,
    4404,
    4408,
    4429,
)
MALFORMED_ALLOWED: Final = 5  # in a row
KINDS: Final[Mapping[str, tuple[str, ...]]] = {  # frame → its fields
    "ready": ("wards",),
    "changed": ("ward", "parts"),
    "gone": ("ward",),
    "pong": (),
}
TYPES: Final = frozenset({"ping", "closing"})  # what a page may say
# Events of a guardian after which their page may show something new at once.
_TELLING: Final = frozenset({"alert.raised", "policy.changed"})
_NOWHERE: Final = uuid.UUID(int=0)
Wards = dict[str, dict[str, str]]  # minor → part of the page → stamp


class FamilyConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One open page of a guardian. A listener of the hub that belongs to no conversation."""

    channel_layer_alias = ""  # the hub hears the doorbell for every socket (accounts/realtime.py)
    conversation_id = _NOWHERE
    entered = False
    actor: Actor
    user_id: uuid.UUID

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The hub forgets the socket however it ends."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if hasattr(self, "user_id"):
                hub.part(self)

    async def connect(self) -> None:
        """Accept first, so that the page can read the close code; then look at login, number of sockets and rights."""
        await self.accept()
        self.malformed = 0
        self.frames = Bucket(settings.SOCKET_FRAMES_PER_SECOND, settings.SOCKET_FRAMES_BURST)
        self.looking = asyncio.Lock()
        user = self.scope["user"]
        if not user.is_authenticated:
            return await self.close(SESSION_ENDED)
        if hub.count(user.pk) >= settings.SOCKET_MAX_PER_USER:
            return await self.close(TOO_MANY)
        try:
            session_key = self.scope["session"].session_key or ""
            self.actor, self.seen, self.wards = await offload.run(_open, user.pk, session_key)
        except access.SessionEnded:
            return await self.close(SESSION_ENDED)
        except Exception as error:  # most likely the database is away
            log.error("socket not opened: %s", type(error).__name__)
            return await self.close(TRY_LATER)
        if not self.wards:
            return await self.close(NOT_FOUND)
        if hub.count(user.pk) >= settings.SOCKET_MAX_PER_USER:  # others may have come meanwhile
            return await self.close(TOO_MANY)
        self.user_id = user.pk
        hub.join(self)
        self.entered = True
        await self._send({"kind": "ready", "wards": self.wards})
        patrol.begin()
        await realtime.listen(hub.rung)
        await realtime.join(self.user_id)
        await hub.each([self._look()])  # what happened between reading and hearing

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        self.entered = False
        await super().close(code, reason)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self.entered:  # sent before the close code arrived
            return
        if not self.frames.take():
            return await self.close(TOO_FAST)
        said = _type(text_data)
        if said is None:
            self.malformed += 1
            if self.malformed >= MALFORMED_ALLOWED:
                await self.close(MALFORMED)
            return
        self.malformed = 0
        if said == "closing":
            return await self.close(DONE)
        try:
            await self._refresh()
            await self._send({"kind": "pong"})
        except access.SessionEnded:
            await self.close(SESSION_ENDED)
        except Exception as error:  # the heartbeat tries again
            log.warning("frame failed: %s", type(error).__name__)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """As in the chat socket: without Channels' look for old database connections in another thread."""
        await getattr(self, get_handler_name(message))(message)

    # --- as the hub sees it ----------------------------------------------------------------------------------------

    @property
    def login(self) -> access.Login:
        return self.user_id, self.actor.session_generation, self.actor.session_key

    async def look(self, newest: int) -> None:
        if newest > self.seen:
            self.seen, telling = await offload.run(_events, self.user_id, self.seen)
            if telling:
                await self._look()

    async def heartbeat(self, newest: int) -> None:
        await self._send({"kind": "pong"})
        await self._look()

    async def end_session(self) -> None:
        await self.close(SESSION_ENDED)

    async def deliver(self, seq: int, frames: list[dict[str, Any]]) -> None:
        """Frames of conversations go to the pages of conversations."""

    def show(self, text: str) -> None:
        """The same."""

    async def still_here(self) -> None:
        """No conversation is open here."""

    async def _refresh(self) -> None:
        self.actor = await offload.run(access.refresh, self.actor, timezone.now())

    async def _look(self) -> None:
        """Compare stamps, and say which parts are others now."""
        if not self.entered:
            return
        async with self.looking:
            try:
                await self._refresh()
            except access.SessionEnded:
                return await self.close(SESSION_ENDED)
            before, self.wards = self.wards, await offload.run(_wards, self.user_id)
            for ward in before.keys() - self.wards.keys():
                await self._send({"kind": "gone", "ward": ward})
            for ward, stamps in self.wards.items():
                known = before.get(ward, {})
                parts = {part: stamp for part, stamp in stamps.items() if known.get(part) != stamp}
                if parts:
                    await self._send({"kind": "changed", "ward": ward, "parts": parts})

    async def _send(self, frame: dict[str, Any]) -> None:
        await self.send(text_data=json.dumps(frame, separators=(",", ":")))


def _open(user_id: uuid.UUID, session_key: str) -> tuple[Actor, int, Wards]:
    actor = access.load_actor(user_id, session_key, timezone.now())
    return actor, realtime.last_event(user_id), _wards(user_id)


def _wards(user_id: uuid.UUID) -> Wards:
    links = links_with(User.objects.get(pk=user_id), Right.VIEW).select_related("minor")
    now = timezone.now()
    return {str(link.minor_id): stamps for link in links if (stamps := dashboard.stamps(link, now))}


def _events(user_id: uuid.UUID, since: int) -> tuple[int, bool]:
    """The newest number, and whether anything since could have changed the page. Forgotten rows could have."""
    events = realtime.replay(user_id, since)
    if not events:
        return since, False
    gap = events[0].seq != since + 1 or len(events) == realtime.REPLAY_LIMIT
    newest = realtime.last_event(user_id) if gap else events[-1].seq
    return newest, gap or any(event.kind in _TELLING for event in events)


def _type(text: str | None) -> str | None:
    """What a frame of the page says; None for what is no frame of the protocol."""
    try:
        frame = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    said = frame.get("type") if isinstance(frame, dict) else None
    return said if isinstance(said, str) and said in TYPES else None
