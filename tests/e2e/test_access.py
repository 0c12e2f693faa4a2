"""For everybody: rules that a program can check, and a whole talk with the keyboard alone."""

from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from tests.e2e.conftest import END, PHONE, Talk, Window
from tests.live import Site

WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def sound(page: Page) -> None:
    # A test's own script, not the page's: axe is put in past the content security policy.
    report = Axe().run(page, options=WCAG).response
    assert len(report["passes"]) > 15  # the rules did run
    found = report["violations"]
    wrong = [
        f"{rule['id']}: {[node['html'][:160] for node in rule['nodes']]}"
        for rule in found
        if rule["impact"] in ("serious", "critical")
    ]
    assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_chat_has_no_serious_faults(talk: Talk, scheme: str) -> None:
    window = talk.window(bypass_csp=True, color_scheme=scheme, **PHONE).open()
    window.say("**Hello**")
    window.replied("Hello")
    sound(window.page)
    window.page.get_by_label("More").tap()
    sound(window.page)


def test_the_notice_and_the_help_card_have_no_serious_faults(fresh_talk: Talk) -> None:
    window = fresh_talk.window(bypass_csp=True).open()
    sound(window.page)
    window.page.get_by_role("button", name="I understand").click()
    expect(window.page.get_by_role("dialog")).to_be_hidden()
    window.say("我不想活了")
    expect(window.page.locator(".help-card")).to_be_visible()
    sound(window.page)


@pytest.mark.parametrize(
    "path", ["/", "/companions/", "/companions/botanist/", "/chats/", "/help/", "/accounts/settings/"]
)
def test_the_pages_around_have_no_serious_faults(talk: Talk, path: str) -> None:
    page = talk.window(bypass_csp=True, **PHONE).page
    page.goto(f"{talk.site.url}{path}")
    sound(page)


@pytest.mark.parametrize("path", ["/accounts/signup/", "/accounts/login/"])
def test_the_entrance_has_no_serious_faults(
    site: Site, contexts: Callable[..., BrowserContext], path: str
) -> None:
    page = contexts(bypass_csp=True, **PHONE).new_page()
    page.goto(f"{site.url}{path}")
    sound(page)


def test_a_whole_talk_with_the_keyboard_alone(window: Window) -> None:
    page = window.page

    def tab_to(name: str, key: str = "Tab") -> None:
        for _ in range(40):
            page.keyboard.press(key)
            if (
                page.evaluate(
                    "(document.activeElement.ariaLabel || document.activeElement.innerText || '').trim()"
                )
                == name
            ):
                return
        raise AssertionError(f"no way to {name}")

    window.field.focus()
    page.keyboard.type("Hello")
    page.keyboard.press("Enter")
    reply = window.replied("Hello")
    expect(window.field).to_be_focused()
    tab_to("Copy", "Shift+Tab")
    expect(reply.get_by_role("button", name="Copy")).to_be_in_viewport()
    assert float(reply.locator(".message-acts").evaluate("e => getComputedStyle(e).opacity")) == 1
    tab_to("Leave", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Come back to this chat")).to_be_visible()


def test_words_that_grow_are_not_read_one_by_one(slow: object, window: Window) -> None:
    window.say("Read to me")
    window.writing()
    expect(window.theirs.last).to_have_attribute("aria-live", "off")
    window.replied(END)
    assert window.theirs.last.get_attribute("aria-live") is None
    assert window.page.get_by_role("log").count() == 1


def test_a_finger_finds_every_target(talk: Talk) -> None:
    window = talk.window(**PHONE).open()
    window.say("Hello")
    window.replied("Hello")
    small = window.page.locator(".chat-frame :is(a, button, summary, textarea):visible").evaluate_all(
        """all => all.filter(e => {
            const box = e.getBoundingClientRect();
            const grown = getComputedStyle(e, "::after").position === "absolute" ? 22 : 0;
            return !e.closest("p") && (box.height + grown < 44 || box.width + grown < 36);
        }).map(e => e.outerHTML.slice(0, 120))"""
    )
    assert small == []
