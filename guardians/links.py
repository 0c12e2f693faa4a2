"""Minor and guardian: named by the minor (invited), in force by the guardian's consent (active)."""

import datetime as dt
import uuid

from django.db import transaction

from accounts import audit
from accounts.care import ContactDetails
from accounts.generation import policy_changed
from accounts.models import User
from guardians import limits
from guardians.models import Guardianship

_PLACE = "guardianship.details"


class LinkError(Exception):
    """The link is not in a state that allows this."""


def invite(minor: User, details: ContactDetails, *, actor: uuid.UUID, now: dt.datetime) -> Guardianship:
    """Note whom the minor names as guardian, in place of somebody named before who has not consented.

    Raises ValidationError for details that cannot be right, and LinkError when a guardian is in force: a
    minor does not replace them alone.
    """
    details = details.checked(owner=minor)
    row = Guardianship(minor=minor, created_at=now)
    with transaction.atomic(durable=True):
        _lock(minor)
        if consented(minor):
            raise LinkError("a guardian is in force")
        Guardianship.objects.filter(minor=minor, state=Guardianship.State.INVITED).delete()
        row.details = details.seal(minor.pk, _PLACE, row.pk)
        row.save(force_insert=True)
        audit.record(
            "account.care_completed",
            actor=actor,
            subject=minor.pk,
            target=f"guardianship:{row.pk}",
            step="guardian_named",
        )
        policy_changed(minor.pk)
    limits.forget(minor)
    return row


def activate(link: Guardianship, *, guardian: User, actor: uuid.UUID, now: dt.datetime) -> None:
    """Record consent. Raises LinkError unless the link is an open invitation and the guardian an adult."""
    policy = limits.effective_policy(guardian, now)
    if policy.age_band is None or policy.is_minor:
        raise LinkError("a guardian is an adult")
    with transaction.atomic(durable=True):
        changed = Guardianship.objects.filter(pk=link.pk, state=Guardianship.State.INVITED).update(
            state=Guardianship.State.ACTIVE, guardian=guardian, consented_at=now
        )
        if not changed:
            raise LinkError("not an open invitation")
        audit.record(
            "account.care_completed",
            actor=actor,
            subject=link.minor_id,
            target=f"guardianship:{link.pk}",
            step="guardian_consented",
        )
        policy_changed(link.minor_id)
    link.refresh_from_db()


def consented(minor: User) -> bool:
    return Guardianship.objects.filter(minor=minor, state=Guardianship.State.ACTIVE).exists()


def current(minor: User) -> Guardianship | None:
    """The link in force, else the open invitation."""
    rows = Guardianship.objects.filter(minor=minor).exclude(state=Guardianship.State.ENDED)
    return min(rows, key=lambda row: (row.state != Guardianship.State.ACTIVE, row.created_at), default=None)


def open_details(link: Guardianship) -> ContactDetails:
    return ContactDetails.open(link.minor_id, _PLACE, link.pk, link.details)


def _lock(minor: User) -> None:
    """Two tabs may send the form at once: the second waits for the first."""
    User.objects.select_for_update().get(pk=minor.pk)
