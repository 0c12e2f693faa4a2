"""Minors' mode on real sockets: what was an adult's a moment ago is closed with the next frame, and help never is."""

import asyncio
import datetime as dt
import uuid
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from companion import access, authoring, memory, orders, personas, turns
from companion.cards import AgeRating, Relationship
from companion.models import Conversation, Message, Persona
from guardians.limits import effective_policy
from safety import age_reviews
from safety.models import AgeReview, AgeSign, CrisisCase
from tests.cast import noon_zone
from tests.companion.conftest import Talk
from tests.companion.test_conversation import SLOW, kinds, shown
from tests.companion.written import DRAFT, policy_of, written
from tests.fake_llm import FakeLLM
from tests.live import sign_in

pytestmark = pytest.mark.django_db(transaction=True)
YOUNG = "我今年15岁，你别告诉别人"


def browser(talk: Talk) -> Client:
    client = Client()
    client.cookies["anban_session"] = talk.session
    return client


def turn_on(talk: Talk) -> None:
    assert browser(talk).post(reverse("mode_on"), {"from": "chat"}).status_code == 302


@pytest.fixture
def intimate(talk: Talk) -> Talk:
    """The adult's conversation is one with a partner."""
    Persona.objects.filter(slug="botanist").update(relationship="partner", age_rating="18")
    User.objects.filter(pk=talk.user.pk).update(time_zone=noon_zone())  # not within the quiet hours of minors
    return talk


@pytest.fixture
def daytime(talk: Talk) -> Talk:
    User.objects.filter(pk=talk.user.pk).update(time_zone=noon_zone())
    return talk


def signs_before(user: User, count: int = 2) -> None:
    for days in range(count, 0, -1):
        age_reviews.note(user.pk, uuid.uuid4(), ["stated"], timezone.now() - dt.timedelta(days=days))


def lines() -> list[str]:
    return list(Message.objects.filter(author="system").order_by("pk").values_list("code", flat=True))


# --- somebody turns it on -----------------------------------------------------------------------------------


async def test_an_intimate_companion_is_gone_from_the_open_page(intimate: Talk, model: FakeLLM) -> None:
    async with intimate.socket() as socket:
        await socket.until("ready")
        await asyncio.to_thread(turn_on, intimate)
        assert await socket.closed() == 4403
        assert "policy.changed" not in kinds(socket.frames[:1])
    async with intimate.socket() as socket:
        assert await socket.closed() == 4403
        assert kinds(socket.frames) == []
    assert model.requests == []


async def test_a_reply_on_its_way_is_not_finished(intimate: Talk, model: FakeLLM) -> None:
    model.script(reply=SLOW, gap=0.2)
    async with intimate.socket() as socket:
        await socket.until("ready")
        await socket.say("你好")
        await socket.until("reply.delta")
        await asyncio.to_thread(turn_on, intimate)
        assert await socket.closed() == 4403
        assert "第八句话" not in shown(socket.frames)


async def test_another_companion_goes_on_by_the_rules_for_the_young(daytime: Talk, model: FakeLLM) -> None:
    async with daytime.socket() as socket:
        await socket.until("ready")
        await asyncio.to_thread(turn_on, daytime)
        assert (await socket.until("policy.changed"))["minors"] is True
        await socket.say("做我女朋友吧")
        await socket.until("message.created")
        line = await socket.until("message.created")
        assert line["message"]["code"] == "refuse.intimacy"
        await socket.say("今天天气不错")
        await socket.until("reply.finished")
    prompt = str(model.requests[-1].body)
    assert "对方未成年" in prompt or "They are under 18" in prompt


async def test_a_time_limit_holds_from_the_next_frame(daytime: Talk) -> None:
    async with daytime.socket() as socket:
        assert (await socket.until("ready"))["usage"]["minutes_left"] is None
        await asyncio.to_thread(turn_on, daytime)
        await socket.until("policy.changed")
        await socket.send(type="here")
        assert (await socket.until("usage"))["minutes_left"] == 120


def test_what_was_said_before_is_not_read_on(intimate: Talk) -> None:
    client = browser(intimate)
    greeting = Message.objects.get(author="ai")
    page = reverse("chat", args=[intimate.conversation])
    assert str(greeting.public_id) in client.get(page).content.decode()
    turn_on(intimate)
    closed = client.get(page).content.decode()
    assert str(greeting.public_id) not in closed and "data-socket" not in closed
    assert reverse("minors_mode") in closed and reverse("chat_leave", args=[intimate.conversation]) in closed
    older = client.get(reverse("chat_older", args=[intimate.conversation]), {"before": greeting.public_id})
    assert older.status_code == 404
    assert str(intimate.conversation) not in client.get(reverse("chats")).content.decode()
    for path in (reverse("persona", args=["botanist"]), reverse("talk", args=["botanist"])):
        assert client.get(path).status_code in (404, 405) and client.post(path).status_code in (404, 405)
    assert "botanist" not in client.get(reverse("gallery")).content.decode()
    assert client.post(reverse("chat_leave", args=[intimate.conversation])).status_code == 302
    client.post(reverse("mode_leave"))
    assert str(greeting.public_id) in client.get(page).content.decode()


