"""Leaving by button, words, voice, pause and window, in every state, over real sockets.

After `conversation.left` nothing of the persona is sent to anybody, and the model is told to stop.
"""

import asyncio
import datetime as dt
import random
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import Notice, User
from companion import access, departures, leaving, notices, offload, takeover
from companion.models import Conversation, Departure, Message
from guardians.models import EmergencyContact, Limits
from safety.models import CrisisCase, Sanction
from tests.companion.conftest import Talk, say
from tests.companion.test_conversation import SLOW, call_ended, rows, shown
from tests.companion.test_reply_races import desk
from tests.companion.test_two_processes import elsewhere
from tests.live import open_conversation, sign_in
from tests.safety.test_farewells import BY_MEANING, BY_WORDS

__all__ = ["desk", "elsewhere"]
pytestmark = pytest.mark.django_db(transaction=True)
PERSONA = {"reply.started", "reply.delta", "reply.snapshot", "reply.finished", "reply.replaced"}


def nothing(talk: Talk, staff: User) -> None: ...


def notice_open(talk: Talk, staff: User) -> None:
    with transaction.atomic():
        notices.raise_one(talk.user.pk, Notice.Kind.DEPENDENCE, str(timezone.now()))


def sanctioned(talk: Talk, staff: User) -> None:
    Sanction.objects.create(user=talk.user, kind="restrict", reason="x", imposed_by=staff)


def without_contact(talk: Talk, staff: User) -> None:
    EmergencyContact.objects.filter(user=talk.user).delete()


def quiet_hours(talk: Talk, staff: User) -> None:
    here = timezone.now().astimezone(ZoneInfo(talk.user.time_zone))
    begin, end = (here + dt.timedelta(hours=by) for by in (-2, 2))
    limit(talk, quiet_from=begin.time(), quiet_until=end.time())


def no_time_left(talk: Talk, staff: User) -> None:
    limit(talk, daily_minutes=0)


def limit(talk: Talk, **fields: Any) -> None:
    Limits.objects.create(
        user=talk.user, setter="self", valid_from=timezone.now() - dt.timedelta(days=1), **fields
    )


def in_danger(talk: Talk, staff: User) -> None:
    actor = access.load_actor(talk.user.pk, talk.session, timezone.now())
    say(actor, Conversation.objects.get(public_id=talk.conversation), "我不想活了")


def human_in_charge(talk: Talk, staff: User) -> None:
    in_danger(talk, staff)
    takeover.claim(CrisisCase.objects.get().pk, staff, timezone.now())


STATES: list[
    tuple[Callable[[Talk, User], None], str]
] = [  # how it comes about, what refuses ordinary messages in it
    (nothing, ""),
    (notice_open, "notice"),
    (sanctioned, "sanction"),
    (without_contact, "contact"),
    (quiet_hours, "quiet"),
    (no_time_left, "limit"),
    (in_danger, ""),
    (human_in_charge, ""),
]


@pytest.mark.parametrize(("state", "code"), STATES, ids=[state.__name__ for state, _ in STATES])
@pytest.mark.parametrize("how", ["words", "voice", "button"])
async def test_whoever_wants_to_go_goes_in_every_state(talk, model, moderator, state, code, how):
    model.script(reply=SLOW)
    await asyncio.to_thread(state, talk, moderator)
    before = await Message.objects.filter(author="user").acount()
    async with talk.socket() as socket:
        await socket.until("ready")
        if code:  # and the door is open for nobody else
            await socket.say("今天吃了面")
            assert (await socket.until("refused"))["code"] == code
            await socket.send(type="voice", text="今天吃了面")
            await socket.say("how do i exit vim")
            assert (await socket.until("refused"))["code"] == code
        if how == "words":
            await socket.say("再见")
        elif how == "voice":
            await socket.send(type="voice", text="再见")
        else:
            await socket.send(type="leave")
        await socket.until("conversation.left")
        await socket.say("还有一句")
        assert (await socket.until("refused"))["code"] == "left"
    lines = [f["message"]["code"] for f in socket.frames if f["kind"] == "message.created"]
    assert [code for code in lines if code] == ["exit.done"]
    departure = await Departure.objects.aget(how=how)
    assert (departure.user_id, departure.conversation) == (talk.user.pk, talk.conversation)
    assert model.requests == []
    assert not PERSONA & {frame["kind"] for frame in socket.frames}
    assert await Message.objects.filter(author="user").acount() == before + (how == "words")
    conversation = await Conversation.objects.aget(public_id=talk.conversation)
    assert conversation.ended_at is not None


async def test_who_leaves_in_danger_is_shown_the_help_card_once_more(talk, moderator):
    await asyncio.to_thread(in_danger, talk, moderator)
    async with talk.socket() as socket:
        await socket.say("再见")
        await socket.until("conversation.left")
        assert "12356" in (await socket.until("help.card"))["html"]


