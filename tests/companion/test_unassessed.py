"""Messages that nobody could understand: what happens at once, what when the model is back, and what stays for people."""

import asyncio
import datetime as dt
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.utils import timezone

from accounts.models import Event, User
from companion import access, departures, tasks, turns, unassessed
from companion.models import Message
from safety import engine
from safety.engine import client, meaning
from safety.engine import judge as judge_module
from safety.models import Assessment, CrisisCase
from safety.replies import sentence
from tests import embeddings as real
from tests import endpoints
from tests.companion.conftest import Talk
from tests.endpoints import Endpoint
from tests.faults import Proxy
from tests.live import Site, open_conversation, sign_in

pytestmark = pytest.mark.django_db(transaction=True)
CALM = "今天下午去了公园"
DARK = "我站在窗边看了一会儿"  # no word of it is in a rule; what it means is decided here
MEANT = {"窗边": {"crisis": 0.9}, "晚安": {"crisis": 0.9}, "天台": {"crisis": 0.9, "crisis.explicit": 0.9}}


@pytest.fixture
def embeddings(settings: Any) -> Iterator[Endpoint]:
    """An embedding server that is away."""
    endpoint = endpoints.embeddings(MEANT).start()
    endpoint.stop()
    settings.EMBEDDINGS_BASE_URL = endpoint.url
    yield endpoint
    endpoint.stop()
    client._breakers.clear()
    judge_module._breakers.clear()
    meaning._memory.clear()


