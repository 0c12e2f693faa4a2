"""Time as the page shows it: what is left, a word before the end, and rest; who is here counts, who is not does not."""

import datetime as dt
import re

from django.utils import timezone
from playwright.sync_api import expect

from accounts.models import User
from companion.models import UsageMinute
from tests.e2e.conftest import END, PHONE, Talk, Window, at_hour
from tests.fake_llm import FakeLLM

REST = "Today's time is used up"


def used(user: User, minutes: int) -> None:
    """So many minutes of today are over, and no others."""
    UsageMinute.objects.filter(user=user).delete()
    now = timezone.now().replace(second=0, microsecond=0)
    UsageMinute.objects.bulk_create(
        UsageMinute(user=user, minute=now - dt.timedelta(minutes=1 + i)) for i in range(minutes)
    )


def back_in_sight(window: Window) -> None:
    """As when somebody comes back to the tab."""
    window.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")


def chip(window: Window, minutes: int) -> None:
    """The minute may turn meanwhile."""
    expect(window.page.locator("[data-time]")).to_have_text(
        re.compile(f"^({minutes}|{minutes - 1}) min left$")
    )


def warned(window: Window, minutes: int) -> None:
    said = re.compile(f"^({minutes}|{minutes - 1}) min left for today")
    expect(window.page.locator("[data-warning]")).to_have_text(said)


def test_the_time_left_stands_in_the_head_and_is_the_server_s(young: Talk) -> None:
    window = young.window(**PHONE).open()
    expect(window.page.locator("[data-time]")).to_have_text(re.compile("^(1 h|59 min) left$"))
    used(young.user, 40)
    back_in_sight(window)
    chip(window, 20)
    expect(window.page.locator("[data-warning]")).to_be_empty()
    still = young.window(java_script_enabled=False)
    still.page.goto(still.url)
    chip(still, 20)


def test_without_a_limit_there_is_no_clock_to_look_at(window: Window) -> None:
    assert window.received()[0]["usage"] == {"minutes_left": None, "quiet_until": None}
    expect(window.page.locator("[data-time]")).to_be_hidden()


def test_ten_and_two_minutes_are_said_between_messages_and_in_nobody_s_way(
    slow: FakeLLM, young: Talk
) -> None:
    window = young.window().open()
    warning = window.page.locator("[data-warning]")
    assert warning.get_attribute("role") == "status"
    window.say("Tell me something")
    window.writing()
    used(young.user, 50)
    back_in_sight(window)
    chip(window, 10)
    expect(warning).to_be_empty()  # not while it is answering
    window.replied(END)
    warned(window, 10)
    window.field.fill("Then good night")
    expect(window.page.get_by_role("dialog")).to_be_hidden()
    used(young.user, 57)
    back_in_sight(window)
    chip(window, 3)
    warned(window, 10)  # said once, not counted down
    used(young.user, 58)
    back_in_sight(window)
    warned(window, 2)
    window.field.press("Control+Enter")
    expect(warning).to_be_empty()


def test_when_the_time_is_over_the_last_reply_is_finished_and_the_composer_gives_way(
    slow: FakeLLM, young: Talk
) -> None:
    window = young.window(**PHONE).open()
    window.say("Tell me something long")
    window.writing()
    window.field.fill("And then")
    used(young.user, 60)
    back_in_sight(window)
    expect(window.page.locator("[data-rest]")).to_contain_text(REST)
    expect(window.field).to_be_disabled()
    expect(window.button).to_have_accessible_name("Stop")
    window.replied(END)
    expect(window.field).to_be_hidden()
    expect(window.page.get_by_role("link", name="See your use")).to_be_visible()
    used(young.user, 0)  # the day turned
    back_in_sight(window)
    expect(window.field).to_have_value("And then")
    expect(window.field).to_be_enabled()
    expect(window.page.locator("[data-rest]")).to_have_text("You can talk again.")


def test_what_comes_too_late_goes_back_to_the_draft(young: Talk) -> None:
    window = young.window().open()
    window.heard("usage")
    used(young.user, 60)
    window.say("One more thing")
    expect(window.page.locator("[data-rest]")).to_contain_text(REST)
    expect(window.own).to_have_count(0)
    expect(window.field).to_have_value("One more thing")
    window.page.reload()
    window.ready()
    expect(window.page.locator("[data-rest]")).to_contain_text(REST)
    expect(window.field).to_be_hidden()
    expect(window.field).to_have_value("One more thing")


def test_in_the_hours_of_rest_one_can_read_and_leave(young: Talk) -> None:
    at_hour(young.user, 23)
    window = young.window(**PHONE).open()
    expect(window.page.locator("[data-rest]")).to_contain_text("It is time to rest")
    expect(window.field).to_be_hidden()
    expect(window.theirs).to_have_count(1)
    window.page.get_by_role("button", name="Leave").tap()
    expect(window.page.get_by_role("button", name="Come back to this chat")).to_be_visible()


def test_somebody_in_danger_is_not_sent_away_by_the_clock(young: Talk) -> None:
    window = young.window(**PHONE).open()
    window.heard("usage")  # the page believes in time that is over when the message arrives
    used(young.user, 60)
    window.say("我不想活了，今晚就结束自己")
    expect(window.page.locator(".help-card")).to_be_visible()
    used(young.user, 61)
    back_in_sight(window)
    window.page.reload()
    window.ready()
    expect(window.page.locator(".help-card")).to_be_visible()
    expect(window.page.locator("[data-rest]")).to_be_empty()
    window.say("Is somebody there?")
    expect(window.own.last).to_have_attribute("data-id", re.compile("."))


def test_the_page_says_that_somebody_is_here(talk: Talk) -> None:
    window = talk.window()
    sent: list[str] = []
    window.page.on("websocket", lambda ws: ws.on("framesent", lambda text: sent.append(str(text))))
    window.open()
    expect(window.field).to_be_visible()
    back_in_sight(window)
    window.heard("usage", 2)
    assert sent.count('{"type":"here"}') == 2  # when it was opened, and when it came back into sight
    assert UsageMinute.objects.filter(user=talk.user).count() in (1, 2)
