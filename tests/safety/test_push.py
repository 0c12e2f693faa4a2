"""Web push: what goes over the wire, which browsers are kept, and what production never calls (T32)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.db import connection

from accounts import generation, keyring
from accounts.models import User
from safety.alert_texts import Notice
from safety.channels import CHANNELS, Permanent, Temporary, push
from safety.models import PushSubscription
from safety.recipients import Reach
from tests.providers import Gateway, PushBrowser, gateway, vapid

__all__ = ["gateway", "vapid"]

pytestmark = pytest.mark.django_db(transaction=True)

NOTICE = Notice(
    "A subject", "A text.\n", "<p>A text.</p>", "In short", "https://site.example/alerts/a-b/?c=d"
)
KEY = "case-7.4.2.0.push.0123456789abcdef@anban.example"
Subscribe = Callable[..., PushBrowser]


def new_login(user: User) -> UserSession:
    """One more browser that somebody is signed in with."""
    key = f"session-{UserSession.objects.count()}-{user.nickname}"
    return UserSession.objects.create(user=user, ip="127.0.0.1", session_key=key, user_agent="A browser")


def refusal(login: UserSession, subscription: object, **options: Any) -> str:
    """ "" when it was kept."""
    try:
        push.subscribe(login, subscription, **options)
    except push.Refused as error:
        return error.code
    return ""


def code_of(user: User) -> str:
    """What sending came to: "" when it was taken, else the kind and the code of the refusal."""
    try:
        CHANNELS["push"].send(NOTICE, Reach(user=user.pk), KEY)
    except (Temporary, Permanent) as error:
        return f"{type(error).__name__} {error.code}"
    return ""


@pytest.fixture
def subscribe(moderator: User, gateway: Gateway, vapid: None) -> Subscribe:
    def add(path: str = "push/1", login: UserSession | None = None) -> PushBrowser:
        browser = PushBrowser(gateway.url + path)
        push.subscribe(login or new_login(moderator), browser.subscription)
        return browser

    return add


def test_a_push_is_sealed_for_the_browser_and_signed(
    subscribe: Subscribe, moderator: User, gateway: Gateway
) -> None:
    browser = subscribe()
    CHANNELS["push"].send(NOTICE, Reach(user=moderator.pk), KEY)
    headers, body = gateway.taken[0]
    assert browser.read(body) == {
        "title": "A subject",
        "body": "In short",
        "tag": "case-7",
        "url": "/alerts/a-b/?c=d",  # of whichever name of the site the browser knows
    }
    assert b"short" not in body
    assert (headers["Topic"], headers["TTL"], headers["Urgency"]) == ("case-7", "3600", "high")
    assert headers["Authorization"].endswith(f"k={push.public_key()}")


@pytest.mark.parametrize(("status", "left"), [(404, 0), (410, 0), (400, 1), (503, 1)])
def test_a_browser_that_is_gone_is_forgotten(
    status: int, left: int, subscribe: Subscribe, moderator: User, gateway: Gateway
) -> None:
    subscribe()
    gateway.status = status
    kind = "Temporary" if status == 503 else "Permanent"
    assert code_of(moderator) == f"{kind} http.{status}"
    assert PushSubscription.objects.count() == left


def test_the_same_browser_is_kept_once_and_its_address_is_sealed(
    subscribe: Subscribe, moderator: User, gateway: Gateway
) -> None:
    subscribe("push/1"), subscribe("push/1"), subscribe("push/2")
    assert PushSubscription.objects.count() == 2
    stored = [bytes(row.subscription) for row in PushSubscription.objects.all()]
    assert not [value for value in stored if b"push" in value]
    assert code_of(moderator) == "" and len(gateway.taken) == 2


def test_one_login_has_one_browser_and_one_person_ten(subscribe: Subscribe, moderator: User) -> None:
    login = new_login(moderator)
    subscribe("push/old", login), subscribe("push/new", login)
    assert PushSubscription.objects.get().login == login
    for number in range(push.BROWSERS):
        subscribe(f"push/{number}")
    assert PushSubscription.objects.count() == push.BROWSERS
    assert not PushSubscription.objects.filter(login=login).exists()  # the oldest one


def test_a_renewal_counts_only_where_there_was_something(subscribe: Subscribe, moderator: User) -> None:
    login, fresh = new_login(moderator), PushBrowser("http://127.0.0.1/push/fresh").subscription
    assert refusal(login, fresh, renewing=True) == "unknown"
    subscribe("push/1", login)
    assert refusal(login, fresh, renewing=True) == ""
    assert PushSubscription.objects.count() == 1


def test_a_browser_of_somebody_else_stays_theirs(
    subscribe: Subscribe, moderator: User, outsider: User
) -> None:
    browser = subscribe()
    assert refusal(new_login(outsider), browser.subscription) == "taken"
    assert PushSubscription.objects.get().user == moderator


def test_a_login_that_is_over_keeps_no_browser(subscribe: Subscribe, moderator: User) -> None:
    login = new_login(moderator)
    subscribe("push/1", login)
    login.end()  # from another device, or with a new password
    assert not PushSubscription.objects.exists()
    login.pk = 12345
    assert refusal(login, PushBrowser("http://127.0.0.1/push/1").subscription) == "signed_out"


def test_a_deactivated_account_is_not_reached(
    subscribe: Subscribe, moderator: User, gateway: Gateway
) -> None:
    subscribe()
    User.objects.filter(pk=moderator.pk).update(is_active=False)  # by whatever way, even past the next line
    assert code_of(moderator) == "Permanent address.missing"
    assert refusal(new_login(moderator), PushBrowser(gateway.url).subscription) == "signed_out"
    generation.deactivate(moderator, actor=None, reason="test")
    assert not PushSubscription.objects.exists() and not gateway.taken


@pytest.mark.parametrize(
    "change",
    [
        None,
        [],
        "text",
        {},
        {"endpoint": 7},
        {"endpoint": "http://127.0.0.1/", "keys": {}},
        {"p256dh": "AAAA"},
        {"p256dh": "§"},
        {"p256dh": 7},
        {"auth": "AAAA"},
        {"auth": None},
        {"p256dh": "B" + "A" * 86},  # the right length, not on the curve
    ],
)
def test_what_nothing_can_be_sealed_for_is_not_kept(change: Any, moderator: User) -> None:
    content: Any = PushBrowser("http://127.0.0.1/push/1").subscription
    if isinstance(change, dict) and change.keys() & {"p256dh", "auth"}:
        content["keys"].update(change)
    else:
        content = change
    assert refusal(new_login(moderator), content) == "shape"


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "/push/1",
        "ftp://push.example/1",
        "http://push.example/1",  # in the clear only to this machine, for tests
        "https://user@push.example/1",
        "https://push.example:99999/1",
        "https://[::1/1",
        "https://push.example/\r\nHost: inner",
        "https://push.example/" + "a" * 1024,
        "https://推送.example/",
    ],
)
def test_addresses_that_are_none(endpoint: str, moderator: User) -> None:
    assert refusal(new_login(moderator), PushBrowser(endpoint).subscription) == "address"


INNER = [
    "127.0.0.1",
    "localhost",
    "0x7f.1",
    "2130706433",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "[fe80::1]",
    "[fd00::1]",
]


@pytest.mark.parametrize("host", INNER)
def test_production_keeps_no_inner_address(host: str, moderator: User, settings: Any) -> None:
    settings.PRODUCTION = True
    assert refusal(new_login(moderator), PushBrowser(f"https://{host}/push/1").subscription) == "address"


@pytest.mark.parametrize("endpoint", ["http://1.1.1.1/push/1", "https://1.1.1.1:8443/push/1"])
def test_production_keeps_only_tls_at_its_port(endpoint: str, moderator: User, settings: Any) -> None:
    settings.PRODUCTION = True
    login = new_login(moderator)
    assert refusal(login, PushBrowser(endpoint).subscription) == "address"
    assert refusal(login, PushBrowser("https://1.1.1.1/push/1").subscription) == ""


@pytest.mark.parametrize(
    "host", ["http://127.0.0.1", "https://127.0.0.1", "https://localhost", "https://0x7f.1"]
)
def test_production_looks_again_when_it_sends(
    host: str, moderator: User, gateway: Gateway, vapid: None, settings: Any
) -> None:
    """A name may have got an inner address since it was kept."""
    browser = PushBrowser(f"{host}:{gateway.url.rsplit(':')[-1]}")
    row = push.subscribe(new_login(moderator), PushBrowser("http://127.0.0.1/1").subscription)
    sealed = keyring.encrypt(moderator.pk, "push_subscription", row.pk, json.dumps(browser.subscription))
    PushSubscription.objects.update(subscription=sealed)
    settings.PRODUCTION = True
    assert code_of(moderator) == "Permanent url"
    assert not gateway.taken


def test_one_browsers_nonsense_keeps_nothing_from_the_others(
    subscribe: Subscribe, moderator: User, gateway: Gateway
) -> None:
    subscribe("push/0")
    row = PushSubscription.objects.get()
    keys = {"endpoint": gateway.url + "push/0", "keys": {"p256dh": "AAAA", "auth": "AAAA"}}
    row.subscription = keyring.encrypt(moderator.pk, "push_subscription", row.pk, json.dumps(keys))
    row.save()
    assert code_of(moderator) == "Permanent subscription"
    subscribe("push/1")
    assert code_of(moderator) == "" and len(gateway.taken) == 1
    with connection.cursor() as cursor:  # a damaged row
        cursor.execute("UPDATE safety_pushsubscription SET subscription = 'x' WHERE id = %s", [row.pk])
    assert code_of(moderator) == "" and len(gateway.taken) == 2
