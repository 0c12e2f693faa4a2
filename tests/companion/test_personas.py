"""Who sees and talks with which companion, and the way of a written one from draft to others."""

import dataclasses
import uuid
from itertools import product
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.age import AgeBand
from accounts.models import AuditEntry, User
from companion import authoring, personas
from companion.authoring import Draft, NotPossible, Reason
from companion.cards import AgeRating, Mood, Relationship, load_builtin
from companion.models import Conversation, Persona
from guardians.limits import EffectivePolicy, effective_policy, forget
from guardians.models import PersonaBlock
from tests.cast import make_user

INTIMATE = [Relationship.KIN, Relationship.PARTNER, Relationship.IDOL, Relationship.EXCLUSIVE]
ADULTS = [AgeBand.ADULT, AgeBand.ELDER]
DRAFT = Draft(
    name="Pebble",
    tagline="A stone that has seen the river change its mind.",
    description="Pebble is an invented stone. It likes slow questions and the sound of water.",
    greeting="The water is low today. What did you bring?",
    character="You are Pebble, an invented stone, played by an AI. Short, dry sentences about water and time.",
    relationship=Relationship.FRIEND,
    age_rating=AgeRating.ALL,
    moods=(Mood.CALM,),
    examples=(("Do you ever hurry?", "I rolled once. It took a century."),),
    tags=("rivers", "time"),
)


def policy(band: AgeBand | None, *, user_id: uuid.UUID | None = None, **changes: Any) -> EffectivePolicy:
    return EffectivePolicy(
        user_id=user_id or uuid.uuid4(),
        age_band=band,
        is_minor=band is not None and band.is_minor,
        missing="",
        blocked_personas=changes.get("blocked", frozenset()),
        engine_band=band.engine_band if band else "teen",
        simple_mode=False,
        language="en",
    )


def policy_of(user: User) -> EffectivePolicy:
    forget(user)
    return effective_policy(user, timezone.now())


def row(
    relationship: Relationship, rating: AgeRating, state: str, author: uuid.UUID | None = None
) -> Persona:
    return Persona(
        slug="x", relationship=relationship, age_rating=rating, state=state, author_id=author, card=b""
    )


def written(author: User, draft: Draft = DRAFT) -> Persona:
    return authoring.create(policy_of(author), draft)


def published(author: User, reviewer: User, draft: Draft = DRAFT) -> Persona:
    persona = written(author, draft)
    authoring.submit(policy_of(author), persona)
    persona.refresh_from_db()
    authoring.publish(reviewer, persona, age_rating=draft.age_rating)
    persona.refresh_from_db()
    return persona


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


# --- the ladder, for every band, class, rating and state ----------------------------------------------------


@pytest.mark.parametrize("band", [*AgeBand, None])
def test_others_see_only_what_is_published_fits_their_age_and_is_not_closed_to_their_band(
    band: AgeBand | None,
) -> None:
    oldest = {AgeBand.UNDER_14: 0, AgeBand.FROM_14: 14, AgeBand.FROM_16: 16, None: 0}.get(band, 18)
    for relationship, rating, state in product(Relationship, AgeRating, Persona.State.values):
        expected = state == "published" and rating.minimum_age <= oldest
        if band not in ADULTS and relationship in INTIMATE:
            expected = False
        if band is AgeBand.ELDER and relationship is Relationship.KIN:
            expected = False
        reader, persona = policy(band), row(relationship, rating, state, author=uuid.uuid4())
        assert personas.may_see(reader, persona) is expected, (relationship, rating, state)
        assert personas.may_talk(reader, persona) is expected, (relationship, rating, state)


@pytest.mark.parametrize("band", [*AgeBand, None])
def test_authors_talk_with_their_own_when_they_are_adults_and_minors_only_with_a_reviewed_fitting_one(
    band: AgeBand | None,
) -> None:
    author = policy(band)
    oldest = {AgeBand.UNDER_14: 0, AgeBand.FROM_14: 14, AgeBand.FROM_16: 16, None: 0}.get(band, 18)
    for relationship, rating, state in product(Relationship, AgeRating, Persona.State.values):
        persona = row(relationship, rating, state, author=author.user_id)
        seen = state != "retired" and (band in ADULTS or relationship not in INTIMATE)
        talks = seen and state != "refused"
        if band not in ADULTS:
            talks = seen and state == "published" and rating.minimum_age <= oldest
        if band is AgeBand.ELDER and relationship is Relationship.KIN:
            talks = False
        assert personas.may_see(author, persona) is seen, (relationship, rating, state)
        assert personas.may_talk(author, persona) is talks, (relationship, rating, state)


