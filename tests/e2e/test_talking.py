"""Sending and being answered: at once, in order, once, and stoppable."""

import json
import re

from playwright.sync_api import expect

from companion.models import Message
from tests.e2e.conftest import BEGINNING, END, Talk, Window
from tests.fake_llm import FakeLLM


def test_a_message_shows_at_once_and_the_reply_grows_before_it_is_done(slow: FakeLLM, window: Window) -> None:
    window.say("Good morning")
    expect(window.own).to_have_count(1)
    expect(window.page.locator("[data-status]")).to_contain_text("is writing")
    window.writing()
    text = window.theirs.last.locator(".message-body").inner_text()
    assert text.startswith(BEGINNING[:5])
    assert END not in text
    window.replied(END)
    expect(window.page.locator("[data-status]")).to_be_empty()


def test_the_echo_becomes_the_stored_message_and_is_never_doubled(window: Window) -> None:
    window.say("Only once")
    window.replied("Only once")
    expect(window.own).to_have_count(1)
    assert window.own.get_attribute("data-id")
    stored = Message.objects.get(author="user")
    assert window.own.get_attribute("data-client") == str(stored.client_id)


def test_the_final_reply_takes_the_place_of_the_stream_without_a_jump(window: Window) -> None:
    heights = window.page.evaluate(
        """async () => {
            const { createLog } = await import("/static/js/chat/render.js");
            const log = createLog(document.querySelector("[data-chat]"), key => key);
            const message = { id: "one", author: "ai", state: "streaming", at: new Date().toISOString() };
            const height = () => log.find("id", "one").querySelector(".bubble").getBoundingClientRect().height;
            log.put(message);
            const heights = [height()];
            log.show("one", "First paragraph.\\n\\nSecond, **a little** longer.\\nWith a line.\\n\\nThird.");
            heights.push(height());
            const html = "<p>First paragraph.</p>\\n<p>Second, <strong>a little</strong> longer.<br>\\nWith a line.</p>"
                + "\\n<p>Third.</p>\\n";
            log.put({ ...message, state: "complete", html });
            heights.push(height());
            return heights;
        }"""
    )
    assert heights[0] < heights[1] == heights[2]


def test_stop_ends_the_reply_in_the_place_of_send(slow: FakeLLM, window: Window) -> None:
    window.say("Tell me")
    expect(window.button).to_have_accessible_name("Stop")
    window.writing()
    window.button.click()
    expect(window.theirs.last).to_have_attribute("data-state", "stopped")
    expect(window.theirs.last).to_contain_text("You stopped this reply.")
    expect(window.theirs.last).not_to_contain_text(END)
    expect(window.button).to_have_accessible_name("Send")
    assert slow.requests[-1].wait_ended()
    assert slow.requests[-1].disconnected


def test_escape_stops_as_well(slow: FakeLLM, window: Window) -> None:
    window.say("Tell me")
    window.writing()
    window.page.keyboard.press("Escape")
    expect(window.theirs.last).to_have_attribute("data-state", "stopped")


def test_one_may_go_on_writing_while_it_answers(slow: FakeLLM, window: Window) -> None:
    window.say("First")
    window.writing()
    window.field.fill("Second")
    expect(window.button).to_have_accessible_name("Send")
    window.field.press("Control+Enter")
    expect(window.own).to_have_count(2)
    expect(window.theirs).to_have_count(3)  # greeting and two replies
    assert [line.split(":")[0] for line in window.order()] == ["ai", "user", "ai", "user", "ai"]


def test_a_reply_can_be_written_anew(model: FakeLLM, window: Window) -> None:
    model.script(reply="The first answer.")
    window.say("Question")
    first = window.replied("The first answer.").get_attribute("data-id")
    model.script(reply="The other answer.")
    window.page.get_by_role("button", name="Answer anew").click()
    other = window.replied("The other answer.")
    assert other.get_attribute("data-id") != first
    expect(window.page.get_by_text("The first answer.")).to_have_count(0)
    window.page.reload()
    expect(window.page.get_by_text("The first answer.")).to_have_count(0)
    window.replied("The other answer.")


