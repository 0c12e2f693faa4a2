"""The socket of a guardian's open page: who gets in, what it says and never says, and how soon."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets
from django.conf import settings
from django.test import Client
from django.utils import timezone

from accounts import generation
from accounts.models import User
from companion.models import Message
from guardians import access, consumers
from guardians.models import Guardianship, TimeRequest
from safety import cases, outbox
from tests.cast import make_user
from tests.fake_llm import FakeLLM
from tests.guardians.test_dashboard import used
from tests.guardians.test_panel_pages import WORDS, erase, signed_in, with_role
from tests.live import Site, Socket, _model, _site, companions, model, open_conversation, sign_in, site
from tests.safety.test_cases import signal

__all__ = ["_model", "_site", "companions", "model", "site"]
pytestmark = pytest.mark.django_db(transaction=True)


@asynccontextmanager
async def family(site: Site, session: str, **options: Any) -> AsyncIterator[Socket]:
    """A guardian's open page."""
    headers = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={session}"}
    origin = options.get("origin", site.url)
    async with websockets.connect(
        f"ws://{site.host}/ws/family/", origin=origin, additional_headers=headers, max_size=None
    ) as raw:
        yield Socket(raw)


@pytest.fixture
def session(site: Site, guardian: User, minor: User) -> str:
    return sign_in(guardian)


async def later(step: Any, *arguments: Any, **more: Any) -> Any:
    return await asyncio.to_thread(step, *arguments, **more)


async def changed(socket: Socket, part: str) -> dict[str, Any]:
    """The next frame that names this part."""
    while True:
        frame = await socket.until("changed")
        if part in frame["parts"]:
            return frame


async def test_it_says_the_stamps_of_the_wards_and_nothing_else(
    site: Site, session: str, guardian: User, minor: User
) -> None:
    other = await later(make_user, "other", 15)
    async with family(site, session) as socket:
        ready = await socket.until("ready")
        assert set(ready) == {"kind", "wards"} and list(ready["wards"]) == [str(minor.pk)]
        assert set(ready["wards"][str(minor.pk)]) == {"alerts", "today", "requests", "settings"}
        assert str(other.pk) not in json.dumps(ready)


async def test_who_sees_no_panel_is_sent_away(
    site: Site, outsider: User, minor: User, moderator: User
) -> None:
    alerts_only = await later(with_role, minor, access.Role.ALERTS)
    for stranger in (outsider, minor, moderator, alerts_only):
        async with family(site, await later(sign_in, stranger)) as socket:
            assert await socket.closed() == 4404, stranger.email
    async with family(site, "") as socket:
        assert await socket.closed() == 4401


@pytest.mark.parametrize("origin", ["https://evil.example", "null", None])
async def test_pages_from_elsewhere_are_refused(site: Site, session: str, origin: str | None) -> None:
    with pytest.raises(websockets.InvalidStatus):
        async with family(site, session, origin=origin):
            pass


async def test_an_alert_is_said_within_two_seconds_and_without_a_word(
    site: Site, session: str, guardian: User, minor: User, moderator: User
) -> None:
    case = await later(signal, minor, 4)
    async with family(site, session) as socket:
        await socket.until("ready")
        begun = time.monotonic()
        await later(cases.tell_contact_now, case.pk, moderator, f"guardian:{guardian.pk}", timezone.now())
        await later(outbox.dispatch, "a")
        frame = await changed(socket, "alerts")
        assert time.monotonic() - begun < 2
        assert set(frame) == {"kind", "ward", "parts"} and frame["ward"] == str(minor.pk)


async def test_minutes_and_requests_are_noticed_with_the_heartbeat(
    site: Site, session: str, minor: User
) -> None:
    async with family(site, session) as socket:
        ready = await socket.until("ready")
        await later(used, minor, 3, back=0, hour=11)
        frame = await changed(socket, "today")
        assert frame["parts"]["today"] != ready["wards"][str(minor.pk)]["today"]
        await later(
            TimeRequest.objects.create,
            minor=minor,
            day=timezone.now().date(),
            asked=15,
            asked_at=timezone.now(),
        )
        await changed(socket, "requests")
        kinds = {frame["kind"] for frame in socket.frames}
        assert kinds <= set(consumers.KINDS)


