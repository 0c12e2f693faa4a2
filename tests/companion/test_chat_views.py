"""The pages of conversations: whose they are, which verbs they take, what they cost, and that browsers keep none of them."""

import json
import urllib.error
import urllib.request
import uuid
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from companion.models import Conversation, Memory, Persona
from safety.models import Sanction
from tests.companion.conftest import write
from tests.faults import _database, _redis, _shaky_site, database, redis, shaky_site
from tests.live import _model, companions, model

__all__ = [
    "_database",
    "_model",
    "_redis",
    "_shaky_site",
    "companions",
    "database",
    "model",
    "redis",
    "shaky_site",
]
OWN = ["chat", "chat_older", "chat_leave", "memories"]


@pytest.fixture
def botanist(db: None) -> Persona:
    call_command("load_personas", verbosity=0)
    return Persona.objects.get(slug="botanist")


@pytest.fixture
def conversation(adult: User, botanist: Persona) -> Conversation:
    row = Conversation.objects.create(user=adult, persona=botanist)
    write(row, 3)
    return row


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    return client


def url(name: str, conversation: Conversation) -> str:
    path = reverse(name, args=[conversation.public_id])
    if name != "chat_older":
        return path
    return f"{path}?before={conversation.messages.order_by('-pk')[0].public_id}"


def request(client: Client, name: str, conversation: Conversation) -> Any:
    return (client.post if name == "chat_leave" else client.get)(url(name, conversation))


@pytest.mark.parametrize("name", OWN)
def test_a_conversation_is_open_to_its_person_and_absent_for_everybody_else(
    conversation: Conversation, adult: User, outsider: User, minor: User, moderator: User, name: str
) -> None:
    assert request(signed_in(adult), name, conversation).status_code in (200, 302)
    for stranger in (outsider, minor, moderator):
        assert request(signed_in(stranger), name, conversation).status_code == 404
    answer = request(Client(), name, conversation)
    assert answer.status_code == 302 and answer.url.startswith(reverse("account_login"))


def test_nobody_leaves_a_conversation_of_somebody_else(conversation: Conversation, outsider: User) -> None:
    request(signed_in(outsider), "chat_leave", conversation)
    conversation.refresh_from_db()
    assert conversation.ended_at is None


@pytest.mark.parametrize(
    ("name", "verbs"),
    [
        ("chats", ["post", "put", "delete"]),
        ("chat", ["post", "put", "delete"]),
        ("chat_older", ["post", "put", "delete"]),
        ("chat_leave", ["get", "put", "delete"]),
        ("memories", ["put", "patch", "delete"]),
        ("talk", ["get", "put"]),
        ("notice_acknowledge", ["get", "put"]),
        ("health", ["post", "put"]),
    ],
)
def test_other_verbs_are_refused(
    conversation: Conversation, adult: User, name: str, verbs: list[str]
) -> None:
    if name in OWN:
        path = url(name, conversation)
    else:
        path = reverse(name, args=["botanist"] if name == "talk" else [])
    for verb in verbs:
        assert getattr(signed_in(adult), verb)(path).status_code == 405, verb


def test_a_message_of_another_conversation_leads_nowhere(conversation: Conversation, adult: User) -> None:
    other = Conversation.objects.create(user=adult, persona=Persona.objects.exclude(slug="botanist")[0])
    write(other, 1)
    path = reverse("chat_older", args=[conversation.public_id])
    for before in (other.messages.get().public_id, uuid.uuid4(), "", "x", "1' OR 1=1"):
        assert signed_in(adult).get(path, {"before": str(before)}).status_code == 404


def test_memories_of_another_person_can_neither_be_read_nor_erased(
    conversation: Conversation, adult: User, outsider: User
) -> None:
    path = url("memories", conversation)
    signed_in(adult).post(path, {"text": "我养了一只猫"})
    row = Memory.objects.get()
    mine = Conversation.objects.create(user=outsider, persona=conversation.persona)
    client = signed_in(outsider)
    client.post(url("memories", mine), {"forget": str(row.public_id)})
    client.post(path, {"forget": str(row.public_id)})
    assert Memory.objects.filter(pk=row.pk).exists()
    assert "猫" not in client.get(url("memories", mine)).content.decode()


@pytest.mark.parametrize("name", ["chats", "chat", "chat_older", "memories"])
def test_browsers_and_proxies_keep_nothing_of_a_conversation(
    conversation: Conversation, adult: User, name: str
) -> None:
    path = url(name, conversation) if name in OWN else reverse(name)
    assert "no-store" in signed_in(adult).get(path)["Cache-Control"]


def test_somebody_who_may_not_talk_reads_why_and_still_leaves(
    conversation: Conversation, adult: User, moderator: User
) -> None:
    Sanction.objects.create(user=adult, kind="restrict", reason="abuse", imposed_by=moderator)
    client = signed_in(adult)
    assert "Conversations are paused" in client.get(url("chat", conversation)).content.decode()
    assert client.post(url("chat_leave", conversation)).status_code == 302
    conversation.refresh_from_db()
    assert conversation.ended_at is not None


@pytest.mark.parametrize("name", ["chats", "chat", "chat_older"])
def test_a_page_costs_the_same_in_a_long_conversation(
    conversation: Conversation, adult: User, name: str
) -> None:
    client = signed_in(adult)
    path = url(name, conversation) if name in OWN else reverse(name)

    def cost() -> tuple[int, float]:
        """(queries, most rows that a query looked at)."""
        client.get(path)
        with CaptureQueriesContext(
            connection,
        ) as asked:
            client.get(path)
        statements = [query["sql"] for query in asked if query["sql"].startswith("SELECT")]
        return len(asked), max(rows_read(sql) for sql in statements)

    write(conversation, 60)
    few = cost()
    write(conversation, 940)
    many = cost()
    assert many[0] == few[0]
    assert many[1] <= 2 * few[1]


def rows_read(sql: str) -> float:
    with connection.cursor() as cursor:
        cursor.execute(
            "SET LOCAL enable_seqscan = off"
        )  # the tables of a test are too small for the planner's taste
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}")
        (plan,) = cursor.fetchone()
    return _rows((plan if isinstance(plan, list) else json.loads(plan))[0]["Plan"])


def _rows(node: dict[str, Any]) -> float:
    own = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    return own + sum(_rows(child) for child in node.get("Plans", []))


def _health(site: Any) -> tuple[int, dict[str, str]]:
    try:
        with urllib.request.urlopen(f"{site.url}/health/", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("fault", ["cut", "freeze"])
def test_health_tells_when_redis_is_away_and_stays_well(shaky_site: Any, redis: Any, fault: str) -> None:
    assert _health(shaky_site) == (200, {**_health(shaky_site)[1], "database": "ok", "redis": "ok"})
    getattr(redis, fault)()
    status, state = _health(shaky_site)
    assert (status, state["database"], state["redis"]) == (200, "ok", "down")
    redis.heal()
    assert _health(shaky_site)[1]["redis"] == "ok"


@pytest.mark.django_db(transaction=True)
def test_health_is_unwell_without_the_database(shaky_site: Any, database: Any) -> None:
    database.cut()
    status, state = _health(shaky_site)
    assert (status, state["database"]) == (503, "down")
    database.heal()
    assert _health(shaky_site)[0] == 200


def test_a_person_can_talk_again_after_leaving(conversation: Conversation, adult: User) -> None:
    Conversation.objects.update(ended_at=timezone.now())
    answer = signed_in(adult).post(reverse("talk", args=["botanist"]))
    assert answer.url == reverse("chat", args=[conversation.public_id])
    conversation.refresh_from_db()
    assert conversation.ended_at is None