def test_an_interrupted_reply_says_so_and_can_be_tried_again(model: FakeLLM, window: Window) -> None:
    model.script(fault="drop", after=3, times=1, reply="A reply that breaks off in the middle of it.")
    window.say("Question")
    expect(window.theirs.last).to_have_attribute("data-state", "interrupted")
    model.script(reply="Whole this time.")
    window.page.get_by_role("button", name="Try again").click()
    window.replied("Whole this time.")


def test_every_reply_carries_the_mark_of_ai_and_nothing_else_does(slow: FakeLLM, window: Window) -> None:
    window.say("Who are you?")
    window.writing()
    expect(window.theirs.last.locator(".badge.ai")).to_be_visible()  # from the first word on
    window.replied(END)
    marks = window.page.locator("[role=log] .badge.ai")
    assert marks.count() == window.theirs.count() == 2
    assert window.page.locator(".message:not(.message-ai) .badge.ai").count() == 0
    created = [json.loads(frame) for frame in window.frames]
    assert all(f["ai_generated"] for f in created if f["kind"] == "reply.delta")


def test_what_is_copied_keeps_the_label(talk: Talk, model: FakeLLM) -> None:
    model.script(reply="Take this with you.")
    window = talk.window(permissions=["clipboard-read", "clipboard-write"]).open()
    window.say("Something to keep")
    reply = window.replied("Take this with you.")
    reply.get_by_role("button", name="Copy").click()
    expect(reply.get_by_role("button", name="Copied")).to_be_visible()
    read = "navigator.clipboard.readText()"
    assert window.page.evaluate(read) == "Take this with you.\n(AI-generated)"
    reply.locator(".message-body p").select_text()
    window.page.keyboard.press("Control+C")
    assert window.page.evaluate(read) == "Take this with you.\n(AI-generated)"


def test_a_refused_message_names_the_reason_and_can_be_taken_back(talk: Talk, window: Window) -> None:
    talk.user.agreement_version = ""
    talk.user.save(update_fields=["agreement_version"])
    from accounts.generation import policy_changed

    policy_changed(talk.user.pk)
    window.say("May I?")
    expect(window.own).to_have_attribute("data-state", "refused")
    expect(window.own).to_contain_text("Please read and accept the agreement first.")
    expect(window.own.get_by_role("link", name="Complete your account")).to_be_visible()
    expect(window.own.get_by_role("button", name="Send again")).to_be_hidden()  # it would be refused again
    window.own.get_by_role("button", name="Edit").click()
    expect(window.own).to_have_count(0)
    expect(window.field).to_have_value("May I?")


def test_markdown_is_shown_and_hostile_markup_does_nothing(model: FakeLLM, window: Window) -> None:
    payloads = [
        "<img src=x onerror=\"document.title='owned'\">",
        "<script>document.title='owned'</script>",
        "[tap](javascript:document.title='owned')",
        "![x](https://tracker.example/pixel.png)",
        "<svg/onload=document.title='owned'>",
        '<a href="data:text/html,<script>1</script>">a</a>',
        "**bold** and `code`",
    ]
    model.script(reply="\n\n".join(payloads))
    requests: list[str] = []
    window.page.on("request", lambda request: requests.append(request.url))
    window.say("<b onclick=alert(1)>hello</b> **not bold**")
    reply = window.replied(re.compile("bold and code"))
    expect(reply.locator("strong")).to_have_text("bold")
    assert (
        reply.locator(".message-body :is(img, script, svg, iframe, [onerror], [onload], [style])").count()
        == 0
    )
    assert reply.locator("a[href^='javascript'], a[href^='data']").count() == 0
    assert "owned" not in window.page.title()
    assert [url for url in requests if "tracker" in url] == []
    expect(window.own.locator(".message-body")).to_have_text("<b onclick=alert(1)>hello</b> **not bold**")
    window.page.reload()
    window.ready()
    assert window.page.locator("[role=log] :is(script, [onerror], [onclick])").count() == 0
    assert "owned" not in window.page.title()
