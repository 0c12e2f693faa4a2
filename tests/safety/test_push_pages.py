"""The worker's script, and the addresses by which a browser turns notifications on, off and tries them."""

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts import generation
from accounts.models import User
from safety.channels import push
from safety.models import PushSubscription
from safety.views import push as views
from tests.cast import PASSWORD
from tests.providers import Gateway, PushBrowser, gateway, vapid

__all__ = ["gateway", "vapid"]

pytestmark = pytest.mark.django_db(transaction=True)

PUSH, OFF, TEST, WORKER = "/push/", "/push/off/", "/push/test/", "/sw.js"
BROWSER = PushBrowser("http://127.0.0.1:9/push/1")


def log_in(user: User, **options: Any) -> Client:
    client = Client(**options)
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    return client


def post(client: Client, path: str, content: object, **headers: str) -> Any:
    body = content if isinstance(content, bytes) else json.dumps(content)
    return client.post(path, body, content_type="application/json", headers=headers)


def kept() -> list[User]:
    return [row.user for row in PushSubscription.objects.select_related("user")]


def test_the_worker_looks_after_the_whole_site_and_keeps_nothing() -> None:
    answer = Client().get(WORKER)
    assert answer.status_code == 200 and Client().post(WORKER).status_code == 405
    assert answer["Content-Type"].startswith("text/javascript")
    assert answer["Service-Worker-Allowed"] == "/" and answer["Cache-Control"] == "no-cache"
    script = answer.content.decode()
    assert "showNotification" in script
    assert not re.search(r"\bcaches\b|importScripts|addEventListener\(\"fetch\"|indexedDB", script)
    assert "worker-src 'self'" in answer["Content-Security-Policy"]


def test_nobody_is_subscribed_without_a_login(vapid: None) -> None:
    for path in (PUSH, OFF, TEST):
        answer = post(Client(), path, BROWSER.subscription)
        assert (answer.status_code, answer.json()["code"]) == (403, "signed_out")
    assert Client().get(PUSH).status_code == 403
    assert not kept()


def test_wrong_verbs(adult: User) -> None:
    client = log_in(adult)
    assert [client.get(path).status_code for path in (OFF, TEST)] == [405, 405]
    assert [getattr(client, verb)(PUSH).status_code for verb in ("put", "delete", "patch")] == [405] * 3


def test_another_site_cannot_subscribe_somebody(adult: User, vapid: None) -> None:
    client = log_in(adult, enforce_csrf_checks=False)
    client.handler.enforce_csrf_checks = True
    for path in (PUSH, OFF, TEST):
        assert post(client, path, BROWSER.subscription).status_code == 403
    assert not kept()
    token = client.get(PUSH).json()["token"]  # as the worker does it
    assert post(client, PUSH, BROWSER.subscription, **{"X-CSRFToken": token}).status_code == 204
    assert kept() == [adult]


def test_anybody_turns_it_on_and_off(adult: User, vapid: None) -> None:
    client = log_in(adult)
    told = client.get(PUSH)
    assert told.json()["key"] == push.public_key() != ""
    assert "no-store" in told["Cache-Control"]
    assert post(client, PUSH, BROWSER.subscription).status_code == 204
    assert post(client, PUSH, BROWSER.subscription).status_code == 204
    assert kept() == [adult]
    assert post(client, OFF, {}).status_code == 204
    assert not kept()


def test_somebody_elses_browser_is_neither_taken_nor_forgotten(
    adult: User, outsider: User, vapid: None
) -> None:
    post(log_in(adult), PUSH, BROWSER.subscription)
    other = log_in(outsider)
    answer = post(other, PUSH, BROWSER.subscription)
    assert (answer.status_code, answer.json()["code"]) == (409, "taken")
    assert post(other, OFF, {"endpoint": BROWSER.subscription["endpoint"]}).status_code == 204
    assert kept() == [adult]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"7", b"\xff", b"[" * 4000, b'{"endpoint": []}', b" " * 4097]
)
def test_nonsense_is_refused(body: bytes, adult: User, vapid: None) -> None:
    client = log_in(adult)
    assert post(client, PUSH, body).status_code == 400
    assert not kept()


def test_production_keeps_no_inner_address(adult: User, vapid: None, settings: Any) -> None:
    client = log_in(adult)
    settings.PRODUCTION = True
    for host in ("127.0.0.1", "localhost", "169.254.169.254", "[::1]", "0x7f.1", "192.168.0.1"):
        answer = post(client, PUSH, PushBrowser(f"https://{host}/").subscription)
        assert (answer.status_code, answer.json()["code"]) == (400, "address")
    assert not kept()


