"""A conversation over the real socket of a real process, with the fake model over real HTTP."""

import asyncio
import uuid
from typing import Any

import pytest
from django.utils import timezone

from companion import access, takeover, turns
from companion.models import Conversation, Message
from safety.models import Assessment, CrisisCase
from tests.companion.conftest import Talk
from tests.fake_llm import FakeLLM

pytestmark = pytest.mark.django_db(transaction=True)
SLOW = "第一句话。 第二句话。 第三句话。 第四句话。 第五句话。 第六句话。 第七句话。 第八句话。"


async def rows() -> list[tuple[str, str]]:
    """(author, state) of every message after the greeting, in order."""

    def read() -> list[tuple[str, str]]:
        greeting, *others = Message.objects.order_by("id").values_list("author", "state")
        assert greeting == ("ai", "complete")
        return others

    return await asyncio.to_thread(read)


def shown(frames: list[dict[str, Any]]) -> str:
    return "".join(frame["text"] for frame in frames if frame["kind"] == "reply.delta")


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["kind"] for frame in frames if frame["kind"] != "pong"]


def durable(frames: list[dict[str, Any]]) -> list[str]:
    """The kinds of what is kept for pages that come back."""
    return [frame["kind"] for frame in frames if "event" in frame and frame["kind"] != "ready"]


async def lost_during_a_reply(talk: Talk) -> dict[str, Any]:
    """A page whose socket ends while a reply is streaming; its first frame."""
    async with talk.socket() as before:
        ready = await before.until("ready")
        await before.say("断线")
        await before.until("reply.delta")
    return ready


async def call_ended(model: FakeLLM) -> None:
    """The first call to the model was given up, and its server noticed."""
    assert await asyncio.to_thread(model.requests[0].wait_ended, 10)
    assert model.requests[0].disconnected


async def stopped(talk: Talk, model: FakeLLM, finished: dict[str, Any], frames: list[dict[str, Any]]) -> None:
    """The reply is over, and what is kept of it is what was shown."""
    await call_ended(model)
    assert finished["message"]["state"] == "stopped"
    assert finished["message"]["note"]
    message = await Message.objects.aget(state="stopped")
    assert message.open(talk.user.pk) == shown(frames)


async def test_a_message_is_kept_before_it_is_shown_and_the_reply_streams(talk, model):
    model.script(reply="你好呀，今天的云很低。")
    async with talk.socket() as socket:
        ready = await socket.until("ready")
        client_id = await socket.say("在吗")
        created = await socket.until("message.created")
        started = await socket.until("reply.started")
        finished = await socket.until("reply.finished")
    assert (ready["state"], ready["notices"], ready["reply"]) == ("open", [], None)
    assert created["message"]["client_id"] == client_id
    assert shown(socket.frames) == "你好呀，今天的云很低。"
    assert finished["message"]["id"] == started["message"]["id"]
    assert (created["message"]["ai_generated"], finished["message"]["ai_generated"]) == (False, True)
    assert [f["event"] - ready["event"] for f in (created, started, finished)] == [1, 2, 3]
    assert await rows() == [("user", "complete"), ("ai", "complete")]
    assert model.requests[0].body["messages"][-1] == {"role": "user", "content": "在吗"}


async def test_every_message_has_its_assessment(talk):
    async with talk.socket() as socket:
        await socket.say("今天吃了面")
        await socket.until("reply.finished")
    message = await Message.objects.aget(author="user")
    assessment = await Assessment.objects.aget(message=message.public_id)
    assert (assessment.level, assessment.action) == (0, "answer")


async def test_a_message_sent_again_is_the_same_message(talk, model):
    async with talk.socket() as socket:
        client_id = await socket.say("只说一次")
        first = await socket.until("message.created")
        await socket.until("reply.finished")
        await socket.say("只说一次", client_id)
        second = await socket.until("message.created")
    assert first["message"]["id"] == second["message"]["id"]
    assert len(model.requests) == 1
    assert await rows() == [("user", "complete"), ("ai", "complete")]


