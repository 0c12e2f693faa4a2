"""Buying in a real browser, under the content policy as it is: from the settings, never from a conversation."""

import re

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from guardians.models import Wallet
from tests.e2e.conftest import PHONE, Talk

pytestmark = pytest.mark.django_db(transaction=True)


def paid(page: Page) -> None:
    """The form of the test provider: it went well."""
    page.get_by_label("Status", exact=True).select_option("confirmed")
    page.get_by_role("button", name="Pay CN¥30.00").click()
    expect(page.get_by_text("CN¥30.00 are in your wallet")).to_be_visible()


def test_somebody_pays_something_in_turns_its_use_on_and_asks_for_it_back(talk: Talk) -> None:
    page = talk.window(**PHONE).page
    page.goto(f"{talk.site.url}/accounts/settings/")
    page.get_by_role("main").get_by_role("link", name="Extra replies").click()
    expect(page.get_by_role("radio", checked=True)).to_have_count(0)
    page.get_by_role("radio", name="CN¥30.00").check()
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_text("no money moves")).to_be_visible()
    paid(page)
    page.get_by_role("link", name="Extra replies").click()
    page.get_by_role("button", name="Use it").click()
    expect(page.get_by_role("button", name="Stop using it")).to_be_visible()
    page.get_by_role("link", name="Receipts and refunds").click()
    page.get_by_text("Ask for it back").click()
    page.get_by_role("radio", name="I do not need it any more").check()
    page.get_by_role("button", name="Ask for a refund").click()
    expect(page.get_by_text(re.compile("answers until"))).to_be_visible()
    assert Wallet.objects.get(pk=talk.user.pk).balance == 3000


def test_it_works_by_keyboard_and_without_scripts(talk: Talk) -> None:
    page = talk.window(java_script_enabled=False).page
    page.goto(f"{talk.site.url}/shop/")
    radio = page.get_by_role("radio", name="CN¥30.00")
    radio.focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Go on").press("Enter")
    paid(page)


def test_no_page_of_a_conversation_leads_there(talk: Talk) -> None:
    window = talk.window().open()
    for link in window.page.get_by_role("link").all():
        assert "/shop" not in (link.get_attribute("href") or "")
    assert "/shop" not in window.page.content()


def test_a_guardian_opens_a_budget_on_the_panel_and_closes_it(young: Talk, guardian: User) -> None:
    from tests.live import sign_in

    context = young.window().page.context.browser.new_context(locale="en-GB")  # type: ignore[union-attr]
    context.add_cookies([{"name": "anban_session", "value": sign_in(guardian), "url": young.site.url}])
    parent = context.new_page()
    parent.goto(f"{young.site.url}/guardians/{young.user.pk}/")
    section = parent.locator("#spending")
    expect(section).to_contain_text("It stays so until you open a budget")
    section.get_by_label("Budget for a month").fill("50")
    section.get_by_role("button", name="Open a budget").click()
    expect(section).to_contain_text("CN¥0.00 of at most CN¥50.00")
    section.get_by_role("button", name="Nothing may be bought").click()
    expect(section).to_contain_text("It stays so until you open a budget")
    context.close()
