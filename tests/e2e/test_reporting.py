"""Reporting a reply that came while the page was open, and the same without JavaScript."""

from collections.abc import Callable

from playwright.sync_api import BrowserContext, expect

from safety.models import Report
from tests.e2e.conftest import PHONE, Talk, Window


def test_a_reply_is_reported_from_its_own_button(window: Window) -> None:
    window.say("Good morning")
    reply = window.replied("Good morning")
    reply.hover()
    reply.get_by_role("link", name="Report").click()
    page = window.page
    expect(page.get_by_role("heading", level=1)).to_have_text("Report a reply")
    expect(page.locator("main figure")).to_contain_text("Good morning")
    page.get_by_label("It pressed or shamed me").check()
    page.get_by_role("button", name="Send the report").click()
    expect(page.locator("main")).to_contain_text("R-")
    assert str(Report.objects.get().target)


def test_without_javascript_and_on_a_phone(talk: Talk, contexts: Callable[..., BrowserContext]) -> None:
    window = talk.window().open()
    window.say("Good morning")
    window.replied("Good morning")
    plain = talk.window(contexts(java_script_enabled=False, **PHONE))
    plain.page.goto(plain.url)
    plain.theirs.last.get_by_role("link", name="Report").click()
    plain.page.get_by_label("Something else").check()
    plain.page.get_by_role("button", name="Send the report").click()
    expect(plain.page.locator("main")).to_contain_text("R-")