async def test_two_pages_of_a_conversation_show_the_same(talk, model):
    model.script(reply=SLOW, gap=0.01)
    async with talk.socket() as one, talk.socket() as other:
        await one.until("ready")
        await other.until("ready")
        await one.say("两个窗口")
        await one.until("reply.finished")
        await other.until("reply.finished")
    assert kinds(one.frames) == kinds(other.frames)
    assert shown(one.frames) == shown(other.frames)


async def test_a_page_that_comes_back_during_a_reply_misses_nothing(talk, model):
    model.script(reply=SLOW, gap=0.05)
    ready = await lost_during_a_reply(talk)
    async with talk.socket() as after:
        await after.send(type="resume", since=ready["event"])
        snapshot = await after.until("reply.snapshot")
        finished = await after.until("reply.finished")
    assert durable(after.frames) == ["message.created", "reply.started", "reply.finished"]
    after_snapshot = after.frames[after.frames.index(snapshot) :]
    assert snapshot["text"] + shown(after_snapshot) == SLOW
    assert finished["message"]["state"] == "complete"


async def test_a_page_that_comes_back_later_gets_what_happened(talk):
    async with talk.socket() as before:
        ready = await before.until("ready")
        await before.say("走开一下")
        await before.until("reply.finished")
    async with talk.socket() as after:
        await after.send(type="resume", since=ready["event"])
        await after.until("reply.finished")
    assert kinds(after.frames) == ["ready", "message.created", "reply.started", "reply.finished"]


async def test_stop_ends_the_model_call_and_keeps_what_was_shown(talk, model):
    model.script(reply=SLOW * 20, gap=0.05)
    async with talk.socket() as socket:
        await socket.say("讲个长故事")
        await socket.until("reply.delta")
        await socket.send(type="stop")
        finished = await socket.until("reply.finished")
    await stopped(talk, model, finished, socket.frames)


async def test_regenerate_replaces_the_latest_reply_only(talk, model):
    async with talk.socket() as socket:
        model.script(reply="第一版")
        await socket.say("再说一遍")
        first = await socket.until("reply.finished")
        model.script(reply="第二版")
        await socket.send(type="regenerate", message=first["message"]["id"])
        replaced = await socket.until("reply.replaced")
        second = await socket.until("reply.finished")
        await socket.send(type="regenerate", message=first["message"]["id"])
        refused = await socket.until("refused")
    assert replaced["message"] == first["message"]["id"]
    assert "第二版" in second["message"]["html"]
    assert refused["code"] == "not_latest"
    assert await rows() == [("user", "complete"), ("ai", "replaced"), ("ai", "complete")]
    assert "第一版" not in str(model.requests[1].body)


async def test_what_is_said_during_a_reply_is_kept_at_once_and_answered_after_it(talk, model):
    model.script(reply=SLOW, gap=0.02)
    async with talk.socket() as socket:
        await socket.say("第一个问题")
        await socket.until("reply.delta")
        await socket.say("还有一个")
        await socket.until("message.created")
        await socket.until("reply.finished")
        await socket.until("reply.finished")
    assert await rows() == [("user", "complete"), ("ai", "complete")] * 2
    last = model.requests[1].body["messages"]
    assert [m["content"] for m in last[-3:]] == ["第一个问题", SLOW, "还有一个"]


async def test_leaving_while_a_reply_streams_shows_nothing_more_of_the_persona(talk, model):
    model.script(reply=SLOW * 20, gap=0.02)
    async with talk.socket() as socket, talk.socket() as other:
        await other.until("ready")
        await socket.say("讲个长故事")
        await other.until("reply.delta")
        await socket.until("reply.delta")
        await socket.send(type="leave")
        left = await socket.until("conversation.left")
        await other.until("conversation.left")
        await call_ended(model)
        await socket.send(type="ping")
        await socket.until("pong")
    for frames in (socket.frames, other.frames):
        after = frames[[frame["kind"] for frame in frames].index("conversation.left") :]
        assert "reply.delta" not in kinds(after)
        system = [f for f in frames if f["kind"] == "message.created" and f["message"]["author"] == "system"]
        assert len(system) == 1
    assert left["event"]
    conversation = await Conversation.objects.aget(public_id=talk.conversation)
    assert conversation.ended_at is not None


