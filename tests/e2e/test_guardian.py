"""A child invites a guardian, who agrees; they talk; the consent is withdrawn while they do. Real mail, two browsers."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.utils import timezone
from playwright.sync_api import BrowserContext, Page, expect

from accounts.models import User
from guardians import links
from guardians.models import Guardianship
from tests.cast import GUARDIAN, PASSWORD, make_user
from tests.fake_llm import FakeLLM
from tests.live import Site
from tests.providers import MailHost, mail_host

__all__ = ["mail_host"]
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def house(companions: None, model: FakeLLM, mail_host: MailHost, tmp_path: Path) -> Iterator[Site]:
    site = Site(
        model.url,
        tmp_path / "log",
        EMAIL_BACKEND="django.core.mail.backends.smtp.EmailBackend",
        EMAIL_HOST="127.0.0.1",
        EMAIL_PORT=str(mail_host.port),
    )
    site.start()
    yield site
    site.stop()


def enter(page: Page, site: Site, user: User) -> Page:
    page.goto(f"{site.url}/accounts/login/")
    page.locator("[name=login]").fill(user.email)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("[name=password]").press("Enter")
    page.wait_for_url(lambda url: "/accounts/login" not in url)
    return page


def agreed(
    house: Site, young: User, guardian: User, mail_host: MailHost, contexts: Callable[..., BrowserContext]
) -> tuple[Page, Page]:
    """The minor invites from their own page, the guardian answers the mail: the two browsers."""
    links.invite(young, GUARDIAN, actor=young.pk, now=timezone.now())
    child = enter(contexts().new_page(), house, young)
    child.goto(f"{house.url}/accounts/care/")
    child.get_by_role("button", name="Send the invitation by e-mail").click()
    expect(child.get_by_text("on its way")).to_be_visible()

    [message] = mail_host.taken
    assert message["To"] == GUARDIAN.email
    path = re.search(r"/guardians/invitation/[\w-]+/", message.get_payload(decode=True).decode())
    assert path
    parent = contexts().new_page()
    parent.goto(house.url + path.group())
    expect(parent.get_by_role("heading", name="names you as guardian")).to_be_visible()
    parent.get_by_role("link", name="Sign in").last.click()
    parent.locator("[name=login]").fill(guardian.email)
    parent.locator("[name=password]").fill(PASSWORD)
    parent.locator("[name=password]").press("Enter")
    boxes = parent.get_by_role("checkbox")
    expect(boxes).to_have_count(4)
    for box in boxes.all():
        expect(box).not_to_be_checked()
        box.check()
    parent.get_by_role("button", name="I agree").click()
    expect(parent.get_by_text("You are their guardian here now")).to_be_visible()
    return child, parent


def talk(child: Page, house: Site, text: str) -> None:
    """A first talk with a companion."""
    child.goto(f"{house.url}/companions/botanist/")
    child.get_by_role("button", name="Talk").first.click()
    child.get_by_role("button", name="I understand").click()
    child.locator("#composer-text").fill(text)
    child.locator("#composer-text").press("Control+Enter")
    expect(child.locator(".message-ai").last).to_contain_text(text)


def test_invited_agreed_talked_and_withdrawn(
    house: Site, guardian: User, mail_host: MailHost, contexts: Callable[..., BrowserContext]
) -> None:
    young = make_user("young", 15)
    child, parent = agreed(house, young, guardian, mail_host, contexts)
    talk(child, house, "Can we talk now")

    parent.goto(f"{house.url}/guardians/")
    parent.get_by_role("link", name="Young").click()
    parent.get_by_role("button", name="Withdraw my consent").click()
    expect(parent.get_by_text("No companion answers")).to_be_visible()
    expect(child.get_by_text("Your guardian has not agreed yet")).to_be_visible()
    expect(child.locator("#composer-text")).to_be_hidden()
    assert Guardianship.objects.get(minor=young).state == Guardianship.State.ACTIVE
