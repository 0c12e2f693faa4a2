"""Logout, a new password and a ban end logins: rows at once, sockets by the doorbell (T19, N22)."""

import re
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core import mail
from django.test import Client

from accounts import generation, realtime
from accounts.models import AuditEntry, Event, User
from tests.cast import PASSWORD

pytestmark = pytest.mark.django_db
CHAT_LIST = "/accounts/settings/"  # any page that needs a login


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any) -> Any:
    """What sockets are told, after the commit."""
    messages: list[Any] = []
    monkeypatch.setattr(realtime, "ring", lambda user_id, message: messages.append((user_id, message)))
    return messages


def log_in(user: User) -> Client:
    client = Client()
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    assert client.get(CHAT_LIST).status_code == 200
    return client


def generation_of(user: User) -> int:
    return User.objects.get(pk=user.pk).session_generation


def ended(user: User, session: str | None) -> tuple[Any, dict[str, Any]]:
    return user.pk, {"type": "session.ended", "session": session}


def test_logout_closes_the_sockets_of_this_login_only(
    adult: User, rung: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    client, other = log_in(adult), log_in(adult)
    key = client.session.session_key
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/accounts/logout/")
    assert rung == [ended(adult, key)]
    assert client.get(CHAT_LIST).status_code == 302
    assert other.get(CHAT_LIST).status_code == 200


def test_a_new_password_ends_every_login(
    adult: User, rung: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    client, other = log_in(adult), log_in(adult)
    new = "another long password"
    with django_capture_on_commit_callbacks(execute=True):
        client.post(
            "/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new}
        )
    assert User.objects.get(pk=adult.pk).check_password(new)
    assert generation_of(adult) == 1
    assert ended(adult, None) in rung
    assert not Session.objects.exists() or client.get(CHAT_LIST).status_code == 302
    assert other.get(CHAT_LIST).status_code == 302
    assert not UserSession.objects.filter(user=adult).exists()


def test_a_reset_password_ends_every_login(adult: User, rung: list[Any]) -> None:
    client = log_in(adult)
    Client().post("/accounts/password/reset/", {"email": adult.email})
    found = re.search(r"http://testserver(/accounts/password/reset/key/\S+)", str(mail.outbox[-1].body))
    assert found
    visitor = Client()
    form = visitor.get(found.group(1)).headers["Location"]
    visitor.post(form, {"password1": "a third long password", "password2": "a third long password"})
    assert User.objects.get(pk=adult.pk).check_password("a third long password")
    assert generation_of(adult) == 1
    assert client.get(CHAT_LIST).status_code == 302


def test_a_session_ended_from_the_list_closes_its_sockets(
    adult: User, rung: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    client, other = log_in(adult), log_in(adult)
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/accounts/sessions/")  # "sign out other sessions"
    assert rung == [ended(adult, other.session.session_key)] or rung[0][1]["session"] is not None
    assert other.get(CHAT_LIST).status_code == 302
    assert client.get(CHAT_LIST).status_code == 200


def test_a_ban_ends_every_login_in_one_transaction(
    adult: User, moderator: User, rung: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    client = log_in(adult)
    with django_capture_on_commit_callbacks(execute=True):
        generation.deactivate(adult, actor=moderator.pk, reason="ban")
    assert client.get(CHAT_LIST).status_code == 302
    assert ended(adult, None) in rung
    assert generation_of(adult) == 1
    entry = AuditEntry.objects.get(action="account.sessions_revoked")
    assert (entry.actor, entry.subject, entry.data) == (moderator.pk, adult.pk, {"reason": "ban"})
    assert Client().post("/accounts/login/", {"login": adult.email, "password": PASSWORD}).status_code in (
        200,
        302,
    )
    assert not UserSession.objects.filter(user=adult).exists()


def test_a_changed_policy_is_an_event_of_the_person(adult: User) -> None:
    before = User.objects.get(pk=adult.pk).policy_generation
    generation.policy_changed(adult.pk)
    assert User.objects.get(pk=adult.pk).policy_generation == before + 1
    assert Event.objects.filter(user=adult).latest("seq").kind == "policy.changed"


def test_rights_changed_in_the_admin_end_the_logins(adult: User, supervisor: User) -> None:
    client, admin = log_in(adult), log_in(supervisor)
    answer = admin.post(
        f"/admin/accounts/user/{adult.pk}/change/",
        {"role": "moderator", "is_active": "on", "is_staff": "on", "groups": []},
    )
    assert answer.status_code == 302
    assert User.objects.get(pk=adult.pk).is_staff
    assert client.get(CHAT_LIST).status_code == 302
