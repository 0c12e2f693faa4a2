"""Who gets in, who is sent away, and with which code."""

import asyncio
import json
import uuid

import pytest
import websockets
from django.test import Client
from django.utils import timezone

from accounts import generation
from accounts.models import User
from companion.models import Conversation, Message, Persona
from guardians import consents
from guardians.models import EmergencyContact, Guardianship, PersonaBlock
from safety.models import Sanction
from tests.cast import PASSWORD
from tests.live import open_conversation, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


async def _refusal(talk, frame=None) -> dict:
    async with talk.socket() as socket:
        await socket.until("ready")
        await socket.send(**(frame or {"type": "message", "text": "在吗", "id": str(uuid.uuid4())}))
        return await socket.until("refused")


async def _answer(socket) -> dict:
    """What the server says to a message: that it is kept, or why not."""
    while True:
        frame = await socket.next()
        if frame["kind"] == "refused" or (
            frame["kind"] == "message.created" and frame["message"]["author"] == "user"
        ):
            return frame


async def _origin(site, session, conversation, origin) -> int:
    headers = {"Cookie": f"anban_session={session}"}
    try:
        async with websockets.connect(
            f"ws://{site.host}/ws/chat/{conversation}/", origin=origin, additional_headers=headers
        ):
            return 101
    except websockets.InvalidStatus as error:
        return error.response.status_code


async def test_only_the_exact_origin_may_open_a_socket(talk):
    host, port = talk.site.host.split(":")
    assert await _origin(talk.site, talk.session, talk.conversation, talk.site.url) == 101
    for origin in (
        "https://evil.example",
        "null",
        None,
        f"{talk.site.url}.evil.example",
        f"https://{host}:{port}",
        f"http://{host}:{int(port) + 1}",
    ):
        assert await _origin(talk.site, talk.session, talk.conversation, origin) in (400, 403), origin


async def test_without_a_login_there_is_no_conversation(talk):
    async with talk.site.socket("", talk.conversation) as socket:
        assert await socket.closed() == 4401


async def test_absent_and_somebody_else_s_are_the_same(talk, outsider, minor, moderator):
    for stranger in (outsider, minor, moderator):
        session = await asyncio.to_thread(sign_in, stranger)
        for conversation in (talk.conversation, uuid.uuid4()):
            async with talk.site.socket(session, conversation) as socket:
                assert await socket.closed() == 4404


@pytest.mark.parametrize("name", ["x", "%0A", "%00", "..%2F..", "*", "1" * 200, "%D9%A1%D9%A2"])
async def test_no_name_makes_a_group(talk, name):
    try:
        async with talk.site.socket(talk.session, name) as socket:
            assert await socket.closed() == 4404
    except (websockets.InvalidStatus, websockets.ConnectionClosed, websockets.InvalidMessage):
        pass  # refused before the socket was open


async def test_too_many_pages_of_one_person_are_sent_away(talk):
    async with asyncio.timeout(30):
        opened = [talk.socket() for _ in range(20)]
        sockets = [await manager.__aenter__() for manager in opened]
        try:
            for socket in sockets:
                await socket.until("ready")
            async with talk.socket() as one_more:
                assert await one_more.closed() == 4408
        finally:
            for manager in opened:
                await manager.__aexit__(None, None, None)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("no json", "malformed"),
        ("[]", "malformed"),
        ("{}", "malformed"),
        ('{"type": 3}', "malformed"),
        ('{"type": "dance"}', "unknown_type"),
        ('{"type": "message"}', "malformed"),
        ('{"type": "message", "text": 5}', "malformed"),
        ('{"type": "message", "text": "a", "id": "x"}', "malformed"),
        ('{"type": "resume", "since": "1"}', "malformed"),
        ('{"type": "resume", "since": -1}', "malformed"),
        ('{"type": "resume", "since": true}', "malformed"),
        ('{"type": "retry", "message": 7}', "malformed"),
        ('{"type": "acknowledge", "notice": "other"}', "malformed"),
    ],
)
async def test_an_unreadable_frame_gets_a_sentence_and_the_rest_goes_on(talk, raw, code):
    async with talk.socket() as socket:
        await socket.raw.send(raw)
        error = await socket.until("error")
        assert error["code"] == code
        assert error["text"]
        await socket.say("继续")
        await socket.until("reply.finished")


async def test_five_unreadable_frames_in_a_row_end_the_socket(talk):
    async with talk.socket() as socket:
        for _ in range(5):
            await socket.raw.send("{")
        assert await socket.closed() == 4400


