"""Switches: an operator turns a function off for everybody at once, with a reason, and the log knows."""

import time
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import held, switches
from accounts.models import AuditEntry, Switch, User
from accounts.switches import Name, Reason

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = "/admin/accounts/switch/"
OFF = {"off": "1", "reason": "attack", "note": "many robots", "confirm": "on"}


@pytest.fixture(autouse=True)
def _read_anew(_nothing_remembered: None) -> None:
    switches._off.forget()


def turn_off(name: Name, **more: Any) -> None:
    assert switches.change(None, name, off=True, reason=Reason.ATTACK, now=timezone.now(), **more)


def entries() -> list[tuple[str, dict[str, Any]]]:
    return list(
        AuditEntry.objects.filter(action="switch.changed").values_list("target", "data").order_by("id")
    )


def test_everything_is_on_without_a_row_and_one_query_serves_a_process() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert [name for name in Name if switches.off(name)] == []
    assert len(queries) == 1


def test_a_change_holds_at_once_here_and_elsewhere_when_the_memory_is_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not switches.off(Name.SIGN_UPS)
    Switch.objects.create(name=Name.SIGN_UPS, off=True)  # by another process
    assert not switches.off(Name.SIGN_UPS)
    later = time.monotonic() + switches.HOLD
    monkeypatch.setattr(held.time, "monotonic", lambda: later)
    assert switches.off(Name.SIGN_UPS)
    switches.change(None, Name.SIGN_UPS, off=False, reason=Reason.OVER, now=timezone.now())
    assert not switches.off(Name.SIGN_UPS)


def test_while_the_database_is_away_the_last_answer_holds_and_the_first_is_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def away() -> Any:
        raise DatabaseError

    with monkeypatch.context() as patch:
        patch.setattr(switches._off, "_read", away)
        assert not switches.off(Name.PERSONAS)
    switches._off.forget()
    turn_off(Name.PERSONAS)
    assert switches.off(Name.PERSONAS)
    switches._off.forget()
    monkeypatch.setattr(switches._off, "_read", away)
    assert switches.off(Name.PERSONAS)


def test_nobody_can_sign_up_while_it_is_off_and_is_told_so_in_the_operators_words() -> None:
    assert b'name="password1"' in Client().get("/accounts/signup/").content
    turn_off(Name.SIGN_UPS, sentences=("今晚先不开放注册。", "Sign-ups rest tonight."))
    page = Client().get("/accounts/signup/", headers={"Accept-Language": "en"})
    assert page.status_code == 200
    assert "Sign-ups rest tonight." in page.content.decode() and "password1" not in page.content.decode()
    Client().post("/accounts/signup/", {"email": "new@example.org", "password1": "a long test password"})
    assert not User.objects.exists()


def test_an_operator_turns_it_off_with_a_reason_and_the_log_keeps_codes_only(supervisor: User) -> None:
    client = Client()
    client.force_login(supervisor)
    assert "New accounts" in client.get(PAGE).content.decode()
    assert client.post(f"{PAGE}sign_ups/", OFF | {"reason": ""}).status_code == 200
    assert client.post(f"{PAGE}sign_ups/", OFF | {"confirm": ""}).status_code == 200
    assert entries() == []
    assert client.post(f"{PAGE}sign_ups/", OFF).status_code == 302
    assert switches.off(Name.SIGN_UPS)
    assert entries() == [("switch:sign_ups", {"off": True, "reason": "attack"})]
    assert AuditEntry.objects.filter(action="switch.changed").get().actor == supervisor.pk
    assert "many robots" in client.get(PAGE).content.decode()
    assert client.post(f"{PAGE}sign_ups/", OFF).status_code == 302  # a second tab: off stays off
    assert len(entries()) == 1


@pytest.mark.parametrize("who", ["adult", "moderator", "nobody"])
def test_nobody_else_opens_the_page_or_turns_anything(who: str, request: pytest.FixtureRequest) -> None:
    client = Client()
    if who != "nobody":
        client.force_login(request.getfixturevalue(who))
    for path in (PAGE, f"{PAGE}sign_ups/"):
        assert client.get(path).status_code in (302, 403, 404)
    assert client.post(f"{PAGE}sign_ups/", OFF).status_code in (302, 403, 404)
    assert not Switch.objects.exists()
    person = User.objects.filter(role__in=["person", "moderator"]).first()
    if person:
        with pytest.raises(switches.NotAllowed):
            switches.change(person, Name.SIGN_UPS, off=True, reason=Reason.LAW, now=timezone.now())


def test_wrong_verbs_and_unknown_switches_are_refused(supervisor: User) -> None:
    client = Client()
    client.force_login(supervisor)
    assert client.post(PAGE).status_code == 405
    assert client.delete(f"{PAGE}sign_ups/").status_code == 405
    assert client.get(f"{PAGE}help_lines/").status_code == 404
    assert client.get(f"{PAGE}add/").status_code == 404
    Switch.objects.create(name=Name.VOICE)
    assert client.get(f"{PAGE}voice/change/").status_code == 404
    assert client.post(f"{PAGE}voice/delete/").status_code == 404


def test_the_command_works_at_night_and_asks_for_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("switch", "sign_ups", "off")
    call_command("switch", "sign_ups", "off", "--reason", "fault")
    assert switches.off(Name.SIGN_UPS)
    assert entries() == [("switch:sign_ups", {"off": True, "reason": "fault"})]
    call_command("switch")
    assert "off since" in capsys.readouterr().out
    call_command("switch", "sign_ups", "on", "--reason", "over")
    assert not switches.off(Name.SIGN_UPS)
