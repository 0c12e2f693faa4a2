"""Ending a conversation: by button, pause, words or voice (draft article 18, final article 19).

A closed window and the quiet day after leaving are in companion/leaving.py.
"""

import datetime as dt
import uuid

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import audit
from accounts.realtime import NewEvent
from companion import access, orders, statements
from companion.access import Actor, Refusal
from companion.models import Conversation, Departure, Message
from companion.replies import stop_streaming
from companion.steps import Outcome, emit, system_line, tidy, within_rate


def leave(actor: Actor, conversation_id: uuid.UUID, how: str = Departure.How.BUTTON) -> Outcome:
    """End the conversation at once (final article 19): no gate may hinder it and nothing of the persona follows."""
    now = timezone.now()
    actor = access.refresh(actor, now)
    conversation = access.access_conversation(actor.user_id, conversation_id)
    outcome = Outcome(actor, conversation.public_id)
    with transaction.atomic(durable=True):
        conversation = statements.lock_conversation(conversation.pk)
        happened: list[NewEvent] = []
        emit(outcome, happened, end(conversation, actor, happened, now, how))
    return outcome


def spoken(actor: Actor, conversation_id: uuid.UUID, text: str) -> Outcome:
    """What somebody said aloud: when it means leaving they have left, otherwise nothing happens and nothing is kept.

    The way out stands also where a guardian has turned voice off.
    """
    actor = access.refresh(actor, timezone.now())
    outcome = Outcome(actor, access.access_conversation(actor.user_id, conversation_id).public_id)
    text = tidy(text)
    if len(text) > settings.MESSAGE_MAX_CHARACTERS:
        outcome.refusal = Refusal("too_long")
    elif text and orders.assess(text, actor, [], None).action == "exit":
        return leave(actor, conversation_id, Departure.How.VOICE)
    elif not actor.policy.choices.voice:
        outcome.refusal = Refusal("voice_off")
    elif not within_rate(actor, "voice"):
        outcome.refusal = Refusal("too_fast")
    return outcome


def end(
    conversation: Conversation, actor: Actor, happened: list[NewEvent], now: dt.datetime, how: str
) -> list[Message]:
    if conversation.ended_at is not None:
        return []
    changed = stop_streaming(conversation, happened, now)
    Conversation.objects.filter(pk=conversation.pk).update(ended_at=now)
    Departure.objects.create(user_id=actor.user_id, conversation=conversation.public_id, how=how, left_at=now)
    line = "break.paused" if how == Departure.How.PAUSE else "exit.done"
    changed.append(system_line(conversation, line, happened, now))
    happened.append(NewEvent("conversation.left", conversation.public_id))
    audit.record(
        "conversation.ended", actor=actor.user_id, subject=actor.user_id, target=str(conversation.public_id)
    )
    return changed
