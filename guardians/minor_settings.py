"""What a guardian sets for a minor: time, companions, features. It holds at once, also in an open chat.

Wider than for the minor's age is only the time a day, and only as far as the operator lets guardians go (limits.longest);
the night and the classes of companions that are for adults stay closed whatever a guardian wishes.
"""

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction

from accounts import audit
from accounts.generation import policy_changed
from accounts.models import User
from guardians import access, limits
from guardians.limits import Quiet
from guardians.models import Guardianship, Limits, MinorSettings, PersonaBlock

MOST_TAGS: Final = 60
TAG_LENGTH: Final = 40  # characters
MOST_COMPANIONS: Final = 1000  # of each list


@dataclass(frozen=True)
class Time:
    """None: none of the guardian's own; what holds for the age stays."""

    daily_minutes: int | None = None
    quiet: Quiet | None = None


@dataclass(frozen=True)
class Companions:
    """Public ids of companions, and words that a card may have neither as tag nor as mood or relationship."""

    blocked: frozenset[uuid.UUID] = frozenset()
    approved: frozenset[uuid.UUID] | None = None  # only these; None: all that are not blocked
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Features:
    """Pictures are no feature of this version; their column keeps the choice for one that has them."""

    voice: bool = True
    memory: bool = True


class NotAllowed(Exception):
    """More than the operator lets guardians set, or nothing that can be kept."""


def time_of(minor: User, now: dt.datetime) -> Time:
    """What guardians set; the newest counts, whoever of them wrote it."""
    rows = Limits.objects.filter(user=minor, setter=Limits.Setter.GUARDIAN, valid_from__lte=now)
    row = rows.order_by("-valid_from", "-pk").first()
    return Time(row.daily_minutes, row.quiet) if row else Time()


def change(link: Guardianship, by: User, wished: Time | Companions | Features, now: dt.datetime) -> None:
    """In the caller's transaction. Raises access.NotFound once the right is gone, and NotAllowed."""
    with transaction.atomic():
        minor = User.objects.select_for_update(no_key=True).get(pk=link.minor_id)
        access.link_of(
            by, link.minor_id, access.Right.EDIT
        )  # once more, now that nobody can take it meanwhile
        if isinstance(wished, Time):
            _set_time(minor, by, wished, now)
        elif isinstance(wished, Companions):
            _set_companions(minor, by, wished, now)
        else:
            _keep(minor, now, voice=wished.voice, memory=wished.memory)
            audit.record(
                "minor.features_set",
                actor=by.pk,
                subject=minor.pk,
                voice=wished.voice,
                memory=wished.memory,
            )
        policy_changed(minor.pk)
    limits.forget(link.minor)


def words(text: Iterable[str]) -> frozenset[str]:
    """Tags as they are compared."""
    return frozenset(word for each in text if (word := " ".join(each.split()).lower()))


def _set_time(minor: User, by: User, wished: Time, now: dt.datetime) -> None:
    band = limits.effective_band(minor, now)
    most = limits.longest(band) if band in limits.DAILY else 0
    if wished.daily_minutes is not None and not 0 <= wished.daily_minutes <= most:
        raise NotAllowed
    begins, ends = wished.quiet or (None, None)
    if wished.quiet is not None and begins == ends:
        raise NotAllowed
    Limits.objects.create(
        user=minor,
        setter=Limits.Setter.GUARDIAN,
        set_by=by,
        daily_minutes=wished.daily_minutes,
        quiet_from=begins,
        quiet_until=ends,
        valid_from=now,
    )
    audit.record(
        "limits.set",
        actor=by.pk,
        subject=minor.pk,
        setter=Limits.Setter.GUARDIAN.value,
        minutes=wished.daily_minutes,
        quiet=wished.quiet is not None,
    )


def _set_companions(minor: User, by: User, wished: Companions, now: dt.datetime) -> None:
    tags = words(wished.tags)
    too_long = any(len(tag) > TAG_LENGTH for tag in tags)
    if too_long or len(tags) > MOST_TAGS:
        raise NotAllowed
    if max(len(wished.blocked), len(wished.approved or ())) > MOST_COMPANIONS:
        raise NotAllowed
    blocks = PersonaBlock.objects.filter(minor=minor)
    blocks.exclude(persona__in=wished.blocked).delete()
    PersonaBlock.objects.bulk_create(
        [PersonaBlock(minor=minor, persona=each, created_at=now) for each in sorted(wished.blocked)],
        ignore_conflicts=True,
    )
    _keep(
        minor,
        now,
        approved_only=wished.approved is not None,
        approved=sorted(wished.approved or ()),
        blocked_tags=sorted(tags),
    )
    audit.record(
        "minor.companions_set",
        actor=by.pk,
        subject=minor.pk,
        blocked=len(wished.blocked),
        approved=None if wished.approved is None else len(wished.approved),
        tags=len(tags),
    )


def _keep(minor: User, now: dt.datetime, **values: Any) -> None:
    MinorSettings.objects.update_or_create(minor=minor, defaults={**values, "changed_at": now})
