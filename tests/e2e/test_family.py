"""A family lives with it: time that ends and is given, a companion closed, a notice of danger, history deleted.

Two browsers, real mail, and the process that sends notices.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect

from accounts.models import User
from devstack.places import REPOSITORY
from guardians.models import PanelOpening, TimeRequest
from safety.models import Delivery
from tests.cast import make_user
from tests.e2e.conftest import PHONE, Talk
from tests.e2e.test_access import sound
from tests.e2e.test_case import QUICK
from tests.e2e.test_case import WORDS as IN_DANGER
from tests.e2e.test_guardian import agreed, talk
from tests.e2e.test_time import used
from tests.fake_llm import FakeLLM
from tests.live import Site, _test_database_url, sign_in
from tests.providers import MailHost, mail_host

__all__ = ["mail_host"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
WORDS = "the words that nobody else reads"


@pytest.fixture
def house(companions: None, model: FakeLLM, mail_host: MailHost, tmp_path: Path) -> Iterator[Site]:
    """A web process and the one that sends notices; a guardian is told of a danger after seconds."""
    mail = {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(mail_host.port),
        "ALERT_LADDER": QUICK,
    }
    site = Site(model.url, tmp_path / "log", **mail)
    site.start()
    environment = {**os.environ, **mail, "DATABASE_URL": _test_database_url(), "SITE_URL": site.url}
    with (tmp_path / "alerts.log").open("ab") as log:
        loop = subprocess.Popen(
            [sys.executable, "manage.py", "run_alerts"],
            cwd=REPOSITORY,
            env=environment,
            stdout=log,
            stderr=log,
        )
    yield site
    loop.terminate()
    loop.wait(15)
    site.stop()


def at_panel(site: Site, guardian: User, minor: User, context: BrowserContext) -> Page:
    """The guardian's page about the minor, open and listening."""
    key = sign_in(guardian)
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": site.url}])
    page = context.new_page()
    page.goto(f"{site.url}/guardians/{minor.pk}/")
    expect(page.locator("[data-family][data-up]")).to_be_attached()
    return page


def test_an_ordinary_evening(
    house: Site, guardian: User, mail_host: MailHost, contexts: Callable[..., BrowserContext]
) -> None:
    young = make_user("young", 15)
    child, parent = agreed(house, young, guardian, mail_host, contexts)
    talk(child, house, "Can we talk now")

    parent.goto(f"{house.url}/guardians/")
    parent.get_by_role("link", name="Young").click()
    expect(parent.get_by_role("heading", name="Today")).to_be_visible()
    expect(parent.get_by_text("Nothing waits for an answer.")).to_be_visible()

    used(young, 60)  # the hour of the day is over
    child.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(child.locator("[data-rest]")).to_contain_text("Today's time is used up")
    child.get_by_role("button", name="15 min").click()
    expect(child.get_by_text("Your guardian has been told")).to_be_visible()
    expect(parent.get_by_text("asks for 15 minutes more today")).to_be_visible()  # by itself
    expect(parent.get_by_text("60 of 60 minutes are used")).to_be_visible()
    parent.get_by_role("button", name="Give 15 minutes").click()
    expect(child.get_by_text("You have 15 minutes more today")).to_be_visible()
    expect(child.locator("#composer-text")).to_be_enabled()
    assert TimeRequest.objects.get(minor=young).granted == 15

    parent.goto(f"{house.url}/guardians/{young.pk}/")
    parent.get_by_text("Choose companions").click()
    parent.locator("label.choice", has_text="Moss").get_by_role("checkbox").uncheck()
    parent.get_by_role("button", name="Save the companions").click()
    expect(parent.get_by_text("All that fit the age are open, without: Moss")).to_be_visible()
    expect(child.get_by_text("This companion is not available to you").first).to_be_visible()  # it was open
    expect(child.locator("#composer-text")).to_be_hidden()
    expect(child.locator(".message-ai")).to_have_count(2)  # the greeting and the first answer

    child.goto(f"{house.url}/companions/kitchen/")
    child.get_by_role("button", name="Talk").first.click()
    expect(child.locator("[data-chat][data-up]")).to_be_attached()
    parent.get_by_role("button", name="Withdraw my consent").click()
    expect(parent.get_by_text("No companion answers")).to_be_visible()
    expect(child.get_by_text("Your guardian has not agreed yet")).to_be_visible()
    expect(child.locator("#composer-text")).to_be_hidden()


