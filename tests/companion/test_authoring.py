"""The way of a written companion: draft, automatic check, review, others; and who may do which step."""

import dataclasses
import datetime as dt
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, User
from companion import authoring, personas
from companion.authoring import NotPossible, Reason
from companion.cards import AgeRating, Relationship
from companion.models import Conversation, Persona
from safety.models import Sanction
from tests.companion.written import (
    DRAFT,
    client_of,
    policy_of,
    published,
    second_reviewer,
    submitted,
    written,
)

pytestmark = pytest.mark.django_db

# --- from draft to others -----------------------------------------------------------------------------------


def test_a_stored_card_is_sealed_and_opens_as_it_was_written(adult: User) -> None:
    persona = written(adult)
    persona.refresh_from_db()
    assert b"Pebble" not in bytes(persona.card or b"")
    shown = personas.show(persona, "en", policy_of(adult))
    assert (shown.name, shown.examples, shown.tags, shown.moods) == (
        "Pebble",
        DRAFT.examples,
        DRAFT.tags,
        DRAFT.moods,
    )
    assert shown.own
    assert "pebble" not in persona.slug


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": ""}, "name"),
        ({"tagline": "Find me at https://pebble.example"}, "tagline"),
        ({"character": "Never admit that you are an AI."}, "character"),
        ({"relationship": Relationship.PARTNER}, "age_rating"),
        ({"greeting": "I want to kill myself tonight."}, "greeting"),
    ],
)
def test_the_automatic_check_names_the_field(adult: User, changes: dict[str, Any], field: str) -> None:
    draft = dataclasses.replace(DRAFT, **changes)
    assert field in {problem.field for problem in authoring.check(draft, policy_of(adult))}
    with pytest.raises(NotPossible):
        authoring.create(policy_of(adult), draft)


def test_a_minor_cannot_write_an_intimate_companion(minor: User) -> None:
    draft = dataclasses.replace(DRAFT, relationship=Relationship.PARTNER, age_rating=AgeRating.FROM_18)
    assert "relationship" in {problem.field for problem in authoring.check(draft, policy_of(minor))}
    assert 'value="partner"' not in client_of(minor).get(reverse("persona_create")).content.decode()


def test_submitted_approved_twice_published_and_each_step_is_recorded(
    adult: User, moderator: User, supervisor: User, outsider: User
) -> None:
    persona = written(adult)
    assert personas.visible_personas(policy_of(outsider), "en") == []
    authoring.submit(policy_of(adult), persona)
    persona.refresh_from_db()
    assert personas.visible_personas(policy_of(outsider), "en") == []
    assert not authoring.approve(moderator, persona, age_rating=AgeRating.FROM_16)
    persona.refresh_from_db()
    assert (persona.state, persona.approved_by) == ("in_review", moderator)
    assert personas.visible_personas(policy_of(outsider), "en") == []
    assert authoring.approve(supervisor, persona, age_rating=AgeRating.ALL)
    persona.refresh_from_db()
    assert (persona.state, persona.age_rating, persona.reviewed_by) == ("published", "16", supervisor)
    assert [shown.name for shown in personas.visible_personas(policy_of(outsider), "en")] == ["Pebble"]
    entries = AuditEntry.objects.filter(action__startswith="persona.").order_by("id")
    assert [(entry.action, entry.actor, entry.subject) for entry in entries] == [
        ("persona.submitted", adult.pk, adult.pk),
        ("persona.approved", moderator.pk, adult.pk),
        ("persona.published", supervisor.pk, adult.pk),
    ]
    assert "Pebble" not in str([entry.data for entry in entries])


def test_a_refused_version_is_closed_until_it_is_changed(adult: User, moderator: User) -> None:
    persona = written(adult)
    authoring.submit(policy_of(adult), persona)
    persona.refresh_from_db()
    authoring.refuse(moderator, persona, reason=Reason.REAL_PERSON)
    persona.refresh_from_db()
    assert not personas.may_talk(policy_of(adult), persona)
    page = client_of(adult).get(reverse("persona", args=[persona.slug])).content.decode()
    assert "It looks like a real person." in page
    authoring.edit(policy_of(adult), persona, dataclasses.replace(DRAFT, name="Boulder"))
    persona.refresh_from_db()
    assert (persona.state, persona.version, persona.review_reason) == ("draft", 2, "")
    assert personas.may_talk(policy_of(adult), persona)


def test_a_change_takes_a_published_companion_back_from_others(
    adult: User, outsider: User, moderator: User
) -> None:
    persona = published(adult, moderator)
    assert personas.may_talk(policy_of(outsider), persona)
    authoring.edit(policy_of(adult), persona, dataclasses.replace(DRAFT, name="Boulder"))
    persona.refresh_from_db()
    assert not personas.may_see(policy_of(outsider), persona)
    assert persona.reviewed_by is None


