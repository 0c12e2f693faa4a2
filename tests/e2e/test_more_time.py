"""More time asked for in the chat and given by a guardian, and a companion that is closed while it is open."""

from collections.abc import Callable

import pytest
from django.conf import settings
from playwright.sync_api import BrowserContext, Page, expect

from accounts.models import User
from guardians.models import TimeRequest
from tests.e2e.conftest import END, PHONE, Talk, Window
from tests.e2e.test_time import back_in_sight, used
from tests.fake_llm import FakeLLM
from tests.live import sign_in


@pytest.fixture
def parent(young: Talk, guardian: User, contexts: Callable[..., BrowserContext]) -> Page:
    context = contexts(**PHONE)
    session = sign_in(guardian)
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": young.site.url}])
    return context.new_page()


def same_page(window: Window) -> bool:
    return bool(window.page.evaluate("globalThis.kept === true"))


def test_asked_with_one_tap_given_with_one_and_the_chat_goes_on_without_a_reload(
    young: Talk, parent: Page
) -> None:
    window = young.window(**PHONE).open()
    window.page.evaluate("globalThis.kept = true")
    asks = window.page.locator("[data-ask]")
    expect(asks).to_be_empty()
    used(young.user, 52)
    back_in_sight(window)
    expect(asks).to_contain_text("Would you like more time today?")
    used(young.user, 60)
    back_in_sight(window)
    expect(window.field).to_be_hidden()
    tap = asks.get_by_role("button", name="30 min")
    box = tap.bounding_box()
    assert box is not None and box["height"] >= 44
    tap.click()
    expect(asks).to_contain_text("You asked for 30 minutes more today")
    expect(asks.get_by_role("button")).to_have_count(0)

    asked = TimeRequest.objects.get()
    parent.goto(f"{young.site.url}/guardians/requests/{asked.pk}/")
    expect(parent.get_by_role("heading", level=1)).to_contain_text("asks for 30 minutes more")
    parent.get_by_role("button", name="Give 30 minutes").click()
    expect(parent.get_by_text("30 minutes given (by you)")).to_be_visible()

    expect(asks).to_contain_text("You have 30 minutes more today")
    expect(window.field).to_be_visible()
    window.say("Thank you")
    window.replied("Thank you")
    expect(asks).to_be_empty()  # it has been read
    assert same_page(window)


def test_a_no_is_read_where_it_was_asked(young: Talk, parent: Page) -> None:
    window = young.window().open()
    used(young.user, 60)
    back_in_sight(window)
    asks = window.page.locator("[data-ask]")
    asks.get_by_role("button", name="15 min").press("Enter")
    expect(asks).to_contain_text("You asked for 15 minutes more")
    parent.goto(f"{young.site.url}/guardians/{young.user.pk}/#requests")
    parent.get_by_role("button", name="Not today").click()
    expect(asks).to_contain_text("That is about the clock, not about you")
    expect(asks.get_by_role("button")).to_have_count(0)
    expect(window.field).to_be_hidden()


def test_a_companion_closed_while_it_speaks_is_gone_without_a_word(
    slow: FakeLLM, young: Talk, parent: Page
) -> None:
    window = young.window(**PHONE).open()
    window.say("Tell me something long")
    window.writing()
    parent.goto(f"{young.site.url}/guardians/{young.user.pk}/settings/")
    parent.get_by_text("Choose companions").click()
    name = window.page.get_by_role("heading", level=1).inner_text()
    parent.get_by_role("checkbox", name=name).uncheck()
    parent.get_by_role("button", name="Save the companions").click()
    expect(parent.get_by_text("It holds from now on")).to_be_visible()
    expect(window.page.get_by_text("This companion is not available to you.")).to_be_visible()
    expect(window.field).to_be_hidden()
    expect(window.own.last).to_contain_text("Tell me something long")  # one's own history stays
    expect(window.theirs.last).not_to_contain_text(END)
    window.page.goto(f"{young.site.url}/companions/")
    expect(window.page.get_by_role("link", name=name, exact=True)).to_have_count(0)


def test_voice_goes_and_comes_with_the_guardian_s_choice(young: Talk, parent: Page) -> None:
    context = young.window().page.context
    context.add_init_script("globalThis.webkitSpeechRecognition ??= class { start() {} stop() {} };")
    window = young.window(context).open()
    microphone = window.page.locator("[data-voice]")
    expect(microphone).to_be_visible()
    for on in (False, True):
        parent.goto(f"{young.site.url}/guardians/{young.user.pk}/settings/")
        parent.get_by_text("Change the functions").click()
        parent.get_by_role("checkbox", name="Talking aloud").set_checked(on)
        parent.get_by_role("button", name="Save the functions").click()
        expect(parent.get_by_text("It holds from now on")).to_be_visible()
        expect(microphone).to_be_visible(visible=on)
