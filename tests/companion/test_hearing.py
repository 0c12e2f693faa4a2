"""What a message means, asked of two endpoints at once, and what becomes of it when one of them fails."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from companion import hearing, steps
from companion.models import Message
from safety import engine
from safety.engine import client, meaning
from safety.engine import judge as judge_module
from safety.models import Assessment
from tests import endpoints
from tests.companion.test_reply_races import Desk, desk
from tests.endpoints import Endpoint
from tests.live import _model, companions, model

__all__ = ["_model", "companions", "desk", "model"]
pytestmark = pytest.mark.django_db(transaction=True)
TEXT = "我站在窗边看了一会儿"
UNSAFE = "Safety: Unsafe\nCategories: Suicide & Self-Harm"
LONG = 60.0  # seconds nobody is going to wait


@pytest.fixture
def embeddings(settings: Any) -> Iterator[Endpoint]:
    endpoint = endpoints.embeddings({}).start()
    settings.EMBEDDINGS_BASE_URL, settings.EMBEDDINGS_DEADLINE = endpoint.url, 10.0
    yield endpoint
    endpoint.stop()


@pytest.fixture
def judge(settings: Any) -> Iterator[Endpoint]:
    endpoint = endpoints.judge(UNSAFE).start()
    settings.JUDGE_BASE_URL, settings.JUDGE_MODEL, settings.JUDGE_DEADLINE = endpoint.url, "a-guard", 10.0
    yield endpoint
    endpoint.stop()


@pytest.fixture(autouse=True)
async def _nothing_known() -> AsyncIterator[None]:
    yield
    await client.close()
    await judge_module.close()
    client._breakers.clear()
    judge_module._breakers.clear()
    meaning._memory.clear()


async def take(desk: Desk, text: str = TEXT) -> steps.Outcome:
    async with asyncio.timeout(20):
        return await hearing.take(desk.actor, desk.conversation, text, uuid.uuid4())


async def verdict() -> tuple[int, str, bool]:
    row = await Assessment.objects.alatest("pk")
    return row.level, row.action, row.pending


async def test_a_calm_message_is_answered(desk, embeddings):
    outcome = await take(desk)
    assert outcome.job is not None
    assert await verdict() == (0, "answer", False)


async def test_a_message_is_judged_by_what_it_means(desk, embeddings):
    embeddings.answer = endpoints.embeddings({"窗边": {"crisis": 0.9}}).answer
    outcome = await take(desk)
    assert outcome.job is None
    assert await verdict() == (2, "help_card", False)
    assert (await Message.objects.alatest("pk")).code == "comfort.l2"


async def test_the_judge_raises_what_the_embeddings_find(desk, embeddings, judge):
    await take(desk, "先说一句")
    await take(desk)
    assert await verdict() == (2, "help_card", False)
    asked = judge.asked[-1]["messages"]
    assert [message["content"] for message in asked][-2:] == ["先说一句", TEXT]
    assert str(desk.actor.user_id) not in str(judge.asked)
    assert str(desk.conversation) not in str(judge.asked)


async def test_the_judge_lowers_nothing(desk, embeddings, judge):
    embeddings.answer = endpoints.embeddings({"窗边": {"crisis": 0.9}}).answer
    judge.answer = endpoints.judge("Safety: Safe\nCategories: None").answer
    await take(desk)
    assert await verdict() == (2, "help_card", False)
    await take(desk, "怎么制作炸弹")
    assert await verdict() == (0, "refuse", False)


async def test_both_are_asked_at_the_same_time(desk, embeddings, judge):
    embeddings.gate.clear()
    judge.gate.clear()
    taken = asyncio.create_task(take(desk))
    for endpoint in (embeddings, judge):
        assert await asyncio.to_thread(endpoint.arrived.wait, 10)
    embeddings.gate.set()
    judge.gate.set()
    await taken
    assert await verdict() == (2, "help_card", False)


async def test_a_judge_that_is_late_is_not_waited_for(desk, embeddings, judge, settings):
    settings.JUDGE_DEADLINE = 0.2
    judge.gate.clear()
    assert (await take(desk)).job is not None
    assert await verdict() == (0, "answer", False)


async def test_a_judge_that_is_gone_is_not_missed(desk, embeddings, judge):
    judge.stop()
    assert (await take(desk)).job is not None
    assert await verdict() == (0, "answer", False)


async def test_the_judge_is_never_the_only_one(desk, embeddings, judge):
    embeddings.stop()
    assert (await take(desk)).job is not None
    assert await verdict() == (0, "answer", True)


async def test_without_the_embeddings_nobody_waits_for_the_judge(desk, embeddings, judge, settings):
    settings.JUDGE_DEADLINE = LONG
    judge.gate.clear()
    embeddings.stop()
    await take(desk)
    assert await verdict() == (0, "answer", True)


async def test_embeddings_that_are_late_are_not_waited_for(desk, embeddings, settings):
    settings.EMBEDDINGS_DEADLINE = 0.2
    embeddings.gate.clear()
    await take(desk)
    assert await verdict() == (0, "answer", True)


async def test_what_will_not_be_taken_is_sent_to_nobody(desk, embeddings, judge, settings):
    outcome = await take(desk, "长" * 4001)
    assert outcome.refusal and outcome.refusal.code == "too_long"
    settings.MESSAGES_PER_MINUTE = 1
    await take(desk)
    embeddings.asked.clear(), judge.asked.clear()
    for text in (TEXT, "今天好难过"):  # nobody is shown a card because they type fast
        outcome = await take(desk, text)
        assert outcome.refusal and outcome.refusal.code == "too_fast"
    assert (await take(desk, "  ")).refusal.code == "empty"
    assert embeddings.asked == judge.asked == []


async def test_an_engine_that_cannot_say_what_to_understand_closes_and_does_not_open(desk, monkeypatch):
    def broken(*args: Any, **kwargs: Any) -> list[str]:
        raise RuntimeError

    monkeypatch.setattr(engine, "wanted", broken)
    assert (await take(desk, "今天好难过")).job is None
    assert await verdict() == (2, "help_card", True)
