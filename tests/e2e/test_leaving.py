"""The exit: one tap, in every state, and the persona says nothing more (final article 19)."""

from playwright.sync_api import expect

from companion.models import Conversation
from tests.e2e.conftest import END, PHONE, Talk, Window
from tests.fake_llm import FakeLLM


def test_leaving_while_it_writes_ends_it_at_once(slow: FakeLLM, talk: Talk) -> None:
    window = talk.window(**PHONE).open()
    window.say("Tell me something long")
    window.writing()
    window.page.get_by_role("button", name="Leave").tap()
    expect(window.page.get_by_role("button", name="Come back to this chat")).to_be_visible()
    text = window.theirs.last.inner_text()
    expect(window.system).to_have_count(1)
    assert slow.requests[-1].wait_ended()
    window.page.evaluate("new Promise(done => setTimeout(() => done(true), 500))")
    assert END not in window.theirs.last.inner_text()
    assert len(window.theirs.last.inner_text()) <= len(text)
    assert window.persona_after_leaving() == []
    expect(window.field).to_be_hidden()
    expect(window.page.locator(".dots:visible")).to_have_count(0)


def test_a_word_is_enough_to_leave_and_one_tap_to_return(window: Window) -> None:
    window.say("再见")
    expect(window.page.get_by_role("button", name="Come back to this chat")).to_be_visible()
    expect(window.system).to_have_count(1)
    expect(window.theirs).to_have_count(1)  # the greeting; no goodbye
    window.page.get_by_role("button", name="Come back to this chat").click()
    window.ready()
    window.say("Here again")
    window.replied("Here again")


def test_the_other_tab_ends_as_well(talk: Talk, window: Window) -> None:
    other = talk.window(window.page.context).open()
    window.page.get_by_role("button", name="Leave").click()
    expect(other.page.get_by_role("button", name="Come back to this chat")).to_be_visible()
    expect(other.field).to_be_hidden()


def test_without_javascript_one_can_read_get_help_and_leave(talk: Talk) -> None:
    window = talk.window(java_script_enabled=False)
    window.page.goto(window.url)
    expect(window.theirs).to_have_count(1)
    expect(window.page.locator("noscript p")).to_contain_text("Talking needs JavaScript")
    expect(window.field).to_be_hidden()
    expect(window.page.get_by_role("link", name="Help", exact=True)).to_be_visible()
    window.page.get_by_role("button", name="Leave").click()
    expect(window.system).to_have_count(1)
    assert Conversation.objects.get(public_id=talk.conversation).ended_at is not None
