"""Suspected minors: the mode first, then a human. Codes and times are kept until the decision, never a word of a message.

note      in a message's transaction: keeps its signs; says whether they and those before add up
suspect   the mode is on and a human is asked, with a deadline that the person is shown
decide    lifted or confirmed; the signs and what the person said about it are gone with it
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction

from accounts import audit
from accounts.models import User
from guardians import minors_mode
from safety import age_signs
from safety.age_signs import Seen
from safety.models import AgeReview, AgeSign, Lane
from safety.moderation import NotPossible, check_decider, close, is_moderator, locked, number

Decision = AgeReview.Decision

MAX_STATEMENT: Final = 2000  # characters
MOST_DAYS: Final = (
    5  # working days until a human has decided; an operator may only promise fewer (AGE_REVIEW_DAYS)
)
_SATURDAY: Final = 5
_MODE: Final[Mapping[Decision, User.MinorsMode]] = {
    Decision.LIFTED: User.MinorsMode.OFF,
    Decision.CONFIRMED: User.MinorsMode.CONFIRMED,
}
# One statement: it does not see what it inserts, and keeps nothing while a human's "an adult" is fresh.
_KEEP_AND_READ: Final = """
    WITH fresh AS (
        INSERT INTO safety_agesign (user_id, message, code, created_at)
        SELECT %(user)s, %(message)s, unnest(%(codes)s::text[]), %(now)s
        WHERE NOT EXISTS (
            SELECT 1 FROM safety_agereview
            WHERE person_id = %(user)s AND decision = 'lifted' AND decided_at > %(rested)s
        )
        ON CONFLICT DO NOTHING RETURNING message, code, created_at
    )
    SELECT message, code, created_at FROM fresh
    UNION ALL
    SELECT message, code, created_at FROM safety_agesign WHERE user_id = %(user)s AND created_at > %(since)s
"""


def days() -> int:
    """Working days within which a human decides."""
    wished: int = settings.AGE_REVIEW_DAYS
    return wished if 1 <= wished <= MOST_DAYS else MOST_DAYS


def due(now: dt.datetime) -> dt.datetime:
    """The end of that time: Monday to Friday by the operator's clock; public holidays are not known here."""
    at, left = now.astimezone(ZoneInfo(settings.TIME_ZONE)), days()
    while left:
        at += dt.timedelta(days=1)
        left -= at.weekday() < _SATURDAY
    return at


def note(user_id: uuid.UUID, message: uuid.UUID, codes: Sequence[str], now: dt.datetime) -> bool:
    """Keep the signs of one message, in the caller's transaction. True: with those before, they add up. One statement."""
    known = age_signs.sign_set()
    with connection.cursor() as cursor:
        cursor.execute(
            _KEEP_AND_READ,
            {
                "user": user_id,
                "message": message,
                "codes": list(codes),
                "now": now,
                "since": now - known.window,
                "rested": now - dt.timedelta(days=known.rest),
            },
        )
        seen = [Seen(*row) for row in cursor.fetchall()]
    return age_signs.adds_up(seen, now)


def suspect(user_id: uuid.UUID, now: dt.datetime) -> AgeReview | None:
    """The mode is on from the next frame, and a human is asked. None: it was on already.

    In the caller's transaction, who tells open pages (minors_mode.suspect).
    """
    if not minors_mode.suspect(user_id, now):
        return None
    return AgeReview.objects.create(
        number=number("G"),
        lane=Lane.MINORS,
        created_at=now,
        due_at=due(now),
        person_id=user_id,
        version=age_signs.sign_set().version,
    )


def open_of(user_id: uuid.UUID) -> AgeReview | None:
    return AgeReview.objects.filter(person=user_id, state="open").first()


def newest_of(user_id: uuid.UUID) -> AgeReview | None:
    return AgeReview.objects.filter(person=user_id).order_by("-pk").first()


def state(person: User, text: str) -> AgeReview:
    """What the person says to it, for whoever decides; said again, it takes the place of what was said before."""
    with transaction.atomic(durable=True):
        row = AgeReview.objects.select_for_update().filter(person=person, state="open").first()
        if row is None:
            raise NotPossible("gone")
        row.seal(text[:MAX_STATEMENT])
        row.save(update_fields=["statement"])
        audit.record("age.stated", actor=person.pk, subject=person.pk, target=row.number)
    return row


def signs_of(row: AgeReview) -> list[tuple[str, dt.datetime]]:
    """Codes and times that a question of age rests on, oldest first; none once it is decided."""
    if row.state != "open":
        return []
    return list(
        AgeSign.objects.filter(user=row.person_id).order_by("created_at").values_list("code", "created_at")
    )


def may_decide(staff: User, row: AgeReview) -> bool:
    return is_moderator(staff) and row.person_id != staff.pk


def decide(staff: User, pk: int, decision: AgeReview.Decision, now: dt.datetime) -> AgeReview:
    """Who decides has seen codes, times and the statement. All of them are gone with the decision."""
    with transaction.atomic(durable=True):
        row = locked(AgeReview, pk)
        check_decider(staff, row.person_id)
        close(row, staff, decision.value, now)
        row.statement = None
        row.save(update_fields=["state", "decision", "decided_by", "decided_at", "statement"])
        AgeSign.objects.filter(user=row.person_id).delete()
        audit.record(
            "age.reviewed",
            actor=staff.pk,
            subject=row.person_id,
            target=row.number,
            decision=decision.value,
        )
        minors_mode.decided(row.person_id, _MODE[decision], now)
    return row


def forget_old(now: dt.datetime) -> int:
    """Signs that no longer count, of people about whom nobody is asked."""
    kept = AgeReview.objects.filter(state="open").values("person")
    old = AgeSign.objects.filter(created_at__lt=now - age_signs.sign_set().window).exclude(user__in=kept)
    return old.delete()[0]