@pytest.mark.parametrize("rating", AgeRating)
def test_somebody_who_is_not_signed_in_sees_what_every_age_may_see(rating: AgeRating) -> None:
    assert personas.may_see(None, row(Relationship.FRIEND, rating, "published")) is (rating is AgeRating.ALL)
    assert not personas.may_see(None, row(Relationship.PARTNER, AgeRating.FROM_18, "published"))


@pytest.mark.parametrize("own", [True, False])
def test_a_blocked_companion_is_gone_even_for_its_author(own: bool) -> None:
    persona = row(Relationship.FRIEND, AgeRating.ALL, "published")
    reader = policy(AgeBand.FROM_14, blocked=frozenset({persona.public_id}))
    if own:
        persona.author_id = reader.user_id
    assert not personas.may_see(reader, persona)
    assert not personas.may_talk(reader, persona)


# --- the gallery --------------------------------------------------------------------------------------------


@pytest.fixture
def gallery(db: None) -> None:
    call_command("load_personas")


def slugs(client: Client, **query: str) -> set[str]:
    return {shown.slug for shown in client.get(reverse("gallery"), query).context["page"].object_list}


def test_everybody_finds_what_their_age_allows(gallery: None, adult: User, minor: User) -> None:
    every = {card.slug for card in load_builtin()}
    fitting = {card.slug for card in load_builtin() if card.age_rating.minimum_age <= 14}
    assert slugs(client_of(adult)) == every
    assert slugs(client_of(minor)) == fitting
    assert slugs(Client()) == {card.slug for card in load_builtin() if card.age_rating is AgeRating.ALL}


def test_filters_narrow_and_unknown_values_do_nothing(gallery: None, adult: User) -> None:
    client = client_of(adult)
    every = slugs(client)
    calm = {card.slug for card in load_builtin() if Mood.CALM in card.moods}
    pets = {card.slug for card in load_builtin() if card.relationship is Relationship.PET}
    assert slugs(client, mood="calm") == calm
    assert slugs(client, relationship="pet") == pets
    assert slugs(client, mood="calm", relationship="pet") == calm & pets
    assert slugs(client, mood="'; --", relationship="nobody", page="-3") == every


def test_nothing_found_says_what_to_do(gallery: None, adult: User) -> None:
    page = client_of(adult).get(reverse("gallery"), {"mood": "calm", "relationship": "pet"})
    assert "Show everybody" in page.content.decode()


def test_the_filter_of_a_minor_does_not_name_what_is_closed(
    gallery: None, minor: User, adult: User, moderator: User
) -> None:
    draft = dataclasses.replace(DRAFT, relationship=Relationship.PARTNER, age_rating=AgeRating.FROM_18)
    published(adult, moderator, draft)
    assert Relationship.PARTNER in personas.relationships(policy(AgeBand.ADULT))
    assert Relationship.PARTNER not in personas.relationships(policy_of(minor))
    assert "Partner" not in client_of(minor).get(reverse("gallery")).content.decode()


def test_a_blocked_companion_disappears_from_gallery_and_address(gallery: None, minor: User) -> None:
    dragon = Persona.objects.get(slug="dragon")
    assert "dragon" in slugs(client_of(minor))
    PersonaBlock.objects.create(minor=minor, persona=dragon.public_id)
    assert "dragon" not in slugs(client_of(minor))
    assert client_of(minor).get(reverse("persona", args=["dragon"])).status_code == 404


def test_absent_closed_and_not_yours_are_the_same_404(
    gallery: None, adult: User, outsider: User, minor: User, moderator: User
) -> None:
    draft = written(adult)
    closed = published(
        adult,
        moderator,
        dataclasses.replace(DRAFT, relationship=Relationship.KIN, age_rating=AgeRating.FROM_18),
    )
    answers = set()
    for client, slug in (
        (client_of(outsider), "nobody"),
        (client_of(outsider), draft.slug),
        (client_of(moderator), draft.slug),
        (Client(), draft.slug),
        (client_of(minor), closed.slug),
    ):
        for name in ("persona", "persona_edit"):
            response = client.get(reverse(name, args=[slug]), follow=False)
            if response.status_code == 302:
                assert response.headers["Location"].startswith(reverse("account_login"))
                continue
            answers.add(response.status_code)
    assert answers == {404}


def test_the_number_of_queries_does_not_grow_with_the_gallery(
    gallery: None, adult: User, moderator: User, outsider: User, django_assert_max_num_queries: Any
) -> None:
    client = client_of(outsider)
    for _ in range(6):
        published(adult, moderator)
    client.get(reverse("gallery"))
    with django_assert_max_num_queries(12):
        client.get(reverse("gallery"))


