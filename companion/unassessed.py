"""The list of the unassessed: messages that the rules judged alone because the embedding model was late or down.

They are read again as soon as it is back. What turns out to be graver than the rules saw brings the sentence and the card
that should have come at once; nothing is ever lowered. What cannot be read stays on the list, for people (safety/admin.py).
"""

import asyncio
import datetime as dt
import logging

from django.db import transaction
from django.utils import timezone

from accounts import realtime
from accounts.realtime import NewEvent
from companion import danger, hearing, orders, replies, steps
from companion.models import Conversation, Message
from guardians import limits
from safety import engine
from safety.engine import Meaning, Verdict, client, judge
from safety.models import Assessment

log = logging.getLogger(__name__)

TOO_OLD = dt.timedelta(hours=24)  # what was said yesterday is for people to read, not for an automatic answer
BATCH = 200  # messages a run; the next one follows within the minute
_DEADLINE = 5.0  # seconds; nobody waits
_UNREAD = (["engine.unassessed"], ["engine.unavailable"])


class _Away(Exception):
    """The model is still away."""


def look_again() -> int:
    """Read what is pending, oldest first; the number of messages looked at. Stops where the model is still away."""
    since = timezone.now() - TOO_OLD
    pending = Assessment.objects.filter(pending=True, created_at__gt=since).order_by("pk")
    looked = failed = 0
    for pk, public_id in list(pending.values_list("pk", "message")):
        if looked == BATCH:
            break
        try:
            _look(
                pk, Message.objects.select_related("conversation__user").filter(public_id=public_id).first()
            )
            looked += 1
        except _Away:
            break
        except Exception as error:  # one damaged row must not keep the others waiting
            failed += 1
            kind = type(error).__name__
    if failed:
        log.error("%d pending messages could not be read, the last one: %s", failed, kind)
    return looked


def _look(pk: int, message: Message | None) -> None:
    row = Assessment.objects.filter(pk=pk, pending=True)
    if message is None or message.body is None:  # deleted meanwhile
        row.update(pending=False)
        return
    conversation = message.conversation
    verdict = _read(conversation, message)
    with transaction.atomic(durable=True):
        # The conversation first, as in a turn.
        locked = Conversation.objects.select_for_update().filter(pk=conversation.pk).first()
        found = row.select_for_update().first()
        if locked is None or found is None:  # deleted, or another worker was quicker
            return
        # What nobody could look at got level 2 and a sentence that says so: now there is a better one.
        unread = found.reasons[:1] in _UNREAD and verdict.level >= found.level
        graver = verdict.level > found.level or unread
        reasons = [*verdict.reasons, *found.reasons] if graver else [*found.reasons, *verdict.reasons]
        found.reasons, found.pending = list(dict.fromkeys(reasons)), False
        if graver:
            found.level = verdict.level
            if verdict.level >= 2:
                found.action = "hold" if verdict.level >= 3 else "help_card"
                _help(locked, message, verdict)
        found.save(update_fields=["pending", "level", "action", "reasons"])


def _read(conversation: Conversation, message: Message) -> Verdict:
    """The verdict that the message would have got."""
    user = conversation.user
    text = message.open(user.pk)
    history = orders.window(conversation, user.pk, before=message.pk)
    wanted = engine.wanted(text, history=orders.turns(history))
    meaning = asyncio.run(_meaning(text, history, wanted))
    if meaning is None:
        raise _Away
    band = limits.effective_policy(user, timezone.now()).engine_band
    return engine.assess(text, age_band=band, history=orders.turns(history), meaning=meaning)


async def _meaning(text: str, history: list[orders.Said], wanted: list[str]) -> Meaning | None:
    try:
        return await hearing.meaning_of(text, history, wanted, deadline=_DEADLINE)
    finally:
        await client.close()
        await judge.close()


def _help(conversation: Conversation, message: Message, verdict: Verdict) -> None:
    """The case, the sentence and the card, in the caller's transaction. Whoever left is shown the card only."""
    now = timezone.now()
    happened: list[NewEvent] = []
    user_id = conversation.user_id
    case, fresh = danger.note(conversation, user_id, message.public_id, verdict, message.open(user_id))
    if conversation.ended_at is None and verdict.action != "exit":
        code = engine.reply_code(verdict)
        if Message.objects.filter(conversation=conversation, code=code, pk__gt=message.pk).exists():
            return  # said since: several messages of one bad hour are answered once
        replies.stop_streaming(conversation, happened, now)
        if case and fresh and case.ai_muted:
            done = danger.script_line(conversation, case, "", fresh=True, now=now)
            steps.system_line(conversation, done, happened, now)
        steps.system_line(conversation, code, happened, now)
    happened.append(danger.help_card(conversation, verdict))
    realtime.emit(conversation.user_id, *happened)
