"""Is somebody on duty, now and in the next half hour? A gap is told while it can still be filled (threat T6)."""

import datetime as dt
from typing import Final

from safety import recipients
from safety.models import Shift

AHEAD: Final = dt.timedelta(minutes=30)


def gap(now: dt.datetime) -> dt.datetime | None:
    """The first moment from now on with nobody on the first rung; None when the next half hour is covered."""
    if not Shift.objects.filter(role=Shift.Role.MODERATOR).exists():
        return None if recipients.on_duty(Shift.Role.MODERATOR, now).exists() else now
    covered = now
    shifts = Shift.objects.filter(
        role=Shift.Role.MODERATOR,
        ends_at__gt=now,
        starts_at__lte=now + AHEAD,
        user__in=recipients.working(now),
    )
    for start, end in shifts.order_by("starts_at").values_list("starts_at", "ends_at"):
        if start > covered:
            break
        covered = max(covered, end)
    return covered if covered < now + AHEAD else None
