"""The chat socket. It parses frames, calls one core function and sends frames; every decision is made elsewhere."""

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from channels.consumer import get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from accounts import realtime
from companion import (
    access,
    departures,
    dependence,
    hearing,
    hub,
    leaving,
    notices,
    offload,
    patrol,
    replies,
    sentences,
    steps,
    turns,
    usage,
)
from companion.access import Actor, Refusal
from companion.buckets import Bucket
from companion.events import NoticeFrame, UsageFrame, durable_frames, notice_frame, usage_frame
from companion.models import Conversation, Departure
from companion.personas import NotFound

log = logging.getLogger(__name__)

TRY_LATER, MALFORMED, SESSION_ENDED, NOT_ALLOWED = 1013, 4400, 4401, 4403
NOT_FOUND, TOO_MANY, TOO_FAST = 4404, 4408, 4429
BY_THE_PAGE = (1000, 1001)  # a window that was closed or went elsewhere; a lost line is 1006
MALFORMED_ALLOWED = 5  # in a row
ANSWERS = ("understood", "pause", "continue")
Frame = dict[str, Any]


class Malformed(Exception):
    """A frame that is not of the protocol; `code` goes to the client."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Closed(Exception):
    """The socket is not opened; the page reads the close code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class ChatConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One open page of one conversation."""

    # No channel of its own: the hub hears the doorbell for every socket (accounts/realtime.py).
    channel_layer_alias = ""
    entered = False  # frames count only between `ready` and the close
    left = False  # from `conversation.left` on, nothing of the persona is sent here, whoever would
    actor: Actor
    user_id: uuid.UUID
    conversation_id: uuid.UUID

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The hub forgets the socket however it ends: daphne cancels one that does not end by itself in time."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            if hasattr(self, "conversation_id"):
                hub.part(self)

    async def connect(self) -> None:
        """Accept first, so that the page can read the close code; then look at login, number of sockets and owner."""
        await self.accept()
        self.seen = 0
        self.malformed = 0
        self.frames = Bucket(settings.SOCKET_FRAMES_PER_SECOND, settings.SOCKET_FRAMES_BURST)
        self.sending = asyncio.Lock()
        self.shown: set[asyncio.Task[None]] = set()
        try:
            ready = await self._enter()
        except Closed as error:
            return await self.close(error.code)
        except access.SessionEnded:
            return await self.close(SESSION_ENDED)
        except (ValueError, NotFound):
            return await self.close(NOT_FOUND)
        except Exception as error:  # most likely the database is away
            log.error("socket not opened: %s", type(error).__name__)
            return await self.close(TRY_LATER)
        await self._send(ready)
        patrol.begin()
        await realtime.listen(hub.rung)
        await realtime.join(self.user_id)
        await hub.each([self._catch_up()])  # what happened between reading and hearing

    async def _enter(self) -> Frame:
        user = self.scope["user"]
        if not user.is_authenticated:
            raise access.SessionEnded
        self.user_id = user.pk
        self._refuse_crowd()
        wanted = uuid.UUID(self.scope["url_route"]["kwargs"]["conversation"])
        session_key = self.scope["session"].session_key or ""
        self.actor, conversation, self.seen, standing = await offload.run(_open, user.pk, session_key, wanted)
        self._refuse_crowd()  # others may have come meanwhile
        self.conversation_id = conversation.public_id
        self.left = conversation.ended_at is not None
        hub.join(self)
        self.entered = True
        reply = None if self.left else replies.current(self.conversation_id)
        return {
            "kind": "ready",
            "conversation": str(self.conversation_id),
            "event": self.seen,
            "state": access.state_of(conversation, self.actor),
            "notices": self._waiting(),
            "usage": self._usage(standing),
            "reply": {"id": str(reply.job.reply.public_id), "text": reply.shown} if reply else None,
        }

    def _refuse_crowd(self) -> None:
        if hub.count(self.user_id) >= settings.SOCKET_MAX_PER_USER:
            raise Closed(TOO_MANY)

    async def disconnect(self, code: int) -> None:
        if self.entered and code in BY_THE_PAGE:
            self._gone()

    def _gone(self) -> None:
        """The page says that it closes, or closed the line in good order."""
        hub.part(self)
        leaving.window_closed(self.user_id, self.conversation_id)

    async def close(self, code: int | None = None, reason: str | None = None) -> None:
        self.entered = False
        await super().close(code, reason)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self.entered:  # sent before the close code arrived
            return
        if not self.frames.take():
            await self._error("too_fast", {})
            await self.close(TOO_FAST)
            return
        frame: Frame = {}
        try:
            frame = _parse(text_data)
            handler: Callable[[Frame], Awaitable[None]] | None = self._handlers.get(frame["type"])
            if handler is None:
                raise Malformed("unknown_type")
            async with asyncio.timeout(settings.SOCKET_STEP_SECONDS):
                await handler(frame)
            self.malformed = 0
        except Malformed as error:
            self.malformed += 1
            await self._error(error.code, frame)
            if self.malformed >= MALFORMED_ALLOWED:
                await self.close(MALFORMED)
        except access.SessionEnded:
            await self.close(SESSION_ENDED)
        except NotFound:
            await self.close(NOT_FOUND)
        except Exception as error:  # the person gets a sentence, the log gets the kind, nobody gets the text
            log.error("frame failed: %s", type(error).__name__, exc_info=settings.DEBUG)
            await self._error("failed", frame)

    async def dispatch(self, message: Frame) -> None:
        """Without Channels' look for old database connections in another thread at each frame: this one has none."""
        await getattr(self, get_handler_name(message))(message)

    # --- frames from the client --------------------------------------------------------------------------------

    @property
    def _handlers(self) -> dict[str, Callable[[Frame], Awaitable[None]]]:
        return {
            "message": self._message,
            "stop": self._stop,
            "regenerate": self._again,
            "retry": self._again,
            "resume": self._resume,
            "leave": self._leave,
            "voice": self._voice,
            "closing": self._closing,
            "acknowledge": self._acknowledge,
            "shown": self._shown,
            "here": self._here,
            "ping": self._ping,
        }

    async def _message(self, frame: Frame) -> None:
        text, client_id = frame.get("text"), _uuid(frame, "id", required=False)
        if not isinstance(text, str):
            raise Malformed("malformed")
        outcome = await hearing.take(self.actor, self.conversation_id, text, client_id)
        await self._carry_out(outcome, frame)
        if outcome.leans:
            dependence.soon(self.user_id)

    async def _again(self, frame: Frame) -> None:
        message = _uuid(frame, "message")
        await self._carry_out(
            await offload.run(turns.again, self.actor, self.conversation_id, message), frame
        )

    async def _stop(self, frame: Frame) -> None:
        reply = replies.current(self.conversation_id)
        if reply is not None:
            reply.stop()
        await self._carry_out(await offload.run(turns.stop, self.actor, self.conversation_id), frame)

    async def _leave(self, frame: Frame, how: str = Departure.How.BUTTON) -> None:
        reply = replies.current(self.conversation_id)
        if reply is not None:
            reply.silence()  # before anything else: not one more word of the persona
        await self._carry_out(
            await offload.run(departures.leave, self.actor, self.conversation_id, how), frame
        )

    async def _voice(self, frame: Frame) -> None:
        """What somebody said aloud: only whether it means leaving. To talk, the page sends it as a message."""
        text = frame.get("text")
        if not isinstance(text, str):
            raise Malformed("malformed")
        await self._carry_out(
            await offload.run(departures.spoken, self.actor, self.conversation_id, text), frame
        )

    async def _closing(self, frame: Frame) -> None:
        """A page that comes back (the browser keeps some) opens a new line."""
        self._gone()
        await self.close(BY_THE_PAGE[0])

    async def _acknowledge(self, frame: Frame) -> None:
        notice, answer = _uuid(frame, "notice"), frame.get("answer")
        if answer not in ANSWERS:
            raise Malformed("malformed")
        self.actor = await offload.run(access.refresh, self.actor, timezone.now())
        await offload.run(notices.acknowledge, self.user_id, notice, answer)
        if answer == "pause":
            return await self._leave(frame, Departure.How.PAUSE)
        await self._catch_up()

    async def _shown(self, frame: Frame) -> None:
        await offload.run(notices.shown, self.user_id, _uuid(frame, "notice"), timezone.now())

    async def _here(self, frame: Frame) -> None:
        """The page is in sight and the person was active a moment ago: a minute of use."""
        self.actor = await offload.run(access.refresh, self.actor, timezone.now())
        standing = await offload.run(turns.here, self.actor, self.conversation_id)
        await self._send({"kind": "usage", **self._usage(standing)})

    async def _resume(self, frame: Frame) -> None:
        since = frame.get("since")
        if not isinstance(since, int) or isinstance(since, bool) or since < 0:
            raise Malformed("malformed")
        self.actor = await offload.run(access.refresh, self.actor, timezone.now())
        await self._catch_up(since)
        reply = replies.current(self.conversation_id)
        if reply is not None and not self.left:
            await self._send(
                {
                    "kind": "reply.snapshot",
                    "message": str(reply.job.reply.public_id),
                    "text": reply.shown,
                    "ai_generated": True,
                }
            )

    async def _ping(self, frame: Frame) -> None:
        self.actor = await offload.run(access.refresh, self.actor, timezone.now())
        await self._send({"kind": "pong"})

    async def _carry_out(self, outcome: steps.Outcome, frame: Frame) -> None:
        self.actor = outcome.actor
        if outcome.refusal:
            await self._refuse(outcome.refusal, frame)
        for known in outcome.echo:
            await self._send(known)
        await replies.begin(self.conversation_id, outcome, turns.follow_up)

    # --- frames to the client ----------------------------------------------------------------------------------

    async def deliver(self, seq: int, frames: list[Frame]) -> None:
        """Durable frames from this process. A gap in the numbers means something happened elsewhere: read the rows."""
        async with self.sending:
            if seq <= self.seen:
                return  # the doorbell was quicker and these were read from the rows
            rights = any(frame["kind"] == "policy.changed" for frame in frames)  # read again with the rows
            if frames[0]["event"] == self.seen + 1 and not rights:
                for frame in frames:
                    await self._send(frame)
                self.seen = seq
                return
        await self._catch_up()

    def show(self, text: str) -> None:
        task = asyncio.ensure_future(self._show(text))
        self.shown.add(task)  # the loop keeps only weak references
        task.add_done_callback(self.shown.discard)

    async def _show(self, text: str) -> None:
        if not self.left:
            await self.send(text_data=text)

    async def still_here(self) -> None:
        await offload.run(leaving.came_back, self.user_id, self.conversation_id, timezone.now())

    async def look(self, newest: int) -> None:
        if newest > self.seen:
            await self._catch_up()

    async def heartbeat(self, newest: int) -> None:
        await self._send({"kind": "pong"})
        await self.look(newest)

    async def end_session(self) -> None:
        await self.close(SESSION_ENDED)

    @property
    def login(self) -> access.Login:
        return self.user_id, self.actor.session_generation, self.actor.session_key

    async def _catch_up(self, since: int | None = None) -> None:
        """Frames of the rows after `since`, which is what the client says, or after what this socket was sent."""
        async with self.sending:
            newest = self.seen
            if since is not None:
                self.seen = min(since, newest)
            language = self.actor.policy.language
            seen, frames = await offload.run(_replay, self.user_id, self.conversation_id, self.seen, language)
            if seen < newest:  # what the client missed has been forgotten since
                seen, frames = newest, [{"kind": "reload"}]
            self.seen = seen
            for frame in frames:
                if frame["kind"] == "policy.changed":
                    await self._read_rights()
                    frame["voice"] = self.actor.policy.choices.voice
                    frame["minors"] = self.actor.policy.is_minor
                if (
                    frame["kind"] == "reply.finished"
                ):  # perhaps ended by another process while this one writes it
                    replies.silence(self.conversation_id, uuid.UUID(frame["message"]["id"]))
                await self._send(frame)

    # While somebody is in danger neither a notice nor the clock stands in their way.
    def _waiting(self) -> list[NoticeFrame]:
        waiting = () if self.actor.care.muted else self.actor.notices
        return [notice_frame(notice, self.actor.policy.language) for notice in waiting]

    def _usage(self, standing: usage.Standing) -> UsageFrame:
        return usage_frame(usage.FREE if self.actor.care.muted else standing)

    async def _read_rights(self) -> None:
        """Rights that are gone end the conversation here and now: consent withdrawn, account suspended (threat T37),
        companion closed by a guardian or by minors' mode."""
        self.actor, refusal = await offload.run(
            access.reread, self.actor, self.conversation_id, timezone.now()
        )
        if refusal is None:
            return
        reply = replies.current(self.conversation_id)
        if reply is not None:
            reply.silence()
        await self.close(NOT_ALLOWED)

    async def _refuse(self, refusal: Refusal, asked: Frame) -> None:
        sentence, label = sentences.refusal(refusal.code, self.actor.policy.language)
        frame: Frame = {"kind": "refused", "id": _client_id(asked), "code": refusal.code, "text": sentence}
        if refusal.link:
            frame["link"] = {"url": reverse(refusal.link), "label": label}
        await self._send(frame)

    async def _error(self, code: str, asked: Frame) -> None:
        sentence, _label = sentences.refusal(code, self.actor.policy.language)
        await self._send({"kind": "error", "id": _client_id(asked), "code": code, "text": sentence})

    async def _send(self, frame: Frame) -> None:
        if frame["kind"] in ("conversation.left", "conversation.returned"):
            self.left = frame["kind"] == "conversation.left"
        await self.send(text_data=json.dumps(frame, ensure_ascii=False, separators=(",", ":")))


