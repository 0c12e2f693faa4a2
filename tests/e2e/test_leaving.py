"""The exit: one tap, in every state, and the persona says nothing more (final article 19)."""

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from companion.models import Conversation, Departure, Message
from tests.e2e.conftest import END, PHONE, Talk, Window
from tests.e2e.test_notice import raised
from tests.e2e.test_time import back_in_sight, used
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


def test_without_any_network_it_ends_here_at_once_and_there_when_it_is_back(
    slow: FakeLLM, talk: Talk
) -> None:
    window = talk.window()
    lines: list[WebSocketRoute] = []
    up = [True]

    def line(client: WebSocketRoute) -> None:
        if not up[0]:
            return client.close(code=1013)
        client.connect_to_server()
        lines.append(client)

    window.page.route_web_socket("**/ws/chat/**", line)
    window.open()
    window.say("Tell me something long")
    window.writing()
    window.page.route("**/leave/", lambda route: route.abort("internetdisconnected"))
    up[0] = False
    lines[0].close(code=1012)
    window.page.get_by_role("button", name="Leave").click()
    expect(window.page.get_by_role("button", name="Come back to this chat")).to_be_visible()
    expect(window.field).to_be_hidden()
    text = window.theirs.last.inner_text()
    up[0] = True
    window.page.evaluate("dispatchEvent(new Event('online'))")
    expect(window.system).to_have_count(1)
    assert window.theirs.last.inner_text() == text
    assert Conversation.objects.get(public_id=talk.conversation).ended_at is not None


# --- by voice ----------------------------------------------------------------------------------------------------------

# The browser's own recognition needs a microphone and its maker's servers; the page's part begins with the words.
EAR = """
    window.SpeechRecognition = class {
        constructor() { window.ear = this; }
        start() { this.onstart(); }
        stop() { this.onend(); }
        hear(words) {
            const result = Object.assign([{ transcript: words }], { isFinal: true });
            this.onresult({ results: [result], resultIndex: 0 });
            this.onend();
        }
    };
"""


def _listening(talk: Talk) -> Window:
    window = talk.window(**PHONE)
    window.page.add_init_script(EAR)
    window.open()
    window.page.get_by_role("button", name="Speak", exact=True).tap()
    expect(window.page.locator("[data-bar]")).to_contain_text("your browser may send your voice to its maker")
    window.page.locator("[data-bar]").get_by_role("button", name="Speak").tap()
    expect(window.page.get_by_role("button", name="Stop listening")).to_be_visible()
    return window


def _hear(page: Page, words: str) -> None:
    page.evaluate("words => ear.hear(words)", words)


@pytest.mark.parametrize("words", ["goodbye", "再见"])
def test_words_spoken_are_enough_to_leave(slow: FakeLLM, talk: Talk, words: str) -> None:
    window = _listening(talk)
    window.say("Tell me something long")
    window.writing()
    window.field.fill("For later")
    _hear(window.page, words)
    expect(window.page.get_by_role("button", name="Come back to this chat")).to_be_visible()
    assert [row.how for row in Departure.objects.all()] == [Departure.How.VOICE]
    assert window.persona_after_leaving() == []
    expect(window.field).to_have_value("For later")


def test_other_words_become_a_draft_and_nothing_is_sent(talk: Talk) -> None:
    window = _listening(talk)
    window.field.fill("One.")
    _hear(window.page, "And two")
    expect(window.field).to_have_value("One. And two")
    expect(window.page.get_by_role("button", name="Speak", exact=True)).to_be_visible()
    window.page.reload()
    window.ready()
    expect(window.field).to_have_value("One. And two")
    assert not Message.objects.filter(author="user").exists()


def test_words_are_enough_while_a_notice_waits(talk: Talk) -> None:
    window = _listening(talk)
    raised(talk, "break")
    expect(window.page.get_by_role("dialog")).to_be_visible()
    _hear(window.page, "goodbye")
    expect(window.page.get_by_role("button", name="Come back to this chat")).to_be_visible()
    expect(window.page.get_by_role("dialog")).to_be_hidden()


def test_words_are_enough_when_the_time_is_over(young: Talk) -> None:
    window = _listening(young)
    used(young.user, 60)
    back_in_sight(window)
    expect(window.page.locator("[data-rest]")).to_contain_text("time is used up")
    _hear(window.page, "goodbye")
    expect(window.page.get_by_role("button", name="Come back to this chat")).to_be_visible()