def test_a_danger_stands_on_the_open_page_within_two_seconds(
    house: Site, guardian: User, minor: User, contexts: Callable[..., BrowserContext]
) -> None:
    parent = at_panel(house, guardian, minor, contexts(bypass_csp=True, **PHONE))
    expect(parent.get_by_text("None in the last 90 days.")).to_be_visible()
    frames: list[str] = []
    parent.on("websocket", lambda ws: ws.on("framereceived", lambda text: frames.append(str(text))))
    parent.reload()
    expect(parent.locator("[data-family][data-up]")).to_be_attached()
    key = sign_in(minor)
    context = contexts()
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": key, "url": house.url}])
    child = context.new_page()
    child.goto(f"{house.url}/companions/botanist/")
    child.get_by_role("button", name="Talk").first.click()
    expect(child.locator("[data-chat][data-up]")).to_be_attached()
    child.locator("#composer-text").fill(IN_DANGER)
    child.locator("#composer-text").press("Control+Enter")
    expect(child.locator(".help-card")).to_be_visible()

    expect(parent.get_by_role("heading", name="Please get in touch soon")).to_be_visible()
    seen = timezone.now()
    notice = Delivery.objects.get(template="near", channel="in_app")
    assert (seen - notice.created_at).total_seconds() < 2
    expect(parent.get_by_text("What you could say")).to_be_visible()
    expect(parent.get_by_text("You were told.")).to_be_visible()
    everything = parent.content() + "".join(frames)
    assert IN_DANGER not in everything and "self_harm" not in everything and "crisis" not in "".join(frames)
    sound(parent)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_have_no_serious_faults(
    site: Site, guardian: User, minor: User, contexts: Callable[..., BrowserContext], scheme: str
) -> None:
    page = at_panel(site, guardian, minor, contexts(bypass_csp=True, color_scheme=scheme, **PHONE))
    page.get_by_text("Four weeks, and all figures as a table").click()
    sound(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for path in ("/guardians/", f"/guardians/{minor.pk}/history/"):
        page.goto(f"{site.url}{path}")
        sound(page)
    own = contexts(bypass_csp=True, color_scheme=scheme, **PHONE)
    own.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": sign_in(minor), "url": site.url}])
    mirror = own.new_page()
    mirror.goto(f"{site.url}/guardians/mine/")
    expect(mirror.get_by_text("opened the page")).to_be_visible()
    sound(mirror)


def test_without_script_the_page_is_whole(
    site: Site, guardian: User, minor: User, contexts: Callable[..., BrowserContext]
) -> None:
    context = contexts(java_script_enabled=False)
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": sign_in(guardian), "url": site.url}])
    page = context.new_page()
    page.goto(f"{site.url}/guardians/{minor.pk}/")
    used(minor, 20)
    page.reload()
    expect(page.get_by_text("20 of 60 minutes are used")).to_be_visible()
    assert PanelOpening.objects.count() == 1


def test_what_was_said_is_deleted_under_an_open_chat(
    slow: FakeLLM, young: Talk, guardian: User, contexts: Callable[..., BrowserContext]
) -> None:
    window = young.window().open()
    window.say(WORDS)
    window.writing()
    parent = at_panel(young.site, guardian, young.user, contexts())
    parent.get_by_role("link", name="Delete conversations").click()
    parent.get_by_label("All conversations").check()
    parent.get_by_label("I know that this cannot be undone").check()
    parent.get_by_role("button", name="Delete for good").click()
    expect(parent.get_by_text("Deleted, or as soon")).to_be_visible()
    expect(window.page.get_by_text("deleted by somebody who looks after you")).to_be_visible()
    expect(window.messages).to_have_count(1)
    window.page.goto(f"{young.site.url}/guardians/mine/")
    expect(window.page.get_by_text("deleted conversations")).to_be_visible()
