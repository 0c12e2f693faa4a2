"""Who sees and talks with which companion: the ladder, the gallery, the addresses."""

import dataclasses
import uuid
from itertools import product
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.age import AgeBand
from accounts.models import User
from companion import personas, retirement
from companion.cards import AgeRating, Mood, Relationship, load_builtin
from companion.models import Persona, ServiceNotice
from guardians.jurisdictions import reminders
from guardians.limits import EffectivePolicy
from guardians.models import PersonaBlock
from tests.cast import make_user
from tests.companion.written import DRAFT, client_of, policy_of, published, written

INTIMATE = [Relationship.KIN, Relationship.PARTNER, Relationship.IDOL, Relationship.EXCLUSIVE]
ADULTS = [AgeBand.ADULT, AgeBand.ELDER]


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
        reminders=reminders(minor=False),
        daily_minutes=None,
        quiet=(),
        zone="Asia/Shanghai",
    )


def row(
    relationship: Relationship, rating: AgeRating, state: str, author: uuid.UUID | None = None
) -> Persona:
    return Persona(
        slug="x", relationship=relationship, age_rating=rating, state=state, author_id=author, card=b""
    )


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


@pytest.mark.django_db(transaction=True)  # data keys are kept from their commit on
def test_the_number_of_queries_does_not_grow_with_the_gallery(
    gallery: None, adult: User, moderator: User, outsider: User, django_assert_max_num_queries: Any
) -> None:
    client = client_of(outsider)
    for _ in range(6):
        published(adult, moderator)
    client.get(reverse("gallery"))
    with django_assert_max_num_queries(12):
        client.get(reverse("gallery"))


def test_reloading_updates_and_leaves_what_is_retired(gallery: None) -> None:
    Persona.objects.filter(slug="dragon").update(
        version=99, relationship="friend", state="retired", retired_by=gone()
    )
    call_command("load_personas")
    dragon = Persona.objects.get(slug="dragon")
    assert (dragon.version, dragon.relationship, dragon.state) == (1, "pet", "retired")
    assert Persona.objects.count() == len(load_builtin())


def test_reloading_refuses_to_retire_without_a_notice(gallery: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card that is gone from a release is no announcement (draft article 19)."""
    rest = tuple(card for card in load_builtin() if card.slug != "whale")
    monkeypatch.setattr("companion.management.commands.load_personas.load_builtin", lambda: rest)
    with pytest.raises(CommandError, match="whale"):
        call_command("load_personas")
    whale = Persona.objects.filter(slug="whale")
    assert whale.get().state == Persona.State.PUBLISHED
    whale.update(state="retired", retired_by=gone())
    call_command("load_personas")


def gone() -> ServiceNotice:
    return retirement.told_at_once(Persona.objects.get(slug="whale"), "other", None, timezone.now())


@pytest.mark.parametrize("name", ["gallery", "my_personas"])
def test_lists_answer_only_to_reading(adult: User, name: str) -> None:
    assert client_of(adult).post(reverse(name)).status_code == 405


def test_who_may_not_talk_yet_is_told_the_next_step(gallery: None) -> None:
    url = reverse("persona", args=["dragon"])
    unfinished = make_user("unfinished", 29)
    assert reverse("care") in client_of(unfinished).get(url).content.decode()
    assert reverse("account_login") in Client().get(url).content.decode()
