"""What happens when two things happen at once: the steps of a turn in this process, against the fake model."""

import asyncio
import datetime as dt
import json
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import realtime
from accounts.models import Event, User
from companion import access, budgets, departures, hub, offload, replies, steps, turns
from companion.access import Actor
from companion.models import Conversation, Message, TokenBudget
from safety.models import CaseSignal, CrisisCase, Sanction
from tests.fake_llm import FakeLLM
from tests.live import _model, companions, model, open_conversation, sign_in

__all__ = ["_model", "companions", "model"]
pytestmark = pytest.mark.django_db(transaction=True)
SLOW = "第一句话。 第二句话。 第三句话。 第四句话。 第五句话。 第六句话。 第七句话。 第八句话。"


class Page:
    """A socket as the hub sees it, that notes what it is given."""

    def __init__(self, actor: Actor, conversation: uuid.UUID) -> None:
        self.user_id, self.conversation_id = actor.user_id, conversation
        self.login = (actor.user_id, actor.session_generation, actor.session_key)
        self.frames: list[dict[str, Any]] = []

    async def deliver(self, seq: int, frames: list[dict[str, Any]]) -> None:
        self.frames += frames

    def show(self, text: str) -> None:
        self.frames.append(json.loads(text))

    async def look(self, newest: int) -> None: ...

    async def heartbeat(self, newest: int) -> None: ...

    async def end_session(self) -> None: ...

    @property
    def shown(self) -> str:
        return "".join(frame["text"] for frame in self.frames if frame["kind"] == "reply.delta")


class Broken(Page):
    async def deliver(self, seq: int, frames: list[dict[str, Any]]) -> None:
        raise RuntimeError


class Desk:
    """A signed-in person with a conversation and one open page."""

    def __init__(self, user: User) -> None:
        self.session = sign_in(user)
        self.actor = access.load_actor(user.pk, self.session, timezone.now())
        self.conversation = open_conversation(user, self.session).public_id
        self.page = Page(self.actor, self.conversation)

    async def say(self, text: str) -> steps.Outcome:
        return await offload.run(by_rules, self.actor, self.conversation, text, uuid.uuid4())

    async def begin(self, outcome: steps.Outcome) -> None:
        await replies.begin(self.conversation, outcome, turns.follow_up)

    async def streaming(self, text: str = "讲个故事") -> replies.Reply:
        await self.begin(await self.say(text))
        await until(lambda: self.page.shown)
        reply = replies.current(self.conversation)
        assert reply is not None
        return reply

    async def quiet(self) -> None:
        await until(lambda: replies.current(self.conversation) is None)


def by_rules(actor: Actor, conversation: uuid.UUID, text: str, client_id: uuid.UUID | None) -> steps.Outcome:
    """Both database steps of a message, without its meaning."""
    return turns.say(actor, turns.hear(actor, conversation, text), client_id)


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (rows and frames have no event to wait for)
            await asyncio.sleep(0.005)


async def replied() -> Message:
    return await Message.objects.filter(author="ai", answers__isnull=False).order_by("-pk").afirst()


@pytest.fixture
def desk(companions: None, model: FakeLLM, adult: User, settings: Any) -> Any:
    settings.LLM_BASE_URL, settings.LLM_MODEL = model.url, "fake"
    desk = Desk(adult)
    hub.join(desk.page)
    yield desk
    hub._by_user.clear()
    hub._by_conversation.clear()


async def test_a_reply_stopped_before_its_first_step_is_closed_all_the_same(desk):
    await desk.begin(await desk.say("在吗"))
    replies.current(desk.conversation).stop()
    await desk.quiet()
    assert (await replied()).state == "stopped"
    assert desk.page.frames[-1]["kind"] == "reply.finished"


async def test_a_conversation_left_before_the_reply_began_shows_nothing_of_it(desk, model):
    model.script(reply=SLOW)
    outcome = await desk.say("在吗")
    await offload.run(departures.leave, desk.actor, desk.conversation)
    await desk.begin(outcome)
    await desk.quiet()
    assert desk.page.shown == ""
    assert (await replied()).state == "stopped"