async def test_binary_frames_are_unreadable_frames(talk):
    async with talk.socket() as socket:
        await socket.raw.send(b"\x00\x01")
        assert (await socket.until("error"))["code"] == "malformed"


@pytest.mark.parametrize("size", [64 * 1024 + 1, 1024 * 1024])
async def test_a_large_frame_ends_the_socket_and_is_not_kept(talk, size):
    before = await Message.objects.acount()
    async with talk.socket() as socket:
        await socket.until("ready")
        frame = json.dumps({"type": "message", "text": "x"})
        await socket.raw.send(frame[:-2] + "x" * (size - len(frame)) + frame[-2:])
        assert await socket.closed() == 1009
    assert await Message.objects.acount() == before


async def test_a_flood_of_frames_ends_the_socket_and_nobody_else_s(talk, outsider):
    session = await asyncio.to_thread(sign_in, outsider)
    theirs = (await asyncio.to_thread(open_conversation, outsider, session)).public_id
    async with talk.site.socket(session, theirs) as other, talk.socket() as socket:
        await other.until("ready")
        for _ in range(200):
            try:
                await socket.send(type="ping")
            except websockets.ConnectionClosed:
                break
        assert await socket.closed() == 4429
        await other.say("我还在")
        await other.until("reply.finished")


@pytest.mark.parametrize(("text", "code"), [("", "empty"), (" \n\x00 ", "empty"), ("长" * 4001, "too_long")])
async def test_a_message_has_one_to_4000_characters(talk, text, code):
    refused = await _refusal(talk, {"type": "message", "text": text, "id": str(uuid.uuid4())})
    assert refused["code"] == code


async def test_many_messages_a_minute_are_too_fast_but_never_a_cry_for_help(talk):
    async with talk.socket() as socket:
        for i in range(60):  # on a slow machine the bucket fills up a little meanwhile
            await socket.say(f"第{i}条")
            answer = await _answer(socket)
            if answer["kind"] == "refused":
                break
        assert (answer["kind"], answer["code"], i >= 30) == ("refused", "too_fast", True)
        await socket.say("我不想活了，今晚就结束自己")
        await socket.until("help.card")


async def test_the_notice_comes_first(site, adult, model):
    session = await asyncio.to_thread(sign_in, adult, notice=False)
    conversation = (await asyncio.to_thread(open_conversation, adult, session)).public_id
    async with site.socket(session, conversation) as socket:
        [waiting] = (await socket.until("ready"))["notices"]
        assert waiting["about"] == "ai"
        await socket.say("先聊再说")
        assert (await socket.until("refused"))["code"] == "notice"
        await socket.send(type="shown", notice=waiting["notice"])
        await socket.send(type="acknowledge", notice=waiting["notice"], answer="understood")
        await socket.until("notice.acknowledged")
        await socket.say("现在可以了")
        await socket.until("reply.finished")
    notice = await adult.notices.aget()
    assert notice.acknowledged_at is not None
    assert notice.raised_at <= notice.shown_at <= notice.acknowledged_at


async def test_a_new_login_brings_the_notice_again(talk):
    again = await asyncio.to_thread(sign_in, talk.user, notice=False)
    async with talk.site.socket(again, talk.conversation) as socket:
        assert [notice["about"] for notice in (await socket.until("ready"))["notices"]] == ["ai"]


async def test_a_measure_against_the_account_refuses_with_its_own_sentence(talk, moderator, model):
    await Sanction.objects.acreate(user=talk.user, kind="restrict", reason="abuse", imposed_by=moderator)
    refused = await _refusal(talk)
    assert refused["code"] == "sanction"
    assert refused["link"]["url"]
    assert model.requests == []


async def test_without_a_contact_nobody_talks(talk):
    await EmergencyContact.objects.all().adelete()
    assert (await _refusal(talk))["code"] == "contact"


async def test_without_a_guardian_s_consent_no_minor_talks(site, minor, model):
    session = await asyncio.to_thread(sign_in, minor)
    conversation = (await asyncio.to_thread(open_conversation, minor, session)).public_id
    async with site.socket(session, conversation) as socket:
        await socket.say("我可以聊")
        await socket.until("reply.finished")

    link = await Guardianship.objects.select_related("guardian").aget()
    async with site.socket(session, conversation) as socket:
        await socket.until("ready")
        assert await asyncio.to_thread(consents.withdraw, link, link.guardian, timezone.now())
        assert await socket.closed() == 4403
    async with site.socket(session, conversation) as socket:
        await socket.say("还能聊吗")
        assert (await socket.until("refused"))["code"] == "guardian_consent"
    assert len(model.requests) == 1


