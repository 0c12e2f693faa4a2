"""Notifications on a device, in a real Chromium: turned on in the console, sent by the outbox, shown by the worker.

No test reaches a browser maker's push service, so `PushManager.subscribe` alone is replaced: it gives a subscription with
real keys whose address is a server on the loopback, and CDP delivers to the worker what that server was given.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from django.conf import settings as django_settings
from django.urls import reverse
from playwright.sync_api import BrowserContext, Page, expect

from accounts.models import User
from safety import outbox
from safety.models import Delivery, PushSubscription
from tests.e2e.conftest import PHONE
from tests.fake_llm import FakeLLM
from tests.live import Site, quiet, sign_in
from tests.providers import Gateway, PushBrowser, gateway, new_vapid_key
from tests.safety.test_outbox import climbed

__all__ = ["gateway"]

STUB = """
PushManager.prototype.subscribe = async (options) => {
  window.asked = options;
  const made = SUBSCRIPTION;
  return { ...made, options, toJSON: () => made, unsubscribe: async () => true };
};
"""


class Device(NamedTuple):
    """A browser of the moderator, with the notifications of the console in front."""

    page: Page
    browser: PushBrowser
    site: Site

    @property
    def bell(self) -> Any:
        return self.page.locator("[data-bell]")

    def press(self, name: str) -> None:
        self.page.get_by_role("dialog").get_by_role("button", name=name).click()


@pytest.fixture(scope="module")
def _pushing_site(
    django_db_setup: None, _model: FakeLLM, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    log = tmp_path_factory.mktemp("pushing") / "log"
    running = Site(_model.url, log, VAPID_PRIVATE_KEY=new_vapid_key())
    running.start()
    yield running
    running.stop()


@pytest.fixture
def site(companions: None, model: FakeLLM, _pushing_site: Site, settings: Any) -> Iterator[Site]:
    """One that can send notifications, and this process with the same key."""
    settings.VAPID_PRIVATE_KEY = _pushing_site.environment["VAPID_PRIVATE_KEY"]
    yield _pushing_site
    quiet()


@pytest.fixture
def device(
    site: Site, moderator: User, gateway: Gateway, contexts: Callable[..., BrowserContext]
) -> Callable[..., Device]:
    def open_device(*, granted: bool = True, script: str = "", **options: Any) -> Device:
        browser = PushBrowser(gateway.url + "push/1")
        context = contexts(**options)
        if granted:
            context.grant_permissions(["notifications"], origin=site.url)
        context.add_init_script(STUB.replace("SUBSCRIPTION", json.dumps(browser.subscription)) + script)
        session = sign_in(moderator)
        context.add_cookies(
            [{"name": django_settings.SESSION_COOKIE_NAME, "value": session, "url": site.url}]
        )
        page = context.new_page()
        page.goto(f"{site.url}/admin/crisis/")
        return Device(page, browser, site)

    return open_device


def deliver(page: Page, site: Site, payload: str) -> None:
    """As the browser does when its push service wakes it."""
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    cdp = page.context.new_cdp_session(page)
    found: list[str] = []

    def note(news: dict[str, Any]) -> None:
        found.extend(
            one["registrationId"] for one in news["registrations"] if one["scopeURL"] == f"{site.url}/"
        )

    cdp.on("ServiceWorker.workerRegistrationUpdated", note)
    cdp.send("ServiceWorker.enable")
    for _ in range(600):  # until the browser has told
        if found:
            break
        page.evaluate("new Promise(requestAnimationFrame)")
    push = {"origin": site.url, "registrationId": found[0], "data": payload}
    cdp.send("ServiceWorker.deliverPushMessage", push)


def shown(page: Page, tag: str) -> dict[str, Any]:
    """The notification with this tag, once it is there."""
    notice: dict[str, Any] = page.evaluate(
        """async (tag) => {
            const worker = await navigator.serviceWorker.ready;
            for (const end = performance.now() + 20_000; performance.now() < end; ) {
                const one = (await worker.getNotifications()).find((each) => each.tag === tag);
                if (one) return { title: one.title, body: one.body, url: one.data.url, stays: one.requireInteraction };
                await new Promise(requestAnimationFrame);
            }
        }""",
        tag,
    )
    return notice


def test_from_the_bell_to_the_notification(
    device: Callable[..., Device], adult: User, moderator: User, gateway: Gateway
) -> None:
    here = device()
    expect(here.bell).to_have_accessible_name("Notifications: off")
    here.bell.click()
    here.press("Turn on notifications on this device")
    expect(here.page.get_by_role("dialog")).to_contain_text("On for this device")
    expect(here.bell).to_have_attribute("data-bell", "on")
    assert here.page.evaluate("asked.userVisibleOnly && asked.applicationServerKey.length") == 65
    assert PushSubscription.objects.get().user == moderator

    here.press("Send me a test notification")
    expect(here.page.get_by_role("status").filter(has_text="A test is on its way")).to_be_visible()
    assert here.browser.read(gateway.taken.pop()[1])["tag"] == "test"

    case, now = climbed(adult)
    outbox.dispatch("alerts", now)
    assert Delivery.objects.get(channel="push").state == Delivery.State.ACCEPTED
    ((_, body),) = gateway.taken
    notice = here.browser.read(body)
    path = reverse("console_case", args=[case.pk])
    assert (notice["tag"], notice["url"]) == (f"case-{case.pk}", path)
    assert case.number in notice["body"] and "level 4" in notice["body"]

    deliver(here.page, here.site, json.dumps(notice))
    assert shown(here.page, notice["tag"]) == {
        "title": notice["title"],
        "body": notice["body"],
        "url": path,
        "stays": True,
    }


def test_after_the_next_login_it_is_on_again_for_the_same_person_only(
    device: Callable[..., Device], moderator: User, adult: User
) -> None:
    here = device()
    here.bell.click()
    here.press("Turn on notifications on this device")
    expect(here.bell).to_have_attribute("data-bell", "on")

    def again(user: User) -> None:
        """Signs in after whoever was here has signed out."""
        here.page.request.post(
            f"{here.site.url}/accounts/logout/",
            headers={
                "X-CSRFToken": here.page.locator("[data-push] [name=csrfmiddlewaretoken]").input_value()
            },
        )
        assert not PushSubscription.objects.exists()
        session = sign_in(user)
        cookie = {"name": django_settings.SESSION_COOKIE_NAME, "value": session, "url": here.site.url}
        here.page.context.add_cookies([cookie])
        here.page.goto(f"{here.site.url}/admin/crisis/")

    again(moderator)
    expect(here.bell).to_have_attribute("data-bell", "on")
    assert PushSubscription.objects.get().user == moderator
    User.objects.filter(pk=adult.pk).update(role=User.Role.MODERATOR, is_staff=True)
    again(adult)
    expect(here.bell).to_have_attribute("data-bell", "off")
    assert not PushSubscription.objects.exists()


def test_turned_off_it_stays_off(device: Callable[..., Device]) -> None:
    here = device()
    here.bell.click()
    here.press("Turn on notifications on this device")
    here.press("Turn off")
    expect(here.page.get_by_role("button", name="Turn on notifications")).to_be_focused()
    assert not PushSubscription.objects.exists()
    here.page.reload()
    expect(here.bell).to_have_attribute("data-bell", "off")


def test_what_stands_in_the_way_is_named(device: Callable[..., Device]) -> None:
    denied = "Object.defineProperty(Notification, 'permission', { get: () => 'denied' });"
    missing = "delete window.PushManager;"
    iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile Safari/604.1"
    for options, words in (
        ({"script": denied}, "blocks notifications"),
        ({"script": missing}, "cannot show notifications"),
        ({"script": missing, "user_agent": iphone, **PHONE}, "Add to Home Screen"),
    ):
        here = device(granted=False, **options)
        here.bell.click()
        dialog = here.page.get_by_role("dialog")
        expect(dialog).to_contain_text(words)
        assert dialog.locator("[data-act]:visible").count() == 0


def test_a_push_that_nobody_understands_still_shows_something(device: Callable[..., Device]) -> None:
    here = device()
    here.bell.click()
    here.press("Turn on notifications on this device")
    expect(here.bell).to_have_attribute("data-bell", "on")
    deliver(here.page, here.site, "not JSON")
    assert shown(here.page, "")["title"] == "Anban 安伴"


def test_a_click_opens_the_page_or_finds_it(device: Callable[..., Device]) -> None:
    here = device()
    here.bell.click()
    with here.page.context.expect_event("serviceworker") as started:
        here.press("Turn on notifications on this device")
    worker = started.value
    click = """async (url) => {
        const done = [];
        clients.openWindow = async (address) => void done.push(`open ${address}`);
        WindowClient.prototype.focus = async function () { done.push(`focus ${this.url}`); };
        await openPage(url);
        return done[0];
    }"""
    queue = f"{here.site.url}/admin/crisis/"
    assert worker.evaluate(click, "/admin/crisis/") == f"focus {queue}"
    assert worker.evaluate(click, "/admin/crisis/7/") == f"open {queue}7/"
    for elsewhere in ("https://elsewhere.example/", "//elsewhere.example/", "javascript:alert(1)"):
        assert worker.evaluate(click, elsewhere) == f"open {here.site.url}/"


def test_an_address_that_changed_reaches_the_server(device: Callable[..., Device], gateway: Gateway) -> None:
    here = device()
    here.bell.click()
    with here.page.context.expect_event("serviceworker") as started:
        here.press("Turn on notifications on this device")
    expect(here.bell).to_have_attribute("data-bell", "on")
    old, fresh = PushSubscription.objects.get(), PushBrowser(gateway.url + "push/2")
    renew = """async (given) => {
        let ended = false;
        await renew({ toJSON: () => given, unsubscribe: async () => (ended = true) });
        return ended;
    }"""
    assert started.value.evaluate(renew, fresh.subscription) is False
    new = PushSubscription.objects.get()
    assert new.digest != old.digest and new.login == old.login
    new.delete()  # as when it was turned off meanwhile
    assert started.value.evaluate(renew, fresh.subscription) is True
    assert not PushSubscription.objects.exists()
