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
from companion import access, hub, offload, replies, sentences, turns
from companion.access import Actor, Refusal
from companion.buckets import Bucket
from companion.events import durable_frames
from companion.models import Conversation
from companion.patrol import patrol
from companion.personas import NotFound

log = logging.getLogger(__name__)

MALFORMED, SESSION_ENDED, NOT_FOUND, TOO_MANY, TOO_FAST = 4400, 4401, 4404, 4408, 4429
MALFORMED_ALLOWED = 5  # in a row
Frame = dict[str, Any]


class Malformed(Exception):
    """A frame that is not of the protocol; `code` goes to the client."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ChatConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One open page of one conversation."""

    actor: Actor
    user_id: uuid.UUID
    conversation_id: uuid.UUID

    async def connect(self) -> None:
        """Accept first, so that the page can read the close code; then check login, number of sockets and owner."""
        await self.accept()
        self.seen = 0
        self.malformed = 0
        self.frames = Bucket(settings.SOCKET_FRAMES_PER_SECOND, settings.SOCKET_FRAMES_BURST)
        self.sending = asyncio.Lock()
        self.shown: set[asyncio.Task[None]] = set()
        user = self.scope["user"]
        if not user.is_authenticated:
            await self.close(SESSION_ENDED)
            return
        self.user_id = user.pk
        if hub.count(self.user_id) >= settings.SOCKET_MAX_PER_USER:
            await self.close(TOO_MANY)
            return
        try:
            wanted = uuid.UUID(self.scope["url_route"]["kwargs"]["conversation"])
            self.actor, conversation, self.seen, notice = await offload.run(
                _open, self.user_id, self.scope["session"].session_key or "", wanted
            )
        except (ValueError, NotFound):
            await self.close(NOT_FOUND)
            return
        except access.SessionEnded:
            await self.close(SESSION_ENDED)
            return
        self.conversation_id = conversation.public_id
        realtime.attach_loop()
        patrol.begin()
        hub.join(self)
        await self._join_group()
        reply = replies.current(self.conversation_id)
        await self._send(
            {
                "kind": "ready",
                "conversation": str(self.conversation_id),
                "event": self.seen,
                "state": access.state_of(conversation),
                "notice_required": notice,
                "reply": {"id": str(reply.job.reply.public_id), "text": reply.text} if reply else None,
            }
        )

    async def disconnect(self, code: int) -> None:
        if hasattr(self, "conversation_id"):
            hub.part(self)
            try:
                async with asyncio.timeout(realtime.DOORBELL_SECONDS):
                    await self.channel_layer.group_discard(
                        realtime.user_group(self.user_id), self.channel_name
                    )
            except Exception as error:  # Redis is away: its subscription dies with the connection
                log.warning("group not left: %s", type(error).__name__)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self.frames.take():
            await self._error("too_fast")
            await self.close(TOO_FAST)
            return
        frame: Frame = {}
        try:
            frame = _parse(text_data)
            handler: Callable[[Frame], Awaitable[None]] | None = self._handlers.get(frame["type"])
            if handler is None:
                raise Malformed("unknown_type")
            await handler(frame)
            self.malformed = 0
        except Malformed as error:
            self.malformed += 1
            await self._error(error.code, frame.get("id"))
            if self.malformed >= MALFORMED_ALLOWED:
                await self.close(MALFORMED)
        except access.SessionEnded:
            await self.close(SESSION_ENDED)
        except NotFound:
            await self.close(NOT_FOUND)
        except Exception as error:  # the person gets a sentence, the log gets the kind, nobody gets the text
            log.error("frame failed: %s", type(error).__name__, exc_info=settings.DEBUG)
            await self._error("failed", frame.get("id"))

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
            "acknowledge": self._acknowledge,
            "ping": self._ping,
        }

    async def _message(self, frame: Frame) -> None:
        text, client_id = frame.get("text"), _uuid(frame, "id", required=False)
        if not isinstance(text, str):
            raise Malformed("malformed")
        outcome = await offload.run(turns.say, self.actor, self.conversation_id, text, client_id)
        await self._carry_out(outcome, frame.get("id"))

    async def _again(self, frame: Frame) -> None:
        message = _uuid(frame, "message")
        outcome = await offload.run(turns.again, self.actor, self.conversation_id, message)
        await self._carry_out(outcome)

    async def _stop(self, frame: Frame) -> None:
        reply = replies.current(self.conversation_id)
        if reply is not None and reply.job.actor.user_id == self.user_id:
            reply.stop()
        await self._carry_out(await offload.run(turns.stop, self.actor, self.conversation_id))

    async def _leave(self, frame: Frame) -> None:
        reply = replies.current(self.conversation_id)
        if reply is not None:
            reply.silence()  # before anything else: not one more word of the persona
        await self._carry_out(await offload.run(turns.leave, self.actor, self.conversation_id))

    async def _acknowledge(self, frame: Frame) -> None:
        if frame.get("notice") != "ai":
            raise Malformed("malformed")
        self.actor = await offload.run(access.refresh, self.actor, timezone.now())
        await offload.run(turns.acknowledge_notice, self.user_id, self.actor.session_key)
        await self._catch_up()

    async def _resume(self, frame: Frame) -> None:
        since = frame.get("since")
        if not isinstance(since, int) or isinstance(since, bool) or since < 0:
            raise Malformed("malformed")
        self.actor = await offload.run(access.refresh, self.actor, timezone.now())
        newest, self.seen = self.seen, min(since, self.seen)
        await self._catch_up()
        if self.seen < newest:  # what it missed has been forgotten since
            return await self._send({"kind": "reload"})
        reply = replies.current(self.conversation_id)
        if reply is not None:
            await self._send(
                {
                    "kind": "reply.snapshot",
                    "message": str(reply.job.reply.public_id),
                    "text": reply.text,
                    "ai_generated": True,
                }
            )

    async def _ping(self, frame: Frame) -> None:
        self.actor = await offload.run(access.refresh, self.actor, timezone.now())
        await self._send({"kind": "pong"})

    async def _carry_out(self, outcome: turns.Outcome, client_id: Any = None) -> None:
        self.actor = outcome.actor
        if outcome.refusal:
            return await self._refuse(outcome.refusal, client_id)
        for frame in outcome.echo:
            await self._send(frame)
        reply = replies.current(self.conversation_id)
        if outcome.silence and reply is not None:
            reply.silence()
        await replies.begin(self.conversation_id, outcome, turns.follow_up)

    # --- frames to the client ----------------------------------------------------------------------------------

    async def deliver(self, seq: int, frames: list[Frame]) -> None:
        """Durable frames from this process. A gap in the numbers means something happened elsewhere: read the rows."""
        async with self.sending:
            if seq <= self.seen:
                return  # the doorbell was quicker and these were read from the rows
            if frames[0]["event"] == self.seen + 1:
                for frame in frames:
                    await self._send(frame)
                self.seen = seq
                return
        await self._catch_up()

    def show(self, text: str) -> None:
        task = asyncio.ensure_future(self.send(text_data=text))
        self.shown.add(task)  # the loop keeps only weak references
        task.add_done_callback(self.shown.discard)

    async def event(self, message: Frame) -> None:
        """The doorbell of another process, or the echo of our own."""
        if message["event"] > self.seen:
            await self._catch_up()

    async def session_ended(self, message: Frame) -> None:
        if message["session"] in (None, self.actor.session_key):
            await self.close(SESSION_ENDED)

    async def end_session(self) -> None:
        """The patrol found the login over."""
        await self.close(SESSION_ENDED)

    async def heartbeat(self, newest: int) -> None:
        """A sign of life, and the events whose doorbell got lost."""
        await self._send({"kind": "pong"})
        if newest > self.seen:
            await self._catch_up()

    @property
    def login(self) -> access.Login:
        return self.user_id, self.actor.session_generation, self.actor.session_key

    async def _catch_up(self) -> None:
        async with self.sending:
            language = self.actor.policy.language
            self.seen, frames = await offload.run(
                _replay, self.user_id, self.conversation_id, self.seen, language
            )
            for frame in frames:
                await self._send(frame)

    async def _refuse(self, refusal: Refusal, client_id: Any) -> None:
        sentence, label = sentences.refusal(refusal.code, self.actor.policy.language)
        frame: Frame = {"kind": "refused", "id": client_id, "code": refusal.code, "text": sentence}
        if refusal.link:
            frame["link"] = {"url": reverse(refusal.link), "label": label}
        await self._send(frame)

    async def _error(self, code: str, client_id: Any = None) -> None:
        sentence, _label = sentences.refusal(code, self.actor.policy.language)
        await self._send({"kind": "error", "id": client_id, "code": code, "text": sentence})

    async def _send(self, frame: Frame) -> None:
        await self.send(text_data=json.dumps(frame, ensure_ascii=False, separators=(",", ":")))

    async def _join_group(self) -> None:
        """Without Redis the socket still works: the patrol looks for missed events at each heartbeat."""
        try:
            async with asyncio.timeout(realtime.DOORBELL_SECONDS):
                await self.channel_layer.group_add(realtime.user_group(self.user_id), self.channel_name)
        except Exception as error:
            log.warning("group not joined: %s", type(error).__name__)


def _open(
    user_id: uuid.UUID, session_key: str, conversation_id: uuid.UUID
) -> tuple[Actor, Conversation, int, bool]:
    """Everything a new socket needs, in one hop."""
    actor = access.load_actor(user_id, session_key, timezone.now())
    conversation = access.access_conversation(user_id, conversation_id)
    if not actor.notice_acknowledged:
        access.show_notice(user_id, session_key)
    return actor, conversation, realtime.last_event(user_id), not actor.notice_acknowledged


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
    except ValueError:
        raise Malformed("malformed") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("type"), str):
        raise Malformed("malformed")
    return frame


def _uuid(frame: Frame, key: str, *, required: bool = True) -> uuid.UUID | None:
    value = frame.get(key)
    if value is None and not required:
        return None
    try:
        return uuid.UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise Malformed("malformed") from None
