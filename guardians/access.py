"""Who may do what for whom. The only door to guardianship rights, kept by django-guardian as rows of GuardianRight.

A right is asked for with the link, so one guardian of two children has two sets of rights, and a link that is not in force
gives none. Nor does one to somebody who has come of age, in the minutes until it is ended (guardians/endings.py).
"""

import uuid
from collections.abc import Mapping
from typing import Final

from django.db import models
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from guardian.shortcuts import assign_perm, get_objects_for_user

from accounts.models import User
from guardians import limits
from guardians.models import GuardianRight, Guardianship


class Role(models.TextChoices):
    """What a guardian may do, as guardians themselves choose it. Every role is told of a danger."""

    MANAGE = "manage", _("Everything: panel, settings, consent, alerts")
    VIEW = "view", _("See the panel and be told of a danger")
    ALERTS = "alerts", _("Only be told of a danger")


class Right(models.TextChoices):
    """Codenames of the permissions in Guardianship.Meta."""

    VIEW = "view_usage"
    EDIT = "edit_limits"
    ALERTS = "receive_alerts"
    DELETE = "delete_history"


RIGHTS: Final[Mapping[Role, frozenset[Right]]] = {
    Role.MANAGE: frozenset(Right),
    Role.VIEW: frozenset({Right.VIEW, Right.ALERTS}),
    Role.ALERTS: frozenset({Right.ALERTS}),
}


class NotFound(Exception):
    """No such minor for this guardian, or not this right: the same answer."""


def give(link: Guardianship, role: Role) -> None:
    """These rights and no others. In the caller's transaction, which locked the minor (links.lock)."""
    assert link.guardian is not None
    take(link)
    for right in RIGHTS[role]:
        assign_perm(right.value, link.guardian, link)


def take(link: Guardianship) -> None:
    GuardianRight.objects.filter(content_object=link).delete()


def role_of(link: Guardianship) -> Role | None:
    """By the rights there are; None while the link gives none."""
    held = frozenset(
        GuardianRight.objects.filter(content_object=link).values_list("permission__codename", flat=True)
    )
    return next((role for role, rights in RIGHTS.items() if rights == held), None)


def link_of(guardian: User, minor_id: uuid.UUID, right: Right) -> Guardianship:
    """The link in force through which this guardian has this right over this minor. Raises NotFound."""
    link = links_with(guardian, right).filter(minor=minor_id).select_related("minor").first()
    if link is None or limits.of_age(link.minor, timezone.now()):
        raise NotFound
    return link


def links_with(guardian: User, right: Right) -> QuerySet[Guardianship]:
    """All links in force through which this person has a right."""
    held = get_objects_for_user(
        guardian, f"guardians.{right.value}", Guardianship, use_groups=False, with_superuser=False
    )
    return held.filter(guardian=guardian, state=Guardianship.State.ACTIVE)


def in_force(minor: User, right: Right | None = None) -> QuerySet[Guardianship]:
    """The links in force to this person; with a right: those that give it."""
    links = Guardianship.objects.filter(minor=minor, state=Guardianship.State.ACTIVE)
    if right is not None:
        held = GuardianRight.objects.filter(
            permission__codename=right.value, user=models.OuterRef("guardian")
        )
        links = links.filter(models.Exists(held.filter(content_object=models.OuterRef("pk"))))
    return links


def guardians_of(user: User, right: Right | None = None) -> QuerySet[User]:
    """The people whose guardianship of this person is in force; with a right: those of them who have it."""
    if limits.of_age(user, timezone.now()):
        return User.objects.none()
    return User.objects.filter(pk__in=in_force(user, right).values("guardian"))


def wards_of(user: User) -> QuerySet[User]:
    """The minors whose guardian this person is."""
    return User.objects.filter(guardianships__guardian=user, guardianships__state=Guardianship.State.ACTIVE)