def test_reloading_updates_and_retires(gallery: None, monkeypatch: pytest.MonkeyPatch) -> None:
    whale = Persona.objects.get(slug="whale")
    rest = tuple(card for card in load_builtin() if card.slug != "whale")
    Persona.objects.filter(slug="dragon").update(version=99, relationship="friend", state="retired")
    monkeypatch.setattr("companion.management.commands.load_personas.load_builtin", lambda: rest)
    call_command("load_personas")
    whale.refresh_from_db()
    dragon = Persona.objects.get(slug="dragon")
    assert whale.state == Persona.State.RETIRED
    assert (dragon.version, dragon.relationship, dragon.state) == (1, "pet", "published")
    assert Persona.objects.count() == len(rest) + 1


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


def test_submitted_reviewed_published_and_each_step_is_recorded(
    adult: User, moderator: User, outsider: User
) -> None:
    persona = written(adult)
    assert personas.visible_personas(policy_of(outsider), "en") == []
    authoring.submit(policy_of(adult), persona)
    persona.refresh_from_db()
    assert personas.visible_personas(policy_of(outsider), "en") == []
    authoring.publish(moderator, persona, age_rating=AgeRating.FROM_16)
    persona.refresh_from_db()
    assert (persona.state, persona.age_rating, persona.reviewed_by) == ("published", "16", moderator)
    assert [shown.name for shown in personas.visible_personas(policy_of(outsider), "en")] == ["Pebble"]
    entries = AuditEntry.objects.filter(action__startswith="persona.").order_by("id")
    assert [(entry.action, entry.actor, entry.subject) for entry in entries] == [
        ("persona.submitted", adult.pk, adult.pk),
        ("persona.published", moderator.pk, adult.pk),
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
            authoring.publish(reviewer, persona, age_rating=AgeRating.ALL)
    authoring.publish(supervisor, own, age_rating=AgeRating.ALL)


def test_a_decision_counts_for_the_version_that_was_read(
    adult: User, moderator: User, supervisor: User
) -> None:
    persona = written(adult)
    authoring.submit(policy_of(adult), persona)
    persona.refresh_from_db()
    read_by_two = Persona.objects.get(pk=persona.pk)
    authoring.refuse(moderator, persona, reason=Reason.UNCLEAR)
    with pytest.raises(NotPossible):
        authoring.publish(supervisor, read_by_two, age_rating=AgeRating.ALL)
    other = written(adult)
    authoring.submit(policy_of(adult), other)
    other.refresh_from_db()
    authoring.edit(policy_of(adult), Persona.objects.get(pk=other.pk), DRAFT)
    authoring.submit(policy_of(adult), Persona.objects.get(pk=other.pk))
    with pytest.raises(NotPossible):
        authoring.publish(moderator, other, age_rating=AgeRating.ALL)


def test_an_intimate_companion_is_published_for_adults_whatever_the_reviewer_chose(
    adult: User, moderator: User
) -> None:
    draft = dataclasses.replace(DRAFT, relationship=Relationship.PARTNER, age_rating=AgeRating.FROM_18)
    persona = written(adult, draft)
    authoring.submit(policy_of(adult), persona)
    persona.refresh_from_db()
    authoring.publish(moderator, persona, age_rating=AgeRating.ALL)
    persona.refresh_from_db()
    assert persona.age_rating == AgeRating.FROM_18


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


@pytest.mark.parametrize("name", ["gallery", "my_personas"])
def test_lists_answer_only_to_reading(adult: User, name: str) -> None:
    assert client_of(adult).post(reverse(name)).status_code == 405


def test_who_may_not_talk_yet_is_told_the_next_step(gallery: None) -> None:
    url = reverse("persona", args=["dragon"])
    unfinished = make_user("unfinished", 29)
    assert reverse("care") in client_of(unfinished).get(url).content.decode()
    assert reverse("account_login") in Client().get(url).content.decode()


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
    staff.post(url, {"decision": "publish", "age_rating": "16", "reason": "", "version": 1})
    persona.refresh_from_db()
    assert (persona.state, persona.age_rating) == ("published", "16")


def test_the_review_is_closed_to_everybody_else(adult: User, outsider: User, moderator: User) -> None:
    persona = written(adult)
    authoring.submit(policy_of(adult), persona)
    url = reverse("admin:companion_persona_review", args=[persona.pk])
    for client in (client_of(outsider), client_of(adult), Client()):
        assert client.get(url).status_code in (302, 403)
        assert client.post(url, {"decision": "publish", "age_rating": "all", "version": 1}).status_code in (
            302,
            403,
        )
    persona.refresh_from_db()
    assert persona.state == Persona.State.IN_REVIEW
