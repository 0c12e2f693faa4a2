"""Guardianship: named, consented, never changed behind the guardian's back."""

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import AuditEntry, Event, User
from guardians import links
from guardians.access import guardians_of, wards_of
from guardians.links import LinkError
from guardians.models import Guardianship
from tests.cast import GUARDIAN, make_user

pytestmark = pytest.mark.django_db


def test_an_invitation_is_noted_with_audit_and_event() -> None:
    minor = make_user("minor", 15)
    link = links.invite(minor, GUARDIAN, actor=minor.pk, now=timezone.now())
    assert links.open_details(Guardianship.objects.get(pk=link.pk)) == GUARDIAN
    entry = AuditEntry.objects.get(subject=minor.pk)
    assert (entry.action, entry.data) == ("account.care_completed", {"step": "guardian_named"})
    assert Event.objects.get(user=minor).kind == "policy.changed"
    assert not links.in_force(minor)


def test_a_link_in_force_opens_the_door_both_ways(minor: User, guardian: User) -> None:
    assert links.in_force(minor)
    assert list(guardians_of(minor)) == [guardian]
    assert list(wards_of(guardian)) == [minor]


def test_a_guardian_in_force_is_not_replaced_by_the_minor(minor: User) -> None:
    second = links.invite(minor, GUARDIAN, actor=minor.pk, now=timezone.now())
    assert [link.state for link in links.of(minor)] == ["active", "invited"]
    links.invite(
        minor, GUARDIAN, actor=minor.pk, now=timezone.now()
    )  # instead of the one who has not answered
    assert not Guardianship.objects.filter(pk=second.pk).exists()
    assert links.in_force(minor)


def test_nobody_else_is_named_while_somebody_waits_for_a_yes(minor: User) -> None:
    Guardianship.objects.update(state=Guardianship.State.ACCEPTED)
    with pytest.raises(LinkError):
        links.invite(minor, GUARDIAN, actor=minor.pk, now=timezone.now())


def test_a_minor_has_not_any_number_of_guardians(minor: User) -> None:
    [link] = links.of(minor)
    for name in "abc":
        Guardianship.objects.create(
            minor=minor,
            guardian=make_user(name, 40),
            details=link.details,
            state="active",
            consented_at=timezone.now(),
        )
    with pytest.raises(LinkError):
        links.invite(minor, GUARDIAN, actor=minor.pk, now=timezone.now())


def test_the_database_refuses_a_link_in_force_without_consent(minor: User) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Guardianship.objects.filter(minor=minor).update(consented_at=None)
    with pytest.raises(IntegrityError), transaction.atomic():
        Guardianship.objects.filter(minor=minor).update(guardian=minor)


def test_an_ended_link_gives_no_access(minor: User, guardian: User, outsider: User) -> None:
    assert list(wards_of(outsider)) == []
    Guardianship.objects.filter(minor=minor).update(state=Guardianship.State.ENDED)
    assert list(wards_of(guardian)) == []
    assert links.current(minor) is None