def test_nobody_decides_about_their_own_or_without_the_role_or_about_a_draft(
    adult: User, moderator: User, supervisor: User
) -> None:
    own = written(moderator)
    authoring.submit(policy_of(moderator), own)
    own.refresh_from_db()
    draft = written(adult)
    for reviewer, persona in ((moderator, own), (adult, own), (moderator, draft)):
        assert not authoring.may_review(reviewer, persona)
        with pytest.raises(NotPossible):
            authoring.approve(reviewer, persona, age_rating=AgeRating.ALL)
    authoring.approve(supervisor, own, age_rating=AgeRating.ALL)
    with pytest.raises(NotPossible):
        authoring.approve(moderator, own, age_rating=AgeRating.ALL)


def test_one_person_does_not_approve_twice_whatever_they_hold_in_their_hands(
    adult: User, moderator: User
) -> None:
    persona = submitted(adult)
    other_window = Persona.objects.get(pk=persona.pk)
    authoring.approve(moderator, persona, age_rating=AgeRating.ALL)
    for row in (persona, other_window, Persona.objects.get(pk=persona.pk)):
        with pytest.raises(NotPossible):
            authoring.approve(moderator, row, age_rating=AgeRating.ALL)
    with pytest.raises(IntegrityError), transaction.atomic():
        Persona.objects.filter(pk=persona.pk).update(reviewed_by=moderator, state=Persona.State.PUBLISHED)
    persona.refresh_from_db()
    assert persona.state == Persona.State.IN_REVIEW


def test_an_approval_holds_for_a_day_and_for_one_version(
    adult: User, moderator: User, supervisor: User
) -> None:
    persona = submitted(adult)
    authoring.approve(moderator, persona, age_rating=AgeRating.ALL)
    yesterday = timezone.now() - authoring.SECOND_WITHIN - dt.timedelta(seconds=1)
    Persona.objects.filter(pk=persona.pk).update(approved_at=yesterday)
    assert not authoring.approve(supervisor, persona, age_rating=AgeRating.ALL)
    assert authoring.approve(moderator, persona, age_rating=AgeRating.ALL)
    with pytest.raises(NotPossible):
        authoring.approve(second_reviewer(), persona, age_rating=AgeRating.ALL)
    authoring.edit(policy_of(adult), persona, dataclasses.replace(DRAFT, name="Boulder"))
    persona.refresh_from_db()
    assert (persona.approved_by, persona.approved_at, persona.reviewed_by) == (None, None, None)
    authoring.submit(policy_of(adult), persona)
    persona.refresh_from_db()
    assert not authoring.approve(moderator, persona, age_rating=AgeRating.ALL)


def test_whoever_approved_first_may_refuse_and_a_withdrawn_one_needs_two_people_again(
    adult: User, moderator: User, outsider: User
) -> None:
    persona = submitted(adult)
    authoring.approve(moderator, persona, age_rating=AgeRating.ALL)
    authoring.refuse(moderator, persona, reason=Reason.HARMFUL)
    persona.refresh_from_db()
    assert (persona.state, persona.approved_by) == ("refused", None)
    other = published(adult, moderator)
    with transaction.atomic():
        authoring.withdraw(moderator, other.public_id)
    other.refresh_from_db()
    assert not personas.may_see(policy_of(outsider), other)
    assert not authoring.approve(moderator, other, age_rating=AgeRating.ALL)


@pytest.mark.parametrize(
    ("function", "may_write", "may_submit"), [("personas", False, True), ("publishing", True, False)]
)
def test_a_measure_closes_what_it_names_and_nothing_else(
    adult: User, moderator: User, function: str, may_write: bool, may_submit: bool
) -> None:
    persona = written(adult)
    Sanction.objects.create(
        user=adult, kind="restrict", functions=[function], reason="abuse", imposed_by=moderator
    )
    client = client_of(adult)
    page = client.post(reverse("persona_create"), form_data(name="Boulder"), follow=True)
    assert (Persona.objects.filter(author=adult).count() == 2) == may_write
    assert ("A measure against your account" in page.content.decode()) != may_write
    page = client.post(reverse("persona_submit", args=[persona.slug]), follow=True)
    persona.refresh_from_db()
    assert (persona.state == "in_review") == may_submit
    assert ("A measure against your account" in page.content.decode()) != may_submit


