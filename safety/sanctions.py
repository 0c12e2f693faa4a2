"""Measures against an account that are in force. Imposing and appealing them comes with moderation."""

import datetime as dt
import uuid

from django.db.models import Q

from safety.models import Sanction


def in_force(user_id: uuid.UUID, now: dt.datetime) -> Sanction | None:
    """The newest measure that holds now; None when there is none."""
    return (
        Sanction.objects.filter(user_id=user_id, lifted_at__isnull=True)
        .filter(Q(until__isnull=True) | Q(until__gt=now))
        .order_by("-created_at")
        .first()
    )