async def test_leaving_without_script_silences_the_reply_at_once_and_keeps_what_was_shown(desk, model):
    model.script(reply=SLOW * 20, gap=0.01)
    await desk.streaming()

    def leave() -> None:
        client = Client()
        client.cookies["anban_session"] = desk.session
        assert client.post(reverse("chat_leave", args=[desk.conversation])).status_code == 302

    await asyncio.to_thread(leave)
    shown = desk.page.shown
    await asyncio.to_thread(model.requests[0].wait_ended)
    await desk.quiet()
    assert model.requests[0].disconnected
    assert desk.page.shown == shown
    message = await replied()
    assert (message.state, message.open(desk.actor.user_id)) == ("stopped", shown)


async def test_a_crisis_in_one_tab_does_not_silence_the_reply_asked_for_in_another(desk, model, monkeypatch):
    async def harmless(texts: Sequence[str]) -> list[dict[str, float]]:
        return [{} for _ in texts]

    monkeypatch.setattr(replies, "look", harmless)  # at risk, nothing would be shown that was not looked at
    crisis = await desk.say(
        "everybody would be better off without me"
    )  # a graver one mutes the companion everywhere
    model.script(reply=SLOW, gap=0.01)
    await desk.streaming("今天天气怎么样")
    await desk.begin(crisis)
    await desk.quiet()
    assert (await replied()).state == "complete"
    assert desk.page.shown == SLOW


async def test_one_broken_page_keeps_neither_the_reply_nor_the_others_from_anything(desk, model):
    model.script(reply=SLOW)
    hub.join(Broken(desk.actor, desk.conversation))
    await desk.streaming()
    await desk.quiet()
    assert (await replied()).state == "complete"
    assert desk.page.frames[-1]["kind"] == "reply.finished"


async def test_a_secret_said_during_a_reply_is_answered_after_it(desk, model):
    model.script(reply=SLOW, gap=0.01)
    await desk.streaming()
    outcome = await desk.say("我的身份证号是11010519491231002X，你帮我记着")
    await desk.begin(outcome)
    codes = [f["message"]["code"] for f in outcome.frames if f["kind"] == "message.created"]
    assert codes == ["", "tip.secrets"]
    await desk.quiet()
    await until(lambda: len(model.requests) == 2)
    await desk.quiet()
    assert await Message.objects.filter(answers__isnull=False, state="complete").acount() == 2


async def test_an_empty_budget_is_said_also_for_what_was_said_during_a_reply(desk, model, settings):
    model.script(reply=SLOW, gap=0.01)
    await desk.streaming()
    await desk.begin(await desk.say("还有一件事"))
    settings.TOKENS_PER_USER_PER_DAY = 1
    await desk.quiet()
    await until(lambda: desk.page.frames[-1]["kind"] == "message.created")
    assert desk.page.frames[-1]["message"]["code"] == "budget_user"