def test_signing_out_forgets_this_browser_and_no_other(adult: User, vapid: None) -> None:
    """A shared computer; the telephone at home stays on."""
    here, there = log_in(adult), log_in(adult)
    post(here, PUSH, BROWSER.subscription)
    post(there, PUSH, PushBrowser("http://127.0.0.1:9/push/2").subscription)
    there_row = PushSubscription.objects.latest("created_at")
    here.post("/accounts/logout/")
    assert PushSubscription.objects.get() == there_row


def test_a_new_password_and_a_ban_forget_every_browser(adult: User, outsider: User, vapid: None) -> None:
    post(log_in(adult), PUSH, BROWSER.subscription)
    post(log_in(outsider), PUSH, PushBrowser("http://127.0.0.1:9/push/2").subscription)
    generation.revoke_sessions(adult, actor=adult.pk, reason="password")
    assert kept() == [outsider]
    generation.deactivate(outsider, actor=None, reason="test")
    assert not kept()


def test_a_test_goes_to_this_browser_and_says_nothing_private(
    moderator: User, gateway: Gateway, vapid: None
) -> None:
    here, there = PushBrowser(gateway.url + "here"), PushBrowser(gateway.url + "there")
    client = log_in(moderator)
    assert post(client, TEST, {}).json()["code"] == "unknown"
    post(client, PUSH, here.subscription)
    post(log_in(moderator), PUSH, there.subscription)
    assert post(client, TEST, {}).status_code == 200
    ((_, body),) = gateway.taken
    notice = here.read(body)
    assert notice["title"] == "Anban: a test" and notice["url"] == reverse("console")
    gateway.status = 503
    assert post(client, TEST, {}).json()["code"] == "later"
    gateway.status = 410
    assert post(client, TEST, {}).json()["code"] == "unsent"
    assert post(client, TEST, {}).json()["code"] == "unknown"  # forgotten: it is gone


def test_a_guardians_test_opens_their_own_pages(guardian: User, gateway: Gateway, vapid: None) -> None:
    browser, client = PushBrowser(gateway.url), log_in(guardian)
    post(client, PUSH, browser.subscription)
    post(client, TEST, {})
    assert browser.read(gateway.taken[0][1])["url"] == reverse("home")


def test_tests_and_changes_are_limited(adult: User, gateway: Gateway, vapid: None) -> None:
    client = log_in(adult)
    post(client, PUSH, PushBrowser(gateway.url).subscription)
    codes = [post(client, TEST, {}).status_code for _ in range(views.TESTS + 1)]
    assert codes == [200] * views.TESTS + [429]
    codes = [post(client, OFF, {}).status_code for _ in range(views.PER_MINUTE)]
    assert set(codes) == {204, 429}


def test_what_is_not_set_up_says_so(adult: User, settings: Any) -> None:
    settings.VAPID_PRIVATE_KEY = ""
    client = log_in(adult)
    for path in (PUSH, TEST):
        answer = post(client, path, BROWSER.subscription)
        assert (answer.status_code, answer.json()["code"]) == (503, "unset")


def test_every_refusal_is_a_sentence_in_the_readers_language(adult: User, vapid: None) -> None:
    answer = post(log_in(adult), PUSH, {})
    assert answer.json()["problem"].startswith("This browser sent something")
    assert {code for code, _ in views.REFUSALS.items()} >= {
        "shape",
        "address",
        "taken",
        "unknown",
        "signed_out",
    }


def test_the_console_has_the_control_with_everything_it_needs(
    moderator: User, vapid: None, settings: Any
) -> None:
    page = log_in(moderator).get("/admin/crisis/").content.decode()
    assert f'data-key="{push.public_key()}"' in page
    assert set(re.findall(r'data-when="(\w+)"', page)) == {
        "on",
        "off",
        "blocked",
        "iphone",
        "unsupported",
        "unset",
    }
    assert str(moderator.pk) not in re.findall(r'data-person="(\w+)"', page)
    for path in re.findall(r'data-(?:url|off-url|test-url)="([^"]+)"', page):
        assert path in (PUSH, OFF, TEST)
    settings.VAPID_PRIVATE_KEY = ""
    assert 'data-key=""' in log_in(moderator).get("/admin/crisis/").content.decode()


def test_people_who_share_a_browser_are_told_apart(moderator: User, outsider: User, vapid: None) -> None:
    User.objects.filter(pk=outsider.pk).update(role=User.Role.MODERATOR, is_staff=True)

    def mark(user: User) -> str:
        page = log_in(user).get("/admin/crisis/").content.decode()
        found = re.search(r'data-person="(\w{16})"', page)
        assert found is not None
        return found[1]

    assert mark(moderator) == mark(moderator) != mark(outsider)
