"""Deleting what was said: by a guardian for a minor, and by people themselves once there is a page for it.

Messages and memories go, and the replies that are being written end. What stays: the time that was spent, verdicts and the
record of a case as codes, and the sealed excerpt that a case was opened with, because help may still be under way.

While a case is open, what was asked for waits until it is closed: who looks after somebody may be the danger. Whoever asks
reads the same sentence either way, so that it tells nothing about a case.
"""

import datetime as dt
import uuid

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from accounts import audit, realtime
from accounts.models import User
from accounts.realtime import NewEvent
from companion import replies
from companion.models import Conversation, Erasure, Memory, Message
from guardians import access
from safety.models import CrisisCase


def ask(user: User, *, by: User, now: dt.datetime, persona: uuid.UUID | None = None) -> None:
    """Delete what was said with one companion, or with all: at once, or when no case of the person is open any more."""
    Erasure.objects.create(user=user, asked_by=by, persona=persona, asked_at=now)
    carry_out(now, user)


def carry_out(now: dt.datetime, user: User | None = None) -> int:
    """What was asked for and can be done; of everybody, or of one person. How many."""
    in_need = CrisisCase.objects.filter(user=OuterRef("user")).exclude(state=CrisisCase.State.CLOSED)
    waiting = Erasure.objects.filter(~Exists(in_need), over_at=None)
    if user is not None:
        waiting = waiting.filter(user=user)
    return sum(_carry_out(pk, now) for pk in list(waiting.order_by("pk").values_list("pk", flat=True)))


@transaction.atomic(durable=True)
def _carry_out(pk: int, now: dt.datetime) -> bool:
    """Done and noted as done together: a process that dies in between leaves it to the next one."""
    rows = Erasure.objects.select_for_update(skip_locked=True, of=("self",)).select_related(
        "user", "asked_by"
    )
    asked = rows.filter(pk=pk, over_at=None).first()
    if asked is None:
        return False
    asked.over_at = now
    asked.save(update_fields=["over_at"])
    if asked.asked_by is None or not _may(asked.asked_by, asked.user):
        return False
    _erase(asked.user, actor=asked.asked_by.pk, now=now, persona=asked.persona)
    return True


def _may(by: User, user: User) -> bool:
    """The person themselves, or a guardian who still has the right: a link may have ended since."""
    return by == user or access.guardians_of(user, access.Right.DELETE).filter(pk=by.pk).exists()


def _erase(user: User, *, actor: uuid.UUID, now: dt.datetime, persona: uuid.UUID | None = None) -> None:
    """All that was said with one companion, or with all of them. A line in each conversation says that and by whom.

    Open pages load themselves anew. A reply that another process writes ends at its next checkpoint, within a second,
    because its row is gone. In the caller's transaction.
    """
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