async def test_what_others_do_in_their_own_chats_is_no_news(site: Site, session: str, guardian: User) -> None:
    """The guardian's own conversation rings the same bell."""
    conversation = await later(open_conversation, guardian, session)
    async with family(site, session) as socket, site.socket(session, conversation.public_id) as chat:
        await socket.until("ready")
        await chat.until("ready")
        await chat.say("Good evening")
        await chat.until("reply.finished")
        await socket.send(type="ping")
        await socket.until("pong")
        assert {frame["kind"] for frame in socket.frames} == {"ready", "pong"}


async def test_a_link_that_ends_takes_the_page_away(site: Site, session: str, minor: User) -> None:
    async with family(site, session) as socket:
        await socket.until("ready")
        await later(Guardianship.objects.filter(minor=minor).update, state=Guardianship.State.ENDED)
        assert (await socket.until("gone"))["ward"] == str(minor.pk)


async def test_a_login_that_ends_closes_it(site: Site, session: str, guardian: User) -> None:
    async with family(site, session) as socket:
        await socket.until("ready")
        await later(generation.revoke_sessions, guardian, actor=None, reason="test")
        assert await socket.closed() == 4401


async def test_logging_out_closes_it(site: Site, session: str) -> None:
    async with family(site, session) as socket:
        await socket.until("ready")
        client = Client()
        client.cookies[settings.SESSION_COOKIE_NAME] = session
        await later(client.post, "/accounts/logout/")
        assert await socket.closed() == 4401


async def test_unreadable_frames_and_floods_end_it(site: Site, session: str) -> None:
    async with family(site, session) as socket:
        await socket.until("ready")
        for said in ("no json", "[]", '{"type": "message"}', '{"type": 3}', "[" * 5000):
            await socket.raw.send(said)
        assert await socket.closed() == 4400
    async with family(site, session) as socket:
        await socket.until("ready")
        for _ in range(200):
            try:
                await socket.send(type="ping")
            except websockets.ConnectionClosed:
                break
        assert await socket.closed() == 4429


async def test_a_page_that_closes_says_so(site: Site, session: str) -> None:
    async with family(site, session) as socket:
        await socket.until("ready")
        await socket.send(type="closing")
        assert await socket.closed() == 1000


async def test_sockets_of_a_person_are_counted_together(site: Site, session: str, guardian: User) -> None:
    opened = [family(site, session) for _ in range(20)]
    sockets = [await manager.__aenter__() for manager in opened]
    try:
        for socket in sockets:
            await socket.until("ready")
        async with family(site, session) as one_more:
            assert await one_more.closed() == 4408
    finally:
        for manager in opened:
            await manager.__aexit__(None, None, None)


async def test_deleted_history_loads_the_open_chat_anew_and_ends_the_reply(
    site: Site, model: FakeLLM, session: str, guardian: User, minor: User
) -> None:
    own = await later(sign_in, minor)
    conversation = await later(open_conversation, minor, own)
    model.script(gap=0.06, reply=f"{WORDS} and then we walk down to the harbour. " * 20)
    async with site.socket(own, conversation.public_id) as chat:
        await chat.until("ready")
        await chat.say("Tell me something")
        await chat.until("reply.started")
        answer = await later(erase, await later(signed_in, guardian), minor, companion="all", sure="1")
        assert answer.status_code == 302
        await chat.until("reload")
    assert not await later(Message.objects.exclude(body=None).exists)
    lines = await later(lambda: list(Message.objects.values_list("author", "code")))
    assert lines == [("system", "history.erased_by_guardian")]


# --- the document ---------------------------------------------------------------------------------------------------

DOCUMENT = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()


def rows(heading: str) -> dict[str, str]:
    section = DOCUMENT.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = {match[1]: match[2] for match in re.finditer(r"^\| `([a-z]+)` \|(.*)\|$", section, re.MULTILINE)}
    return {name: rest for name, rest in found.items() if name not in ("type", "kind")}


def test_the_protocol_names_every_frame_with_its_fields() -> None:
    named = rows("Family: server to client")
    assert set(named) == set(consumers.KINDS)
    for kind, fields in consumers.KINDS.items():
        for field in fields:
            assert f"`{field}`" in named[kind], f"{kind}: {field}"
    assert set(rows("Family: client to server")) == consumers.TYPES


def test_the_protocol_names_every_close_code() -> None:
    codes = set(re.findall(r"\b(?:4[0-9]{3}|1013|1000)\b", Path(consumers.__file__).read_text()))
    section = DOCUMENT.split("# The family socket\n", 1)[1]
    assert codes and all(code in section for code in codes)
