"""A copy of one's own data: complete, marked, nobody else's, and reachable by everybody."""

import datetime as dt
import json
import re
import uuid
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import AsyncClient, Client
from django.utils import timezone, translation

from accounts.models import AuditEntry, User
from companion import export, memory, retirement
from companion.models import Conversation, Memory, Message, Persona, UsageMinute
from guardians import access as rights
from guardians import minor_settings, requests
from guardians.limits import effective_policy
from guardians.models import Limits
from safety.models import Sanction
from tests.cast import PASSWORD
from tests.companion.conftest import write
from tests.companion.written import written
from tests.live import companions, open_conversation, sign_in

__all__ = ["companions"]
pytestmark = pytest.mark.django_db(transaction=True)
SAID = '今天 <b>下雨</b> & "有风"'


@pytest.fixture
def conversation(companions: None, adult: User) -> Conversation:
    conversation = open_conversation(adult, sign_in(adult))
    for author, text in (("user", SAID), ("ai", "带伞了吗？"), ("staff", "我是值班的人。")):
        row = Message(conversation=conversation, author=author, model="m-1" if author == "ai" else "")
        row.seal(adult.pk, text)
        row.save()
    Message.objects.create(conversation=conversation, author="system", code="exit.done")
    return conversation


def copy(user: User, form: str = "json") -> str:
    write_it = export.as_json if form == "json" else export.as_html
    with translation.override(user.language):  # as the view does for each batch
        return "".join(write_it(user, uuid.uuid4(), timezone.now()))


def confirmed(user: User) -> str:
    """The session of a browser in which the person has just given the password again."""
    client = Client()
    client.force_login(user)
    client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client.cookies[settings.SESSION_COOKIE_NAME].value


async def download(user: User, form: str = "json") -> Any:
    client = AsyncClient()
    client.cookies[settings.SESSION_COOKIE_NAME] = await sync_to_async(confirmed)(user)
    return await client.post("/export/", {"form": form})


async def body(answer: Any) -> bytes:
    return b"".join([piece async for piece in answer.streaming_content])


def test_everything_is_in_it_with_its_author_and_its_mark(conversation: Conversation, adult: User) -> None:
    memory.remember(effective_policy(adult, timezone.now()), conversation.persona_id, "喝茶不加糖")
    written(adult)
    Limits.objects.create(user=adult, setter="self", daily_minutes=40, valid_from=timezone.now())
    day = dt.datetime(2026, 11, 20, 15, 59, tzinfo=dt.UTC)
    for minutes in range(3):  # one before midnight in Shanghai, two after
        UsageMinute.objects.create(user=adult, minute=day + dt.timedelta(minutes=minutes))
    found = json.loads(copy(adult))
    (talked,) = found["conversations"]
    rows = talked["messages"]
    assert [(row["author"], row["ai_generated"], row["text"]) for row in rows[1:4]] == [
        ("user", False, SAID),
        ("ai", True, "带伞了吗？"),
        ("staff", False, "我是值班的人。"),
    ]
    assert rows[4]["author"] == "system" and rows[4]["text"]
    assert all(("label" in row) == row["ai_generated"] for row in rows)
    assert [row["text"] for row in found["memories"]] == ["喝茶不加糖"]
    assert found["companions_you_wrote"][0]["card"]["name"] == "Pebble"
    assert found["limits"][0]["daily_minutes"] == 40
    assert found["use"] == [{"day": "2026-11-20", "minutes": 1}, {"day": "2026-11-21", "minutes": 2}]
    assert found["person"]["email"] == adult.email


def test_both_forms_carry_the_marks_that_the_law_asks_for(conversation: Conversation, adult: User) -> None:
    keys = {
        "Label",
        "ContentProducer",
        "ProduceID",
        "ReservedCode1",
        "ContentPropagator",
        "PropagateID",
        "ReservedCode2",
    }
    text = copy(adult)
    found = json.loads(text)
    assert "AI" in found["note"] and "生成" in found["note"]
    assert set(found["AIGC"]) == keys and found["AIGC"]["Label"] == "1"
    assert text.count('"AIGC"') == 1
    page = copy(adult, "html")
    (meta,) = re.findall(r'<meta name="AIGC" content="([^"]*)">', page)
    assert set(json.loads(meta.replace("&quot;", '"'))) == keys
    assert page.index("AI 生成") < page.index("<h1>")
    replies = re.findall(r'<article class="(\w+)">\n<p><strong>([^<]*)</strong>', page)
    assert [("AI 生成" in who) for kind, who in replies] == [kind == "ai" for kind, _who in replies]
    assert "<b>下雨" not in page and "&lt;b&gt;下雨" in page and "<script" not in page


def test_nothing_of_anybody_else_is_in_it(
    conversation: Conversation, adult: User, outsider: User, moderator: User
) -> None:
    other = open_conversation(outsider, sign_in(outsider))
    secret = Message(conversation=other, author="user")
    secret.seal(outsider.pk, "只有我知道的事")
    secret.save()
    memory.remember(effective_policy(outsider, timezone.now()), other.persona_id, "别人的记忆")
    Message.objects.filter(author="staff").update(staff=moderator)
    for form in export.FORMATS:
        text = copy(adult, form)
        for foreign in (
            "只有我知道的事",
            "别人的记忆",
            outsider.email,
            moderator.email,
            moderator.nickname,
            "Lin Qiu",
            str(other.public_id),
        ):
            assert foreign not in text
        assert "今天" not in copy(outsider, form)


