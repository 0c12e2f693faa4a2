"""Reloads, second tabs and lost lines: nothing is lost and nothing comes twice."""

from collections.abc import Callable

import pytest
from playwright.sync_api import WebSocketRoute, expect

from companion.models import Message
from tests.e2e.conftest import END, TALE, Talk, Window
from tests.fake_llm import FakeLLM

Wire = tuple[Window, Callable[[], None], Callable[[bool], None]]


@pytest.fixture
def wire(talk: Talk) -> Wire:
    """A window, a way to cut its line, and a way to forbid or allow new ones."""
    window = talk.window()
    open_lines: list[WebSocketRoute] = []
    allowed = [True]

    def pass_on(line: WebSocketRoute) -> None:
        if not allowed[0]:
            line.close(code=1013)
            return
        line.connect_to_server()
        open_lines.append(line)

    def cut() -> None:
        for line in open_lines:
            line.close(code=1012)
        open_lines.clear()

    def allow(yes: bool) -> None:
        allowed[0] = yes

    window.page.route_web_socket("**/ws/chat/**", pass_on)
    return window.open(), cut, allow


def _whole(window: Window) -> None:
    text = window.replied(END).locator(".message-body").inner_text()
    assert text == TALE


def test_a_reload_in_the_middle_of_a_reply_sees_it_continue(slow: FakeLLM, window: Window) -> None:
    window.say("Go on")
    window.writing()
    window.page.reload()
    window.writing()
    _whole(window)
    expect(window.own).to_have_count(1)
    assert len(slow.requests) == 1


def test_a_page_that_was_away_when_a_reply_began_shows_it_all_the_same(
    slow: FakeLLM, talk: Talk, wire: Wire
) -> None:
    """It learns of the reply from `ready`, which tells no time."""
    away, cut, allow = wire
    here = talk.window(away.page.context).open()
    allow(False)
    cut()
    here.say("Go on")
    here.writing()
    allow(True)
    _whole(away)
    assert away.order() == here.order()


def test_a_second_tab_shows_the_same(slow: FakeLLM, talk: Talk, window: Window) -> None:
    other = talk.window(window.page.context).open()
    window.say("Seen in both")
    other.writing()
    _whole(window)
    _whole(other)
    assert window.order() == other.order()
    other.say("And back")
    expect(window.own).to_have_count(2)
    assert window.own.last.locator(".message-body").inner_text() == "And back"


def test_a_lost_line_in_the_middle_of_a_reply_costs_nothing(slow: FakeLLM, wire: Wire) -> None:
    window, cut, _ = wire
    slow.script(gap=0.2, reply=TALE)  # long enough for three lines on a busy machine
    window.say("Go on")
    for _ in range(3):
        window.writing()
        cut()
        window.ready()
    _whole(window)
    expect(window.own).to_have_count(1)
    expect(window.theirs).to_have_count(2)
    assert len(slow.requests) == 1


def test_what_is_written_without_a_line_is_sent_once_and_in_order_when_it_is_back(wire: Wire) -> None:
    window, cut, allow = wire
    allow(False)
    cut()
    expect(window.page.locator("[data-line]")).to_contain_text("No connection")
    for text in ("one", "two", "three"):
        window.say(text)
    expect(window.page.locator(".message-user[data-state=sending]")).to_have_count(3)
    allow(True)
    window.page.get_by_role("button", name="Try now").click()
    expect(window.page.locator(".message-user[data-id]")).to_have_count(3)
    expect(window.page.locator("[data-line]")).to_be_hidden()
    assert [
        row.open(row.conversation.user_id) for row in Message.objects.filter(author="user").order_by("pk")
    ] == [
        "one",
        "two",
        "three",
    ]
    assert [line for line in window.order() if line.startswith("user")] == [
        "user: one",
        "user: two",
        "user: three",
    ]


def test_a_message_that_waits_survives_a_reload(wire: Wire) -> None:
    window, cut, allow = wire
    allow(False)
    cut()
    window.say("Do not lose me")
    window.page.reload()
    expect(window.own).to_have_count(1)
    allow(True)
    window.page.evaluate("dispatchEvent(new Event('online'))")
    expect(window.page.locator(".message-user[data-id]")).to_contain_text("Do not lose me")
    assert Message.objects.filter(author="user").count() == 1


def test_a_killed_server_leaves_the_message_and_an_interrupted_reply(slow: FakeLLM, own_talk: Talk) -> None:
    window = own_talk.window().open()
    window.say("Stay")
    window.writing()
    own_talk.site.kill()
    own_talk.site.start()
    expect(window.theirs.last).to_have_attribute("data-state", "interrupted")
    slow.script(reply="Here again.")
    window.page.get_by_role("button", name="Try again").click()
    window.replied("Here again.")
    expect(window.own).to_have_count(1)


def test_a_logout_elsewhere_asks_to_sign_in_and_shows_nothing_more(talk: Talk, window: Window) -> None:
    other = window.page.context.new_page()
    other.goto(f"{talk.site.url}/accounts/logout/")
    other.locator("main form button").first.click()
    expect(window.page.get_by_role("link", name="Sign in")).to_be_visible()
