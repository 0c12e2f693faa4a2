"""A human looks at signs of dependence: at the score and its reasons, never at what somebody said. No case, no alarm."""

import datetime as dt
import uuid
from collections.abc import Callable
from typing import Any

from django.db import transaction

from accounts import audit
from accounts.models import User
from safety.models import Lane, UseReview
from safety.moderation import check_decider, close, due, is_moderator, locked, number


def ask(
    person_id: uuid.UUID,
    *,
    young: bool,
    score: int,
    version: str,
    reasons: list[list[Any]],
    again_after: dt.timedelta,
    now: dt.datetime,
) -> UseReview | None:
    """In the caller's transaction, which holds the person: one that is open or was decided of late is enough."""
    newest = UseReview.objects.filter(person_id=person_id).order_by("-pk").first()
    if newest and (newest.decided_at is None or newest.decided_at > now - again_after):
        return None
    lane = Lane.MINORS if young else Lane.ORDINARY
    row = UseReview.objects.create(
        number=number("N"),
        lane=lane,
        created_at=now,
        due_at=due(lane, now),
        person_id=person_id,
        score=score,
        version=version,
        reasons=reasons,
    )
    audit.record("dependence.review_asked", actor=None, subject=person_id, target=row.number, score=score)
    return row


def may_decide(staff: User, row: UseReview) -> bool:
    return is_moderator(staff) and row.person_id != staff.pk


def decide(
    staff: User,
    pk: int,
    decision: UseReview.Decision,
    now: dt.datetime,
    *,
    take_effect: Callable[[UseReview], None],
) -> UseReview:
    """`take_effect` runs in the same transaction."""
    with transaction.atomic():
        row = locked(UseReview, pk)
        check_decider(staff, row.person_id)
        close(row, staff, decision.value, now)
        row.save(update_fields=["state", "decision", "decided_by", "decided_at"])
        audit.record(
            "dependence.reviewed",
            actor=staff.pk,
            subject=row.person_id,
            target=row.number,
            decision=decision.value,
        )
        take_effect(row)
    return row
