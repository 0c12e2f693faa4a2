"""What the steps of a turn share: what a step did, reviewed lines, and what is taken from a person at all."""

import datetime as dt
import uuid
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from accounts import ratelimit, realtime
from accounts.realtime import NewEvent
from companion.access import Actor, Refusal
from companion.events import frames_of
from companion.models import Conversation, Message
from companion.replies import Job


@dataclass
class Outcome:
    """What a step did: frames for the sockets of the conversation, and perhaps a reply to write."""

    actor: Actor
    conversation: uuid.UUID
    seq: int = 0
    frames: list[dict[str, Any]] = field(default_factory=list)
    echo: list[dict[str, Any]] = field(default_factory=list)  # once more, for the socket that asked again
    refusal: Refusal | None = None
    job: Job | None = None
    leans: bool = False  # the message speaks of dependence: worth a look at the person afterwards


def system_line(conversation: Conversation, code: str, happened: list[NewEvent], now: dt.datetime) -> Message:
    """A reviewed sentence in the conversation, in the caller's transaction."""
    line = Message(conversation=conversation, author=Message.Author.SYSTEM, code=code, created_at=now)
    line.save(force_insert=True)
    happened.append(NewEvent("message.created", conversation.public_id, line.public_id))
    return line


def emit(outcome: Outcome, happened: list[NewEvent], changed: list[Message]) -> None:
    if happened:
        actor = outcome.actor
        outcome.seq = realtime.emit(actor.user_id, *happened)
        outcome.frames = frames_of(happened, changed, outcome.seq, actor.user_id, actor.policy.language)


def tidy(text: str) -> str:
    """Without NUL, and with halves of a character (an emoji cut in two by the page) replaced: neither can be sealed."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\x00", "").strip()


def within_rate(actor: Actor, what: str = "message") -> bool:
    """For one person over all pages and processes; without Valkey each process counts for itself."""
    limit = settings.MESSAGES_PER_MINUTE
    return ratelimit.allow(f"{what}:{actor.user_id}", rate=limit / 60, burst=limit)
