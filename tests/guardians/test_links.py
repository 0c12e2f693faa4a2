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
    assert not links.consented(minor)


def test_consent_puts_the_link_in_force_once(guardian: User) -> None:
    minor = make_user("minor", 15)
    link = links.invite(minor, GUARDIAN, actor=minor.pk, now=timezone.now())
    links.activate(link, guardian=guardian, actor=guardian.pk, now=timezone.now())
    assert links.consented(minor)
    assert link.consented_at is not None
    assert list(guardians_of(minor)) == [guardian]
    assert list(wards_of(guardian)) == [minor]
    with pytest.raises(LinkError):
        links.activate(link, guardian=guardian, actor=guardian.pk, now=timezone.now())


def test_a_minor_is_nobodys_guardian(minor: User) -> None:
    other = make_user("friend", 16)
    link = links.invite(other, GUARDIAN, actor=other.pk, now=timezone.now())
    with pytest.raises(LinkError):
        links.activate(link, guardian=minor, actor=minor.pk, now=timezone.now())


def test_a_guardian_in_force_is_not_replaced_by_the_minor(minor: User) -> None:
    with pytest.raises(LinkError):
        links.invite(minor, GUARDIAN, actor=minor.pk, now=timezone.now())
    assert links.consented(minor)


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
