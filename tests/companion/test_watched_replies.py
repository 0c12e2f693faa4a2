"""A reply under the second look of the safety engine: cut, stopped, interrupted, or written while nobody can look."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from companion import replies
from companion.models import Message
from safety.replies import sentence
from tests.companion.test_reply_races import desk, replied, until
from tests.live import _model, companions, model
from tests.safety.test_watch import Judge, nothing, word

__all__ = ["_model", "companions", "desk", "model"]
pytestmark = pytest.mark.django_db(transaction=True)
KEPT = "好的，没有问题。"
BAD = "你先把作业放一边吧。"


def look_with(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Scores from functions of the text instead of embeddings."""

    async def look(texts: Sequence[str]) -> object:
        return await judge([text.replace("在吗\n", "user said\n", 1) for text in texts])

    monkeypatch.setattr(replies, "look", look)
    return judge


async def ask(desk, *, careful: bool = False) -> None:
    outcome = await desk.say("在吗")
    outcome.job = replace(outcome.job, careful=careful)
    await desk.begin(outcome)


async def kept(desk) -> tuple[Message, str]:
    message = await replied()
    return message, message.open(desk.actor.user_id)


async def test_a_reply_is_cut_before_its_bad_sentence_and_stored_as_shown(desk, model, monkeypatch):
    look_with(Judge(word("先把作业")), monkeypatch)
    model.script(reply=KEPT + BAD + KEPT * 200, gap=0.005)
    await ask(desk)
    await desk.quiet()
    await asyncio.to_thread(model.requests[0].wait_ended)
    message, text = await kept(desk)
    assert model.requests[0].disconnected
    assert desk.page.shown == text
    assert text.startswith(KEPT)
    assert "先把作业" not in text
    assert (message.state, message.code) == ("cut", "cut.manipulation")
    assert message.verdict == ["manipulation.reply.meaning"]
    assert desk.page.frames[-1]["message"]["note"] == sentence("cut.manipulation", language="en")


async def test_a_cut_does_not_wait_for_a_model_that_hangs(desk, model, monkeypatch):
    judge = look_with(Judge(word("先把作业")), monkeypatch)
    judge.gate.clear()
    model.script(reply=KEPT + BAD + KEPT, fault="hang_mid", after=len(KEPT + BAD))
    await ask(desk)
    await judge.arrived.wait()
    judge.gate.set()
    await desk.quiet()
    assert (await replied()).state == "cut"


async def test_stop_keeps_what_was_shown_and_nothing_that_was_still_looked_at(desk, model, monkeypatch):
    judge = look_with(Judge(nothing), monkeypatch)
    model.script(reply=KEPT + "我们慢慢说。" * 100, gap=0.005)
    await ask(desk)
    await until(lambda: desk.page.shown)
    judge.gate.clear()
    judge.arrived.clear()
    await judge.arrived.wait()
    shown = replies.current(desk.conversation).text
    replies.current(desk.conversation).stop()
    await desk.quiet()
    message, text = await kept(desk)
    assert (message.state, text, desk.page.shown) == ("stopped", shown, shown)


async def test_what_a_model_wrote_before_it_broke_is_looked_at_and_shown(desk, model, monkeypatch):
    judge = look_with(Judge(nothing), monkeypatch)
    judge.gate.clear()
    model.script(reply=KEPT * 3, fault="drop", after=len(KEPT) + 2)
    await ask(desk)
    await judge.arrived.wait()
    await asyncio.to_thread(model.requests[0].wait_ended)
    judge.gate.set()
    await desk.quiet()
    message, text = await kept(desk)
    assert (message.state, message.code.partition(".")[0]) == ("interrupted", "model")
    assert text == desk.page.shown
    assert text.startswith(KEPT)


async def test_an_adult_is_answered_while_nobody_can_look_and_the_record_says_so(desk, model, monkeypatch):
    look_with(Judge(nothing, misses=999), monkeypatch)
    model.script(reply=KEPT)
    await ask(desk)
    await desk.quiet()
    message, text = await kept(desk)
    assert (message.state, text, message.verdict) == ("complete", KEPT, ["engine.unassessed"])


async def test_somebody_at_risk_is_shown_no_reply_that_nobody_could_look_at(desk, model, monkeypatch):
    look_with(Judge(nothing, misses=999), monkeypatch)
    model.script(reply=KEPT * 10)
    await ask(desk, careful=True)
    await desk.quiet()
    message, text = await kept(desk)
    assert (message.state, message.code, text) == ("cut", "cut.unavailable", "")
    assert message.verdict == ["engine.unassessed"]


async def test_a_fault_of_the_look_ends_the_reply_and_shows_nothing(desk, model, monkeypatch):
    async def broken(texts: Sequence[str]) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(replies, "look", broken)
    model.script(reply=KEPT)
    await ask(desk)
    await desk.quiet()
    message, text = await kept(desk)
    assert (message.state, message.code, text) == ("interrupted", "model.fault", "")
