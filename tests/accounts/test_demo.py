"""Demonstration accounts: made once, complete, and refused by production wherever they turn up."""

from io import StringIO
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from guardians.access import guardians_of, wards_of
from guardians.limits import effective_policy

pytestmark = pytest.mark.django_db
ROLES = ["adult", "guardian", "minor", "elder", "moderator", "operator"]


def make() -> None:
    call_command("demo_data", stdout=StringIO())


def listed() -> list[list[str]]:
    out = StringIO()
    call_command("demo_data", "--list", stdout=out)
    return [line.split("\t") for line in out.getvalue().splitlines()]


def test_the_cast_is_complete_and_may_chat() -> None:
    make()
    people = {user.email.split("@")[0]: user for user in User.objects.all()}
    assert sorted(people) == sorted(ROLES)
    for user in people.values():
        assert effective_policy(user, timezone.now()).missing == ""
    assert effective_policy(people["minor"], timezone.now()).is_minor
    assert list(guardians_of(people["minor"])) == [people["guardian"]]
    assert list(wards_of(people["guardian"])) == [people["minor"]]
    assert people["elder"].simple_mode
    assert people["moderator"].is_staff
    assert not people["moderator"].is_superuser
    assert people["operator"].is_superuser


def test_a_second_run_changes_nothing() -> None:
    make()
    before = list(User.objects.order_by("pk").values())
    entries = AuditEntry.objects.count()
    make()
    assert list(User.objects.order_by("pk").values()) == before
    assert AuditEntry.objects.count() == entries


def test_the_list_logs_everybody_in() -> None:
    make()
    rows = listed()
    assert [row[0] for row in rows] == ROLES
    for _role, email, password in rows:
        client = Client()
        client.post("/accounts/login/", {"login": email, "password": password})
        assert "_auth_user_id" in client.session


def test_the_list_creates_nothing() -> None:
    listed()
    assert not User.objects.exists()


def test_production_refuses_to_make_them(settings: Any) -> None:
    settings.PRODUCTION = True
    for arguments in ([], ["--list"]):
        with pytest.raises(CommandError):
            call_command("demo_data", *arguments)
    assert not User.objects.exists()


def test_production_refuses_their_logins_and_says_so_at_start(settings: Any) -> None:
    make()
    _role, email, password = listed()[0]
    settings.PRODUCTION = True
    client = Client()
    client.post("/accounts/login/", {"login": email, "password": password})
    assert "_auth_user_id" not in client.session
    found = [issue.id for issue in run_checks(tags=["database"], databases=["default"])]
    assert "accounts.E006" in found


def test_a_database_without_them_passes(settings: Any) -> None:
    settings.PRODUCTION = True
    assert "accounts.E006" not in [issue.id for issue in run_checks(tags=["database"], databases=["default"])]