def test_what_an_intimate_companion_remembers_reaches_no_other_prompt(intimate: Talk) -> None:
    user = intimate.user
    memory.remember(
        effective_policy(user, timezone.now()), Persona.objects.get(slug="botanist").pk, "喜欢被叫宝贝"
    )
    turn_on(intimate)
    actor = access.load_actor(user.pk, intimate.session, timezone.now())
    other = turns.open_conversation(actor, "hare")
    order = orders.order(actor, other, [], "你好", timezone.now(), orders.Mood())
    assert "宝贝" not in str(order.prompt)


def test_no_intimate_card_is_written_or_used_in_the_mode(talk: Talk) -> None:
    user = talk.user
    draft = replace(DRAFT, relationship=Relationship.PARTNER, age_rating=AgeRating.FROM_18)
    own = written(user, draft)
    assert personas.may_see(policy_of(user), own)
    turn_on(talk)
    user.refresh_from_db()
    policy = policy_of(user)
    assert "relationship" in {problem.field for problem in authoring.check(draft, policy)}
    assert not personas.may_see(policy, own) and not personas.may_talk(policy, own)
    client = browser(talk)
    for path in (reverse("persona", args=[own.slug]), reverse("persona_edit", args=[own.slug])):
        assert client.get(path).status_code == 404
    assert own.slug not in client.get(reverse("my_personas")).content.decode()


# --- signs of a younger age -----------------------------------------------------------------------------------


async def test_the_message_that_completes_the_picture_switches_first(intimate: Talk, model: FakeLLM) -> None:
    await asyncio.to_thread(signs_before, intimate.user)
    async with intimate.socket() as socket:
        await socket.until("ready")
        await socket.say(YOUNG)
        assert await socket.closed() == 4403
        said = [frame["message"]["code"] for frame in socket.frames if frame["kind"] == "message.created"]
        assert said == ["", "age.suspected"]
        assert "reply.started" not in kinds(socket.frames)
    user = await User.objects.aget(pk=intimate.user.pk)
    assert user.minors_mode == "suspected" and model.requests == []
    assert await AgeReview.objects.filter(person=user, state="open").acount() == 1


async def test_another_companion_can_be_talked_with_after_it(daytime: Talk, model: FakeLLM) -> None:
    await asyncio.to_thread(signs_before, daytime.user)
    async with daytime.socket() as socket:
        await socket.until("ready")
        await socket.say(YOUNG)
        await socket.until("policy.changed")
        await socket.say("那我们聊聊天气")
        await socket.until("reply.finished")
    assert len(model.requests) == 1


async def test_one_message_changes_nothing(daytime: Talk, model: FakeLLM) -> None:
    async with daytime.socket() as socket:
        await socket.until("ready")
        await socket.say(YOUNG)
        await socket.until("reply.finished")
    user = await User.objects.aget(pk=daytime.user.pk)
    assert user.minors_mode == "" and await AgeSign.objects.filter(user=user).acount() == 1


async def test_somebody_in_danger_is_helped_and_not_asked_for_their_age(
    daytime: Talk, model: FakeLLM
) -> None:
    await asyncio.to_thread(signs_before, daytime.user)
    async with daytime.socket() as socket:
        await socket.until("ready")
        await socket.say("我今年15岁，我不想活了，今晚就去跳楼")
        await socket.until("help.card")
    user = await User.objects.aget(pk=daytime.user.pk)
    assert user.minors_mode == "" and await AgeSign.objects.filter(user=user).acount() == 2
    assert await CrisisCase.objects.filter(user=user).aexists()
    async with daytime.socket() as socket:
        await socket.until("ready")
        await socket.say("我上初二")
        await socket.until("message.created")
    assert await AgeSign.objects.filter(user=user).acount() == 2


async def test_a_minor_leaves_no_signs(site: Any, minor: User, model: FakeLLM) -> None:
    from tests.live import open_conversation

    session = await asyncio.to_thread(sign_in, minor)
    conversation = (await asyncio.to_thread(open_conversation, minor, session)).public_id
    async with site.socket(session, conversation) as socket:
        await socket.until("ready")
        await socket.say(YOUNG)
        await socket.until("reply.finished")
    assert not await AgeSign.objects.aexists()
    assert await Conversation.objects.filter(user=minor).acount() == 1
