"""Writing: Chinese input methods first, then what Enter means, then drafts."""

from playwright.sync_api import CDPSession, expect

from tests.e2e.conftest import PHONE, Talk, Window


def _composer(window: Window) -> CDPSession:
    window.field.focus()
    return window.page.context.new_cdp_session(window.page)


def _compose(ime: CDPSession, text: str) -> None:
    ime.send(
        "Input.imeSetComposition", {"text": text, "selectionStart": len(text), "selectionEnd": len(text)}
    )


def test_enter_during_a_composition_never_sends(window: Window) -> None:
    ime = _composer(window)
    _compose(ime, "nihao")
    window.page.keyboard.press("Enter")
    _compose(ime, "nihao")
    window.page.keyboard.press("Control+Enter")
    expect(window.own).to_have_count(0)
    ime.send("Input.insertText", {"text": "你好"})
    window.field.fill("你好")
    window.page.keyboard.press("Enter")
    expect(window.own).to_have_count(1)
    expect(window.own.locator(".message-body")).to_have_text("你好")


def test_the_enter_that_safari_fires_after_the_composition_does_not_send(window: Window) -> None:
    window.field.evaluate(
        """field => {
            field.value = "你好";
            const enter = new KeyboardEvent("keydown", {key: "Enter", bubbles: true, cancelable: true});
            field.dispatchEvent(new CompositionEvent("compositionstart", {bubbles: true}));
            field.dispatchEvent(new CompositionEvent("compositionend", {data: "你好", bubbles: true}));
            field.dispatchEvent(enter);
        }"""
    )
    expect(window.own).to_have_count(0)
    window.page.evaluate("new Promise(done => setTimeout(() => done(true), 0))")
    window.field.press("Enter")
    expect(window.own).to_have_count(1)


def test_an_enter_with_key_code_229_does_not_send(window: Window) -> None:
    window.field.evaluate(
        """field => {
            field.value = "你好";
            const init = {key: "Enter", keyCode: 229, bubbles: true, cancelable: true};
            field.dispatchEvent(new KeyboardEvent("keydown", init));
        }"""
    )
    expect(window.own).to_have_count(0)


def test_a_tap_on_send_takes_the_text_that_is_still_being_composed(window: Window) -> None:
    ime = _composer(window)
    window.field.fill("今天")
    _compose(ime, "很好")
    window.button.click()
    expect(window.own.locator(".message-body")).to_have_text("今天很好")
    expect(window.field).to_have_value("")


def test_enter_sends_and_shift_enter_makes_a_line(window: Window) -> None:
    window.field.press_sequentially("one")
    window.field.press("Shift+Enter")
    window.field.press_sequentially("two")
    window.field.press("Enter")
    expect(window.own).to_have_count(1)
    assert window.own.locator(".message-body").inner_text() == "one\ntwo"
    expect(window.field).to_have_value("")


def test_on_a_phone_enter_is_a_new_line_and_the_button_sends(talk: Talk) -> None:
    window = talk.window(**PHONE).open()
    window.field.press_sequentially("one")
    window.field.press("Enter")
    window.field.press_sequentially("two")
    expect(window.field).to_have_value("one\ntwo")
    window.button.tap()
    expect(window.own).to_have_count(1)
    expect(window.field).to_be_focused()  # the keyboard stays open


def test_who_wants_enter_to_make_lines_can_have_it(window: Window) -> None:
    window.page.get_by_label("More").click()
    window.page.get_by_label("Enter sends the message").uncheck()
    window.page.keyboard.press("Escape")
    window.field.press_sequentially("one")
    window.field.press("Enter")
    window.field.press_sequentially("two")
    expect(window.own).to_have_count(0)
    window.field.press("Control+Enter")
    expect(window.own).to_have_count(1)


def test_the_field_grows_to_six_lines_and_then_scrolls(window: Window) -> None:
    heights = []
    for lines in (1, 3, 6, 20):
        window.field.fill("\n".join(["line"] * lines))
        heights.append(window.field.evaluate("field => field.offsetHeight"))
    assert heights[0] < heights[1] < heights[2]
    assert abs(heights[3] - heights[2]) <= 1  # rounding


def test_what_was_not_sent_is_still_there_after_a_reload_and_named_in_the_list(
    talk: Talk, window: Window
) -> None:
    window.field.fill("half a thou")
    window.page.reload()
    expect(window.field).to_have_value("half a thou")
    window.page.goto(f"{talk.site.url}/chats/")
    expect(window.page.get_by_text("Not sent yet")).to_be_visible()
    window.open()
    window.field.press("Control+Enter")
    window.page.reload()
    expect(window.field).to_have_value("")


def test_a_message_that_is_too_long_is_kept_and_explained(window: Window) -> None:
    window.field.fill("a" * 4001)
    window.field.press("Control+Enter")
    expect(window.page.get_by_role("alert")).to_contain_text("4000")
    expect(window.own).to_have_count(0)
    assert len(window.field.input_value()) == 4001