class Room:
    """A person and a conversation, whose messages nobody can understand."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.actor = access.load_actor(user.pk, sign_in(user), timezone.now())
        self.conversation = open_conversation(user, self.actor.session_key)

    def say(self, text: str) -> Assessment:
        heard = turns.hear(self.actor, self.conversation.public_id, text)
        turns.say(self.actor, heard, uuid.uuid4(), late=True)
        return Assessment.objects.latest("pk")

    def lines(self) -> list[str]:
        return [*Message.objects.filter(author="system").order_by("pk").values_list("code", flat=True)]

    def cards(self) -> list[str]:
        events = Event.objects.filter(user=self.user, kind="help.card").order_by("seq")
        return [event.data["level"] for event in events]


@pytest.fixture
def room(companions: None, adult: User) -> Room:
    return Room(adult)


def back(embeddings: Endpoint) -> int:
    embeddings.start()
    client._breakers.clear()
    return tasks.assess_what_is_pending()


def state(row: Assessment) -> tuple[int, str, bool]:
    row.refresh_from_db()
    return row.level, row.action, row.pending


# --- at once --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected", "lines"),
    [
        (CALM, (0, "answer", True), []),
        ("今天好难过", (2, "help_card", True), ["unavailable"]),
        ("朋友说想自杀", (2, "help_card", True), ["unavailable"]),
        ("没有我大家会过得更好", (2, "help_card", True), ["comfort.l2"]),
        ("我不想活了", (3, "hold", True), ["care.nobody_on_duty", "crisis.l3"]),
    ],
)
def test_a_grown_person_gets_what_the_rules_say_and_no_reply_in_doubt(room, text, expected, lines):
    assert state(room.say(text)) == expected
    assert room.lines() == lines
    assert bool(room.cards()) == (expected[0] >= 2)


def test_a_minor_gets_no_reply(companions, minor):
    room = Room(minor)
    assert state(room.say(CALM)) == (2, "help_card", True)
    assert room.lines() == ["unavailable"]
    assert not Message.objects.filter(author="ai", answers__isnull=False).exists()


# --- looked at again ------------------------------------------------------------------------------


def test_while_the_model_is_away_everything_stays_pending(room, embeddings):
    rows = [room.say(CALM), room.say(DARK)]
    assert tasks.assess_what_is_pending() == 0
    assert [state(row) for row in rows] == [(0, "answer", True)] * 2
    assert client._breakers[embeddings.url]._failures == 1, "one message is enough to find out"


def test_what_is_graver_brings_the_sentence_and_the_card(room, embeddings):
    calm, dark = room.say(CALM), room.say(DARK)
    assert back(embeddings) == 2
    assert state(calm) == (0, "answer", False)
    assert state(dark) == (2, "help_card", False)
    assert dark.reasons[0] == "crisis.indirect.meaning"
    assert (room.lines(), room.cards()) == (["comfort.l2"], ["soft"])
    assert tasks.assess_what_is_pending() == 0
    assert (room.lines(), room.cards()) == (["comfort.l2"], ["soft"])


def test_what_a_broken_engine_could_not_judge_is_read_again(room, embeddings, monkeypatch):
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(engine, "assess", broken)
        row = room.say("我不想活了")
    assert state(row) == (2, "help_card", True) and not CrisisCase.objects.exists()
    back(embeddings)
    assert state(row) == (3, "hold", False)
    assert room.lines()[-1] == "crisis.l3" and CrisisCase.objects.get().level == 3


def test_intent_brings_the_urgent_card(room, embeddings):
    row = room.say("我上了天台")
    back(embeddings)
    assert state(row) == (3, "hold", False)
    assert (room.lines(), room.cards()) == (["care.nobody_on_duty", "crisis.l3"], ["urgent"])
    assert CrisisCase.objects.get().level == 3


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("我不想活了", (3, "hold", False)),
        ("今天好难过", (2, "help_card", False)),
        ("拜拜", (0, "exit", False)),
    ],
)
def test_nothing_is_ever_lowered(room, embeddings, text, kept):
    row = room.say(text)
    first = row.reasons
    lines, cards = room.lines(), room.cards()
    back(embeddings)
    assert state(row) == kept
    assert row.reasons[: len(first)] == first
    assert (room.lines(), room.cards()) == (lines, cards)


def test_what_was_put_off_gets_its_real_sentence(companions, minor, embeddings):
    room = Room(minor)
    row = room.say(DARK)
    assert room.lines() == ["unavailable"]
    back(embeddings)
    assert state(row) == (2, "help_card", False)
    assert row.reasons[0] == "crisis.indirect.meaning"
    assert room.lines() == ["unavailable", "comfort.l2"]


def test_many_messages_of_one_bad_hour_are_answered_once(room, embeddings):
    rows = [room.say(DARK + "。" * n) for n in range(4)]
    assert back(embeddings) == 4
    assert {state(row) for row in rows} == {(2, "help_card", False)}
    assert (room.lines(), room.cards()) == (["comfort.l2"], ["soft"])


def test_who_has_left_is_shown_the_card_and_no_line(room, embeddings):
    row = room.say(DARK)
    departures.leave(room.actor, room.conversation.public_id)
    back(embeddings)
    assert state(row) == (2, "help_card", False)
    assert (room.lines(), room.cards()) == (["exit.done"], ["soft"])


def test_a_goodbye_that_was_more_than_one_brings_the_card_to_who_came_back(room, embeddings):
    row = room.say("晚安")
    assert state(row) == (0, "exit", True)
    open_conversation(room.user, room.actor.session_key)
    back(embeddings)
    assert state(row) == (2, "help_card", False)
    assert (room.lines(), room.cards()) == (["exit.done"], ["soft"])


def test_a_reply_that_is_still_being_written_ends(room, embeddings):
    row = room.say(DARK)
    reply = Message.objects.get(answers__isnull=False)
    assert reply.state == "streaming"
    back(embeddings)
    reply.refresh_from_db()
    assert (state(row)[0], reply.state) == (2, "stopped")


def test_the_judge_is_heard_on_the_second_look_too(room, embeddings, settings):
    judge = endpoints.judge("Safety: Unsafe\nCategories: Suicide & Self-Harm").start()
    settings.JUDGE_BASE_URL, settings.JUDGE_MODEL = judge.url, "a-guard"
    row = room.say(CALM)
    open_before = set(judge_module._sessions)
    back(embeddings)
    judge.stop()
    assert state(row) == (2, "help_card", False)
    assert set(judge_module._sessions) <= open_before


# --- what cannot be read --------------------------------------------------------------------------


def test_deleted_messages_leave_the_list(room, embeddings):
    row, other = room.say(DARK), room.say(CALM)
    Message.objects.filter(public_id=row.message).delete()
    back(embeddings)
    assert state(row) == (0, "answer", False)
    assert state(other)[2] is False
    room.conversation.delete()
    gone = Assessment.objects.create(
        message=uuid.uuid4(), user=room.user, level=0, action="answer", pending=True
    )
    assert tasks.assess_what_is_pending() == 1
    assert state(gone) == (0, "answer", False)


def test_a_damaged_message_stays_and_does_not_stop_the_others(room, embeddings, caplog):
    damaged, after = room.say(CALM), room.say(DARK)
    Message.objects.filter(public_id=damaged.message).update(body=b"damaged")
    assert back(embeddings) == 1
    assert state(damaged) == (0, "answer", True)
    assert state(after) == (2, "help_card", False)
    assert "1 pending messages could not be read" in caplog.text
    assert CALM not in caplog.text


def test_what_was_said_long_ago_stays_for_people(room, embeddings):
    old, young = room.say(DARK), room.say(DARK)
    limit = timezone.now() - unassessed.TOO_OLD
    Assessment.objects.filter(pk=old.pk).update(created_at=limit - dt.timedelta(seconds=1))
    Assessment.objects.filter(pk=young.pk).update(created_at=limit + dt.timedelta(minutes=5))
    assert back(embeddings) == 1
    assert state(old)[2] is True
    assert state(young)[2] is False


def test_a_run_has_an_end_and_the_next_one_goes_on(room, embeddings, monkeypatch):
    monkeypatch.setattr(unassessed, "BATCH", 2)
    rows = [room.say(CALM) for _ in range(3)]
    assert back(embeddings) == 2
    assert [state(row)[2] for row in rows] == [False, False, True]
    assert tasks.assess_what_is_pending() == 1


# --- with the real server, over real sockets ------------------------------------------------------


class Line(Proxy):
    """The way to the embedding server, which can be cut."""

    def __init__(self, url: str) -> None:
        self._address = urlsplit(url)
        super().__init__(real.ROOT)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._flowing.wait()
        there, back = await asyncio.open_connection(self._address.hostname, self._address.port)
        self._open.add(back)
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))


@pytest.fixture
def line(settings: Any) -> Iterator[Line]:
    line = Line(real.server.url)
    settings.EMBEDDINGS_BASE_URL = f"http://127.0.0.1:{line.port}/v1"
    yield line
    line.close()
    client._breakers.clear()


@pytest.fixture
def shaky(companions: None, model: Any, line: Line, tmp_path: Any, adult: User) -> Iterator[Talk]:
    site = Site(model.url, tmp_path / "log", EMBEDDINGS_BASE_URL=f"http://127.0.0.1:{line.port}/v1")
    site.start()
    session = sign_in(adult)
    yield Talk(site, adult, session, open_conversation(adult, session).public_id)
    site.stop()


async def test_help_comes_to_the_open_page_when_the_server_is_back(shaky, line):
    async with shaky.socket() as socket:
        await socket.until("ready")
        await asyncio.to_thread(line.cut)
        await socket.say("我只想让这一切都停下来，永远地停下来")
        await socket.until("reply.finished")
        assert not any(frame["kind"] == "help.card" for frame in socket.frames)
        assert await asyncio.to_thread(tasks.assess_what_is_pending) == 0
        await asyncio.to_thread(line.heal)
        assert await asyncio.to_thread(tasks.assess_what_is_pending) == 1
        seen = len(socket.frames)
        assert (await socket.until("help.card"))["level"] == "soft"
        (said,) = (frame["message"] for frame in socket.frames[seen:] if frame["kind"] == "message.created")
    assert sentence("comfort.l2", language="en") in said["html"]
    row = await Assessment.objects.aget()
    assert (row.level, row.action, row.pending) == (2, "help_card", False)
