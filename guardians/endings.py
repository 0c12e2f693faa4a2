"""The end of a guardianship: by the guardian, by the guardian who manages, asked for by the minor, by a human, at 18.

A minor stays in minors' mode either way, by the birth date. Without another guardian's consent no companion talks with them
until somebody else agrees. Rights and consent end with the link, in the same transaction.
"""

import datetime as dt
import uuid
from typing import Final

from django.db import transaction

from accounts import audit
from accounts.generation import policy_changed
from accounts.models import User
from guardians import access, consents, limits, links, roles
from guardians.access import Role
from guardians.links import LinkError
from guardians.models import Guardianship

State = Guardianship.State
_ABOUT_ADULT: Final = dt.timedelta(days=18 * 365)  # some days less than 18 years; limits.of_age is exact
ASK_AGAIN: Final = dt.timedelta(days=7)  # after a no; a human can be asked at once (safety/appeals.py)


def end(link: Guardianship, *, by: User, now: dt.datetime) -> None:
    """A guardian ends their own link, or somebody who manages that of one who does not. Raises LinkError."""
    with transaction.atomic():
        links.lock(link.minor_id)
        row = _open(link.pk)
        if row is None:
            raise LinkError("not_yours")
        own = row.guardian_id == by.pk
        if not own and not links.manages(by, row.minor):
            raise LinkError("not_yours")
        if not own and row.state == State.ACTIVE and access.role_of(row) is Role.MANAGE:
            raise LinkError("equal")
        _end(row, by, "left" if own else "removed", now)


def ask(link: Guardianship, *, minor: User, now: dt.datetime) -> None:
    """The minor would like it to end: the guardian is asked. Raises LinkError: not_yours, asked, not_yet."""
    with transaction.atomic():
        links.lock(link.minor_id)
        row = _open(link.pk)
        if row is None or row.state != State.ACTIVE or row.minor_id != minor.pk:
            raise LinkError("not_yours")
        if asked(row):
            raise LinkError("asked")
        if row.end_declined_at is not None and now - row.end_declined_at < ASK_AGAIN:
            raise LinkError("not_yet")
        row.end_asked_at, row.end_declined_at = now, None
        row.save(update_fields=["end_asked_at", "end_declined_at"])
        _record("guardian.end_asked", row, minor.pk)


def asked(link: Guardianship) -> bool:
    """Does the minor wait for an answer?"""
    return link.end_asked_at is not None and link.end_declined_at is None


def answer(link: Guardianship, yes: bool, *, guardian: User, now: dt.datetime) -> None:
    """Only the guardian whose link it is answers. Raises LinkError."""
    with transaction.atomic():
        links.lock(link.minor_id)
        row = _open(link.pk)
        if row is None or row.state != State.ACTIVE or row.guardian_id != guardian.pk or not asked(row):
            raise LinkError("not_yours")
        if yes:
            return _end(row, guardian, "agreed", now)
        row.end_declined_at = now
        row.save(update_fields=["end_declined_at"])
        _record("guardian.end_declined", row, guardian.pk)


def by_ruling(link_id: uuid.UUID, staff: User, now: dt.datetime) -> bool:
    """A human of the team decided so on the minor's appeal. False when it was over already."""
    with transaction.atomic():
        found = Guardianship.objects.filter(pk=link_id).values_list("minor", flat=True).first()
        if found is None:
            return False
        links.lock(found)
        row = _open(link_id)
        if row is None:
            return False
        _end(row, staff, "ruling", now)
    return True


def grown_up(now: dt.datetime) -> list[User]:
    """People of age who still have guardians, named or in force."""
    rows = Guardianship.objects.exclude(state=State.ENDED)
    people = User.objects.filter(birth_date__lte=now.date() - _ABOUT_ADULT, pk__in=rows.values("minor"))
    return [user for user in people.order_by("pk") if limits.of_age(user, now)]


def come_of_age(minor_id: uuid.UUID, now: dt.datetime) -> list[Guardianship]:
    """End all links of somebody who is of age; those that were in force are returned."""
    with transaction.atomic():
        links.lock(minor_id)
        if not limits.of_age(User.objects.get(pk=minor_id), now):
            return []
        rows = list(
            Guardianship.objects.select_for_update(of=("self",))
            .select_related("minor", "guardian")
            .filter(minor=minor_id)
            .exclude(state=State.ENDED)
        )
        ended = [row for row in rows if row.state == State.ACTIVE]
        for row in rows:
            _end(row, None, "of_age", now, heir=False)
    return ended


def _open(link_id: uuid.UUID) -> Guardianship | None:
    """The link as it is now, locked, if it is not over. The minor is locked before."""
    rows = Guardianship.objects.select_for_update(of=("self",)).select_related("minor", "guardian")
    return rows.filter(pk=link_id).exclude(state=State.ENDED).first()


def _end(row: Guardianship, by: User | None, how: str, now: dt.datetime, *, heir: bool = True) -> None:
    row.state, row.ended_at = State.ENDED, now
    row.save(update_fields=["state", "ended_at"])
    access.take(row)
    consents.over(row, by, now)
    if row.guardian is not None:  # whom they named and who has not answered is named no more
        links.named(row.minor, row.guardian).delete()
    if heir:
        roles.somebody_manages(row.minor)
    _record("guardian.ended", row, by.pk if by else None, how=how)
    policy_changed(row.minor_id)


def _record(action: str, row: Guardianship, actor: uuid.UUID | None, **data: str) -> None:
    audit.record(action, actor=actor, subject=row.minor_id, target=f"guardianship:{row.pk}", **data)
