"""The list of the unassessed: messages that the rules judged alone because the embedding model was late or down.

They are read again as soon as it is back. What turns out to be graver than the rules saw is treated then as it would have
been at once; nothing is ever lowered.
"""

import asyncio
import datetime as dt

from django.db import transaction
from django.utils import timezone

from accounts import realtime
from accounts.realtime import NewEvent
from companion import orders, turns
from companion.models import Conversation, Message
from guardians import limits
from safety import engine
from safety.engine import client
from safety.engine.meaning import understand
from safety.models import Assessment

TOO_OLD = dt.timedelta(hours=24)  # what was said yesterday is for people to read, not for an automatic answer
_BATCH = 200
_DEADLINE = 5.0  # seconds; nobody waits


def look_again() -> int:
    """Read what is pending, oldest first; the number of messages looked at. Stops where the model is still away."""
    since = timezone.now() - TOO_OLD
    count = 0
    for assessment in Assessment.objects.filter(pending=True, created_at__gt=since).order_by("pk")[:_BATCH]:
        message = (
            Message.objects.select_related("conversation__user").filter(public_id=assessment.message).first()
        )
        if message is None:  # deleted meanwhile
            Assessment.objects.filter(pk=assessment.pk).update(pending=False)
            continue
        if not _look(assessment, message):
            break
        count += 1
    return count


def _look(assessment: Assessment, message: Message) -> bool:
    conversation = message.conversation
    user = conversation.user
    history = orders.window(conversation, user.pk, before=message.pk)
    text = message.open(user.pk)
    meaning = asyncio.run(_understand(orders.wanted(text, history)))
    if meaning is None:
        return False
    policy = limits.effective_policy(user, timezone.now())
    verdict = engine.assess(text, age_band=policy.engine_band, history=orders.turns(history), meaning=meaning)
    with transaction.atomic(durable=True):
        found = Assessment.objects.select_for_update().filter(pk=assessment.pk, pending=True).first()
        if found is None:
            return True
        graver = verdict.level > found.level
        found.pending = False
        if graver:
            found.level = verdict.level
            found.action = verdict.action
        found.reasons = list(dict.fromkeys([*found.reasons, *verdict.reasons]))
        found.save(update_fields=["pending", "level", "action", "reasons"])
        if graver and verdict.level >= 2:
            _help(conversation, verdict)
    return True


def _help(conversation: Conversation, verdict: engine.Verdict) -> None:
    """The card and the sentence that should have come at once."""
    happened: list[NewEvent] = []
    turns.system_line(conversation, engine.reply_code(verdict), happened, timezone.now())
    happened.append(turns.help_card(conversation, verdict))
    realtime.emit(conversation.user_id, *happened)


async def _understand(texts: list[str]) -> engine.Meaning | None:
    try:
        return await understand(texts, deadline=_DEADLINE)
    finally:
        await client.close()
