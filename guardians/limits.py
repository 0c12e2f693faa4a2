"""What a person may do, computed once: nobody else derives "is minor" or "may chat"."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Literal

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, Sum

from accounts import local_days
from accounts.age import AgeBand, age_band
from accounts.care import AGREEMENT_VERSION
from accounts.models import User
from guardians import jurisdictions
from guardians.jurisdictions import Reminders
from guardians.models import (
    Consent,
    EmergencyContact,
    GuardianRight,
    Guardianship,
    Limits,
    MinorSettings,
    PersonaBlock,
    TimeRequest,
)

Missing = Literal["", "birth_date", "agreement", "guardian", "guardian_consent", "contact"]

_CACHE = "_effective_policy"
_GUARDIAN = Limits.Setter.GUARDIAN
# Until the age is known, the safer reading of everything.
_UNKNOWN_BAND = "teen"

Quiet = tuple[dt.time, dt.time]  # from, until; local time, over midnight when the first is the later
_NIGHT: Quiet = (dt.time(22), dt.time(6))
# The guidelines for minors' mode: an hour a day under 16, two hours until 18, nothing at night. Operators may be stricter
# (MINORS_DAILY_MINUTES, MINORS_QUIET_HOURS), and so may guardians and the person. Wider than for the age is what a guardian
# sets, as far as the operator lets them (MINORS_GUARDIAN_DAILY_MINUTES, nowhere by default); the night never is.
DAILY = {AgeBand.UNDER_14: 60, AgeBand.FROM_14: 60, AgeBand.FROM_16: 120}  # minutes


@dataclass(frozen=True)
class Choices:
    """What guardians opened or closed for a minor (guardians/minor_settings.py). The defaults are everybody else's."""

    approved: frozenset[uuid.UUID] | None = None  # only these companions; None: all that the age allows
    blocked_tags: frozenset[str] = frozenset()  # in lower case
    voice: bool = True
    memory: bool = True
    images: bool = True


@dataclass(frozen=True)
class EffectivePolicy:
    """Age band, guardian's settings and operator's floor in one value, for prompts, engine and pages."""

    user_id: uuid.UUID
    age_band: AgeBand | None  # by birth date, or 16 to 17 for an adult in minors' mode
    is_minor: bool
    missing: Missing  # why this account may not chat yet; "" when it may
    blocked_personas: frozenset[uuid.UUID]
    engine_band: str  # child | teen | adult | elder
    simple_mode: bool
    language: str
    reminders: Reminders
    daily_minutes: int | None  # None: no limit
    quiet: tuple[Quiet, ...]  # the companion rests within any of them
    zone: str  # of the days and nights of these limits
    zone_since: dt.datetime | None = None  # that its days count; None: always
    choices: Choices = Choices()
    minors_mode: str = User.MinorsMode.OFF  # beside the birth date
    extra_minutes: int = 0  # of the daily ones: given by a guardian for today


def effective_policy(user: User, now: dt.datetime) -> EffectivePolicy:
    """Two queries, five for a minor; kept on this user object, which lives as long as its request or frame."""
    cached: EffectivePolicy | None = user.__dict__.get(_CACHE)
    if cached is not None:
        return cached
    band = effective_band(user, now)
    minor = band is not None and band.is_minor
    daily, extra, quiet = _limits(user, band, now)
    zone, since = limit_zone(user, now)
    policy = EffectivePolicy(
        user_id=user.pk,
        age_band=band,
        is_minor=minor,
        missing=_missing(user, now),
        blocked_personas=_blocked(user) if minor else frozenset(),
        engine_band=band.engine_band if band else _UNKNOWN_BAND,
        simple_mode=user.simple_mode,
        language=user.language,
        reminders=jurisdictions.reminders(minor=minor or band is None),
        daily_minutes=daily,
        quiet=quiet,
        zone=zone,
        zone_since=since,
        choices=_choices(user) if minor else Choices(),
        minors_mode=user.minors_mode,
        extra_minutes=extra,
    )
    user.__dict__[_CACHE] = policy
    return policy


def forget(user: User) -> None:
    """After a change to what the policy is computed from, where the same user object is used on."""
    user.__dict__.pop(_CACHE, None)


def effective_band(user: User, now: dt.datetime) -> AgeBand | None:
    """The band that protection goes by. Minors' mode only adds: an adult in it is treated as somebody of 16 or 17."""
    if user.birth_date is None:
        return None
    band = age_band(user.birth_date, user.time_zone, now)
    return AgeBand.FROM_16 if user.minors_mode and not band.is_minor else band


def needs_guardian(user: User, now: dt.datetime) -> bool:
    """Instead of an emergency contact: under 18 by birth date, or once a human has confirmed it."""
    if user.birth_date is None:
        return False
    declared = age_band(user.birth_date, user.time_zone, now)
    return declared.is_minor or user.minors_mode == User.MinorsMode.CONFIRMED


def of_age(user: User, now: dt.datetime) -> bool:
    """Nobody is their guardian any more, whatever rows there still are (guardians/endings.py)."""
    return user.birth_date is not None and not needs_guardian(user, now)


