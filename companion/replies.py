"""A reply as a job of the server: asked of the model, watched by the safety engine, shown in small batches, kept as shown.

The placeholder row is committed before the model is asked. While the reply grows, a checkpoint each second saves what was
shown and renews the lease; a process that dies leaves a partial reply that close_interrupted() marks as interrupted.
"""

import asyncio
import datetime as dt
import logging
import uuid
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from django.conf import settings
from django.db import Error, transaction
from django.db.models import Q
from django.utils import timezone

from accounts import realtime
from accounts.realtime import NewEvent
from companion import access, budgets, hub, offload, prompts, statements, usage
from companion.access import Actor
from companion.budgets import Reservation
from companion.events import frames_of
from companion.llm import client
from companion.models import Conversation, Message
from safety.engine.meaning import understand
from safety.engine.scores import Scores
from safety.engine.watch import Watch

log = logging.getLogger(__name__)

LEASE = dt.timedelta(seconds=15)  # a reply whose process is silent for longer counts as interrupted
CHECKPOINT_SECONDS = 1.0
BATCH_SECONDS = 0.02  # deltas that come faster are sent together

_ordered: dict[uuid.UUID, uuid.UUID] = {}  # by conversation: the reply about to begin here
_running: dict[uuid.UUID, "Reply"] = {}  # by conversation


@dataclass(frozen=True)
class Job:
    """All that writing a reply needs, so that the job itself reads nothing."""

    reply: Message  # the placeholder
    conversation_id: int
    conversation: uuid.UUID
    actor: Actor
    prompt: list[client.ChatMessage]
    relationship: str
    user_text: str
    reserved: Reservation
    careful: bool = False  # somebody may be at risk: nothing is shown that the engine could not look at


@dataclass(frozen=True)
class Finished:
    """The end of a reply as committed; `frames` is empty when somebody else had ended it already."""

    seq: int
    frames: list[dict[str, Any]]
    more_was_said: bool


class Continuation(Protocol):
    """What follows a reply: frames for the sockets and perhaps the next job."""

    seq: int
    frames: list[dict[str, Any]]
    job: Job | None


FollowUp = Callable[[Job], Continuation]


