"""Clients that do not give up: they send the same message with the same id until they are told that it is sent.

As patient as the page (static/js/chat/socket.js): pauses double, and part of each is chance.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass

import websockets

from tests.chaos.crowd import CRISIS, Person
from tests.live import Site, Socket

PAUSE, SLOWEST = 0.1, 5.0  # seconds until they try again, at first and at most
FRAMES = 0.11  # seconds between two frames of a page: ten a second are allowed
ANSWER = 25.0  # seconds that they wait for a word from the server, which gives a step up after 20


@dataclass
class Sent:
    """What a client knows of its message. `message` is empty until it was told that it is sent."""

    person: Person
    client_id: str
    message: str = ""
    seconds: float = 0.0  # from the last try to the word "sent"
    waited: float = 0.0  # from the first one
    tries: int = 0
    refused: int = 0


async def tell(site: Site, person: Person, text: str = CRISIS, *, within: float = 120.0) -> Sent:
    sent = Sent(person, str(uuid.uuid4()))
    began, failed = time.monotonic(), 0
    while not sent.message and time.monotonic() - began < within:
        rest = within - (time.monotonic() - began)
        try:
            async with (
                asyncio.timeout(min(ANSWER, rest)),
                site.socket(person.session, person.conversation) as socket,
            ):
                await socket.until("ready", ANSWER)
                await _try(socket, text, sent)
        except (OSError, TimeoutError, websockets.WebSocketException):
            await asyncio.sleep(_pause(failed := failed + 1))
    sent.waited = time.monotonic() - began
    return sent


async def tell_all(
    site: Site, people: Iterable[Person], text: str = CRISIS, *, at_once: int = 40, within: float = 900.0
) -> list[Sent]:
    """Everybody says it, `at_once` of them at a time."""
    places = asyncio.Semaphore(at_once)

    async def one(person: Person) -> Sent:
        async with places:
            return await tell(site, person, text, within=within)

    return list(await asyncio.gather(*(one(person) for person in people)))


async def repeat(
    site: Site,
    person: Person,
    text: str,
    over: asyncio.Event | None = None,
    *,
    times: int | None = None,
    every: float = FRAMES,
) -> list[Sent]:
    """One open page, message after message, `every` so many seconds or as soon as the last is sent; opened again when
    it breaks.
    """
    done: list[Sent] = []
    failed = 0
    next_one = Sent(person, str(uuid.uuid4()))

    def goes_on() -> bool:
        return not (over and over.is_set()) and (times is None or len(done) < times)

    while goes_on():
        try:
            async with site.socket(person.session, person.conversation) as socket:
                await socket.until("ready", ANSWER)
                while goes_on():
                    await _try(socket, text, next_one)
                    done.append(next_one)
                    failed = 0
                    next_one = Sent(person, str(uuid.uuid4()))
                    await asyncio.sleep(max(0.0, every - done[-1].seconds))
        except (OSError, TimeoutError, websockets.WebSocketException):
            await asyncio.sleep(_pause(failed := failed + 1))
    return done


def _pause(failed: int) -> float:
    return min(SLOWEST, PAUSE * 2 ** (failed - 1)) * random.uniform(0.5, 1)


async def _try(socket: Socket, text: str, sent: Sent) -> None:
    sent.tries += 1
    began = time.monotonic()
    async with asyncio.timeout(ANSWER):  # the server's heartbeat buys no more time
        await socket.say(text, sent.client_id)
        while True:
            frame = await socket.next(ANSWER)
            if frame["kind"] in ("refused", "error") and frame["id"] == sent.client_id:
                sent.refused += 1
                raise TimeoutError
            if frame["kind"] == "message.created" and frame["message"]["client_id"] == sent.client_id:
                sent.message, sent.seconds = frame["message"]["id"], time.monotonic() - began
                return


def percentile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[round((len(ordered) - 1) * share)] if ordered else float("nan")
