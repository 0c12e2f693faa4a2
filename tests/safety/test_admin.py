"""The list of verdicts for staff: what nobody could look at first, no text, nothing to change, and only for whom it is."""

import re
import uuid
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import User
from safety.models import Assessment
from tests.cast import PASSWORD

pytestmark = pytest.mark.django_db
LIST = "/admin/safety/assessment/"


def log_in(user: User) -> Client:
    client = Client()
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


def verdict(user: User, level: int, **fields: Any) -> Assessment:
    values = {
        "action": "help_card",
        "reasons": ["crisis.indirect.not_wake"],
        "rules_version": "rules-x",
        **fields,
    }
    return Assessment.objects.create(message=uuid.uuid4(), user=user, level=level, **values)


@pytest.fixture
def reader(moderator: User) -> User:
    moderator.user_permissions.add(Permission.objects.get(codename="view_assessment"))
    return moderator


def test_what_is_pending_comes_first_and_quiet_messages_do_not_come(reader: User, adult: User) -> None:
    waiting = [verdict(adult, 0, pending=True, action="answer"), verdict(adult, 2, pending=True)]
    seen = [verdict(adult, 3, action="hold"), verdict(adult, 1, action="comfort")]
    quiet = verdict(adult, 0, action="answer")
    page = log_in(reader).get(LIST).content.decode()
    shown = [page.index(str(row.message)) for row in [*reversed(waiting), *reversed(seen)]]
    assert shown == sorted(shown)
    assert str(quiet.message) not in page
    for words in ("crisis.indirect.not_wake", "hold", str(adult.pk)):
        assert words in page
    assert adult.email not in page


def test_outsiders_and_staff_without_the_right_see_nothing(
    adult: User, outsider: User, moderator: User
) -> None:
    row = verdict(adult, 3)
    for user in (outsider, moderator):
        for address in (LIST, f"{LIST}{row.pk}/change/"):
            page = log_in(user).get(address, follow=True)
            assert page.status_code == 403
            assert str(row.message) not in page.content.decode()
    assert Client().get(LIST).status_code == 302


def test_nobody_changes_adds_or_deletes(reader: User, supervisor: User, adult: User) -> None:
    row = verdict(adult, 3, pending=True)
    for user in (reader, supervisor):
        client = log_in(user)
        for address in (f"{LIST}add/", f"{LIST}{row.pk}/delete/"):
            assert client.get(address).status_code == 403
            assert client.post(address, {"post": "yes"}).status_code == 403
        assert client.post(f"{LIST}{row.pk}/change/", {"level": 0}).status_code == 403
        client.post(LIST, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    row.refresh_from_db()
    assert (row.level, row.pending) == (3, True)


def test_the_list_is_wholly_in_the_language_of_the_reader(supervisor: User, adult: User) -> None:
    verdict(adult, 3, pending=True)
    verdict(adult, 2)
    User.objects.filter(pk=supervisor.pk).update(language="zh-hans")
    page = log_in(supervisor).get(LIST).content.decode()
    headings = re.findall(r'<div class="text">\s*<(?:a|span)[^>]*>([^<]+)<', page)
    filters = re.findall(r"<summary>([^<]+)</summary>", page)
    titles = re.findall(r"<h1>([^<]+)</h1>", page)
    assert len(headings) >= 7 and len(filters) >= 2 and titles
    for words in headings + filters + titles:
        assert not re.search("[A-Za-z]{3}", words), words
