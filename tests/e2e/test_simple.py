"""Simple mode (长辈版) by the list of the ministry's norms for older users, and the way of somebody of 66 through it.

Text of 18 px at least and of 30 in the largest step, lines at 1.5, 60 px for a finger, strong contrast, one column also at
200 % zoom, everything by keyboard. A browser at 200 % on a phone of 360 px lays a page out in 180.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from accounts.models import User
from companion.models import Message
from guardians.models import EmergencyContact
from safety.models import CrisisCase
from tests.e2e.conftest import PHONE, Talk, Window, open_talk
from tests.e2e.test_access import WCAG
from tests.e2e.test_leaving import EAR
from tests.fake_llm import FakeLLM
from tests.live import Site

ZOOMED = {"viewport": {"width": 180, "height": 370}, "has_touch": True}
PAGES = [
    "/",
    "/companions/",
    "/family/",
    "/help/",
    "/simple/",
    "/accounts/care/",
    "/accounts/settings/",
    "/chats/",
]

# A mouth that notes what it is told to say; the browser's own has voices of its own, or none.
MOUTH = """
    window.said = [];
    class Voices extends EventTarget {
        getVoices() {
            return window.voices ?? ["zh-CN", "en-GB"].map((lang) => ({ lang, localService: true }));
        }
        speak(words) { said.push(words); }
        cancel() { said.length = 0; }
    }
    Object.defineProperty(window, "speechSynthesis", { value: new Voices() });
    window.SpeechSynthesisUtterance = class { constructor(text) { this.text = text; } };
