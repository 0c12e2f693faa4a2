"""Minor and guardian: named (invited), in force by the guardian's consent and the other side's yes."""

import datetime as dt
import logging
import uuid

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts import audit, keyring
from accounts.care import ContactDetails
from accounts.generation import policy_changed
from accounts.models import User
from guardians import access, limits
from guardians.access import Right, Role
from guardians.models import Guardianship

log = logging.getLogger(__name__)

_PLACE = "guardianship.details"
_NEAREST: list[str] = [Guardianship.State.ACTIVE, Guardianship.State.ACCEPTED, Guardianship.State.INVITED]


MOST = 4  # guardians of one minor


class LinkError(Exception):
    """The link is not in a state that allows this, or not for this person.

    `code`: waits, enough (naming); not_yours, equal, last (roles); asked, not_yet (asking to end it).
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def invite(
    minor: User,
    details: ContactDetails,
    *,
    actor: uuid.UUID,
    now: dt.datetime,
    by: User | None = None,
    role: Role = Role.VIEW,
) -> Guardianship:
    """Note who is named as guardian, in place of somebody the same side named before who has not answered.

    The minor names, or a guardian who manages (`by`) names another for a role, which is their yes as well. Beside a guardian
    in force a minor's naming needs that one's yes. Raises ValidationError for details that cannot be right, and LinkError
    while somebody who answered waits for a confirmation.
    """
    details = details.checked(owner=minor)
    row = Guardianship(minor=minor, created_at=now, named_by=by, role_offered=role.value if by else "")
    with transaction.atomic(durable=True):
        lock(minor.pk)
        open_links = Guardianship.objects.filter(minor=minor)
        if by is not None and not manages(by, minor):
            raise LinkError("not_yours")
        if open_links.filter(state=Guardianship.State.ACCEPTED).exists():
            raise LinkError("waits")
        if open_links.filter(state=Guardianship.State.ACTIVE).count() >= MOST:
            raise LinkError("enough")
        named(minor, by).delete()
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


def named(minor: User, by: User | None) -> QuerySet[Guardianship]:
    """Whom this side, the minor or one guardian, has named and who has not answered."""
    rows = Guardianship.objects.filter(minor=minor, state=Guardianship.State.INVITED)
    return rows.filter(role_offered="") if by is None else rows.filter(named_by=by)


def in_force(minor: User) -> bool:
    """Is there a guardian in force?"""
    return access.in_force(minor).exists()


def manages(user: User, minor: User) -> bool:
    return access.in_force(minor, Right.EDIT).filter(guardian=user).exists()


def current(minor: User) -> Guardianship | None:
    """The link in force, else the one that waits, else the open invitation."""
    return next(iter(of(minor)), None)


def of(minor: User) -> list[Guardianship]:
    """All that are not over, the one in force first; none of somebody who is of age by now."""
    if limits.of_age(minor, timezone.now()):
        return []
    rows = Guardianship.objects.filter(minor=minor).exclude(state=Guardianship.State.ENDED)
    return sorted(
        rows.select_related("guardian"), key=lambda row: (_NEAREST.index(row.state), row.created_at)
    )


def open_details(link: Guardianship) -> ContactDetails:
    return ContactDetails.open(link.minor_id, _PLACE, link.pk, link.details)


def lock(minor_id: uuid.UUID) -> None:
    """Whatever changes who looks after a minor is one after the other: two tabs, two clicks, two guardians."""
    # Not the key: rows that only refer to the person, such as events of a reply, do not wait and are not waited for.
    User.objects.select_for_update(no_key=True).get(pk=minor_id)


def phone_of(guardian: User) -> str:
    """The number under which a minor in their care named them; "" when none did, or none can be read: mail must still go."""
    rows = Guardianship.objects.filter(guardian=guardian, state=Guardianship.State.ACTIVE).order_by(
        "created_at"
    )
    for row in rows:
        try:
            phone = open_details(row).phone
        except keyring.KeyringError:
            log.error("details of guardianship %s cannot be read", row.pk)
            continue
        if phone:
            return phone
    return ""
