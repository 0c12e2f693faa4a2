"""A page that asks and does not read may not fill the memory of the process (threat T21, N25)."""

import asyncio
import os
from pathlib import Path

import pytest
import websockets
from django.conf import settings

from accounts import realtime
from accounts.models import User
from accounts.realtime import NewEvent
from companion.models import Conversation, Message

pytestmark = pytest.mark.django_db(transaction=True)
MEGABYTE = 1024 * 1024


def fill(user: User) -> None:
    """400 long messages with their events: five megabytes for each `resume`."""
    from django.db import transaction

    conversation = Conversation.objects.get()
    rows = [Message(conversation=conversation, author=Message.Author.USER) for _ in range(400)]
    for row in rows:
        row.seal(user.pk, "长" * 4000)
    with transaction.atomic():
        Message.objects.bulk_create(rows)
        realtime.emit(
            user.pk, *(NewEvent("message.created", conversation.public_id, row.public_id) for row in rows)
        )


def memory(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


async def ask(deaf: websockets.ClientConnection) -> None:
    """For the same thing again and again, within the limit of frames."""
    for _ in range(60):
        await deaf.send('{"type": "resume", "since": 0}')
        await asyncio.sleep(0.15)


async def test_a_page_that_does_not_read_is_closed_before_it_costs_much(own_talk):
    await asyncio.to_thread(fill, own_talk.user)
    async with own_talk.socket() as socket:  # what one whole replay needs is not counted
        await socket.send(type="resume", since=0)
        await socket.until("message.created")
        while len(socket.frames) < 400:
            await socket.next()
    pid = own_talk.site._process.pid
    before = memory(pid)
    headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={own_talk.session}"}
    address = f"ws://{own_talk.site.host}/ws/chat/{own_talk.conversation}/"
    deaf = await websockets.connect(
        address, origin=own_talk.site.url, additional_headers=headers, max_queue=1, ping_interval=None
    )
    try:
        with pytest.raises(websockets.ConnectionClosed):
            await ask(deaf)
        assert memory(pid) - before < 60 * MEGABYTE
        async with own_talk.socket() as other:
            await other.say("我还在")
            await other.until("reply.finished")
    finally:
        deaf.transport.abort()


async def test_a_page_that_reads_slowly_gets_everything(own_talk):
    await asyncio.to_thread(fill, own_talk.user)
    async with own_talk.socket() as socket:
        await socket.send(type="resume", since=0)
        await socket.until("message.created")
        while len([f for f in socket.frames if f["kind"] == "message.created"]) < 400:
            await asyncio.sleep(0.002)
            await socket.next()
    events = [frame["event"] for frame in socket.frames if frame["kind"] == "message.created"]
    assert events == sorted(set(events))
