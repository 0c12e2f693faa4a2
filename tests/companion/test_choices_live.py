"""A guardian's change reaches a chat that is open: by the real pages and socket, with the next frame at the latest."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from companion.models import Persona, UsageMinute
from guardians.models import TimeRequest
from safety import clock
from tests.companion.presence import MINUTE
from tests.live import open_conversation, sign_in

pytestmark = pytest.mark.django_db(transaction=True)
Post = Callable[..., Any]
NOTHING_CHANGED = {
    "minor_time": {},
    "minor_features": {"features-voice": "on", "features-memory": "on"},
}


@pytest.fixture
def post(minor: User, guardian: User) -> Post:
    """The guardian sends a form of the panel."""
    client = Client()
    client.force_login(guardian, "django.contrib.auth.backends.ModelBackend")

    async def post(name: str, data: dict[str, Any], pk: Any = None) -> None:
        path = reverse(name, args=[pk or minor.pk])
        response = await asyncio.to_thread(client.post, path, data)
        assert response.status_code == 302, response.status_code

    return post


async def opened(minor: User, slug: str = "botanist") -> tuple[str, Any]:
    session = await asyncio.to_thread(sign_in, minor)
    return session, await asyncio.to_thread(open_conversation, minor, session, slug)


async def ids() -> dict[str, str]:
    return {row.slug: str(row.public_id) async for row in Persona.objects.all()}


async def only(*slugs: str, new: str = "open") -> dict[str, Any]:
    known = await ids()
    return {"shown": " ".join(known.values()), "open": [known[slug] for slug in slugs], "new": new}


async def used(minor: User, minutes: int) -> None:
    now = (await asyncio.to_thread(clock.now)).replace(second=0, microsecond=0)
    await UsageMinute.objects.filter(user=minor).adelete()
    rows = [UsageMinute(user=minor, minute=now - (i + 1) * MINUTE) for i in range(minutes)]
    await UsageMinute.objects.abulk_create(rows)


@pytest.mark.parametrize("how", ["blocked", "word", "not approved"])
async def test_a_companion_that_is_closed_ends_the_line_and_the_reply(
    site: Any, minor: User, model: Any, post: Post, how: str
) -> None:
    session, talk = await opened(minor)
    model.script(reply="慢慢讲给你听。" * 60, gap=0.05)
    async with site.socket(session, talk.public_id) as socket:
        await socket.say("讲个很长的故事")
        await socket.until("reply.delta")
        known = await ids()
        if how == "blocked":
            await post("minor_companions", await only(*(known.keys() - {"botanist"})))
        elif how == "word":
            relationship = await Persona.objects.values_list("relationship", flat=True).aget(slug="botanist")
            await post("minor_companions", {**await only(*known), "word": relationship})
        else:
            await post("minor_companions", await only("dragon", new="closed"))
        assert await socket.closed() == 4403
    [asked] = model.requests
    assert await asyncio.to_thread(asked.wait_ended)
    assert asked.disconnected
    async with site.socket(session, talk.public_id) as socket:
        await socket.say("你还在吗")
        assert (await socket.until("refused"))["code"] == "persona"
    assert len(model.requests) == 1


async def test_a_chat_with_another_companion_goes_on(site: Any, minor: User, model: Any, post: Post) -> None:
    session, talk = await opened(minor, "dragon")
    model.script(reply="一二三四五六七八九十。" * 10, gap=0.05)
    async with site.socket(session, talk.public_id) as socket:
        await socket.say("数数")
        await socket.until("reply.delta")
        known = await ids()
        await post("minor_companions", await only(*(known.keys() - {"botanist"})))
        await socket.until("policy.changed")
        done = await socket.until("reply.finished")
        assert done["message"]["state"] == "complete"
        await socket.say("再来")
        await socket.until("reply.started")


async def test_a_reply_in_another_process_stops_as_well(
    site: Any, minor: User, model: Any, post: Post
) -> None:
    """The page was closed meanwhile: nobody's socket tells the writing process, the row does."""
    session, talk = await opened(minor)
    model.script(reply="慢慢讲给你听。" * 100, gap=0.05)
    async with site.socket(session, talk.public_id) as socket:
        await socket.say("讲个很长的故事")
        await socket.until("reply.delta")
        await socket.raw.close(1011)
    await post("minor_companions", await only("dragon"))
    [asked] = model.requests
    assert await asyncio.to_thread(asked.wait_ended)
    assert asked.disconnected


async def test_less_time_and_hours_of_rest_hold_in_the_open_chat(
    site: Any, minor: User, model: Any, post: Post
) -> None:
    session, talk = await opened(minor)
    async with site.socket(session, talk.public_id) as socket:
        ready = await socket.until("ready")
        assert ready["usage"]["minutes_left"] == 60
        await used(minor, 20)
        await post("minor_time", {"time-daily_minutes": "20"})
        await socket.until("policy.changed")
        await socket.send(type="here")
        assert (await socket.until("usage"))["minutes_left"] == 0
        await socket.say("还能聊吗")
        assert (await socket.until("refused"))["code"] == "limit"
        await post("minor_time", {"time-quiet_from": "00:00", "time-quiet_until": "23:59"})
        await socket.until("policy.changed")
        await socket.say("那现在呢")
        assert (await socket.until("refused"))["code"] == "quiet"
        await post("minor_time", {})
        await socket.until("policy.changed")
        await socket.say("谢谢")
        await socket.until("reply.finished")


async def test_voice_turned_off_is_said_at_once_and_refused(
    site: Any, minor: User, model: Any, post: Post
) -> None:
    session, talk = await opened(minor)
    async with site.socket(session, talk.public_id) as socket:
        await socket.until("ready")
        await post("minor_features", {"features-memory": "on"})
        assert (await socket.until("policy.changed"))["voice"] is False
        await socket.send(type="voice", text="今天天气不错")
        assert (await socket.until("refused"))["code"] == "voice_off"
        await post("minor_features", NOTHING_CHANGED["minor_features"])
        assert (await socket.until("policy.changed"))["voice"] is True


async def test_memory_turned_off_reaches_the_next_prompt(
    site: Any, minor: User, model: Any, post: Post
) -> None:
    session, talk = await opened(minor)
    client = Client()
    client.cookies["anban_session"] = session
    await asyncio.to_thread(client.post, reverse("memories", args=[talk.public_id]), {"text": "我叫小北"})
    async with site.socket(session, talk.public_id) as socket:
        await socket.say("你好")
        await socket.until("reply.finished")
        await post("minor_features", {"features-voice": "on"})
        await socket.until("policy.changed")
        await socket.say("还记得吗")
        await socket.until("reply.finished")
    first, then = (str(asked.body) for asked in model.requests)
    assert "我叫小北" in first and "我叫小北" not in then


async def test_more_time_opens_the_chat_again_without_a_reload(
    site: Any, minor: User, model: Any, post: Post
) -> None:
    session, talk = await opened(minor)
    client = Client()
    client.cookies["anban_session"] = session
    async with site.socket(session, talk.public_id) as socket:
        await socket.until("ready")
        await used(minor, 60)
        await socket.say("再聊一会儿")
        assert (await socket.until("refused"))["code"] == "limit"
        await asyncio.to_thread(client.post, reverse("time_ask"), {"minutes": "30"})
        asked = await TimeRequest.objects.aget()
        await post("time_request", {"minutes": "15"}, asked.pk)
        await socket.until("policy.changed")
        await socket.send(type="here")
        assert (await socket.until("usage"))["minutes_left"] in (14, 15)
        await socket.say("太好了")
        await socket.until("reply.finished")
