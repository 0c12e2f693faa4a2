"""Deleting what was said: by a guardian for a minor, and by people themselves once there is a page for it.

Messages and memories go, and the replies that are being written end. What stays: the time that was spent, verdicts and the
record of a case as codes, and the sealed excerpt that a case was opened with, because help may still be under way.
"""

import datetime as dt
import uuid
from dataclasses import dataclass

from django.db import connection, transaction

from accounts import audit, realtime
from accounts.models import User
from accounts.realtime import NewEvent
from companion import replies
from companion.models import Conversation, Memory, Message


@dataclass(frozen=True)
class Erased:
    conversations: int
    messages: int
    memories: int


def erase(user: User, *, actor: uuid.UUID, now: dt.datetime, persona: uuid.UUID | None = None) -> Erased:
    """All that was said with one companion, or with all of them. A line in each conversation says that and by whom.

    Open pages load themselves anew. A reply that another process writes ends at its next checkpoint, within a second,
    because its row is gone.
    """
    with transaction.atomic(durable=True):
        rows = Conversation.objects.select_for_update().filter(user=user).order_by("pk")
        memories = Memory.objects.filter(user=user)
        if persona is not None:
            rows = rows.filter(persona__public_id=persona)
            memories = memories.filter(persona__public_id=persona)
        conversations = list(rows)
        _end_replies(conversations)
        count = _delete_messages([conversation.pk for conversation in conversations])
        forgotten, _ = memories.delete()
        code = "history.erased" if actor == user.pk else "history.erased_by_guardian"
        Message.objects.bulk_create(
            Message(conversation=conversation, author=Message.Author.SYSTEM, code=code, created_at=now)
            for conversation in conversations
        )
        audit.record(
            "history.erased",
            actor=actor,
            subject=user.pk,
            target=f"persona:{persona}" if persona else "",
            conversations=len(conversations),
            messages=count,
            memories=forgotten,
        )
        if conversations:
            events = (NewEvent("history.erased", conversation.public_id) for conversation in conversations)
            realtime.emit(user.pk, *events)
    return Erased(len(conversations), count, forgotten)


def _end_replies(conversations: list[Conversation]) -> None:
    """Those that this process writes end before anything else."""
    names = {conversation.pk: conversation.public_id for conversation in conversations}
    writing = Message.objects.filter(conversation__in=names, state=Message.State.STREAMING)
    for conversation, reply in writing.values_list("conversation", "public_id"):
        replies.silence(names[conversation], reply)


def _delete_messages(conversations: list[int]) -> int:
    """In one statement: Django would read every message first to find the replies to it, which go as well."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM companion_message WHERE conversation_id = ANY(%s)", [conversations])
        return int(cursor.rowcount)
