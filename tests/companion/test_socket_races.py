"""Sockets that come, go and ask at the wrong moment, and frames that are meant to break the one who reads them."""

import asyncio
import json
import uuid
from typing import Any

import pytest
import websockets
from django.utils import timezone

from accounts import generation, realtime
from accounts.models import Event
from companion import consumers, hub, offload
from companion.consumers import ChatConsumer
from companion.models import Conversation
from tests.live import Socket, companions, open_conversation, sign_in

__all__ = ["companions"]
pytestmark = pytest.mark.django_db(transaction=True)
DEEP = "[" * 30_000


@pytest.mark.parametrize(
    "raw",
    [
        DEEP,
        '{"type": "ping", "id": ' + DEEP,
        '{"type": "message", "text": 1, "id": "\\ud800"}',
        '{"type": "message", "text": 1, "id": {"a": [1, 2]}}',
        '{"type": "message", "text": 1, "id": NaN}',
        '{"type": "dance", "id": "' + "x" * 60_000 + '"}',
        '{"type": "\\ud800"}',
        '{"type": "resume", "since": 1e400}',
        '{"type": "retry", "message": "\\ud800"}',
    ],
)
async def test_frames_made_to_break_the_reader_get_a_short_sentence(talk, raw):
    async with talk.socket() as socket:
        await socket.raw.send(raw)
        error = await socket.until("error")
        assert error["code"] in ("malformed", "unknown_type")
        assert error["id"] is None
        await socket.say("继续\ud83d")
        await socket.until("reply.finished")
    assert "Exception inside application" not in talk.site.log.read_text()


async def test_pages_opened_all_at_once_are_counted_too(talk):
    async def opened() -> Any:
        manager = talk.socket()
        socket = await manager.__aenter__()
        frame = await _ready_or_closed(socket)
        return manager, frame

    async with asyncio.timeout(60):
        pages = await asyncio.gather(*(opened() for _ in range(30)))
    try:
        outcomes = [outcome for _, outcome in pages]
        assert sorted(set(outcomes)) == ["4408", "ready"]
        assert outcomes.count("ready") == 20
    finally:
        for manager, _ in pages:
            await manager.__aexit__(None, None, None)


async def _ready_or_closed(socket: Socket) -> str:
    try:
        await socket.until("ready", timeout=30)
    except websockets.ConnectionClosed:
        return str(socket.raw.close_code)
    return "ready"


async def test_what_is_sent_before_the_close_code_arrives_is_passed_over(talk):
    for _ in range(5):
        async with talk.site.socket(talk.session, uuid.uuid4()) as socket:
            for _ in range(5):
                await socket.raw.send('{"type": "resume", "since": 0}')
            assert await socket.closed() == 4404
    assert "Exception inside application" not in talk.site.log.read_text()


async def test_a_page_that_slept_past_the_memory_of_events_is_told_to_load_anew(talk):
    async with talk.socket() as before:
        ready = await before.until("ready")
        await before.say("走开很久")
        await before.until("reply.finished")
    await Event.objects.filter(kind="message.created").adelete()
    async with talk.socket() as after:
        await after.send(type="resume", since=ready["event"])
        await after.until("reload")
    await Event.objects.all().adelete()
    async with talk.socket() as after:
        await after.send(type="resume", since=ready["event"])
        await after.until("reload")


# --- a consumer in this process -----------------------------------------------------------------------------


class Line:
    """The two ends of an ASGI websocket."""

    def __init__(self, user: Any, session: str, conversation: uuid.UUID) -> None:
        from django.contrib.sessions.backends.db import SessionStore

        self.scope = {
            "type": "websocket",
            "user": user,
            "session": SessionStore(session),
            "url_route": {"kwargs": {"conversation": str(conversation)}},
        }
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.frames: list[dict[str, Any]] = []
        self.sent = asyncio.Event()
        self.consumer = ChatConsumer()
        self.inbox.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(self.consumer(self.scope, self.inbox.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            self.frames.append(json.loads(message["text"]))
            self.sent.set()

    def send(self, **frame: Any) -> None:
        self.inbox.put_nowait({"type": "websocket.receive", "text": json.dumps(frame)})

    async def until(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while not (found := [frame for frame in self.frames if frame["kind"] == kind]):
                self.sent.clear()
                await self.sent.wait()
        return found[-1]


@pytest.fixture
def place(companions: None, adult: Any) -> Any:
    session = sign_in(adult)
    return adult, session, open_conversation(adult, session).public_id


async def test_a_socket_that_daphne_gives_up_is_forgotten(place, monkeypatch):
    line = Line(*place)
    await line.until("ready")
    assert hub.count(place[0].pk) == 1
    stuck = asyncio.Event()

    async def never(*args: Any) -> None:
        stuck.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(offload, "run", never)
    line.send(type="ping")
    await stuck.wait()
    line.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await line.task
    assert hub.count(place[0].pk) == 0
    assert hub.everyone() == []


async def test_pages_that_come_and_go_leave_nothing_behind(place):
    user = place[0]
    for _ in range(3):
        lines = [Line(*place) for _ in range(4)]
        for line in lines:
            await line.until("ready")
        assert hub.count(user.pk) == 4
        for line in lines:
            line.inbox.put_nowait({"type": "websocket.disconnect", "code": 1001})
            await line.task
        assert hub.everyone() == []
        assert user.pk not in realtime._people
    async with asyncio.timeout(10):
        await asyncio.gather(*realtime._tasks)
    assert realtime._tasks == set()


async def test_a_resume_during_another_look_loses_nothing(place, monkeypatch):
    """Both read the rows: the one from where the socket is, the other from where the page was."""
    user, _, _ = place
    await Conversation.objects.aupdate(created_at=timezone.now())
    line = Line(*place)
    ready = await line.until("ready")
    line.send(type="ping")
    await line.until("pong")
    begun, go_on = asyncio.Event(), asyncio.Event()
    run = offload.run

    async def slowly(step: Any, *args: Any, **kwargs: Any) -> Any:
        result = await run(step, *args, **kwargs)
        if step is consumers._replay and not begun.is_set():
            begun.set()
            await go_on.wait()
        return result

    monkeypatch.setattr(offload, "run", slowly)
    await asyncio.to_thread(generation.policy_changed, user.pk)
    looking = asyncio.create_task(line.consumer.look(ready["event"] + 1))
    await begun.wait()
    line.send(type="resume", since=0)
    line.send(type="ping")
    while not line.consumer.sending._waiters:  # noqa: ASYNC110 (until the resume waits for its turn)
        await asyncio.sleep(0)
    go_on.set()
    await looking
    async with asyncio.timeout(10):
        while sum(frame["kind"] == "pong" for frame in line.frames) < 2:
            line.sent.clear()
            await line.sent.wait()
    events = {frame["event"] for frame in line.frames if "event" in frame and frame["kind"] != "ready"}
    assert events == set(range(1, ready["event"] + 2))
    line.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await line.task