def _open(
    user_id: uuid.UUID, session_key: str, conversation_id: uuid.UUID
) -> tuple[Actor, Conversation, int, usage.Standing]:
    """Everything a new socket needs, in one hop."""
    now = timezone.now()
    actor = access.load_actor(user_id, session_key, now)
    conversation = access.access_conversation(user_id, conversation_id)
    if access.hidden(actor, conversation):
        raise Closed(NOT_ALLOWED)
    leaving.came_back(user_id, conversation_id, now)
    return actor, conversation, realtime.last_event(user_id), usage.standing(user_id, actor.policy)


def _replay(
    user_id: uuid.UUID, conversation: uuid.UUID, since: int, language: str
) -> tuple[int, list[Frame]]:
    """Frames after `since` that concern this conversation or the account, and the new mark.

    Numbers have no gaps, so one means that rows were forgotten meanwhile; together with more rows than one replay holds
    that is a page which had better load itself anew.
    """
    events = realtime.replay(user_id, since)
    if not events:
        return since, []
    if events[0].seq != since + 1 or len(events) == realtime.REPLAY_LIMIT:
        return realtime.last_event(user_id), [{"kind": "reload"}]
    ours = [event for event in events if event.conversation in (None, conversation)]
    return events[-1].seq, durable_frames(ours, user_id, language)


def _parse(text: str | None) -> Frame:
    try:
        frame = json.loads(text or "")
    except (ValueError, RecursionError):
        raise Malformed("malformed") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise Malformed("malformed")
    return frame


def _client_id(frame: Frame) -> str | None:
    """The client's own id of a frame, when it is one: nothing else is sent back."""
    value = frame.get("id")
    return value if isinstance(value, str) and value.isascii() and len(value) <= 64 else None


def _uuid(frame: Frame, key: str, *, required: bool = True) -> uuid.UUID | None:
    value = frame.get(key)
    if value is None and not required:
        return None
    try:
        return uuid.UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise Malformed("malformed") from None
