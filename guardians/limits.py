"""What a person may do, computed once: nobody else derives "is minor" or "may chat"."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Literal

from django.conf import settings
from django.db.models import Exists, OuterRef, Q

from accounts.age import AgeBand, age_band
from accounts.care import AGREEMENT_VERSION
from accounts.models import User
from guardians import jurisdictions
from guardians.jurisdictions import Reminders
from guardians.models import Consent, EmergencyContact, Guardianship, Limits, PersonaBlock

Missing = Literal["", "birth_date", "agreement", "guardian", "guardian_consent", "contact"]

_CACHE = "_effective_policy"
# Until the age is known, the safer reading of everything.
_UNKNOWN_BAND = "teen"

Quiet = tuple[dt.time, dt.time]  # from, until; local time, over midnight when the first is the later
_NIGHT: Quiet = (dt.time(22), dt.time(6))
# The guidelines for minors' mode: an hour a day under 16, two hours until 18, nothing at night. Operators may be stricter
# (MINORS_DAILY_MINUTES, MINORS_QUIET_HOURS), and so may guardians and the person.
DAILY = {AgeBand.UNDER_14: 60, AgeBand.FROM_14: 60, AgeBand.FROM_16: 120}  # minutes


@dataclass(frozen=True)
class EffectivePolicy:
    """Age band, guardian's settings and operator's floor in one value, for prompts, engine and pages."""

    user_id: uuid.UUID
    age_band: AgeBand | None
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


def effective_policy(user: User, now: dt.datetime) -> EffectivePolicy:
    """At most three queries; kept on this user object, which lives as long as its request or frame."""
    cached: EffectivePolicy | None = user.__dict__.get(_CACHE)
    if cached is not None:
        return cached
    band = age_band(user.birth_date, user.time_zone, now) if user.birth_date else None
    minor = band is not None and band.is_minor
    daily, quiet = _limits(user, band, now)
    zone, since = limit_zone(user, now)
    policy = EffectivePolicy(
        user_id=user.pk,
        age_band=band,
        is_minor=minor,
        missing=_missing(user, band),
        blocked_personas=_blocked(user) if minor else frozenset(),
        engine_band=band.engine_band if band else _UNKNOWN_BAND,
        simple_mode=user.simple_mode,
        language=user.language,
        reminders=jurisdictions.reminders(minor=minor or band is None),
        daily_minutes=daily,
        quiet=quiet,
        zone=zone,
        zone_since=since,
    )
    user.__dict__[_CACHE] = policy
    return policy


def forget(user: User) -> None:
    """After a change to what the policy is computed from, where the same user object is used on."""
    user.__dict__.pop(_CACHE, None)


def _missing(user: User, band: AgeBand | None) -> Missing:
    if band is None:
        return "birth_date"
    if user.agreement_version != AGREEMENT_VERSION:
        return "agreement"
    if not band.is_minor:
        return "" if _has_contact(user) else "contact"
    consent = Consent.objects.filter(link=OuterRef("pk"), withdrawn_at=None)
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


def sources(user: User, band: AgeBand | None, now: dt.datetime) -> list[Source]:
    """Everything in force; one query."""
    found = []
    if band is not None and band in DAILY:
        daily = min(DAILY[band], settings.MINORS_DAILY_MINUTES.get(band.value, DAILY[band]))
        found.append(Source("age", daily, (_NIGHT, *map(hours, settings.MINORS_QUIET_HOURS))))
    rows = (
        Limits.objects.filter(user=user, valid_from__lte=now)
        .order_by("setter", "-valid_from", "-pk")
        .distinct("setter")
    )
    found += [Source(row.setter, row.daily_minutes, (row.quiet,) if row.quiet else ()) for row in rows]
    return found


def _limits(user: User, band: AgeBand | None, now: dt.datetime) -> tuple[int | None, tuple[Quiet, ...]]:
    """Minutes a day and quiet hours: the strictest of age, guardian and the person's own."""
    found = sources(user, band, now)
    daily = min((each.daily_minutes for each in found if each.daily_minutes is not None), default=None)
    return daily, tuple(dict.fromkeys(quiet for each in found for quiet in each.quiet))
