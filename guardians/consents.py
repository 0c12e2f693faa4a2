"""A guardian's consent: given with three separate boxes, read at every frame, withdrawn with one button.

Draft article 12, final articles 14 and 17; Personal Information Protection Law, articles 15, 29 and 31.
"""

import datetime as dt
from dataclasses import dataclass

from django.db import transaction

from accounts import audit
from accounts.generation import policy_changed
from accounts.models import User
from guardians import access, links
from guardians.access import Right
from guardians.models import Consent, Guardianship

VERSION = "2026-11.1"  # of templates/guardians/_consent.html


@dataclass(frozen=True)
class Boxes:
    """What the guardian ticked. Nothing is ticked beforehand, and no conversation happens without all of them."""

    companionship: bool
    sensitive_data: bool
    third_parties: bool

    @property
    def complete(self) -> bool:
        return self.companionship and self.sensitive_data and self.third_parties


def write(link: Guardianship, guardian: User, boxes: Boxes, method: str, now: dt.datetime) -> Consent:
    """In the caller's transaction; the link is locked or was just changed by it. Raises ValueError for missing boxes."""
    if not boxes.complete:
        raise ValueError("consent is whole or it is none")
    consent = Consent.objects.create(
        link=link,
        version=VERSION,
        method=method,
        companionship=boxes.companionship,
        sensitive_data=boxes.sensitive_data,
        third_parties=boxes.third_parties,
        given_by=guardian,
        given_at=now,
    )
    audit.record(
        "guardian.consent_given",
        actor=guardian.pk,
        subject=link.minor_id,
        target=f"guardianship:{link.pk}",
        version=VERSION,
        method=method,
    )
    policy_changed(link.minor_id)
    return consent


@transaction.atomic
def give_again(link: Guardianship, guardian: User, boxes: Boxes, now: dt.datetime) -> bool:
    """After a withdrawal, by the same guardian; False when consent is in force already or the link is not."""
    row = _mine(link, guardian)
    if row is None or Consent.objects.filter(link=row, withdrawn_at=None).exists():
        return False
    latest = Consent.objects.filter(link=row).order_by("-pk").values_list("method", flat=True).first()
    write(row, guardian, boxes, latest or "", now)
    return True


@transaction.atomic
def withdraw(link: Guardianship, guardian: User, now: dt.datetime) -> bool:
    """From the next frame on nobody talks (threat T37). The link stays: a guardian is still told of a danger.

    Who does not manage neither gives nor withdraws, and nobody talks on what they agreed to when they answered.
    """
    row = _mine(link, guardian)
    if row is None:
        return False
    changed = Consent.objects.filter(link=row, withdrawn_at=None).update(
        withdrawn_at=now, withdrawn_by=guardian
    )
    if changed:
        audit.record(
            "guardian.consent_withdrawn",
            actor=guardian.pk,
            subject=row.minor_id,
            target=f"guardianship:{row.pk}",
        )
        policy_changed(row.minor_id)
    return bool(changed)


def over(link: Guardianship, by: User | None, now: dt.datetime) -> None:
    """The link ends, and what was agreed to with it. In the caller's transaction, which says so in the log."""
    Consent.objects.filter(link=link, withdrawn_at=None).update(withdrawn_at=now, withdrawn_by=by)


def in_force(minor: User, *, without: Guardianship | None = None) -> bool:
    """One guardian's consent is enough, of those who manage; one who withdraws ends only their own."""
    given = Consent.objects.filter(link__in=access.in_force(minor, Right.EDIT), withdrawn_at=None)
    return (given if without is None else given.exclude(link=without)).exists()


def _mine(link: Guardianship, guardian: User) -> Guardianship | None:
    """The link as it is now, locked, if it is this guardian's, in force, and they manage."""
    links.lock(link.minor_id)
    return access.links_with(guardian, Right.EDIT).select_for_update(of=("self",)).filter(pk=link.pk).first()