def _missing(user: User, now: dt.datetime) -> Missing:
    if user.birth_date is None:
        return "birth_date"
    if user.agreement_version != AGREEMENT_VERSION:
        return "agreement"
    if not needs_guardian(user, now):
        return "" if _has_contact(user) else "contact"
    # Of somebody who could withdraw it: who manages.
    manages = GuardianRight.objects.filter(
        content_object=OuterRef("link"), permission__codename="edit_limits"
    )
    consent = Consent.objects.filter(Exists(manages), link=OuterRef("pk"), withdrawn_at=None)
    states = set(
        Guardianship.objects.filter(minor=user)
        .exclude(state=Guardianship.State.ENDED)
        .values_list(Q(state=Guardianship.State.ACTIVE) & Exists(consent), flat=True)
    )
    if not states:
        return "guardian"
    # All minors need consent before any companion: the strict reading of both texts.
    return "" if True in states else "guardian_consent"


def _has_contact(user: User) -> bool:
    usable = (EmergencyContact.State.GIVEN, EmergencyContact.State.CONFIRMED)
    return EmergencyContact.objects.filter(user=user, state__in=usable).exists()


def _blocked(user: User) -> frozenset[uuid.UUID]:
    return frozenset(PersonaBlock.objects.filter(minor=user).values_list("persona", flat=True))


def _choices(user: User) -> Choices:
    row = MinorSettings.objects.filter(minor=user).first()
    if row is None:
        return Choices()
    return Choices(
        approved=frozenset(row.approved) if row.approved_only else None,
        blocked_tags=frozenset(row.blocked_tags),
        voice=row.voice,
        memory=row.memory,
        images=row.images,
    )


def limit_zone(user: User, now: dt.datetime) -> tuple[str, dt.datetime | None]:
    """The zone whose days count, and since when: a new one from the end of the day of its registration (threat T35)."""
    until = user.previous_zone_until
    if until is not None and now < until:
        return user.previous_zone, user.previous_zone_since
    return user.time_zone, until


def hours(text: str) -> Quiet:
    """Settings write "21:30-06:30". Raises ValueError."""
    begins, dash, ends = text.partition("-")
    if not dash or begins == ends:
        raise ValueError(text)
    return dt.time.fromisoformat(begins), dt.time.fromisoformat(ends)


@dataclass(frozen=True)
class Source:
    """What one of those who set limits asks for: `age` (with the operator's floor), or a Limits.Setter."""

    setter: str
    daily_minutes: int | None
    quiet: tuple[Quiet, ...]


def usual(band: AgeBand) -> int:
    """Minutes a day while no guardian has set any."""
    return min(DAILY[band], settings.MINORS_DAILY_MINUTES.get(band.value, DAILY[band]))


def longest(band: AgeBand) -> int:
    """As many minutes a day as a guardian may set."""
    return max(usual(band), settings.MINORS_GUARDIAN_DAILY_MINUTES.get(band.value, 0))


def sources(user: User, band: AgeBand | None, now: dt.datetime) -> list[Source]:
    """Everything in force; one query. What a guardian set ends with minority."""
    rows = list(
        Limits.objects.filter(user=user, valid_from__lte=now)
        .order_by("setter", "-valid_from", "-pk")
        .distinct("setter")
    )
    found = []
    if band is not None and band in DAILY:
        chosen = any(row.setter == _GUARDIAN and row.daily_minutes is not None for row in rows)
        daily = longest(band) if chosen else usual(band)
        found.append(Source("age", daily, (_NIGHT, *map(hours, settings.MINORS_QUIET_HOURS))))
    minor = band is None or band.is_minor
    return found + [
        Source(row.setter, row.daily_minutes, (row.quiet,) if row.quiet else ())
        for row in rows
        if minor or row.setter != _GUARDIAN
    ]


def _limits(user: User, band: AgeBand | None, now: dt.datetime) -> tuple[int | None, int, tuple[Quiet, ...]]:
    """Minutes a day, those of them given for today, and quiet hours: the strictest of age, guardian and the person's own.

    What a guardian gave for today comes on top of what age and guardians allow, never of a limit the person set.
    """
    found = sources(user, band, now)
    given = given_today(user, now) if band is not None and band.is_minor else 0
    plain = _strictest(found, 0)
    daily = _strictest(found, given)
    extra = 0 if plain is None or daily is None else daily - plain
    return daily, extra, tuple(dict.fromkeys(quiet for each in found for quiet in each.quiet))


def _strictest(found: list[Source], given: int) -> int | None:
    return min(
        (
            each.daily_minutes + (0 if each.setter == Limits.Setter.SELF else given)
            for each in found
            if each.daily_minutes is not None
        ),
        default=None,
    )


def today(user: User, now: dt.datetime) -> tuple[dt.date, dt.datetime]:
    """The day that counts for somebody's limits, and since when: later than midnight where the zone has changed."""
    zone, since = limit_zone(user, now)
    begun = local_days.bounds(now, zone)[0]
    if since is not None and begun < since <= now:
        begun = since
    return local_days.date_of(now, zone), begun


def given_today(user: User, now: dt.datetime) -> int:
    """Minutes that guardians gave for today. A date that two zones share is still two days: by when it was asked."""
    day, begun = today(user, now)
    rows = TimeRequest.objects.filter(minor=user, day=day, asked_at__gte=begun)
    return rows.aggregate(minutes=Sum("granted"))["minutes"] or 0