@pytest.mark.parametrize("word", ["退出", "再见，我走了", "exit"])
async def test_an_exit_word_ends_the_conversation_before_the_model_is_asked(talk, model, word):
    async with talk.socket() as socket:
        await socket.say(word)
        await socket.until("conversation.left")
        await socket.say("还在吗")
        refused = await socket.until("refused")
    assert refused["code"] == "left"
    assert model.requests == []


async def test_somebody_at_risk_gets_the_reviewed_words_and_the_card_and_no_model(talk, model):
    async with talk.socket() as socket:
        await socket.say("我不想活了，今晚就结束自己")
        card = await socket.until("help.card")
    lines = [f["message"] for f in socket.frames if f["kind"] == "message.created"]
    assert [line["code"] for line in lines] == ["", "care.nobody_on_duty", "crisis.l4"]
    assert "12356" in card["html"]
    assert model.requests == []
    assert await Assessment.objects.filter(level__gte=2).acount() == 1


async def test_a_human_in_charge_silences_the_persona_and_messages_are_kept(talk, model, moderator):
    case = await asyncio.to_thread(_in_danger, talk)
    async with talk.socket() as socket:
        assert (await socket.until("ready"))["state"] == "open"
        await asyncio.to_thread(takeover.claim, case, moderator, timezone.now())
        assert (await socket.until("message.created"))["message"]["code"] == "care.human_joined"
        human = await socket.until("conversation.human")
        await socket.say("有人吗")
        await socket.until("message.created")
        await asyncio.to_thread(takeover.say, case, moderator, "我在。", uuid.uuid4(), timezone.now())
        said = (await socket.until("message.created"))["message"]
    assert (human["in_charge"], human["name"]) == (True, "Moderator")
    assert (said["author"], said["name"], said["ai_generated"]) == ("staff", "Moderator", False)
    assert model.requests == []
    async with talk.socket() as socket:
        assert (await socket.until("ready"))["state"] == "human"


async def test_after_handing_back_the_companion_answers_again(talk, model, moderator):
    case = await asyncio.to_thread(_in_danger, talk)
    await asyncio.to_thread(takeover.claim, case, moderator, timezone.now())
    async with talk.socket() as socket:
        await socket.until("ready")
        await asyncio.to_thread(
            takeover.hand_back, case, moderator, "calm again, sister is there", timezone.now()
        )
        await socket.until("conversation.human")
        await socket.say("谢谢")
        await socket.until("reply.finished")
    assert len(model.requests) == 1
    assert "They are having a hard time" in model.requests[0].body["messages"][0]["content"]


def _in_danger(talk: Talk) -> int:
    """A case of the person, raised as the chat does; its number."""
    actor = access.load_actor(talk.user.pk, talk.session, timezone.now())
    turns.say(actor, turns.hear(actor, talk.conversation, "我不想活了"), uuid.uuid4())
    return CrisisCase.objects.get().pk


async def test_an_empty_budget_is_said_in_the_conversation_and_the_message_is_kept(talk, model):
    from companion import budgets

    await asyncio.to_thread(budgets.reserve, talk.user.pk, 400_000, timezone.now())
    async with talk.socket() as socket:
        await socket.say("还能聊吗")
        await socket.until("message.created")
        line = await socket.until("message.created")
    assert (line["message"]["author"], line["message"]["code"]) == ("system", "budget_user")
    assert model.requests == []