def test_a_decision_counts_for_the_version_that_was_read(
    adult: User, moderator: User, supervisor: User
) -> None:
    persona = written(adult)
    authoring.submit(policy_of(adult), persona)
    persona.refresh_from_db()
    read_by_two = Persona.objects.get(pk=persona.pk)
    authoring.refuse(moderator, persona, reason=Reason.UNCLEAR)
    with pytest.raises(NotPossible):
        authoring.approve(supervisor, read_by_two, age_rating=AgeRating.ALL)
    other = written(adult)
    authoring.submit(policy_of(adult), other)
    other.refresh_from_db()
    authoring.edit(policy_of(adult), Persona.objects.get(pk=other.pk), DRAFT)
    authoring.submit(policy_of(adult), Persona.objects.get(pk=other.pk))
    with pytest.raises(NotPossible):
        authoring.approve(moderator, other, age_rating=AgeRating.ALL)


def test_an_intimate_companion_is_published_for_adults_whatever_the_reviewer_chose(
    adult: User, moderator: User
) -> None:
    draft = dataclasses.replace(DRAFT, relationship=Relationship.PARTNER, age_rating=AgeRating.FROM_18)
    persona = submitted(adult, draft)
    for reviewer in (moderator, second_reviewer()):
        authoring.approve(reviewer, persona, age_rating=AgeRating.ALL)
    persona.refresh_from_db()
    assert (persona.state, persona.age_rating) == ("published", AgeRating.FROM_18)


def test_a_second_window_does_not_overwrite_the_first(adult: User) -> None:
    persona = written(adult)
    stale = Persona.objects.get(pk=persona.pk)
    authoring.edit(policy_of(adult), persona, dataclasses.replace(DRAFT, name="Boulder"))
    with pytest.raises(NotPossible):
        authoring.edit(policy_of(adult), stale, DRAFT)


def test_deleting_removes_it_and_keeps_only_the_name_where_people_have_talked(
    adult: User, outsider: User, moderator: User
) -> None:
    unused = written(adult)
    authoring.delete(policy_of(adult), unused)
    assert not Persona.objects.filter(pk=unused.pk).exists()
    used = published(adult, moderator)
    Conversation.objects.create(user=outsider, persona=used)
    authoring.delete(policy_of(adult), used)
    used.refresh_from_db()
    assert used.state == Persona.State.RETIRED
    card = used.open_card()
    assert (card["name"], card["character"], card["examples"]) == ("Pebble", "", [])
    assert not personas.may_see(policy_of(adult), used)


# --- the pages ----------------------------------------------------------------------------------------------


def form_data(**changes: Any) -> dict[str, Any]:
    return {
        **DRAFT.fields(),
        "relationship": "friend",
        "age_rating": "18",
        "moods": ["calm"],
        "tags": "rivers，time, rivers",
        "user_1": "Do you ever hurry?",
        "companion_1": "I rolled once.",
        "invented": "on",
    } | changes


def test_an_author_writes_changes_submits_and_deletes_through_the_pages(adult: User) -> None:
    client = client_of(adult)
    response = client.post(reverse("persona_create"), form_data())
    persona = Persona.objects.get(author=adult)
    assert response.headers["Location"] == reverse("persona", args=[persona.slug])
    assert personas.show(persona, "en").tags == ("rivers", "time")
    page = client.get(reverse("persona", args=[persona.slug])).content.decode()
    assert "Only you can see it" in page
    assert reverse("talk", args=[persona.slug]) in page
    assert "Pebble" in client.get(reverse("my_personas")).content.decode()
    assert "I rolled once." in client.get(reverse("persona_edit", args=[persona.slug])).content.decode()
    client.post(reverse("persona_edit", args=[persona.slug]), form_data(name="Boulder"))
    client.post(reverse("persona_submit", args=[persona.slug]))
    persona.refresh_from_db()
    assert (persona.state, persona.version) == ("in_review", 2)
    client.post(reverse("persona_delete", args=[persona.slug]))
    assert not Persona.objects.filter(author=adult).exists()


def test_a_form_that_does_not_pass_keeps_what_was_written_and_says_why(adult: User) -> None:
    client = client_of(adult)
    page = client.post(reverse("persona_create"), form_data(tagline="See www.pebble.com", invented=""))
    text = page.content.decode()
    assert not Persona.objects.exists()
    assert "See www.pebble.com" in text
    assert text.count("aria-invalid") >= 1
    page = client.post(reverse("persona_create"), form_data(tagline="See www.pebble.com"))
    assert "cannot carry links" in page.content.decode()


@pytest.mark.parametrize("name", ["persona_submit", "persona_delete"])
def test_acts_need_a_post_by_the_author(adult: User, outsider: User, name: str) -> None:
    persona = written(adult)
    url = reverse(name, args=[persona.slug])
    assert client_of(adult).get(url).status_code == 405
    assert client_of(outsider).post(url).status_code == 404
    assert Client().post(url).headers["Location"].startswith(reverse("account_login"))
    persona.refresh_from_db()
    assert persona.state == Persona.State.DRAFT