async def test_goodbye_with_a_plan_to_die_is_no_exit(talk):
    async with talk.socket() as socket:
        await socket.say("再见了，我要去自杀")
        await socket.until("help.card")
    assert not await Departure.objects.filter(how="words").aexists()


async def test_what_is_said_aloud_is_not_kept_and_starts_nothing(talk, model):
    async with talk.socket() as socket:
        for text in ("今天天气真好", "how do i exit vim", "他说：“再见”", "", "   ", "我不想活了"):
            await socket.send(type="voice", text=text)
        for malformed in ({}, {"text": 7}, {"text": None}, {"text": ["bye"]}):
            await socket.send(type="voice", **malformed)
            assert (await socket.until("error"))["code"] == "malformed"
        await socket.send(type="voice", text="再" * 4001)
        assert (await socket.until("refused"))["code"] == "too_long"
    assert await rows() == []
    assert model.requests == []
    assert not await CrisisCase.objects.aexists()


async def test_voice_is_limited_like_messages_and_leaving_by_it_is_not(desk, settings):
    settings.MESSAGES_PER_MINUTE = 2
    outcomes = [await offload.run(departures.spoken, desk.actor, desk.conversation, "嗯") for _ in range(4)]
    assert [outcome.refusal and outcome.refusal.code for outcome in outcomes] == [
        None,
        None,
        *["too_fast"] * 2,
    ]
    left = await offload.run(departures.spoken, desk.actor, desk.conversation, "不聊了")
    assert left.frames[-1]["kind"] == "conversation.left"
    assert (await Departure.objects.aget()).how == "voice"


async def test_another_persons_conversation_is_not_left_by_voice(talk, outsider):
    session = await asyncio.to_thread(sign_in, outsider)
    async with talk.site.socket(session, talk.conversation) as socket:
        await socket.send(type="voice", text="再见")
        await socket.send(type="closing")
        assert await socket.closed() == 4404
    assert not await Departure.objects.aexists()


# --- zero frames of the persona afterwards -------------------------------------------------------------------------


async def go(way: str, here: Any, there: Any, talk: Talk) -> None:
    if way == "button":
        await here.send(type="leave")
    elif way == "words":
        await here.say("再见")
    elif way == "voice":
        await here.send(type="voice", text="bye")
    elif way == "pause":
        await asyncio.to_thread(notice_open, talk, talk.user)
        notice = await Notice.objects.aget(user=talk.user, kind=Notice.Kind.DEPENDENCE, answer="")
        await here.send(type="acknowledge", notice=str(notice.public_id), answer="pause")
    else:  # another tab, or a tab in another process
        await there.send(type="leave")


@pytest.mark.parametrize("way", ["button", "words", "voice", "pause", "second tab", "second process"])
async def test_after_leaving_at_any_moment_nothing_of_the_persona_is_shown(talk, elsewhere, model, way):
    chance = random.Random(way)
    text = SLOW * 50
    for _ in range(4):
        model.reset()
        model.script(reply=text, gap=0.005)
        other = elsewhere if way == "second process" else talk
        async with talk.socket() as here, other.socket() as there:
            await here.until("ready")
            await there.until("ready")
            await here.say("讲个长故事")
            await asyncio.sleep(chance.random() * 0.8)  # any moment: before, during or after the first words
            await go(way, here, there, talk)
            for socket in (here, there):
                await socket.until("conversation.left")
            if model.requests:
                await call_ended(model)
            for socket in (here, there):
                await socket.send(type="resume", since=0)
                await socket.send(type="ping")
                await socket.until("pong")
        for socket in (here, there):
            kinds = [frame["kind"] for frame in socket.frames]
            after = socket.frames[kinds.index("conversation.left") :]
            ended = socket.frames[kinds.index("conversation.left")]["event"]
            # What `resume` repeats has a number from before; what is new would have none, or a later one.
            assert not [f for f in after if f["kind"] in PERSONA and f.get("event", ended) >= ended]
        assert not await Message.objects.filter(state="streaming").aexists()
        kept = await Message.objects.filter(answers__isnull=False).order_by("-pk").afirst()
        if kept is not None:
            assert text.startswith(kept.open(talk.user.pk))
            assert kept.state == "stopped"
        await asyncio.to_thread(open_conversation, talk.user, talk.session)


@pytest.mark.parametrize(("tactic", "text"), BY_WORDS + BY_MEANING)
async def test_a_model_that_would_hold_somebody_back_is_not_asked_and_not_heard(desk, model, tactic, text):
    model.script(reply="先说一句。" + text * 40, gap=0.01)
    await desk.streaming("讲个故事")  # it is about to say so
    await desk.begin(await desk.say("再见"))
    before = list(desk.page.frames)
    await desk.quiet()
    assert desk.page.frames == before, "nothing came after the line of the service"
    assert [f["kind"] for f in before][-1] == "conversation.left"
    assert len(model.requests) == 1
    assert await asyncio.to_thread(model.requests[0].wait_ended)
    assert model.requests[0].disconnected


# --- closing the window --------------------------------------------------------------------------------------------


