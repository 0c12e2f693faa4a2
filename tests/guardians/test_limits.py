"""What a person may do: one value, two queries, and the reason when the answer is no."""

from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.models import User
from guardians import contacts, limits, links
from guardians.limits import effective_policy
from guardians.models import EmergencyContact, Guardianship, PersonaBlock
from tests.cast import CONTACT, GUARDIAN, make_user, with_guardian

pytestmark = pytest.mark.django_db


def fresh(user: User) -> User:
    return User.objects.get(pk=user.pk)


def missing(user: User) -> str:
    return effective_policy(fresh(user), timezone.now()).missing


def test_the_ladder_names_the_first_thing_that_is_missing() -> None:
    user = make_user("new", 30, birth_date=None, agreement_version="")
    assert missing(user) == "birth_date"
    User.objects.filter(pk=user.pk).update(birth_date=make_user("other", 30).birth_date)
    assert missing(user) == "agreement"
    User.objects.filter(pk=user.pk).update(agreement_version=make_user("third", 30).agreement_version)
    assert missing(user) == "contact"
    contacts.add(user, CONTACT, actor=user.pk, now=timezone.now())
    assert missing(user) == ""


@pytest.mark.parametrize("years", [12, 15, 17])
def test_a_minor_needs_a_guardian_and_then_the_consent(years: int, guardian: User) -> None:
    user = make_user("young", years)
    assert missing(user) == "guardian"
    links.invite(user, GUARDIAN, actor=user.pk, now=timezone.now())
    assert missing(user) == "guardian_consent"
    link = with_guardian(user, guardian)
    assert missing(user) == ""
    Guardianship.objects.filter(pk=link.pk).update(state=Guardianship.State.ENDED)
    assert missing(user) == "guardian"


def test_an_emergency_contact_does_not_stand_in_for_a_guardian() -> None:
    user = make_user("young", 15)
    contacts.add(user, CONTACT, actor=user.pk, now=timezone.now())
    assert missing(user) == "guardian"


@pytest.mark.parametrize("state", [EmergencyContact.State.REFUSED, EmergencyContact.State.UNSAFE])
def test_a_contact_that_may_not_be_used_is_no_contact(adult: User, state: str) -> None:
    EmergencyContact.objects.filter(user=adult).update(state=state)
    assert missing(adult) == "contact"


def test_the_policy_carries_what_prompts_and_pages_need(minor: User, elder: User) -> None:
    persona = uuid4()
    PersonaBlock.objects.create(minor=minor, persona=persona)
    young = effective_policy(fresh(minor), timezone.now())
    old = effective_policy(fresh(elder), timezone.now())
    assert (young.is_minor, young.engine_band, young.blocked_personas) == (True, "teen", frozenset({persona}))
    assert (old.is_minor, old.engine_band, old.simple_mode, old.language) == (False, "elder", True, "zh-hans")
    assert old.blocked_personas == frozenset()


def test_an_unknown_age_is_read_carefully() -> None:
    policy = effective_policy(make_user("unknown", 30, birth_date=None), timezone.now())
    assert (policy.age_band, policy.engine_band) == (None, "teen")


def test_five_queries_are_enough_and_the_second_look_is_free(
    adult: User, minor: User, django_assert_max_num_queries: Any, django_assert_num_queries: Any
) -> None:
    for user in (fresh(adult), fresh(minor)):
        with django_assert_max_num_queries(5):
            effective_policy(user, timezone.now())
        with django_assert_num_queries(0):
            effective_policy(user, timezone.now())


def test_a_writer_in_the_same_request_sees_the_new_policy() -> None:
    user = make_user("new", 30)
    assert effective_policy(user, timezone.now()).missing == "contact"
    contacts.add(user, CONTACT, actor=user.pk, now=timezone.now())
    assert effective_policy(user, timezone.now()).missing == ""
    limits.forget(user)
    assert effective_policy(user, timezone.now()).missing == ""