class Reply:
    """One reply being written."""

    def __init__(self, job: Job, follow_up: FollowUp) -> None:
        self.job = job
        self._follow_up = follow_up
        self.text = ""  # as let through by the watch
        self._unsent = ""  # the end of it that no page was given yet
        self._silenced = False
        self._ended_by = ""  # a code, when it was neither the model nor the person
        self._sent_at = 0.0
        self._flush: asyncio.TimerHandle | None = None
        self._watch = Watch(
            look=look,
            age_band=job.actor.policy.engine_band,
            persona_relationship=job.relationship,
            user_text=job.user_text,
            careful=job.careful,
        )
        self._usage = 0
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.create_task(self._write())

    @property
    def shown(self) -> str:
        """What pages were given."""
        return self.text[: len(self.text) - len(self._unsent)]

    def stop(self) -> None:
        """The person pressed stop: the model call is cancelled, what was shown is kept. From any thread."""
        # Soon and not now: a task cancelled before its first step would never close its row.
        self._loop.call_soon_threadsafe(self._task.cancel)

    def silence(self) -> None:
        """Nothing more of this reply may be shown, from this moment on. From any thread."""
        self._silenced = True
        self.stop()

    async def _write(self) -> None:
        checkpoint = asyncio.create_task(self._checkpoint())
        state, code = Message.State.COMPLETE, ""
        try:
            code = await self._stream()
        except asyncio.CancelledError:
            state, code = Message.State.STOPPED, self._ended_by
        except client.ModelError as error:
            state, code = Message.State.INTERRUPTED, f"model.{error.code}"
        except Exception as error:  # a fault of ours must not leave the reply hanging
            log.error("reply failed: %s", type(error).__name__)
            state, code = Message.State.INTERRUPTED, "model.fault"
        finally:
            checkpoint.cancel()
        if self._watch.cut:
            state, code = Message.State.CUT, self._watch.replacement_code
        await asyncio.shield(asyncio.ensure_future(self._finish(state, code)))

    async def _stream(self) -> str:
        """Show what the watch lets through while the model writes on; how the model ended."""
        reader = asyncio.create_task(self._read())
        try:
            while text := await self._watch.next():
                self._show(text)
            return "" if self._watch.cut else await reader
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)

    async def _read(self) -> str:
        """Give the watch what the model writes; "length" when it was not allowed to write more."""
        code = ""
        try:
            # Closing the stream closes the connection, and with it the model's work.
            async with aclosing(client.stream(self.job.prompt)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, str):
                        if not self._watch.feed(piece):
                            return ""
                    else:
                        self._usage = (piece.prompt_tokens or 0) + (piece.completion_tokens or 0)
                        code = "length" if piece.reason == "length" else ""
            self._watch.finish()
            return code
        finally:
            self._watch.end()

    def _show(self, text: str) -> None:
        if not text or self._silenced:
            return
        self.text += text
        self._unsent += text
        loop = asyncio.get_running_loop()
        wait = self._sent_at + BATCH_SECONDS - loop.time()
        if wait <= 0:
            self._send()
        elif self._flush is None:
            self._flush = loop.call_later(wait, self._send)

    def _send(self) -> None:
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        if not self._unsent or self._silenced:
            return
        self._sent_at = asyncio.get_running_loop().time()
        text, self._unsent = self._unsent, ""
        hub.show(
            self.job.conversation,
            {
                "kind": "reply.delta",
                "message": str(self.job.reply.public_id),
                "offset": len(self.text) - len(text),
                "text": text,
                "ai_generated": True,
            },
        )

    async def _checkpoint(self) -> None:
        """Save what was shown each second; learn that the reply was stopped or ended in another process."""
        pause = 0.3  # the first one early: a crash soon after the start should keep what was seen
        while True:
            await asyncio.sleep(pause)
            pause = CHECKPOINT_SECONDS
            try:
                wanted = await offload.run(_save_progress, self.job, self.shown)
            except Exception as error:  # the database may be away for a moment; the reply goes on
                log.warning("checkpoint failed: %s", type(error).__name__)
                continue
            if not wanted:
                return self.silence()
            if refusal := access.switch_gate(self.job.actor.policy):
                self._ended_by = refusal.code
                return self.stop()

    async def _finish(self, state: str, code: str) -> None:
        self._send()
        try:
            end = await self._keep(state, code)
            if end.frames:
                await hub.deliver(self.job.conversation, end.seq, end.frames)
            if end.more_was_said:
                further = await offload.run(self._follow_up, self.job)
                await begin(self.job.conversation, further, self._follow_up)
        except Exception as error:  # the sweep closes a row that is still open when its lease is over
            log.error("reply not finished: %s", type(error).__name__)

    async def _keep(self, state: str, code: str) -> Finished:
        """Commit; while the database is away, again for as long as the lease lets others believe in this reply."""
        job = self.job
        used = self._usage or prompts.total_tokens(job.prompt) + prompts.tokens(self.text)
        patience = self._loop.time() + LEASE.total_seconds()
        try:
            while True:
                try:
                    return await offload.run(_commit, job, self.shown, state, code, self._watch.reasons, used)
                except Error as error:
                    log.warning("reply not committed: %s", type(error).__name__)
                    if self._loop.time() > patience:
                        raise
                await asyncio.sleep(CHECKPOINT_SECONDS)
        finally:
            if _running.get(job.conversation) is self:
                del _running[job.conversation]


async def begin(conversation: uuid.UUID, outcome: Continuation, follow_up: FollowUp) -> None:
    """Show what a step committed, then begin the reply it ordered, unless somebody has ended it meanwhile."""
    if outcome.frames:
        await hub.deliver(conversation, outcome.seq, outcome.frames)
    if outcome.job is not None:
        reply = _running[conversation] = Reply(outcome.job, follow_up)
        if _ordered.pop(conversation, None) != outcome.job.reply.public_id:
            reply.silence()


def silence(conversation: uuid.UUID, message: uuid.UUID) -> Reply | None:
    """A reply was ended by somebody else: show nothing more of it, and do not begin it. From any thread."""
    if _ordered.get(conversation) == message:
        _ordered.pop(conversation, None)
    reply = _running.get(conversation)
    if reply is None or reply.job.reply.public_id != message:
        return None
    reply.silence()
    return reply


def current(conversation: uuid.UUID) -> Reply | None:
    """The reply being written here for a conversation."""
    return _running.get(conversation)


def placeholder(
    conversation: Conversation, question: Message, happened: list[NewEvent], now: dt.datetime
) -> Message:
    """The row of a reply before its first word; the database refuses a second one in the conversation."""
    reply = Message(
        conversation=conversation,
        author=Message.Author.AI,
        state=Message.State.STREAMING,
        answers=question,
        model=settings.LLM_MODEL,
        prompt_version=prompts.VERSION,
        owner=settings.INSTANCE,
        lease_until=now + LEASE,
        created_at=now,
    )
    reply.save(force_insert=True)
    _ordered[conversation.public_id] = reply.public_id
    happened.append(NewEvent("reply.started", conversation.public_id, reply.public_id))
    return reply


