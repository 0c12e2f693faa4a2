"""The usage clock: one per person over all devices, tabs and personas (draft article 17, final article 18)."""

import datetime as dt
import uuid
from dataclasses import dataclass

from guardians.limits import EffectivePolicy


@dataclass(frozen=True)
class Standing:
    """Where a person stands today. `minutes_left` is None without a daily limit, `quiet_until` outside quiet hours."""

    minutes_used: int
    minutes_left: int | None
    quiet_until: dt.datetime | None


def standing(user_id: uuid.UUID, policy: EffectivePolicy, now: dt.datetime) -> Standing:
    """No query for somebody without limits."""
    return Standing(0, None, None)


def touch(
    user_id: uuid.UUID, policy: EffectivePolicy, persona: int, conversation: uuid.UUID, now: dt.datetime
) -> None:
    """The person is there in this minute."""
