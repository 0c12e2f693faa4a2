"""What a person may do, computed once: nobody else derives "is minor" or "may chat"."""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Literal

from accounts.age import AgeBand, age_band
from accounts.care import AGREEMENT_VERSION
from accounts.models import User
from guardians.models import EmergencyContact, Guardianship, PersonaBlock

Missing = Literal["", "birth_date", "agreement", "guardian", "guardian_consent", "contact"]

_CACHE = "_effective_policy"
# Until the age is known, the safer reading of everything.
_UNKNOWN_BAND = "teen"


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


def effective_policy(user: User, now: dt.datetime) -> EffectivePolicy:
    """At most two queries; kept on this user object, which lives as long as its request or frame."""
    cached: EffectivePolicy | None = user.__dict__.get(_CACHE)
    if cached is not None:
        return cached
    band = age_band(user.birth_date, user.time_zone, now) if user.birth_date else None
    minor = band is not None and band.is_minor
    policy = EffectivePolicy(
        user_id=user.pk,
        age_band=band,
        is_minor=minor,
        missing=_missing(user, band),
        blocked_personas=_blocked(user) if minor else frozenset(),
        engine_band=band.engine_band if band else _UNKNOWN_BAND,
        simple_mode=user.simple_mode,
        language=user.language,
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
    states = set(
        Guardianship.objects.filter(minor=user)
        .exclude(state=Guardianship.State.ENDED)
        .values_list("state", flat=True)
    )
    if not states:
        return "guardian"
    # All minors need consent before any companion: the strict reading of both texts.
    return "" if Guardianship.State.ACTIVE in states else "guardian_consent"


def _has_contact(user: User) -> bool:
    usable = (EmergencyContact.State.GIVEN, EmergencyContact.State.CONFIRMED)
    return EmergencyContact.objects.filter(user=user, state__in=usable).exists()


def _blocked(user: User) -> frozenset[uuid.UUID]:
    return frozenset(PersonaBlock.objects.filter(minor=user).values_list("persona", flat=True))