def running(conversation: Conversation, now: dt.datetime) -> bool:
    """Is a reply being written somewhere? One whose lease is over is closed on the way."""
    reply = statements.streaming(conversation.pk)
    if reply is None:
        return False
    pk, lease = reply
    if lease is not None and lease > now:
        return True
    _interrupt(Message.objects.select_related("conversation").get(pk=pk), conversation.user_id, now)
    return False


def stop_streaming(conversation: Conversation, happened: list[NewEvent], now: dt.datetime) -> list[Message]:
    """End the reply being written, in the caller's transaction, with what was shown of it until now."""
    stopped = list(Message.objects.filter(conversation=conversation, state=Message.State.STREAMING))
    for reply in stopped:
        writing = silence(conversation.public_id, reply.public_id)
        if writing is not None:
            reply.seal(conversation.user_id, writing.shown)
        reply.state, reply.finished_at = Message.State.STOPPED, now
        reply.save(update_fields=["body", "state", "finished_at"])
        happened.append(NewEvent("reply.finished", conversation.public_id, reply.public_id))
    return stopped


def close_interrupted(*, owner: str | None = None) -> int:
    """Mark replies as interrupted whose process is gone: those of `owner` at its start, or those with an old lease."""
    now = timezone.now()
    lost = Q(owner=owner) if owner is not None else Q(lease_until__lt=now)
    rows = Message.objects.filter(lost, state=Message.State.STREAMING).select_related("conversation")
    count = 0
    for reply in rows:
        with transaction.atomic(durable=True):
            count += _interrupt(reply, reply.conversation.user_id, now)
    return count


def _interrupt(reply: Message, user_id: uuid.UUID, now: dt.datetime) -> int:
    changed = Message.objects.filter(pk=reply.pk, state=Message.State.STREAMING).update(
        state=Message.State.INTERRUPTED, code="model.interrupted", finished_at=now
    )
    if changed:
        event = NewEvent("reply.finished", reply.conversation.public_id, reply.public_id)
        realtime.emit(user_id, event)
    return changed


async def look(texts: Sequence[str]) -> list[Scores] | None:
    """What the heads say of the texts, or None when they are late or down."""
    meaning = await understand(texts, deadline=settings.EMBEDDINGS_DEADLINE, remember=False)
    return None if meaning is None else [meaning.of(text) for text in texts]


def _save_progress(job: Job, text: str) -> bool:
    """False when the reply was ended elsewhere or the person asked to stop."""
    now = timezone.now()
    row = Message(pk=job.reply.pk, public_id=job.reply.public_id)
    row.seal(job.actor.user_id, text)
    return bool(
        Message.objects.filter(pk=job.reply.pk, state=Message.State.STREAMING, stop_requested=False).update(
            body=row.body, lease_until=now + LEASE
        )
    )


def _commit(job: Job, text: str, state: str, code: str, reasons: tuple[str, ...], used: int) -> Finished:
    """The second transaction of a turn: the text as shown, its state and the event."""
    now = timezone.now()
    user_id = job.actor.user_id
    row = Message(pk=job.reply.pk, public_id=job.reply.public_id)
    row.seal(user_id, text)
    seq, frames = 0, []
    with transaction.atomic(durable=True):
        statements.lock_conversation(job.conversation_id)
        changed = Message.objects.filter(pk=job.reply.pk, state=Message.State.STREAMING).update(
            body=row.body, state=state, code=code, verdict=list(reasons), finished_at=now, lease_until=None
        )
        if changed:
            event = NewEvent("reply.finished", job.conversation, job.reply.public_id)
            seq = realtime.emit(user_id, event)
            reply = job.reply
            reply.body, reply.state, reply.code, reply.finished_at = row.body, state, code, now
            frames = frames_of([event], [reply], seq, user_id, job.actor.policy.language)
        else:  # ended elsewhere, with what the last checkpoint knew: what was shown is kept all the same
            Message.objects.filter(pk=job.reply.pk).update(body=row.body)
        more = bool(changed) and statements.said_later(job.conversation_id, job.reply.pk)
    budgets.settle(job.reserved, used)
    if changed:  # somebody reads it
        usage.touch(user_id, job.actor.policy, job.reply.conversation.persona_id, job.conversation)
    return Finished(seq, frames, more)
