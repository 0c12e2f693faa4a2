"""Minor and guardian: named by the minor (invited), in force by the guardian's consent and the other side's yes."""

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
_NEAREST: list[str] = [Guardianship.State.ACTIVE, Guardianship.State.ACCEPTED, Guardianship.State.INVITED]


MOST = 4  # guardians of one minor


class LinkError(Exception):
    """The link is not in a state that allows this."""


def invite(minor: User, details: ContactDetails, *, actor: uuid.UUID, now: dt.datetime) -> Guardianship:
    """Note whom the minor names as guardian, in place of somebody named before who has not answered.

    Beside a guardian in force this is a second one, who needs the first one's yes. Raises ValidationError for details
    that cannot be right, and LinkError while somebody who answered waits for a confirmation.
    """
    details = details.checked(owner=minor)
    row = Guardianship(minor=minor, created_at=now)
    with transaction.atomic(durable=True):
        lock(minor.pk)
        open_links = Guardianship.objects.filter(minor=minor)
        if open_links.filter(state=Guardianship.State.ACCEPTED).exists():
            raise LinkError("somebody waits for a confirmation")
        if open_links.filter(state=Guardianship.State.ACTIVE).count() >= MOST:
            raise LinkError("enough guardians")
        open_links.filter(state=Guardianship.State.INVITED).delete()
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


def in_force(minor: User) -> bool:
    """Is there a guardian in force?"""
    return Guardianship.objects.filter(minor=minor, state=Guardianship.State.ACTIVE).exists()


def current(minor: User) -> Guardianship | None:
    """The link in force, else the one that waits, else the open invitation."""
    rows = Guardianship.objects.filter(minor=minor).exclude(state=Guardianship.State.ENDED)
    return min(rows, key=lambda row: (_NEAREST.index(row.state), row.created_at), default=None)


def of(minor: User) -> list[Guardianship]:
    """All that are not over, the one in force first."""
    rows = Guardianship.objects.filter(minor=minor).exclude(state=Guardianship.State.ENDED)
    return sorted(
        rows.select_related("guardian"), key=lambda row: (_NEAREST.index(row.state), row.created_at)
    )


def open_details(link: Guardianship) -> ContactDetails:
    return ContactDetails.open(link.minor_id, _PLACE, link.pk, link.details)


def lock(minor_id: uuid.UUID) -> None:
    """Whatever changes who looks after a minor is one after the other: two tabs, two clicks, two guardians."""
    User.objects.select_for_update().get(pk=minor_id)