"""

MEASURE = """() => {
    const shown = (e) => e.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })
        && !e.closest(".visually-hidden, .skip-link, [inert], details:not([open]) > :not(summary)")
        && e.getClientRects().length;
    const name = (e) => `${e.tagName}.${e.className} ${(e.innerText || e.ariaLabel || "").slice(0, 40)}`;
    const small = [], tight = [], narrow = [];
    for (const e of document.body.querySelectorAll("*")) {
        const text = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
        if (!text || !shown(e) || e.closest("template, script, noscript, svg, option")) continue;
        const style = getComputedStyle(e), size = parseFloat(style.fontSize);
        if (size < 18) small.push(`${size} ${name(e)}`);
        if (parseFloat(style.lineHeight) / size < 1.49) tight.push(`${style.lineHeight}/${size} ${name(e)}`);
    }
    for (const e of document.querySelectorAll("a[href], button, summary, input, select, textarea")) {
        if (!shown(e) || e.type === "hidden") continue;
        if (e.matches("a:not(.button, .act, .menu-item)") && e.closest("p, li, dd, label")) continue; // in a sentence
        const box = (e.closest("label") ?? e).getBoundingClientRect();
        if (box.height < 59.5 || box.width < 59.5) narrow.push(`${box.width}x${box.height} ${name(e)}`);
    }
    const page = document.scrollingElement;
    return { small, tight, narrow, over: page.scrollWidth - innerWidth };
}"""


@pytest.fixture
def old(site: Site, elder: User, contexts: Callable[..., BrowserContext]) -> Talk:
    return open_talk(site, elder, contexts)


def sized(talk: Talk, size: str, **options: Any) -> Window:
    window = talk.window(bypass_csp=True, **options)
    window.page.context.add_cookies([{"name": "anban_text", "value": size, "url": talk.site.url}])
    window.page.add_init_script(EAR + MOUTH)
    return window


def wrong(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(MEASURE)
    return {what: which for what, which in found.items() if which}


def contrast(page: Page, rule: str) -> list[str]:
    report = Axe().run(page, options={"runOnly": {"type": "rule", "values": [rule]}}).response
    return [node["html"][:120] for found in report["violations"] for node in found["nodes"]]


@pytest.mark.parametrize(
    ("size", "screen"),
    [("normal", PHONE), ("largest", PHONE), ("largest", ZOOMED)],
    ids=["phone", "30px", "200%"],
)
def test_every_page_keeps_sizes_distances_and_one_column(old: Talk, size: str, screen: Any) -> None:
    window = sized(old, size, **screen)
    found = {}
    for path in PAGES:
        window.page.goto(f"{old.site.url}{path}")
        expect(window.page.locator("body.simple")).to_be_attached()
        if size == "largest":
            assert (
                float(window.page.locator("body").evaluate("e => parseFloat(getComputedStyle(e).fontSize)"))
                == 30
            )
        if faults := wrong(window.page):
            found[path] = faults
        window.page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        if faults := wrong(window.page):
            found[f"{path} opened"] = faults
    window.open()
    expect(window.page.locator("[data-reads]")).to_be_attached()
    if faults := wrong(window.page):
        found["chat"] = faults
    assert found == {}


def test_the_three_doors_stand_below_each_other_on_a_wide_screen_too(old: Talk) -> None:
    page = sized(old, "normal", viewport={"width": 1280, "height": 800}).page
    page.goto(f"{old.site.url}/")
    boxes = page.locator(".simple-doors > *").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().toJSON())"
    )
    assert len(boxes) == 3
    assert len({round(box["left"]) for box in boxes}) == 1
    assert all(above["bottom"] < below["top"] for above, below in pairwise(boxes))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_whatever_is_read_stands_out_at_seven_to_one(old: Talk, scheme: str) -> None:
    window = sized(old, "normal", color_scheme=scheme, **PHONE)
    for path in PAGES:
        window.page.goto(f"{old.site.url}{path}")
        assert contrast(window.page, "color-contrast-enhanced") == [], path
    window.open()
    window.say("我给网上的投资老师转了二十万")
    expect(window.page.locator(".help-card[data-need=fraud]")).to_be_visible()
    assert contrast(window.page, "color-contrast-enhanced") == []


def test_pages_and_the_talk_have_no_serious_faults(old: Talk) -> None:
    window = sized(old, "normal", **PHONE)
    for path in [*PAGES, ""]:
        window.page.goto(f"{old.site.url}{path}" if path else window.url)
        report = Axe().run(window.page, options=WCAG).response
        assert [f["id"] for f in report["violations"] if f["impact"] in ("serious", "critical")] == [], path


def test_from_the_start_to_a_talk_and_out_of_it_by_keyboard(old: Talk) -> None:
    page = sized(old, "normal", viewport={"width": 1280, "height": 800}).page
    page.goto(f"{old.site.url}/")

    def tab_to(name: str, key: str = "Tab") -> None:
        for _ in range(40):
            page.keyboard.press(key)
            label = page.evaluate(
                "(document.activeElement.innerText || document.activeElement.ariaLabel || '').trim()"
            )
            if label.startswith(name):
                outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
                assert float(outline.removesuffix("px")) >= 3
                return
        raise AssertionError(f"no way to {name}")

    tab_to(page.locator(".simple-doors > *").first.inner_text().split("\n")[0].strip())
    page.keyboard.press("Enter")
    expect(page.locator("[data-chat][data-up]")).to_be_attached()
    tab_to(page.locator("[data-leave] button").inner_text())
    page.keyboard.press("Enter")
    expect(page.locator("[data-after] .primary")).to_be_visible()


# --- the way in ----------------------------------------------------------------------------------------------------------


def test_somebody_of_66_signs_up_at_200_percent_names_a_contact_and_talks(
    site: Site, contexts: Callable[..., BrowserContext]
) -> None:
    page = contexts(**ZOOMED).new_page()
    page.goto(f"{site.url}/accounts/signup/")
    page.get_by_label("E-mail address").fill("elderly.person@example.org")
    page.get_by_label("Password", exact=True).fill("a long test password")
    page.get_by_label("Year", exact=True).fill("1955")
    page.get_by_label("Month", exact=True).select_option("5")
    page.get_by_label("Day", exact=True).select_option("17")
    page.get_by_role("checkbox", name="I accept").check()
    page.get_by_role("button", name="Continue").click()

    expect(page.locator("body.simple")).to_be_attached()  # large before anything was chosen
    assert wrong(page) == {}
    page.get_by_role("button", name="Next").click()
    name = page.get_by_label("Name", exact=True)
    expect(name).to_be_visible()  # the browser itself asks for it: required
    name.fill("Lin Qiu")
    page.get_by_role("button", name="Next").click()
    page.get_by_label("Son or daughter").check()
    assert wrong(page) == {}
    page.get_by_role("button", name="Next").click()
    page.get_by_role("button", name="Back").click()
    expect(page.get_by_label("Son or daughter")).to_be_checked()
    page.get_by_role("button", name="Next").click()
    page.get_by_label("Their telephone number").fill("12")
    page.get_by_role("button", name="Finish").click()
    expect(page.locator(".field-error")).to_contain_text("digits only")
    page.get_by_label("Their telephone number").fill("+86 138 0013 8000")
    expect(page.get_by_role("checkbox")).to_be_checked()  # simple mode is suggested
    assert wrong(page) == {}
    page.get_by_role("button", name="Finish").click()
    expect(page).to_have_url(f"{site.url}/companions/")
    assert EmergencyContact.objects.get().user.simple_mode

    page.get_by_role("button", name="Talk with Moss").click()
    page.get_by_role("button", name="I understand").click()
    expect(page.get_by_role("dialog")).to_be_hidden()
    window = Window(page, page.url)
    window.say("Good morning")
    window.replied("Good morning")
    assert Message.objects.filter(author="user").count() == 1

    page.goto(f"{site.url}/family/")
    expect(page.get_by_role("link", name="Call Lin Qiu")).to_have_attribute("href", "tel:+8613800138000")


def test_on_for_a_visitor_and_taken_along_into_the_account(
    site: Site, contexts: Callable[..., BrowserContext]
) -> None:
    page = contexts(**PHONE).new_page()
    page.goto(f"{site.url}/")
    page.get_by_role("link", name="Simple mode").click()
    page.get_by_role("button", name="Turn on simple mode").click()
    expect(page.locator("body.simple .simple-doors")).to_be_visible()
    page.goto(f"{site.url}/accounts/signup/")
    page.get_by_label("E-mail address").fill("simple.visitor@example.org")
    page.get_by_label("Password", exact=True).fill("a long test password")
    page.get_by_label("Year", exact=True).fill("1985")
    page.get_by_label("Month", exact=True).select_option("5")
    page.get_by_label("Day", exact=True).select_option("17")
    page.get_by_role("checkbox", name="I accept").check()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Question 1 of 3")).to_be_visible()
    assert User.objects.get(email="simple.visitor@example.org").simple_mode

    page.goto(f"{site.url}/simple/")
    page.get_by_role("button", name="Leave simple mode").click()
    expect(page.locator("body:not(.simple)")).to_be_attached()
    assert not User.objects.get(email="simple.visitor@example.org").simple_mode


# --- warnings --------------------------------------------------------------------------------------------------------------


def test_a_scam_is_warned_of_in_large_type_and_a_loss_brings_people(old: Talk) -> None:
    window = sized(old, "normal", **PHONE).open()
    card = window.page.locator(".help-card")
    window.say("那个投资老师叫我先投三万")
    expect(card).to_be_in_viewport()
    expect(card.locator("a.call").first).to_have_attribute("href", "tel:96110")
    size = card.locator(".help-card-text").evaluate("e => parseFloat(getComputedStyle(e).fontSize)")
    assert size > 20
    assert CrisisCase.objects.get().level == 2
    window.say("我已经给他转了二十万")
    expect(card.locator("a.call").first).to_have_attribute("href", "tel:110")
    case = CrisisCase.objects.get()
    assert (case.level, case.category) == (3, CrisisCase.Category.PROPERTY_LOSS)
    assert case.ladder["4"]  # the emergency contact stands on it
    window.page.reload()
    expect(card.locator("a.call").first).to_have_attribute("href", "tel:110")


# --- by voice -------------------------------------------------------------------------------------------------------------


def said(page: Page) -> list[str]:
    words: list[str] = page.evaluate("said.map(each => each.text)")
    return words


def test_replies_are_read_once_more_slower_and_stop_with_the_conversation(old: Talk, model: FakeLLM) -> None:
    model.script(reply="Today is fine. Let us sit down.")
    window = sized(old, "normal", **PHONE).open()
    page = window.page
    window.say("Hello")
    reply = window.replied("Let us sit down.")
    assert said(page) == []  # not unasked
    reply.locator("[data-act=read]").tap()
    assert said(page) == ["Today is fine.", " Let us sit down."]
    pace = page.evaluate("said[0].rate")
    page.locator("[data-aloud-slower]").tap()
    assert page.evaluate("said[0].rate") < pace
    reply.locator("[data-act=read]").tap()
    assert said(page) == []
    page.locator("[data-aloud-again]").tap()
    assert len(said(page)) == 2
    page.locator("[data-leave] button").tap()
    expect(page.locator("[data-after] .primary")).to_be_visible()
    assert said(page) == []


def test_replies_are_read_as_they_come_when_that_was_asked_for(old: Talk, model: FakeLLM) -> None:
    model.script(reply="Today is fine.")
    window = sized(old, "normal", **PHONE).open()
    window.page.locator(".simple-chat-bar summary").tap()
    window.page.locator("[data-aloud-auto]").check()
    window.say("Hello")
    window.replied("Today is fine.")
    window.page.wait_for_function("said.length === 1")
    assert said(window.page) == ["Today is fine."]


def test_a_voice_that_speaks_from_elsewhere_is_not_used(old: Talk) -> None:
    window = sized(old, "normal", **PHONE)
    window.page.add_init_script("window.voices = [{ lang: 'zh-CN', localService: false }]")
    window.open()
    window.say("Hello")
    window.replied("Hello")
    expect(window.page.locator("[data-aloud]")).to_be_hidden()
    expect(window.page.locator("[data-act=read]").first).to_be_hidden()


def test_a_browser_without_speech_shows_nothing_of_it(old: Talk) -> None:
    window = old.window(**PHONE)
    window.page.add_init_script(
        "for (const name of ['speechSynthesis', 'SpeechRecognition', 'webkitSpeechRecognition']) delete window[name];"
    )
    window.open()
    for part in ("[data-voice]", "[data-aloud]", "[data-voice-choice]", "[data-aloud-choice]"):
        assert window.page.locator(part).evaluate_all(
            "all => all.every(e => e.hidden || !e.checkVisibility())"
        )


def test_hold_speak_let_go_and_it_is_written_and_sent_when_that_was_asked_for(old: Talk) -> None:
    window = sized(old, "normal", viewport={"width": 360, "height": 740}).open()
    page, button = window.page, window.page.locator("[data-voice]")
    assert button.bounding_box()["height"] >= 60
    button.scroll_into_view_if_needed()
    button.focus()
    page.keyboard.press("Enter")  # by keyboard a press begins and a press ends
    expect(page.locator("[data-bar]")).not_to_be_empty()  # says first where the voice may go
    page.locator("[data-bar] button").click()
    expect(button).to_have_attribute("aria-pressed", "true")
    page.evaluate("ear.hear('Good morning')")
    expect(window.field).to_have_value("Good morning")
    expect(window.own).to_have_count(0)

    button.hover()
    page.mouse.down()
    expect(button).to_have_attribute("aria-pressed", "true")
    page.mouse.up()
    expect(button).to_have_attribute("aria-pressed", "false")

    page.locator(".simple-chat-bar summary").click()
    page.locator("[data-voice-send]").check()
    page.locator(".simple-chat-bar summary").click()
    button.focus()
    page.keyboard.press("Enter")
    page.evaluate("ear.hear('all of you')")
    expect(window.own).to_have_count(1)
    window.replied("Good morning")
