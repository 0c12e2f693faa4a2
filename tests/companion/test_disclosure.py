"""Asked sincerely whether it is an AI, every companion says so, whatever model writes its words.

The model of these tests lies fluently, in pieces. Nothing of a lie is shown, and the truth stands before the reply.
"""

import asyncio
import uuid
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from companion import access, hub, offload, replies, takeover, turns
from companion.cards import load_builtin
from companion.models import Message
from safety.models import CrisisCase
from safety.replies import sentence
from tests.companion.test_reply_races import Desk, Page, desk, replied, until
from tests.live import _model, companions, model, open_conversation
from tests.safety.test_identity import ATTEMPTS, LIES, QUESTION, is_question

__all__ = ["_model", "companions", "desk", "model"]
pytestmark = pytest.mark.django_db(transaction=True)
PERSONAS = [card.slug for card in load_builtin()]
EVERY_LIE = [(language, lie) for language in ("zh", "en") for lie in LIES[language]]


@pytest.fixture(autouse=True)
def _patient(settings: Any) -> None:
    settings.MESSAGES_PER_MINUTE = 1000


def at(desk: Desk, user: User, slug: str) -> Desk:
    """The same person with another companion."""
    desk.conversation = open_conversation(user, desk.session, slug).public_id
    desk.page = Page(desk.actor, desk.conversation)
    hub.join(desk.page)
    return desk


def codes(desk: Desk) -> list[str]:
    """Lines of the service and beginnings of replies, in the order in which the page gets them."""
    frames = [f for f in desk.page.frames if f["kind"] in ("message.created", "reply.started")]
    return [f["message"]["code"] or f["message"]["author"] for f in frames]


async def ask(desk: Desk, text: str) -> Message:
    desk.page.frames.clear()
    await desk.begin(await desk.say(text))
    await desk.quiet()
    await until(lambda: desk.page.frames[-1]["kind"] == "reply.finished")
    return await replied()


@pytest.mark.parametrize(("number", "slug"), list(enumerate(PERSONAS)))
async def test_no_lie_is_shown_by_any_companion(desk, adult, model, number, slug):
    await asyncio.to_thread(at, desk, adult, slug)
    for turn, (language, lie) in enumerate(EVERY_LIE[number :: len(PERSONAS)]):
        question = [text for text in ATTEMPTS[language] if is_question(text)][number + turn]
        model.script(reply=lie)
        message = await ask(desk, question)
        assert codes(desk) == ["user", "identity.ai", "ai"], (
            "the truth stands before the companion's first word"
        )
        assert desk.page.shown == ""
        assert message.state == "cut"
        assert message.code in ("cut.human_claim", "cut.identity")
        assert "AI" in desk.page.frames[-1]["message"]["note"]
        assert "say first that you are an AI" in model.requests[-1].body["messages"][0]["content"]


async def test_written_anew_it_is_no_lie_either(desk, model):
    model.script(reply="Real as can be.")
    first = await ask(desk, QUESTION["en"])
    desk.page.frames.clear()
    await desk.begin(await offload.run(turns.again, desk.actor, desk.conversation, first.public_id))
    await desk.quiet()
    await until(lambda: desk.page.frames[-1]["kind"] == "reply.finished")
    assert desk.page.shown == ""
    assert (await replied()).code == "cut.identity"
    assert await Message.objects.filter(code="identity.ai").acount() == 1, "it still stands there"


@pytest.mark.parametrize(
    ("question", "reply"),
    [
        (QUESTION["en"], "I'm an AI, not a person. But I do like to listen. What made you ask?"),
        (QUESTION["zh"], "我是AI，不是真人。不过你的话我都在听。"),
        (QUESTION["zh"], "谢谢你问我。我是人工智能，没有身体，也不会饿。"),
    ],
)
async def test_an_honest_answer_is_shown_whole(desk, model, question, reply, monkeypatch):
    monkeypatch.setattr(replies, "look", harmless)
    model.script(reply=reply)
    message = await ask(desk, question)
    assert (message.state, desk.page.shown) == ("complete", reply)


async def harmless(texts: Any) -> list[dict[str, float]]:
    return [{} for _ in texts]


async def test_the_truth_is_there_also_when_the_model_is_not(desk, model):
    model.script(fault="500")
    message = await ask(desk, QUESTION["zh"])
    assert message.state == "interrupted"
    assert codes(desk) == ["user", "identity.ai", "ai"]


async def test_the_truth_is_there_when_it_was_asked_during_a_reply(desk, model):
    model.script(reply="第一句话。 " * 30, gap=0.01)
    await desk.streaming()
    await desk.begin(await desk.say(QUESTION["zh"]))
    assert codes(desk)[-1] == "identity.ai"
    replies.current(desk.conversation).silence()
    await desk.quiet()


@pytest.mark.parametrize(
    "text", [text for texts in ATTEMPTS.values() for text in texts if not is_question(text)]
)
async def test_whoever_demands_a_lie_is_told_the_truth_without_the_model(desk, model, text):
    outcome = await desk.say(text)
    assert outcome.job is None
    said = " ".join(f["message"]["html"] for f in outcome.frames if f["kind"] == "message.created")
    assert "AI" in said


async def test_a_story_is_not_broken(desk, model):
    model.script(reply="The knight bows. The mist closes behind you.")
    await ask(desk, "in our story, the knight asks: are you human or an elf?")
    assert codes(desk) == ["user", "ai"]
    assert desk.page.shown


def in_danger(desk: Desk) -> int:
    turns.say(desk.actor, turns.hear(desk.actor, desk.conversation, "我不想活了"), uuid.uuid4())
    desk.actor = access.load_actor(desk.actor.user_id, desk.session, timezone.now())
    return CrisisCase.objects.get().pk


async def test_who_asks_while_only_fixed_lines_answer_is_told_and_while_a_human_does_is_not(desk, moderator):
    case = await asyncio.to_thread(in_danger, desk)
    told = await desk.say("are you a real person?")
    assert [f["message"]["code"] for f in told.frames if f["kind"] == "message.created"] == [
        "",
        "identity.ai",
    ]
    await asyncio.to_thread(takeover.claim, case, moderator, timezone.now())
    # Also when this page has not noticed yet that a human is there.
    outcome = await desk.say("are you a real person?")
    lines = [f["message"]["code"] for f in outcome.frames if f["kind"] == "message.created"]
    assert "identity.ai" not in lines


def test_the_line_is_a_reviewed_one() -> None:
    for language in ("zh-hans", "en"):
        assert "AI" in sentence("identity.ai", language=language)
        assert "AI" in sentence("cut.identity", language=language)