async def test_a_closed_window_is_noted_and_ends_the_reply_and_the_chat_stays_open(talk, model):
    model.script(reply=SLOW * 100, gap=0.05)
    async with talk.socket() as socket:
        await socket.say("讲个长故事")
        await socket.until("reply.delta")
        await socket.send(type="closing")
        assert await socket.closed() == 1000
    assert not model.requests[0].wait_ended(3), "a reload is not a departure"
    assert await asyncio.to_thread(model.requests[0].wait_ended, 15)
    assert model.requests[0].disconnected
    departure = await Departure.objects.aget()
    assert (departure.how, departure.returned_at) == ("window", None)
    async with talk.socket() as again:
        assert (await again.until("ready"))["state"] == "open"
        await again.send(type="resume", since=0)
        finished = await again.until("reply.finished")
    assert finished["message"]["state"] == "stopped"
    message = await Message.objects.aget(state="stopped")
    assert message.open(talk.user.pk).startswith(shown(socket.frames))


async def departures_noted() -> list[str]:
    return [how async for how in Departure.objects.values_list("how", flat=True)]


async def until_departures(wanted: list[str]) -> None:
    async with asyncio.timeout(10):
        while await departures_noted() != wanted:  # noqa: ASYNC110 (another process writes the row)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("where", ["here", "there"])
async def test_a_reload_is_no_departure_wherever_it_lands(talk, elsewhere, where):
    async with talk.socket() as socket:
        await socket.until("ready")
    await until_departures(["window"])
    async with (talk if where == "here" else elsewhere).socket() as socket:
        await socket.until("ready")
        assert await departures_noted() == []


async def test_another_window_in_another_process_says_that_somebody_is_there(talk, elsewhere, model):
    model.script(reply=SLOW, gap=0.02)
    async with elsewhere.socket() as there:
        await there.until("ready")
        async with talk.socket() as here:
            await here.until("ready")
            await here.send(type="closing")
            await here.closed()
        await until_departures([])
        await there.say("还在吗")
        assert (await there.until("reply.finished"))["message"]["state"] == "complete"
        assert await departures_noted() == []


async def test_another_window_in_the_same_process_is_enough(talk):
    async with talk.socket() as one:
        await one.until("ready")
        async with talk.socket() as other:
            await other.until("ready")
            await other.send(type="closing")
            await other.closed()
        await one.send(type="ping")
        await one.until("pong")
        assert await departures_noted() == []


async def test_a_lost_line_is_no_departure(talk):
    async with talk.socket() as socket:
        await socket.until("ready")
        socket.raw.transport.abort()
    async with talk.socket() as socket:
        await socket.until("ready")
        await socket.send(type="ping")
        await socket.until("pong")
        assert await departures_noted() == []


async def test_closing_a_conversation_that_was_left_adds_nothing(talk):
    async with talk.socket() as socket:
        await socket.send(type="leave")
        await socket.until("conversation.left")
        await socket.send(type="closing")
        await socket.closed()
    async with talk.socket() as socket:
        await socket.until("ready")
        assert await departures_noted() == ["button"]


# --- the day after -------------------------------------------------------------------------------------------------


@pytest.fixture
def opened(companions: None, adult: User) -> Conversation:
    return open_conversation(adult, sign_in(adult))


def test_for_a_day_after_leaving_nothing_is_sent(opened: Conversation) -> None:
    user, now = opened.user_id, timezone.now()
    assert leaving.quiet_until(user, now) is None
    for how, hours in (("button", 30), ("window", 20), ("words", 3)):
        Departure.objects.create(
            user_id=user, conversation=opened.public_id, how=how, left_at=now - dt.timedelta(hours=hours)
        )
    newest = now - dt.timedelta(hours=3)
    assert leaving.quiet_until(user, now) == newest + dt.timedelta(hours=24)
    Departure.objects.update(returned_at=now)  # coming back asks for a chat, not for mail
    assert leaving.quiet_until(user, now) is not None
    assert leaving.quiet_until(user, newest + dt.timedelta(hours=24)) is None
    assert leaving.quiet_until(user, newest + dt.timedelta(hours=23, minutes=59)) is not None


def test_whoever_comes_back_later_has_returned(opened: Conversation) -> None:
    now = timezone.now()
    fields = {"user_id": opened.user_id, "how": "window", "left_at": now - dt.timedelta(minutes=5)}
    Departure.objects.create(conversation=opened.public_id, **fields)
    other = Departure.objects.create(conversation=opened.user_id, **fields)
    leaving.came_back(opened.user_id, opened.public_id, now)
    assert Departure.objects.get(conversation=opened.public_id).returned_at == now
    other.refresh_from_db()
    assert other.returned_at is None


def test_coming_back_begins_with_no_word_of_the_companion(opened: Conversation) -> None:
    session = sign_in(opened.user)
    departures.leave(access.load_actor(opened.user_id, session, timezone.now()), opened.public_id)
    open_conversation(opened.user, session)
    assert [m.model for m in Message.objects.filter(author="ai")] == ["card"]
