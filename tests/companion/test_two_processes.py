"""Two web processes on one database, as behind a load balancer: which one a page talks to makes no difference."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone

from companion.models import Message
from tests.companion.conftest import Talk
from tests.companion.test_conversation import (
    SLOW,
    call_ended,
    durable,
    lost_during_a_reply,
    rows,
    shown,
    stopped,
)
from tests.fake_llm import FakeLLM
from tests.live import Site

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def elsewhere(talk: Talk, model: FakeLLM, tmp_path: Path) -> Iterator[Talk]:
    """The same conversation in a second process."""
    other = Site(model.url, tmp_path / "log", ANBAN_INSTANCE="elsewhere")
    other.start()
    yield talk._replace(site=other)
    other.stop()


async def test_what_happens_in_one_process_is_seen_in_the_other(talk, elsewhere, model):
    model.script(reply=SLOW, gap=0.01)
    async with talk.socket() as here, elsewhere.socket() as there:
        await here.until("ready")
        await there.until("ready")
        await here.say("你们都看得到吗")
        finished = await here.until("reply.finished")
        seen = await there.until("reply.finished")
    assert seen == finished
    assert durable(there.frames) == ["message.created", "reply.started", "reply.finished"]


async def test_stop_pressed_in_the_other_process_ends_the_model_call(talk, elsewhere, model):
    model.script(reply=SLOW * 50, gap=0.02)
    async with talk.socket() as here, elsewhere.socket() as there:
        await there.until("ready")
        await here.say("讲个长故事")
        await here.until("reply.delta")
        await there.send(type="stop")
        finished = await here.until("reply.finished")
        assert (await there.until("reply.finished"))["message"] == finished["message"]
    await stopped(talk, model, finished, here.frames)


async def test_leaving_in_the_other_process_silences_the_persona_in_this_one(talk, elsewhere, model):
    model.script(reply=SLOW * 50, gap=0.02)
    async with talk.socket() as here, elsewhere.socket() as there:
        await there.until("ready")
        await here.say("讲个长故事")
        await here.until("reply.delta")
        await there.send(type="leave")
        await there.until("conversation.left")
        await here.until("conversation.left")
        await call_ended(model)
        await here.send(type="ping")
        await here.until("pong")
    kinds = [frame["kind"] for frame in here.frames]
    assert "reply.delta" not in kinds[kinds.index("reply.finished") :]
    text = shown(here.frames)
    for _ in range(200):  # this process keeps what it had shown after the other one has closed the row
        message = await Message.objects.aget(state="stopped")
        if message.open(talk.user.pk) == text:
            break
        await asyncio.sleep(0.05)
    assert message.open(talk.user.pk) == text


async def test_a_message_to_the_other_process_during_a_reply_is_kept_and_answered_after_it(
    talk, elsewhere, model
):
    model.script(reply=SLOW, gap=0.02)
    async with talk.socket() as here, elsewhere.socket() as there:
        await there.until("ready")
        await here.say("第一个问题")
        await here.until("reply.delta")
        await there.say("还有一个")
        await there.until("message.created")
        for socket in (here, there):
            await socket.until("reply.finished")
            await socket.until("reply.finished")
    assert await rows() == [("user", "complete"), ("ai", "complete")] * 2
    assert len(model.requests) == 2


async def test_a_page_that_moves_to_the_other_process_during_a_reply_gets_all_of_it(talk, elsewhere, model):
    model.script(reply=SLOW, gap=0.05)
    ready = await lost_during_a_reply(talk)
    async with elsewhere.socket() as after:
        await after.send(type="resume", since=ready["event"])
        finished = await after.until("reply.finished")
    assert finished["message"]["state"] == "complete"
    assert "第八句话" in finished["message"]["html"]


async def test_the_same_message_sent_to_both_processes_is_one_message(talk, elsewhere, model):
    async with talk.socket() as here, elsewhere.socket() as there:
        await here.until("ready")
        await there.until("ready")
        client_id = await here.say("只说一次")
        await there.say("只说一次", client_id)
        first, second = await here.until("message.created"), await there.until("message.created")
        await here.until("reply.finished")
    assert first["message"]["id"] == second["message"]["id"]
    assert await Message.objects.filter(author="user").acount() == 1
    assert len(model.requests) == 1


async def test_a_reply_of_a_killed_process_is_taken_over_by_the_next_message(own_talk, model, tmp_path):
    """The other process believes in it for as long as its lease lasts, then closes it and answers."""
    other = Site(model.url, tmp_path / "other", ANBAN_INSTANCE="other")
    await asyncio.to_thread(other.start)
    try:
        model.script(reply=SLOW * 50, gap=0.02)
        async with own_talk.socket() as here:
            await here.say("讲个长故事")
            await here.until("reply.delta")
            await asyncio.to_thread(own_talk.site.kill)
        model.script(reply="我在。")
        await Message.objects.filter(state="streaming").aupdate(lease_until=timezone.now())
        async with other.socket(own_talk.session, own_talk.conversation) as there:
            await there.until("ready")
            await there.say("还在吗")
            interrupted = await there.until("reply.finished")
            answered = await there.until("reply.finished")
        assert (interrupted["message"]["state"], answered["message"]["state"]) == ("interrupted", "complete")
    finally:
        await asyncio.to_thread(other.stop)
