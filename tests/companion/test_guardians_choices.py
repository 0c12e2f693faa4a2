"""What guardians chose reaches every door to a companion: gallery, filters, links, chats, prompts, and one's own cards."""

from collections.abc import Callable
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts.models import User
from companion import access, departures, memory, personas
from companion.authoring import Draft, check
from companion.cards import AgeRating, Mood, Relationship
from companion.models import Conversation, Persona
from guardians import access as rights
from guardians import limits, minor_settings
from guardians.access import Right
from guardians.limits import EffectivePolicy
from guardians.minor_settings import Companions, Features, Time
from guardians.models import Limits, MinorSettings, PersonaBlock
from tests.companion.conftest import say
from tests.live import open_conversation, sign_in

pytestmark = pytest.mark.django_db(transaction=True)

Choose = Callable[..., None]


@pytest.fixture
def choose(minor: User, guardian: User) -> Choose:
    def choose(wished: Companions | Features | Time) -> None:
        link = rights.link_of(guardian, minor.pk, Right.EDIT)
        minor_settings.change(link, guardian, wished, timezone.now())

    return choose


def policy(user: User) -> EffectivePolicy:
    return limits.effective_policy(User.objects.get(pk=user.pk), timezone.now())


def slugs(user: User, **filters: Any) -> set[str]:
    return {shown.slug for shown in personas.visible_personas(policy(user), "en", **filters)}


def persona(slug: str) -> Persona:
    return Persona.objects.get(slug=slug)


def signed_in(user: User) -> Client:
    client = Client()
    client.cookies[settings.SESSION_COOKIE_NAME] = sign_in(user)
    return client


@pytest.fixture
def talk(companions: None, minor: User) -> Conversation:
    return open_conversation(minor, sign_in(minor), "botanist")


def actor(user: User) -> access.Actor:
    return access.load_actor(user.pk, sign_in(user), timezone.now())


def test_a_blocked_companion_is_gone_from_everywhere_and_no_other_is(
    talk: Conversation, minor: User, adult: User, choose: Choose
) -> None:
    before, others = slugs(minor), slugs(adult)
    choose(Companions(blocked=frozenset({talk.persona.public_id})))
    assert slugs(minor) == before - {"botanist"}
    assert slugs(adult) == others
    page = signed_in(minor)
    assert page.get("/companions/botanist/").status_code == 404
    assert page.post("/companions/botanist/talk/").status_code == 404
    outcome = say(actor(minor), talk, "你好")
    assert outcome.refusal == access.Refusal("persona", "gallery")
    assert outcome.job is None


def test_an_old_conversation_stays_one_s_own_to_read_and_cannot_go_on(
    talk: Conversation, minor: User, choose: Choose
) -> None:
    choose(Companions(blocked=frozenset({talk.persona.public_id})))
    page = signed_in(minor).get(f"/chats/{talk.public_id}/")
    text = page.content.decode()
    assert page.status_code == 200
    assert "This companion is not available to you." in text
    assert "data-blocked" in text
    assert 'href="/companions/botanist/"' not in text  # no door that is closed
    choose(Companions())
    assert say(actor(minor), talk, "你好").refusal is None


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_tag_closes_every_card_that_has_it_in_either_language(
    companions: None, minor: User, choose: Choose, language: str
) -> None:
    shown = personas.show(persona("botanist"), "zh-hans" if language == "zh" else "en")
    tag = shown.tags[0].upper()
    choose(Companions(tags=frozenset({f"  {tag} "})))
    assert "botanist" not in slugs(minor)
    assert not personas.may_talk(policy(minor), persona("botanist"))


@pytest.mark.parametrize("word", ["pet", "宠物", "Pet"])
def test_a_relationship_can_be_closed_like_a_tag_and_its_filter_goes_with_it(
    companions: None, minor: User, choose: Choose, word: str
) -> None:
    pets = slugs(minor, relationship=Relationship.PET)
    assert pets
    choose(Companions(tags=frozenset({word})))
    assert not slugs(minor) & pets
    assert Relationship.PET not in personas.relationships(policy(minor))


def test_a_mood_can_be_closed_like_a_tag(companions: None, minor: User, choose: Choose) -> None:
    playful = slugs(minor, mood=Mood.PLAYFUL)
    assert playful and playful < slugs(minor)
    choose(Companions(tags=frozenset({str(Mood.PLAYFUL.value)})))
    assert slugs(minor, mood=Mood.PLAYFUL) == set()
    assert not slugs(minor) & playful


def test_only_what_is_approved_is_there(talk: Conversation, minor: User, choose: Choose) -> None:
    choose(Companions(approved=frozenset({persona("dragon").public_id})))
    assert slugs(minor) == {"dragon"}
    assert access.persona_gate(policy(minor), talk.persona) == access.Refusal("persona", "gallery")
    choose(Companions(approved=frozenset()))
    assert slugs(minor) == set()