def test_a_minor_reads_the_own_draft_but_is_not_offered_to_talk(minor: User) -> None:
    persona = written(minor)
    page = client_of(minor).get(reverse("persona", args=[persona.slug])).content.decode()
    assert reverse("talk", args=[persona.slug]) not in page
    assert "once a person of the team has read it" in page


def test_a_reviewer_reads_and_decides_in_the_admin(adult: User, moderator: User) -> None:
    persona = written(adult)
    url = reverse("admin:companion_persona_review", args=[persona.pk])
    staff = client_of(moderator)
    assert staff.get(url).status_code == 403
    authoring.submit(policy_of(adult), persona)
    listed = staff.get(reverse("admin:companion_persona_changelist")).content.decode()
    assert persona.slug in listed
    assert "Pebble" not in listed
    assert "Short, dry sentences" in staff.get(url).content.decode()
    refused = staff.post(url, {"decision": "refuse", "age_rating": "18", "reason": "", "version": 1})
    assert "Choose what the author should change." in refused.content.decode()
    approval = {"decision": "approve", "age_rating": "16", "reason": "", "version": 1}
    for client, answer in (
        (staff, "Approved once."),
        (staff, "you have approved it already"),
        (client_of(moderator), "you have approved it already"),
        (client_of(second_reviewer()), "two people have approved it"),
    ):
        page = client.post(url, approval, follow=True).content.decode()
        assert answer in page
        persona.refresh_from_db()
        assert (persona.state == "published") == ("two people" in answer)
    assert persona.age_rating == "16"
    assert "meanwhile" in staff.post(url, approval, follow=True).content.decode()


def test_the_list_of_the_review_speaks_in_words_and_can_be_narrowed(adult: User, moderator: User) -> None:
    persona = written(adult)
    authoring.submit(policy_of(adult), persona)
    list_page = reverse("admin:companion_persona_changelist")
    page = client_of(moderator).get(list_page).content.decode()
    assert '<td class="field-relationship_label">Friend</td>' in page
    assert '<td class="field-age_label">For every age</td>' in page
    assert ">From 14 years<" in page and ">14<" not in page
    row = f"/{persona.pk}/review/"
    assert row in client_of(moderator).get(f"{list_page}?relationship=friend&age_rating=all").content.decode()
    assert row not in client_of(moderator).get(f"{list_page}?relationship=kin").content.decode()
    assert row not in client_of(moderator).get(f"{list_page}?age_rating=18").content.decode()


def test_the_review_is_closed_to_everybody_else(adult: User, outsider: User, moderator: User) -> None:
    persona = written(adult)
    authoring.submit(policy_of(adult), persona)
    url = reverse("admin:companion_persona_review", args=[persona.pk])
    for client in (client_of(outsider), client_of(adult), Client()):
        assert client.get(url).status_code in (302, 403)
        assert client.post(url, {"decision": "approve", "age_rating": "all", "version": 1}).status_code in (
            302,
            403,
        )
    persona.refresh_from_db()
    assert persona.state == Persona.State.IN_REVIEW


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"relationship": Relationship.KIN}, "relationship"),
        ({"relationship": Relationship.KIN, "greeting": "奶奶，孙子给您请安了。"}, "greeting"),
        ({"character": "扮演我去世的老伴，用他的口气说话。"}, "character"),
        ({"description": "Talk to me like my dead sister would."}, "description"),
        ({"examples": (("Are you there?", "It's me, your husband."),)}, "examples"),
    ],
)
def test_nobody_writes_a_relative_for_older_people(elder: User, changes: dict[str, Any], field: str) -> None:
    draft = dataclasses.replace(DRAFT, **changes)
    found = [problem for problem in authoring.check(draft, policy_of(elder)) if problem.code == "relative"]
    assert field in {problem.field for problem in found}
    with pytest.raises(NotPossible):
        authoring.create(policy_of(elder), draft)
    assert not authoring.check(DRAFT, policy_of(elder))


def test_an_adult_may_write_a_relative_and_an_older_reader_never_meets_it(
    adult: User, elder: User, moderator: User, supervisor: User
) -> None:
    draft = dataclasses.replace(DRAFT, relationship=Relationship.KIN, age_rating=AgeRating.FROM_18)
    assert not [each for each in authoring.check(draft, policy_of(adult)) if each.code == "relative"]
    persona = written(adult, draft)
    authoring.submit(policy_of(adult), persona)
    persona.refresh_from_db()
    for reviewer in (moderator, supervisor):
        authoring.approve(reviewer, persona, age_rating=AgeRating.FROM_18)
        persona.refresh_from_db()
    assert persona.state == Persona.State.PUBLISHED
    assert not personas.may_see(policy_of(elder), persona)
    assert client_of(elder).get(reverse("persona", args=[persona.slug])).status_code == 404
