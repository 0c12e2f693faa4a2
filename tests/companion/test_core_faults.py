"""What a person notices while Redis or PostgreSQL is away: as little as possible, and never a lost word."""

import asyncio
from functools import partial

import pytest
import websockets

from companion.models import Message
from tests.companion.conftest import Talk
from tests.companion.test_conversation import SLOW, shown
from tests.faults import _database, _redis, _shaky_site, database, redis, shaky_site
from tests.live import Site, open_conversation, sign_in

__all__ = ["_database", "_redis", "_shaky_site", "database", "redis", "shaky_site"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shaky(shaky_site: Site, adult) -> Talk:
    session = sign_in(adult)
    return Talk(shaky_site, adult, session, open_conversation(adult, session).public_id)


@pytest.fixture(params=["cut", "freeze"])
def lose_redis(redis, request):
    """Both ways to be away: connections are refused, or nothing ever answers."""
    return partial(asyncio.to_thread, getattr(redis, request.param))


async def test_without_redis_messages_and_replies_go_on(shaky, lose_redis):
    async with shaky.socket() as socket:
        await socket.until("ready")
        await lose_redis()
        for text in ("还在吗", "再说一句"):
            await socket.say(text)
            await socket.until("message.created", timeout=3)
            await socket.until("reply.finished")


async def test_without_redis_a_page_can_be_opened(shaky, redis, lose_redis):
    await lose_redis()
    async with shaky.socket() as socket:
        await socket.until("ready", timeout=3)
        await socket.say("还在吗")
        await socket.until("reply.finished", timeout=5)
    await asyncio.to_thread(redis.heal)
    async with shaky.socket() as socket:
        await socket.until("ready")


async def test_after_redis_is_back_a_page_hears_of_other_processes_again(shaky, redis, lose_redis):
    from accounts import generation

    async with shaky.socket() as before:
        await before.until("ready")
        await lose_redis()
        async with shaky.socket() as during:
            await during.until("ready")
            await asyncio.to_thread(redis.heal)
            await asyncio.to_thread(generation.policy_changed, shaky.user.pk)  # in this test's process
            for socket in (before, during):
                await socket.until("policy.changed")


async def test_without_redis_an_ended_login_still_closes_its_sockets(shaky, lose_redis):
    from accounts import generation

    async with shaky.socket() as socket:
        await socket.until("ready")
        await lose_redis()
        await asyncio.to_thread(generation.revoke_sessions, shaky.user, actor=None, reason="test")
        assert await socket.closed() == 4401


@pytest.mark.parametrize(("fault", "then"), [("cut", "reply.finished"), ("freeze", "message.created")])
async def test_while_the_database_is_away_the_page_says_so_and_then_goes_on(shaky, database, fault, then):
    async with shaky.socket() as socket:
        await socket.send(type="ping")
        await socket.until("pong")
        await asyncio.to_thread(getattr(database, fault))
        client_id = await socket.say("听得到吗")
        error = await socket.until("error")
        assert (error["code"], error["id"]) == ("failed", client_id)
        assert error["text"]
        await socket.until("pong")  # the heartbeat does not need the database
        await asyncio.to_thread(database.heal)
        await socket.say("听得到吗", client_id)
        await socket.until(then)
    assert await Message.objects.filter(author="user").acount() == 1  # nothing is said twice


async def test_a_page_opened_while_the_database_is_away_is_told_to_come_back(shaky, database):
    async with shaky.socket() as socket:
        await socket.until("ready")  # every part of the process has been used once
    await asyncio.to_thread(database.cut)
    try:
        async with shaky.socket() as socket:
            assert await socket.closed() == 1013
    except websockets.InvalidHandshake:  # already the login could not be read; a browser tries again, too
        pass
    await asyncio.to_thread(database.heal)
    async with shaky.socket() as socket:
        await socket.say("现在呢")
        await socket.until("reply.finished")


async def test_a_reply_outlives_a_moment_without_database(shaky, database, model):
    model.script(reply=SLOW * 3, gap=0.02)
    async with shaky.socket() as socket:
        await socket.say("讲长一点")
        await socket.until("reply.delta")
        await asyncio.to_thread(database.cut)
        while shown(socket.frames) != SLOW * 3:
            await socket.next()
        await asyncio.to_thread(database.heal)
        finished = await socket.until("reply.finished", timeout=15)
    assert finished["message"]["state"] == "complete"
    message = await Message.objects.aget(author="ai", state="complete", model="fake")
    assert message.open(shaky.user.pk) == SLOW * 3


async def test_no_private_word_is_logged_while_servers_are_away(shaky, database, redis):
    canary = "canary-5f1c9f54"
    async with shaky.socket() as socket:
        await socket.until("ready")
        await asyncio.to_thread(redis.cut)
        await asyncio.to_thread(database.cut)
        await socket.say(canary)
        await socket.until("error")
    log = shaky.site.log.read_text()
    assert "frame failed" in log
    assert canary not in log