def test_approval_opens_nothing_that_the_age_closes(companions: None, minor: User, choose: Choose) -> None:
    adults = Persona.objects.create(
        slug="lover", state="published", relationship="partner", age_rating="18", author=None
    )
    choose(Companions(approved=frozenset({adults.public_id})))
    assert slugs(minor) == set()
    assert not personas.may_talk(policy(minor), adults)


def written(author: User, **fields: Any) -> Persona:
    row = Persona(author=author, slug="c-ink", state="published", relationship="friend", age_rating="all")
    card = dict.fromkeys(("name", "tagline", "description", "greeting", "character"), "墨")
    row.seal_card(card | {"moods": ["calm"], "examples": [], "tags": ["书法"]} | fields)
    row.save()
    return row


def test_a_companion_that_somebody_wrote_is_closed_by_its_words_as_well(
    companions: None, minor: User, adult: User, choose: Choose
) -> None:
    row = written(adult)
    assert row.slug in slugs(minor)
    choose(Companions(tags=frozenset({"书法"})))
    assert row.slug not in slugs(minor)
    assert not personas.may_talk(policy(minor), row)


def test_one_s_own_card_stays_readable_and_cannot_be_talked_with(
    companions: None, minor: User, choose: Choose
) -> None:
    row = written(minor)
    assert personas.may_talk(policy(minor), row)
    choose(Companions(tags=frozenset({"书法"})))
    assert personas.may_see(policy(minor), row)
    assert not personas.may_talk(policy(minor), row)


def test_no_card_is_written_around_a_closed_word(minor: User, choose: Choose) -> None:
    draft = Draft(
        name="小墨",
        tagline="写字的伙伴",
        description="一起练字。",
        greeting="今天写什么？",
        character="安静，话少。",
        relationship=Relationship.FRIEND,
        age_rating=AgeRating.ALL,
        tags=("书法",),
    )
    before = {problem.code for problem in check(draft, policy(minor))}
    choose(Companions(tags=frozenset({"书法"})))
    assert {problem.code for problem in check(draft, policy(minor))} - before == {"blocked"}


def test_an_adult_keeps_none_of_it(companions: None, adult: User) -> None:
    """Rows that a former guardian left behind close nothing for somebody of age."""
    everything = slugs(adult)
    PersonaBlock.objects.create(minor=adult, persona=persona("botanist").public_id)
    MinorSettings.objects.create(minor=adult, approved_only=True, voice=False, memory=False)
    Limits.objects.create(user=adult, setter="guardian", daily_minutes=5, valid_from=timezone.now())
    assert slugs(adult) == everything
    assert policy(adult).choices == limits.Choices()
    assert policy(adult).daily_minutes is None


def test_voice_turned_off_refuses_what_was_said_aloud_and_still_lets_them_go(
    talk: Conversation, minor: User, choose: Choose
) -> None:
    assert departures.spoken(actor(minor), talk.public_id, "今天天气不错").refusal is None
    assert "data-voice" in signed_in(minor).get(f"/chats/{talk.public_id}/").content.decode()
    choose(Features(voice=False))
    outcome = departures.spoken(actor(minor), talk.public_id, "今天天气不错")
    assert outcome.refusal == access.Refusal("voice_off")
    assert "data-voice aria" not in signed_in(minor).get(f"/chats/{talk.public_id}/").content.decode()
    departures.spoken(actor(minor), talk.public_id, "我不想聊了，再见")
    talk.refresh_from_db()
    assert talk.ended_at is not None


def test_memory_turned_off_gives_the_model_nothing(talk: Conversation, minor: User, choose: Choose) -> None:
    memory.remember(policy(minor), talk.persona_id, "我叫小北")
    told = say(actor(minor), talk, "你好").job
    assert told is not None and "我叫小北" in told.prompt[0]["content"]
    talk.messages.filter(state="streaming").update(state="complete")
    choose(Features(memory=False))
    told = say(actor(minor), talk, "还在吗").job
    assert told is not None and "我叫小北" not in told.prompt[0]["content"]
    page = signed_in(minor).get(f"/chats/{talk.public_id}/memories/").content.decode()
    assert "turned remembering off" in page and "我叫小北" in page and "memory-text" not in page


def test_a_turn_costs_no_more_queries_with_choices(
    talk: Conversation, minor: User, choose: Choose, django_assert_num_queries: Any
) -> None:
    choose(Companions(tags=frozenset({"x"}), approved=frozenset({talk.persona.public_id})))
    known = policy(minor)
    loaded = Conversation.objects.select_related("persona").get(pk=talk.pk).persona
    with django_assert_num_queries(0):
        assert access.persona_gate(known, loaded) is None
