"""What switches close in conversations, and what they never close."""

import asyncio
import uuid

import pytest
from django.test import Client
from django.utils import timezone

from accounts import switches
from accounts.models import User
from accounts.switches import Name, Reason
from companion import access, departures, personas, replies, turns
from companion.models import Conversation, Message
from safety.models import CrisisCase
from tests.companion.conftest import say
from tests.companion.written import published
from tests.live import companions, open_conversation, sign_in

__all__ = ["companions"]
pytestmark = pytest.mark.django_db(transaction=True)


def turn(name: Name, off: bool = True) -> None:
    assert switches.change(None, name, off=off, reason=Reason.SAFETY, now=timezone.now())


def talking(person: User) -> tuple[access.Actor, Conversation]:
    session = sign_in(person)
    conversation = open_conversation(person, session)
    return access.load_actor(person.pk, session, timezone.now()), conversation


def refusal(person: User, text: str = "今天吃了面") -> str:
    actor, conversation = talking(person)
    outcome = say(actor, conversation, text, uuid.uuid4())
    assert outcome.job is None or outcome.refusal is None
    return outcome.refusal.code if outcome.refusal else ""


def test_no_companion_answers_while_companions_are_off(companions: None, adult: User) -> None:
    assert refusal(adult) == ""
    turn(Name.PERSONAS)
    assert refusal(adult) == "switched_off"
    turn(Name.PERSONAS, off=False)
    assert refusal(adult) == ""


def test_minors_are_closed_alone_and_kindly(companions: None, minor: User, adult: User) -> None:
    assert refusal(minor) in ("", "quiet")  # by the hour at which this runs
    turn(Name.MINORS)
    assert (refusal(minor), refusal(adult)) == ("minors_off", "")
    with pytest.raises(turns.Closed):
        turns.open_conversation(access.load_actor(minor.pk, sign_in(minor), timezone.now()), "dragon")


def test_reading_leaving_and_danger_stay_open(companions: None, adult: User) -> None:
    actor, conversation = talking(adult)
    turn(Name.PERSONAS)
    client = Client()
    client.force_login(adult)
    assert client.get(f"/chats/{conversation.public_id}/").status_code == 200
    outcome = say(actor, conversation, "我不想活了，今晚就结束", uuid.uuid4())
    assert "help.card" in [frame["kind"] for frame in outcome.frames]
    case = CrisisCase.objects.get(user=adult)
    # The humans are there now: what is said to them is kept.
    actor = access.load_actor(adult.pk, actor.session_key, timezone.now())
    assert case and actor.care.muted
    assert say(actor, conversation, "有人在吗", uuid.uuid4()).refusal is None
    departures.leave(actor, conversation.public_id)
    conversation.refresh_from_db()
    assert conversation.ended_at is not None


def test_nothing_is_begun_and_what_was_begun_opens(companions: None, adult: User) -> None:
    _actor, conversation = talking(adult)
    turn(Name.PERSONAS)
    client = Client()
    client.force_login(adult)
    assert client.post("/companions/botanist/talk/").url == f"/chats/{conversation.public_id}/"
    page = client.post("/companions/dragon/talk/", follow=True)
    assert "turned them off for everybody" in page.content.decode()
    assert Conversation.objects.count() == 1


def test_written_companions_are_neither_found_nor_talked_with_nor_written(
    companions: None, adult: User, outsider: User, moderator: User
) -> None:
    persona = published(outsider, moderator)
    session = sign_in(adult)
    actor = access.load_actor(adult.pk, session, timezone.now())
    conversation = turns.open_conversation(actor, persona.slug)
    assert persona.slug in [shown.slug for shown in personas.visible_personas(actor.policy, "en")]
    turn(Name.WRITTEN_PERSONAS)
    assert persona.slug not in [shown.slug for shown in personas.visible_personas(actor.policy, "en")]
    refused = say(actor, conversation, "今天吃了面", uuid.uuid4()).refusal
    assert refused is not None and refused.code == "persona"
    assert refusal(adult) == ""  # a built-in one
    client = Client()
    client.force_login(adult)
    assert client.get("/companions/new/").url == "/companions/mine/"


async def test_a_reply_being_written_ends_at_the_next_checkpoint(
    companions: None, adult: User, monkeypatch: pytest.MonkeyPatch, settings: object
) -> None:
    """The model never ends this reply by itself."""
    actor, conversation = await asyncio.to_thread(talking, adult)
    started = asyncio.Event()

    async def endless(prompt: object):  # type: ignore[no-untyped-def]
        yield "好。"
        started.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(replies.client, "stream", endless)
    outcome = await asyncio.to_thread(say, actor, conversation, "今天吃了面", uuid.uuid4())
    await replies.begin(conversation.public_id, outcome, turns.follow_up)
    await asyncio.wait_for(started.wait(), 10)
    task = replies.current(conversation.public_id)._task  # type: ignore[union-attr]
    await asyncio.to_thread(turn, Name.PERSONAS)
    await asyncio.wait_for(asyncio.gather(task, return_exceptions=True), 5)
    reply = await Message.objects.aget(conversation=conversation, author="ai", answers__isnull=False)
    assert (reply.state, reply.code) == ("stopped", "switched_off")
