"""Reading: history, scrolling, the permanent label, narrow windows."""

import datetime as dt

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from companion.models import Conversation, Message
from tests.e2e.conftest import END, PHONE, SMALLEST, Talk
from tests.fake_llm import FakeLLM

# WCAG's contrast of an element's letters with what is painted behind them.
CONTRAST = """element => {
    const luminance = (colour) => {
        const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((part) => {
            const share = part / 255;
            return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    let behind = element;
    while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
    const both = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(luminance);
    return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
}"""


def _history(talk: Talk, count: int) -> None:
    conversation = Conversation.objects.get(public_id=talk.conversation)
    now = timezone.now()
    rows = []
    for number in range(count):
        author = Message.Author.AI if number % 2 else Message.Author.USER
        at = now - dt.timedelta(minutes=count - number)
        row = Message(conversation=conversation, author=author, created_at=at)
        row.seal(talk.user.pk, f"Message {number}. " + "Some words to fill it. " * (number % 7))
        rows.append(row)
    Message.objects.bulk_create(rows)


@pytest.mark.parametrize(("language", "scheme"), [("en", "dark"), ("zh-hans", "light")])
def test_the_label_is_in_sight_after_200_messages_at_320_px(talk: Talk, language: str, scheme: str) -> None:
    talk.user.language = language
    talk.user.save(update_fields=["language"])
    _history(talk, 200)
    window = talk.window(color_scheme=scheme, **SMALLEST).open()
    strip = window.page.locator(".ai-strip")
    for _ in range(3):
        expect(strip).to_be_in_viewport(ratio=1)
        window.page.locator("[data-scroll]").evaluate(
            "view => view.scrollTop = Math.random() * view.scrollHeight"
        )
    window.field.focus()
    expect(strip).to_be_in_viewport(ratio=1)
    size, body = (
        float(place.evaluate("e => getComputedStyle(e).fontSize").removesuffix("px"))
        for place in (strip, window.theirs.first.locator(".message-body"))
    )
    assert size >= body >= 14
    assert strip.evaluate(CONTRAST) >= 4.5
    expect(window.page.get_by_role("button", name="Leave" if language == "en" else "")).not_to_have_count(0)


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_no_width_scrolls_sideways(talk: Talk, model: FakeLLM, width: int) -> None:
    link, name = "https://example.org/" + "long" * 60, "`" + "code" * 60 + "`"
    model.script(
        reply=f"Here is the page about roses: {link}\n\nThis rose is called {name}\n\n园子里的玫瑰都开了，风一吹就香。"
    )
    window = talk.window(viewport={"width": width, "height": 700}).open()
    window.say("w" * 300)
    window.replied("风一吹就香")
    for selector in ("html", "[data-scroll]"):
        wide = window.page.locator(selector).evaluate("e => e.scrollWidth > e.clientWidth")
        assert not wide, selector


def test_older_messages_come_in_above_without_moving_what_is_read(talk: Talk) -> None:
    _history(talk, 150)
    window = talk.window(**PHONE).open()
    expect(window.messages).to_have_count(40)
    before = window.page.evaluate(
        """() => {
            const view = document.querySelector("[data-scroll]");
            const still = document.querySelectorAll(".message")[3];
            still.id = "still";
            view.scrollTop += still.getBoundingClientRect().top - view.getBoundingClientRect().top - 100;
            return still.getBoundingClientRect().top;
        }"""
    )
    expect(window.messages).to_have_count(80)
    window.page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )
    assert abs(window.page.locator("#still").evaluate("e => e.getBoundingClientRect().top") - before) < 2
    for count in (120, 151):  # the greeting is one more
        window.page.locator("[data-scroll]").evaluate("view => view.scrollTop = 0")
        expect(window.messages).to_have_count(count)
    expect(window.page.locator(".older")).to_have_count(0)
    ids = window.messages.evaluate_all("all => all.map(m => m.dataset.id)")
    assert len(set(ids)) == len(ids)


def test_who_scrolls_up_is_left_in_peace_and_told_that_something_came(slow: FakeLLM, talk: Talk) -> None:
    _history(talk, 30)
    window = talk.window().open()
    window.say("Write slowly")
    window.writing()
    scroller = window.page.locator("[data-scroll]")
    scroller.hover()
    window.page.mouse.wheel(0, -600)
    pill = window.page.locator("[data-pill]")
    expect(pill).to_be_visible()
    place = scroller.evaluate("view => view.scrollTop")
    window.replied(END)
    assert abs(scroller.evaluate("view => view.scrollTop") - place) < 2
    pill.click()
    expect(pill).to_be_hidden()
    expect(window.theirs.last).to_be_in_viewport()


def test_at_the_end_the_newest_words_stay_in_sight(slow: FakeLLM, talk: Talk) -> None:
    _history(talk, 30)
    window = talk.window(**PHONE).open()
    window.say("Write")
    window.replied(END)
    far = window.page.locator("[data-scroll]").evaluate("v => v.scrollHeight - v.clientHeight - v.scrollTop")
    assert far < 2


def test_times_are_said_in_the_words_of_the_reader(talk: Talk) -> None:
    conversation = Conversation.objects.get(public_id=talk.conversation)
    yesterday = timezone.now() - dt.timedelta(days=1)
    conversation.messages.update(created_at=yesterday)
    window = talk.window().open()
    clock = timezone.localtime(yesterday).strftime("%H:%M")
    expect(window.page.locator(".stamp").first).to_have_text(f"Yesterday {clock}")
    talk.user.language = "zh-hans"
    talk.user.save(update_fields=["language"])
    window.open()
    expect(window.page.locator(".stamp").first).to_have_text(f"昨天 {clock}")
