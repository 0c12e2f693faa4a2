"""When an adult's messages read like those of somebody under 18: the mode goes on with the last of them.

Asked of adults only, and never of somebody who is or was a moment ago in danger: help comes first, and doubts can wait.
"""

import datetime as dt
import uuid

from accounts.generation import POLICY_CHANGED
from accounts.realtime import NewEvent
from companion import danger, steps
from companion.access import Actor
from companion.models import Conversation, Message
from companion.replies import stop_streaming
from safety import age_reviews, age_signs
from safety.engine import Verdict

LINE = "age.suspected"


def adds_up(actor: Actor, message: uuid.UUID, verdict: Verdict, text: str, now: dt.datetime) -> bool:
    """Keep the signs of this message, if there are any; whether it is time to switch. No query without a sign."""
    policy, care = actor.policy, actor.care
    if policy.age_band is None or policy.is_minor or danger.at_risk(verdict) or care.gentle or care.muted:
        return False
    codes = age_signs.found(text, verdict.reasons)
    return bool(codes) and age_reviews.note(actor.user_id, message, codes, now)


def switch(
    conversation: Conversation, actor: Actor, happened: list[NewEvent], now: dt.datetime
) -> list[Message]:
    """The mode is on, and nothing more is written by an adult's rights. In the caller's transaction, before its events."""
    changed = stop_streaming(conversation, happened, now)
    if age_reviews.suspect(actor.user_id, now) is not None:
        changed.append(steps.system_line(conversation, LINE, happened, now))
        happened.append(NewEvent(POLICY_CHANGED))  # last: it may close the page
    return changed
