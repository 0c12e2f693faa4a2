"""More time today: a minor asks with one tap, a guardian answers with one, and the first answer counts.

Minutes that are given count on the day they were asked for, in the zone that counts for the minor's limits, and for all
guardians together they are at most MINORS_EXTRA_MINUTES a day. They never change hours of rest, nor a limit of the
minor's own.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from accounts import audit
from accounts.generation import policy_changed
from accounts.models import User
from guardians import access, limits
from guardians.access import Right
from guardians.limits import effective_policy
from guardians.models import Guardianship, Limits, TimeRequest

MINUTES: Final = (15, 30, 60)  # that can be asked for
A_DAY: Final = 3  # requests of one minor

State = TimeRequest.State
Why = Literal["", "none", "waiting", "declined", "own", "spent", "often", "guardian"]


class NotPossible(Exception):
    """Nothing can be asked for, or so much cannot be given; `why` is a code."""

    def __init__(self, why: Why) -> None:
        super().__init__(why)
        self.why: Why = why


class Over(Exception):
    """Answered already, or its day is over. The request is as it was found."""

    def __init__(self, request: TimeRequest) -> None:
        super().__init__(request.state)
        self.request = request


@dataclass(frozen=True)
class Today:
    """How a minor stands with asking for more time today."""

    newest: TimeRequest | None
    room: int  # minutes that guardians can still give
    why: Why  # nothing can be asked for; "" when it can

    @property
    def choices(self) -> tuple[int, ...]:
        """Minutes to ask for; what is left, where it is less than the shortest."""
        return () if self.why else choices(self.room)


def choices(room: int) -> tuple[int, ...]:
    return tuple(minutes for minutes in MINUTES if minutes <= room) or ((room,) if room else ())


def today(minor: User, now: dt.datetime) -> Today:
    asked = list(_of_today(minor, now).order_by("-asked_at", "-pk"))
    room = max(0, settings.MINORS_EXTRA_MINUTES - sum(row.granted for row in asked))
    return Today(asked[0] if asked else None, room, _why(minor, asked, room, now))


def ask(minor: User, minutes: int, now: dt.datetime) -> TimeRequest:
    """In the caller's transaction, which tells the guardians. Raises NotPossible."""
    with transaction.atomic():
        minor = User.objects.select_for_update(no_key=True).get(pk=minor.pk)
        lapse(outdated(now, minor), now)  # yesterday's does not stand in the way
        standing = today(minor, now)
        if standing.why:
            raise NotPossible(standing.why)
        if minutes not in standing.choices:
            raise NotPossible("spent")
        row = TimeRequest.objects.create(
            minor=minor, day=limits.today(minor, now)[0], asked=minutes, asked_at=now
        )
        audit.record("time.asked", actor=minor.pk, subject=minor.pk, target=str(row.pk), minutes=minutes)
    return row


def answer(link: Guardianship, by: User, request: uuid.UUID, minutes: int, now: dt.datetime) -> TimeRequest:
    """So many minutes, or none; in the caller's transaction. The first answer counts.

    Raises access.NotFound without the right or the request, Over once it is answered or its day is over, and NotPossible
    for more than there is room for.
    """
    with transaction.atomic():
        minor = User.objects.select_for_update(no_key=True).get(pk=link.minor_id)
        access.link_of(by, minor.pk, Right.EDIT)  # once more, now that nobody can take it meanwhile
        row = TimeRequest.objects.filter(pk=request, minor=minor).select_related("answered_by").first()
        if row is None:
            raise access.NotFound
        if row.state != State.OPEN or not _counts(row, minor, now):
            raise Over(row)
        if not 0 <= minutes <= today(minor, now).room:
            raise NotPossible("spent")
        row.state = State.GRANTED if minutes else State.DECLINED
        row.granted, row.answered_at, row.answered_by = minutes, now, by
        row.save(update_fields=["state", "granted", "answered_at", "answered_by"])
        audit.record(
            "time.answered",
            actor=by.pk,
            subject=minor.pk,
            target=str(row.pk),
            asked=row.asked,
            minutes=minutes,
        )
        policy_changed(minor.pk)
    limits.forget(link.minor)
    return row


def open_of(minor: User, now: dt.datetime) -> TimeRequest | None:
    """The request of today that waits for an answer."""
    return _of_today(minor, now).filter(state=State.OPEN).first()


def recent(minor: User, since: dt.datetime) -> Sequence[TimeRequest]:
    """What was asked and answered, the newest first: the same for guardians and the minor."""
    rows = TimeRequest.objects.filter(minor=minor, asked_at__gte=since)
    return list(rows.select_related("answered_by").order_by("-asked_at", "-pk"))


def outdated(now: dt.datetime, minor: User | None = None) -> list[uuid.UUID]:
    """Requests that still wait although their day is over."""
    waiting = TimeRequest.objects.filter(state=State.OPEN).select_related("minor")
    if minor is not None:
        waiting = waiting.filter(minor=minor)
    return [row.pk for row in waiting if not _counts(row, row.minor, now)]


def lapse(gone: Sequence[uuid.UUID], now: dt.datetime) -> int:
    """They wait for nobody any more. Their notices are the caller's."""
    waiting = TimeRequest.objects.filter(pk__in=gone, state=State.OPEN)
    return waiting.update(state=State.LAPSED, answered_at=now)


def _of_today(minor: User, now: dt.datetime) -> QuerySet[TimeRequest]:
    day, begun = limits.today(minor, now)
    return TimeRequest.objects.filter(minor=minor, day=day, asked_at__gte=begun)


def _counts(row: TimeRequest, minor: User, now: dt.datetime) -> bool:
    """Is it still the day on which it was asked?"""
    day, begun = limits.today(minor, now)
    return row.day == day and row.asked_at >= begun


def _why(minor: User, asked: Sequence[TimeRequest], room: int, now: dt.datetime) -> Why:
    policy = effective_policy(minor, now)
    if not settings.MINORS_EXTRA_MINUTES or not policy.is_minor or policy.daily_minutes is None:
        return "none"
    if policy.missing:
        return "none"
    if any(row.state == State.OPEN for row in asked):
        return "waiting"
    if any(row.state == State.DECLINED for row in asked):
        return "declined"  # a no holds for the day: nobody is to be worn down
    if not room:
        return "spent"
    if len(asked) >= A_DAY:
        return "often"
    own = [
        each.daily_minutes
        for each in limits.sources(minor, policy.age_band, now)
        if each.setter == Limits.Setter.SELF and each.daily_minutes is not None
    ]
    if own and min(own) <= policy.daily_minutes:
        return "own"
    return "" if access.guardians_of(minor, Right.EDIT).exists() else "guardian"
