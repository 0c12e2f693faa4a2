"""How a person has been lately, from the verdicts on what they said."""

import datetime as dt
import uuid
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from safety.models import Assessment

CARD_STAYS: Final = dt.timedelta(hours=24)
_NEEDS: Final = {"crisis": "crisis", "abuse": "abuse", "elder_health": "medical", "fraud": "fraud"}  # by task


class Card(NamedTuple):
    """A help card: how urgent, and for what (a kind of safety/resources.py)."""

    level: Literal["soft", "urgent"]
    need: str


def need_of(reasons: Iterable[str]) -> str:
    """Which help fits a verdict: that for the first danger among its reasons."""
    tasks = (reason.partition(".")[0] for reason in reasons)
    return next((_NEEDS[task] for task in tasks if task in _NEEDS), "crisis")


def recent_card(user_id: uuid.UUID, now: dt.datetime) -> Card | None:
    """Which help card stays on the person's pages: that of the gravest message of the last day, the newest of these."""
    raised = Assessment.objects.filter(user_id=user_id, level__gt=0, created_at__gt=now - CARD_STAYS)
    gravest = raised.order_by("-level", "-created_at").values_list("level", "reasons").first()
    if gravest is None or gravest[0] < 2:
        return None
    level, reasons = gravest
    return Card("urgent" if level >= 3 else "soft", need_of(reasons))