async def test_tokens_of_a_turn_that_failed_are_given_back(desk, monkeypatch):
    monkeypatch.setattr(steps, "frames_of", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        await desk.say("在吗")
    assert {row.used async for row in TokenBudget.objects.all()} == {0}


async def test_tokens_of_an_ordinary_turn_are_those_that_were_used(desk, model):
    model.script(reply="好的。")
    await desk.begin(await desk.say("在吗"))
    await desk.quiet()
    await until(lambda: desk.page.frames[-1]["kind"] == "reply.finished")
    assert {row.used async for row in TokenBudget.objects.all()} == {10}  # as the fake model counted


async def test_a_message_sent_again_after_leaving_is_answered_with_its_own_frame(desk):
    client_id = uuid.uuid4()
    first = await offload.run(by_rules, desk.actor, desk.conversation, "退出", client_id)
    assert [frame["kind"] for frame in first.frames][-1] == "conversation.left"
    again = await offload.run(by_rules, desk.actor, desk.conversation, "退出", client_id)
    assert again.refusal is None
    assert again.echo == first.frames[:1]


async def test_somebody_at_risk_sees_the_help_card_whatever_refuses_the_message(desk, moderator):
    await Sanction.objects.acreate(
        user_id=desk.actor.user_id, kind="restrict", reason="x", imposed_by=moderator
    )
    actor = await offload.run(access.load_actor, desk.actor.user_id, desk.session, timezone.now())
    for text, refused, cards in (
        ("在吗", "sanction", 0),
        ("everybody would be better off without me", "sanction", 1),
        ("我不想活了，今晚就结束自己", "sanction", 1),
        ("我不想活了，今晚就结束自己" * 400, "too_long", 1),  # from here on humans are to hear everything
    ):
        outcome = await offload.run(by_rules, actor, desk.conversation, text, None)
        assert outcome.refusal.code == refused
        assert [frame["kind"] for frame in outcome.frames] == ["help.card"] * cards
    assert not await Message.objects.filter(author="user").aexists()
    assert await CaseSignal.objects.acount() == 3
    case = await CrisisCase.objects.aget()
    assert (case.level, case.ai_muted) == (4, True)
    outcome = await offload.run(by_rules, actor, desk.conversation, "在吗", None)
    assert outcome.refusal is None


async def test_writing_anew_has_the_same_limit_as_messages(desk, model, settings):
    settings.MESSAGES_PER_MINUTE = 2
    await desk.begin(await desk.say("在吗"))
    await desk.quiet()
    codes = []
    for _ in range(3):
        outcome = await offload.run(turns.again, desk.actor, desk.conversation, (await replied()).public_id)
        await desk.begin(outcome)
        await desk.quiet()
        codes.append(outcome.refusal and outcome.refusal.code)
    assert codes == [None, "too_fast", "too_fast"]


async def test_a_measure_that_has_run_out_ends_for_open_pages_too(desk, moderator):
    now = timezone.now()
    await Sanction.objects.acreate(
        user_id=desk.actor.user_id,
        kind="restrict",
        reason="x",
        imposed_by=moderator,
        until=now + dt.timedelta(minutes=1),
    )
    actor = await offload.run(access.load_actor, desk.actor.user_id, desk.session, now)
    assert actor.sanction
    later = await offload.run(access.refresh, actor, now + dt.timedelta(minutes=10))
    assert later.sanction == ""


async def test_half_an_emoji_is_no_reason_to_lose_a_message(desk):
    outcome = await desk.say("今天很开心\ud83d")
    assert outcome.refusal is None
    message = await Message.objects.aget(author="user")
    assert message.open(desk.actor.user_id) == "今天很开心\ufffd"


async def test_one_damaged_message_closes_neither_the_conversation_nor_the_page(desk):
    await desk.begin(await desk.say("第一句"))
    await desk.quiet()
    await Message.objects.filter(author="user").aupdate(body=b"\x01damaged")
    outcome = await desk.say("第二句")
    assert outcome.job is not None

    def read() -> int:
        client = Client()
        client.cookies["anban_session"] = desk.session
        return client.get(reverse("chat", args=[desk.conversation])).status_code

    assert await asyncio.to_thread(read) == 200


async def test_events_of_a_turn_have_no_gap(desk):
    await desk.begin(await desk.say("在吗"))
    await desk.quiet()
    seqs = [seq async for seq in Event.objects.order_by("seq").values_list("seq", flat=True)]
    assert seqs == list(range(1, len(seqs) + 1))
    assert await offload.run(realtime.last_event, desk.actor.user_id) == len(seqs)


async def test_a_reply_of_a_process_that_died_is_closed_by_the_next_message(desk):
    await desk.say("在吗")  # and nobody begins the reply
    await Message.objects.filter(state="streaming").aupdate(lease_until=timezone.now())
    outcome = await desk.say("还在吗")
    states = [
        state async for state in Message.objects.filter(answers__isnull=False).values_list("state", flat=True)
    ]
    assert sorted(states) == ["interrupted", "streaming"]
    assert outcome.job is not None
    assert await Conversation.objects.filter(ended_at__isnull=True).acount() == 1


async def test_a_reservation_is_not_kept_by_a_reply_that_never_began(desk, model):
    outcome = await desk.say("在吗")
    before = await offload.run(budgets.reserve, desk.actor.user_id, 0, timezone.now())
    assert before.empty == ""
    await offload.run(departures.leave, desk.actor, desk.conversation)
    await desk.begin(outcome)
    await desk.quiet()
    used = {row.used async for row in TokenBudget.objects.all()}
    assert max(used) < outcome.job.reserved.tokens