def test_a_damaged_row_is_said_to_be_unreadable_and_stops_nothing(
    conversation: Conversation, adult: User
) -> None:
    Message.objects.filter(author="user").update(body=b"\x01damaged")
    memory.remember(effective_policy(adult, timezone.now()), conversation.persona_id, "喝茶")
    Memory.objects.update(body=b"\x01damaged")
    rows = json.loads(copy(adult))["conversations"][0]["messages"]
    assert [row.get("unreadable", False) for row in rows] == [False, True, False, False, False]
    assert "cannot be read any more" in copy(adult, "html")


def test_a_retired_companion_is_in_it(conversation: Conversation, adult: User, supervisor: User) -> None:
    retirement.remove(supervisor, conversation.persona_id, "harmful", timezone.now())
    (talked,) = json.loads(copy(adult))["conversations"]
    assert talked["companion"]["ended"] and len(talked["messages"]) == 5
    assert Persona.objects.get(pk=conversation.persona_id).state == "retired"


@pytest.mark.parametrize("form", export.FORMATS)
async def test_the_file_is_streamed_kept_nowhere_and_noted(
    conversation: Conversation, adult: User, form: str
) -> None:
    answer = await download(adult, form)
    assert answer.status_code == 200 and answer.streaming and answer.is_async
    assert answer["Cache-Control"] == "no-store"
    assert re.fullmatch(rf'attachment; filename="anban-[\d-]+\.{form}"', answer["Content-Disposition"])
    text = (await body(answer)).decode()
    entry = await AuditEntry.objects.aget(action="account.exported")
    assert (entry.actor, entry.subject, entry.data) == (adult.pk, adult.pk, {"form": form})
    assert entry.target.removeprefix("export:") in text


async def test_ten_thousand_messages_come_in_pieces(conversation: Conversation, adult: User) -> None:
    for _ in range(10):
        await sync_to_async(write)(conversation, 1000)
    answer = await download(adult)
    sizes, parts = [], []
    async for piece in answer.streaming_content:
        sizes.append(len(piece))
        parts.append(piece)
    assert len(json.loads(b"".join(parts))["conversations"][0]["messages"]) == 10_005
    assert max(sizes) < 64 * 1024


async def test_suspended_people_and_minors_get_theirs(
    companions: None, adult: User, minor: User, moderator: User
) -> None:
    await Sanction.objects.acreate(
        user=adult,
        kind="suspension",
        reason="harassment",
        imposed_by=moderator,
        until=timezone.now() + dt.timedelta(days=1),
    )
    for person in (adult, minor):
        answer = await download(person)
        assert json.loads(await body(answer))["person"]["email"] == person.email


def test_it_asks_for_the_password_first(conversation: Conversation, adult: User) -> None:
    client = Client()
    client.force_login(adult)
    assert 'value="json"' not in client.get("/export/").content.decode()
    answer = client.post("/export/", {"form": "json"})
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/reauthenticate/?next=/export/")
    client.post(answer["Location"], {"password": "wrong"})
    assert client.post("/export/", {"form": "json"}).status_code == 302
    assert not AuditEntry.objects.filter(action="account.exported").exists()
    assert client.post(answer["Location"], {"password": PASSWORD})["Location"] == "/export/"
    assert 'value="json"' in client.get("/export/").content.decode()


async def test_visitors_wrong_verbs_and_unknown_forms_get_nothing(
    conversation: Conversation, adult: User
) -> None:
    visitor = AsyncClient()
    assert (await visitor.get("/export/")).status_code == 302
    assert (await visitor.post("/export/", {"form": "json"})).status_code == 302
    assert (await visitor.delete("/export/")).status_code in (302, 405)
    for form in ("", "pdf", "../json"):
        answer = await download(adult, form)
        assert not answer.streaming
    assert not await AuditEntry.objects.filter(action="account.exported").aexists()


async def test_a_few_an_hour(conversation: Conversation, adult: User) -> None:
    for _ in range(export.PER_HOUR):
        assert (await download(adult)).status_code == 200
    answer = await download(adult)
    assert answer.status_code == 429 and not answer.streaming
    assert await AuditEntry.objects.filter(action="account.exported").acount() == export.PER_HOUR


def test_what_guardians_chose_and_what_was_asked_of_them_is_in_it(
    companions: None, minor: User, guardian: User
) -> None:
    link = rights.link_of(guardian, minor.pk, rights.Right.EDIT)
    dragon = Persona.objects.get(slug="dragon")
    assert json.loads(copy(minor))["guardians_choices"] == []
    wished = minor_settings.Companions(blocked=frozenset({dragon.public_id}), tags=frozenset({"恐怖"}))
    minor_settings.change(link, guardian, wished, timezone.now())
    requests.ask(User.objects.get(pk=minor.pk), 30, timezone.now())
    found = json.loads(copy(minor))
    [choices], [asked] = found["guardians_choices"], found["time_requests"]
    assert choices == {
        "closed": ["dragon"],
        "approved": None,
        "closed_words": ["恐怖"],
        "voice": True,
        "memory": True,
    }
    assert (asked["asked"], asked["given"], asked["state"]) == (30, 0, "open")
