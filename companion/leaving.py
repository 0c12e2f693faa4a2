"""Leaving: the quiet day after it, and windows that were closed (draft article 18, final article 19).

Button, words, voice and pause end the conversation (companion/departures.py). A closed window does not: the reply that is
written is stopped and the departure is noted. Whether somebody went or only reloaded the page is seen from what comes next:
the departure is a row at once, a new line to any process takes it away again, and a window that is still open elsewhere says
so when the bell rings. Without Redis a window open in another process cannot say so: its reply stops.
"""

import asyncio
import datetime as dt
import uuid

from django.utils import timezone

from accounts import realtime
from companion import hub, offload, replies
from companion.models import Conversation, Departure, Message

QUIET = dt.timedelta(hours=24)
GRACE = dt.timedelta(seconds=10)  # a page that comes back within it was reloaded

_watching: set[asyncio.Task[None]] = set()


def quiet_until(user_id: uuid.UUID, now: dt.datetime) -> dt.datetime | None:
    """Until when the product sends this person nothing of its own accord, or None.

    Humans, safety, and what the person asked for themselves (a password, a complaint) are not bound by it.
    """
    rows = Departure.objects.filter(user_id=user_id, left_at__gt=now - QUIET).order_by("-left_at")
    newest = rows.values_list("left_at", flat=True).first()
    return newest + QUIET if newest else None


def window_closed(user_id: uuid.UUID, conversation: uuid.UUID) -> None:
    """A window of the conversation is gone, and its socket is out of the hub. Returns at once."""
    if hub.shows(conversation):
        return
    task = asyncio.create_task(_watch(user_id, conversation))
    _watching.add(task)  # the loop keeps only weak references
    task.add_done_callback(_watching.discard)


async def _watch(user_id: uuid.UUID, conversation: uuid.UUID) -> None:
    departure = await offload.run(_note, user_id, conversation)
    if departure is None:
        return
    if hub.shows(conversation):  # back before the row was there
        return await offload.run(came_back, user_id, conversation, timezone.now())
    realtime.ring(user_id, {"type": "window.closed", "conversation": conversation.hex})
    await asyncio.sleep(GRACE.total_seconds())
    if not hub.shows(conversation) and await offload.run(_stop, departure, conversation):
        reply = replies.current(conversation)
        if reply is not None:
            reply.stop()


def came_back(user_id: uuid.UUID, conversation: uuid.UUID, now: dt.datetime) -> None:
    """A window shows the conversation: who was gone for longer than a reload has returned."""
    gone = Departure.objects.filter(
        user_id=user_id, conversation=conversation, how=Departure.How.WINDOW, returned_at=None
    )
    for pk, left_at in gone.values_list("pk", "left_at"):
        if now - left_at < GRACE:
            Departure.objects.filter(pk=pk).delete()
        else:
            Departure.objects.filter(pk=pk).update(returned_at=now)


def _note(user_id: uuid.UUID, conversation: uuid.UUID) -> int | None:
    """The departure, unless the conversation had ended before."""
    if not Conversation.objects.filter(user_id=user_id, public_id=conversation, ended_at=None).exists():
        return None
    row = Departure.objects.create(user_id=user_id, conversation=conversation, how=Departure.How.WINDOW)
    return row.pk


def _stop(departure: int, conversation: uuid.UUID) -> bool:
    """Ask the running reply to end, wherever it is written, if nobody came back."""
    if not Departure.objects.filter(pk=departure, returned_at=None).exists():
        return False
    Message.objects.filter(conversation__public_id=conversation, state=Message.State.STREAMING).update(
        stop_requested=True
    )
    return True
