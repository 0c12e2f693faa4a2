"""What a message with a sign of danger brings about, in the transaction of the message: case, lines and help card.

The persona says nothing here. Lines are reviewed sentences (safety/replies.py), cards are events.
"""

import datetime as dt
import uuid

from django.conf import settings
from django.utils import timezone

from accounts.realtime import NewEvent
from companion import statements
from companion.models import Conversation
from safety import cases, risk, script
from safety.engine import Verdict
from safety.models import CrisisCase

PAUSE = dt.timedelta(seconds=20)  # between two lines of the script: who writes fast is not talked down


def at_risk(verdict: Verdict) -> bool:
    return verdict.level >= 2 or "history.at_risk" in verdict.reasons


def help_card(conversation: Conversation, verdict: Verdict) -> NewEvent:
    """The event that shows the numbers, those for this kind of danger first."""
    card = {
        "level": "urgent" if verdict.level >= 3 else "soft",
        "country": settings.HELP_LINES_COUNTRIES[0],
        "need": risk.need_of(verdict.reasons),
    }
    return NewEvent("help.card", conversation.public_id, None, card)


def note(
    conversation: Conversation, user_id: uuid.UUID, message: uuid.UUID, verdict: Verdict, text: str
) -> tuple[CrisisCase | None, bool]:
    """The case that this message opens or joins, and whether it is new or graver by it. The conversation is locked."""
    category = cases.category_of(verdict)
    if category is None:
        return None, False
    case, fresh = cases.take_signal(user_id, message, conversation.public_id, verdict, category, text)
    if case.ai_muted and conversation.ai_muted_at is None:
        conversation.ai_muted_at = timezone.now()
        Conversation.objects.filter(pk=conversation.pk).update(ai_muted_at=conversation.ai_muted_at)
    return case, fresh


def script_line(
    conversation: Conversation, case: CrisisCase, text: str, *, fresh: bool, now: dt.datetime
) -> str:
    """The next line of the script, "" when one was shown a moment ago. The case is locked or its conversation is."""
    if not fresh:
        newest = statements.newest_line_at(conversation.pk)
        if newest is not None and newest > now - PAUSE:
            return ""
    standing = script.Standing(
        case.category, 0 if fresh else case.script_step, bool(case.ladder.get("1")), fresh
    )
    CrisisCase.objects.filter(pk=case.pk).update(script_step=0 if fresh else case.script_step + 1)
    return script.next_line(standing, text)
