"""The chat pages over plain HTTP: what they hold, for whom, and without JavaScript."""

import uuid

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Notice, User
from companion import access
from companion.models import Conversation, Message
from tests.cast import PASSWORD
from tests.companion.conftest import say
from tests.live import open_conversation, sign_in

pytestmark = pytest.mark.django_db(transaction=True)


def reader(user: User) -> Client:
    client = Client()
    client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    return client


@pytest.fixture
def conversation(companions: None, adult: User) -> Conversation:
    return open_conversation(adult, sign_in(adult))


def add(conversation: Conversation, count: int) -> None:
    for i in range(count):
        message = Message(conversation=conversation, author="user" if i % 2 == 0 else "ai")
        message.seal(conversation.user_id, f"line {i} of many")
        message.save()


PAGES = ["chat", "chat_older", "memories", "chat_leave"]


@pytest.mark.parametrize("name", PAGES)
def test_absent_and_somebody_else_s_conversation_are_the_same(
    conversation, outsider, moderator, name
) -> None:
    for stranger in (outsider, moderator):
        client = reader(stranger)
        answers = []
        for public_id in (conversation.public_id, uuid.uuid4()):
            url = reverse(name, args=[public_id])
            response = client.post(url) if name == "chat_leave" else client.get(url)
            answers.append(response.status_code)
        assert answers == [404, 404]


@pytest.mark.parametrize("name", PAGES)
def test_without_a_login_every_page_leads_to_it(conversation, name) -> None:
    response = Client().get(reverse(name, args=[conversation.public_id]))
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("account_login"))


def test_wrong_verbs_are_refused(conversation, adult) -> None:
    client = reader(adult)
    assert client.post(reverse("chat", args=[conversation.public_id])).status_code == 405
    assert client.get(reverse("chat_leave", args=[conversation.public_id])).status_code == 405
    assert client.get(reverse("talk", args=["botanist"])).status_code == 405
    assert client.get(reverse("notice_acknowledge")).status_code == 405


def test_the_page_holds_the_label_and_is_not_kept_by_the_browser(conversation, adult) -> None:
    response = reader(adult).get(reverse("chat", args=[conversation.public_id]))
    assert response["Cache-Control"] == "no-store"
    assert "AI-generated content" in response.content.decode()


def test_older_messages_are_a_fragment_for_the_script_and_a_page_for_a_link(conversation, adult) -> None:
    add(conversation, 90)
    client = reader(adult)
    first = client.get(reverse("chat", args=[conversation.public_id])).context["message_list"][0]
    url = f"{reverse('chat_older', args=[conversation.public_id])}?before={first['id']}"
    fragment = client.get(url).content.decode()
    page = client.get(url, headers={"Sec-Fetch-Dest": "document"}).content.decode()
    assert "<html" not in fragment
    assert "<html" in page
    for text in (fragment, page):
        assert "line 49 of many" in text
        assert "line 50 of many" not in text


@pytest.mark.parametrize("before", ["", "x", str(uuid.uuid4())], ids=["empty", "no id", "unknown"])
def test_an_unknown_place_in_the_history_is_not_found(conversation, adult, before) -> None:
    url = f"{reverse('chat_older', args=[conversation.public_id])}?before={before}"
    assert reader(adult).get(url).status_code == 404


@pytest.mark.parametrize("count", [0, 1000])
def test_the_cost_of_the_page_does_not_grow_with_the_conversation(
    conversation, adult, django_assert_max_num_queries, count
) -> None:
    add(conversation, count)
    client = reader(adult)
    client.get(reverse("chat", args=[conversation.public_id]))
    with django_assert_max_num_queries(18):
        client.get(reverse("chat", args=[conversation.public_id]))


def test_leaving_and_coming_back_without_javascript(conversation, adult) -> None:
    client = reader(adult)
    client.post(reverse("chat_leave", args=[conversation.public_id]))
    page = client.get(reverse("chat", args=[conversation.public_id]))
    assert page.context["state"] == "left"
    client.post(reverse("talk", args=["botanist"]))
    assert client.get(reverse("chat", args=[conversation.public_id])).context["state"] == "open"


def test_the_notice_can_be_confirmed_without_javascript(conversation, adult) -> None:
    client = reader(adult)
    url = reverse("chat", args=[conversation.public_id])
    [notice] = client.get(url).context["notices"]
    client.post(
        reverse("notice_acknowledge"),
        {"conversation": conversation.public_id, "notice": notice["notice"], "answer": "understood"},
    )
    assert client.get(url).context["notices"] == []
    assert (
        Notice.objects.filter(user=adult, acknowledged_at__isnull=False).count() == 2
    )  # this login and the fixture's


def test_the_help_card_stays_after_a_reload(conversation, adult) -> None:
    session = sign_in(adult)
    actor = access.load_actor(adult.pk, session, timezone.now())
    say(actor, conversation, "我不想活了，今晚就结束自己", None)
    page = reader(adult).get(reverse("chat", args=[conversation.public_id])).content.decode()
    assert "12356" in page.split("data-help", 1)[1].split("</section>", 1)[0]


def test_the_memories_page_keeps_and_erases_only_one_s_own(conversation, adult, outsider) -> None:
    client, url = reader(adult), reverse("memories", args=[conversation.public_id])
    client.post(url, {"text": "I keep bees"})
    kept = client.get(url).context["memories"]
    assert [text for _, text in kept] == ["I keep bees"]
    assert reader(outsider).post(url, {"forget": kept[0][0]}).status_code == 404
    client.post(url, {"forget": kept[0][0]})
    assert client.get(url).context["memories"] == []