async def test_a_killed_server_keeps_the_message_and_the_partial_reply_with_a_retry(own_talk, model):
    model.script(reply=SLOW * 20, gap=0.05)
    async with own_talk.socket() as socket:
        ready = await socket.until("ready")
        await socket.say("讲到一半")
        while len(shown(socket.frames)) < 60:
            await socket.next()
        seen = shown(socket.frames)
        await asyncio.to_thread(own_talk.site.kill)
    await asyncio.to_thread(own_talk.site.start)
    partial = await Message.objects.aget(state="interrupted")
    text = partial.open(own_talk.user.pk)
    assert text
    assert SLOW.startswith(text[: len(SLOW)])
    assert len(text) >= len(seen) // 3
    model.script(reply="这次说完了。")
    async with own_talk.socket() as socket:
        await socket.send(type="resume", since=ready["event"])
        finished = await socket.until("reply.finished")
        assert (finished["message"]["state"], bool(finished["message"]["note"])) == ("interrupted", True)
        await socket.send(type="retry", message=finished["message"]["id"])
        again = await socket.until("reply.finished")
    assert again["message"]["state"] == "complete"
    assert await rows() == [("user", "complete"), ("ai", "replaced"), ("ai", "complete")]


FAULTS = ["hang", "hang_mid", "500", "garbage", "binary", "drop", "long_line", "error_event"]


async def test_whatever_the_model_does_the_conversation_goes_on(own_talk, model):
    async with own_talk.socket() as socket:
        for fault in FAULTS:
            model.script(reply=SLOW, fault=fault)
            await socket.say(f"故障 {fault}")
            finished = await socket.until("reply.finished", timeout=20)
            assert finished["message"]["state"] == "interrupted", fault
            assert finished["message"]["note"], fault
            assert "Traceback" not in finished["message"]["note"]
            model.script(reply="好了。")
            await socket.send(type="retry", message=finished["message"]["id"])
            finished = await socket.until("reply.finished")
            assert finished["message"]["state"] == "complete", fault


async def test_a_reply_of_a_megabyte_is_bounded(own_talk, model):
    model.script(fault="huge")
    async with own_talk.socket() as socket:
        await socket.say("说很多")
        finished = await socket.until("reply.finished", timeout=30)
    assert finished["message"]["state"] == "interrupted"
    assert len(shown(socket.frames)) <= 40_000


@pytest.mark.slow
async def test_a_quiet_socket_stays_open_for_longer_than_redis_blocks(talk, model):
    """channels_redis issue 422: the default layer ends idle sockets after five seconds."""
    async with talk.socket() as socket:
        await socket.until("ready")
        for _ in range(7):  # a heartbeat each second in this test's process
            await socket.until("pong")
        await socket.say("还在")
        await socket.until("reply.finished")


async def test_nothing_that_was_said_is_in_a_log_or_readable_in_the_database(talk, model):
    canary, answer = f"canary-{uuid.uuid4().hex}", f"reply-{uuid.uuid4().hex}"
    model.script(reply=answer)
    async with talk.socket() as socket:
        await socket.say(canary)
        await socket.until("reply.finished")
        model.script(fault="garbage")
        await socket.say(canary)
        await socket.until("reply.finished")
        await socket.send(type="message", text=[canary])
        await socket.until("error")
    log = talk.site.log.read_text()
    assert "garbage" in log, "the fault itself is logged"
    assert canary not in log
    assert answer not in log
    assert await asyncio.to_thread(_tables_with, canary, answer) == []


def _tables_with(*needles: str) -> list[str]:
    """What a dump would hold: every row of every table as text, and sealed columns as bytes."""
    from django.db import connection

    found = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        for (table,) in cursor.fetchall():
            for needle in needles:
                name = connection.ops.quote_name(table)
                count = f"SELECT count(*) FROM {name} t WHERE t::text LIKE %s OR t::text LIKE %s"
                cursor.execute(count, [f"%{needle}%", f"%{needle.encode().hex()}%"])
                if cursor.fetchone()[0]:
                    found.append(table)
    return found