async def test_withdrawn_consent_ends_the_reply_that_is_being_written(site, minor, model):
    """N37: the socket closes, and the model is not asked again."""
    session = await asyncio.to_thread(sign_in, minor)
    conversation = (await asyncio.to_thread(open_conversation, minor, session)).public_id
    link = await Guardianship.objects.select_related("guardian").aget()
    model.script(reply="慢慢讲给你听。" * 60, gap=0.05)
    async with site.socket(session, conversation) as socket:
        await socket.say("讲个很长的故事")
        await socket.until("reply.delta")
        guardian = Client()
        backend = "django.contrib.auth.backends.ModelBackend"
        await asyncio.to_thread(guardian.force_login, link.guardian, backend)
        path = f"/guardians/{link.pk}/consent/"
        assert (await asyncio.to_thread(guardian.post, path, {"withdraw": "1"})).status_code == 302
        assert await socket.closed() == 4403
    [asked] = model.requests
    assert await asyncio.to_thread(asked.wait_ended)
    assert asked.disconnected


async def test_a_persona_that_the_guardian_blocks_is_gone_with_the_next_frame(site, minor, model):
    session = await asyncio.to_thread(sign_in, minor)
    conversation = (await asyncio.to_thread(open_conversation, minor, session)).public_id
    persona = await Persona.objects.aget(slug="botanist")

    def block() -> None:
        PersonaBlock.objects.create(minor=minor, persona=persona.public_id)
        generation.policy_changed(minor.pk)

    async with site.socket(session, conversation) as socket:
        await socket.until("ready")
        await asyncio.to_thread(block)
        assert await socket.closed() == 4403
    assert model.requests == []


async def test_an_intimate_persona_never_answers_a_minor_even_in_an_old_conversation(site, minor, model):
    session = await asyncio.to_thread(sign_in, minor)
    conversation = (await asyncio.to_thread(open_conversation, minor, session)).public_id
    await Persona.objects.filter(slug="botanist").aupdate(relationship="partner")
    async with site.socket(session, conversation) as socket:
        assert await socket.closed() == 4403
    assert model.requests == []


def _log_out(user: User, session: str) -> None:
    client = Client()
    client.cookies["anban_session"] = session
    assert client.post("/accounts/logout/").status_code == 302


def _change_password(user: User, session: str) -> None:
    client = Client()
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    new = "another long password"
    response = client.post(
        "/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new}
    )
    assert response.status_code == 302


def _ban(user: User, session: str) -> None:
    generation.deactivate(user, actor=None, reason="test")


def _revoke(user: User, session: str) -> None:
    generation.revoke_sessions(user, actor=user.pk, reason="test")


@pytest.mark.parametrize("end", [_log_out, _change_password, _ban, _revoke])
async def test_an_ended_login_closes_its_open_sockets(talk, end):
    async with talk.socket() as socket, talk.socket() as second:
        await socket.until("ready")
        await second.until("ready")
        await asyncio.to_thread(end, talk.user, talk.session)
        assert await socket.closed() == 4401
        assert await second.closed() == 4401


async def test_logging_out_on_one_device_leaves_the_other_alone(talk):
    elsewhere = await asyncio.to_thread(sign_in, talk.user)
    async with talk.site.socket(elsewhere, talk.conversation) as other, talk.socket() as socket:
        await other.until("ready")
        await socket.until("ready")
        await asyncio.to_thread(_log_out, talk.user, talk.session)
        assert await socket.closed() == 4401
        await other.say("这里还登录着")
        await other.until("reply.finished")


async def test_no_frame_is_served_after_the_login_ended_even_without_a_doorbell(talk, model):
    async with talk.socket() as socket:
        await socket.until("ready")
        await User.objects.filter(pk=talk.user.pk).aupdate(is_active=False)
        await socket.say("还有人吗")
        assert await socket.closed() == 4401
    assert model.requests == []


async def test_a_conversation_left_in_another_tab_takes_no_message(talk, model):
    await Conversation.objects.filter(public_id=talk.conversation).aupdate(ended_at=timezone.now())
    assert (await _refusal(talk))["code"] == "left"
    assert model.requests == []
