"""What guardians of one minor may do, changed among themselves.

Who manages chooses the roles of those who do not. Those who manage are equals: nobody lowers an equal or ends their link,
and each may step down while another manages. Somebody manages as long as anybody is there: when the last one goes, whoever
has been there longest follows, because only who manages can withdraw a consent.
"""

from django.db import transaction

from accounts import audit
from accounts.generation import policy_changed
from accounts.models import User
from guardians import access, links
from guardians.access import Right, Role
from guardians.links import LinkError
from guardians.models import Guardianship


def change(link: Guardianship, role: Role, *, by: User) -> bool:
    """False when it was so before. Raises LinkError: not_yours, equal, last."""
    with transaction.atomic():
        links.lock(link.minor_id)
        row = held(link, by)
        now = access.role_of(row)
        if now is role:
            return False
        if now is Role.MANAGE and row.guardian_id != by.pk:
            raise LinkError("equal")
        if row.guardian_id == by.pk and access.in_force(row.minor, Right.EDIT).count() == 1:
            raise LinkError("last")
        access.give(row, role)
        _record(row, role, by)
        policy_changed(row.minor_id)
    return True


def held(link: Guardianship, by: User) -> Guardianship:
    """The link in force as it is now, locked, for somebody who manages. Raises LinkError."""
    active = Guardianship.objects.select_for_update(of=("self",)).select_related("minor", "guardian")
    row = active.filter(pk=link.pk, state=Guardianship.State.ACTIVE).first()
    if row is None or not links.manages(by, row.minor):
        raise LinkError("not_yours")
    return row


def somebody_manages(minor: User) -> None:
    """In the caller's transaction, after a link has ended; the minor is locked."""
    if access.in_force(minor, Right.EDIT).exists():
        return
    heir = access.in_force(minor).order_by("consented_at", "pk").select_related("guardian").first()
    if heir is not None:
        access.give(heir, Role.MANAGE)
        _record(heir, Role.MANAGE, None)


def _record(link: Guardianship, role: Role, by: User | None) -> None:
    audit.record(
        "guardian.role_changed",
        actor=by.pk if by else None,
        subject=link.minor_id,
        target=f"guardianship:{link.pk}",
        role=role.value,
    )
