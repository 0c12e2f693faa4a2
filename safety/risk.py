"""How a person has been lately, from the verdicts on what they said."""

import datetime as dt
import uuid
from typing import Literal

from safety.models import Assessment

CARD_STAYS = dt.timedelta(hours=24)


def recent_level(user_id: uuid.UUID, now: dt.datetime) -> Literal["", "soft", "urgent"]:
    """Which help card stays on the person's pages: that of the gravest message of the last day."""
    raised = Assessment.objects.filter(user_id=user_id, level__gt=0, created_at__gt=now - CARD_STAYS)
    gravest = max(raised.values_list("level", flat=True), default=0)
    if gravest < 2:
        return ""
    return "urgent" if gravest >= 3 else "soft"
