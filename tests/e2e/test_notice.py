"""Notices: they cannot be waved away, come once, and stand in nobody's way to help, to the exit or back to the draft."""

import datetime as dt
import re
from collections.abc import Callable

import pytest
from django.db import transaction
from django.utils import timezone
from playwright.sync_api import Locator, WebSocketRoute, expect

from accounts import realtime
from accounts.models import Notice
from accounts.realtime import NewEvent
from companion import access, notices, reminders, usage
from companion.models import Conversation, Departure, UsageSession
from tests.e2e.conftest import END, PHONE, SMALLEST, TALE, Talk, Window
from tests.e2e.test_access import sound
from tests.fake_llm import FakeLLM
from tests.live import sign_in


def raised(talk: Talk, *kinds: str) -> None:
    """Notices are due, in a stretch of use that has begun: the beginning of one would do away with them."""
    actor = access.load_actor(talk.user.pk, talk.session, timezone.now())
    persona = Conversation.objects.get(public_id=talk.conversation).persona_id
    usage.touch(actor.user_id, actor.policy, persona, talk.conversation)
    for kind in kinds:
        with transaction.atomic():
            notices.raise_one(talk.user.pk, kind, "a test")


def dialog(window: Window) -> Locator:
    return window.page.get_by_role("dialog")


def test_the_notice_holds_until_it_is_confirmed_and_then_stays_away(fresh_talk: Talk) -> None:
    window = fresh_talk.window().open()
    dialog = window.page.get_by_role("dialog")
    expect(dialog).to_contain_text("is an AI")
    for _ in range(3):
        window.page.keyboard.press("Escape")
    expect(dialog).to_be_visible()
    expect(window.page.get_by_role("button", name="I understand")).to_be_focused()
    window.page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(window.field).to_be_focused()
    window.say("Now we can talk")
    window.replied("Now we can talk")
    window.page.reload()
    window.ready()
    expect(dialog).to_be_hidden()
    assert Notice.objects.filter(user=fresh_talk.user, acknowledged_at__isnull=False).count() == 1


def test_it_can_be_confirmed_while_the_line_is_down(fresh_talk: Talk) -> None:
    window = fresh_talk.window()
    window.page.route_web_socket("**/ws/chat/**", lambda line: line.close(code=1013))
    window.page.goto(window.url)
    expect(window.page.locator("[data-line]")).to_be_visible()
    window.page.get_by_role("button", name="I understand").click()
    expect(window.page.get_by_role("dialog")).to_be_hidden()


def test_confirming_in_one_tab_frees_the_other(fresh_talk: Talk) -> None:
    window = fresh_talk.window().open()
    other = fresh_talk.window(window.page.context).open()
    window.page.get_by_role("button", name="I understand").click()
    expect(other.page.get_by_role("dialog")).to_be_hidden()


def test_the_next_login_asks_again(talk: Talk) -> None:
    window = talk.window().open()
    expect(window.page.get_by_role("dialog")).to_be_hidden()
    again = talk._replace(session=sign_in(talk.user, notice=False))
    context = window.page.context
    context.add_cookies([{"name": "anban_session", "value": again.session, "url": talk.site.url}])
    window.page.reload()
    expect(window.page.get_by_role("dialog")).to_be_visible()


def test_it_works_without_javascript(fresh_talk: Talk) -> None:
    window = fresh_talk.window(java_script_enabled=False)
    window.page.goto(window.url)
    window.page.get_by_role("button", name="I understand").click()
    expect(window.page.get_by_role("dialog")).to_be_hidden()
    assert window.page.url == window.url


def test_the_draft_is_kept_and_the_focus_returns_to_where_one_wrote(talk: Talk, window: Window) -> None:
    window.field.fill("Half a thought")
    window.field.evaluate("field => field.setSelectionRange(4, 4)")
    raised(talk)
    two_hours_ago = timezone.now() - dt.timedelta(minutes=121)
    UsageSession.objects.update(started_at=two_hours_ago, due_at=two_hours_ago + dt.timedelta(hours=2))
    assert reminders.raise_due() == 1
    expect(dialog(window)).to_have_accessible_name("Time for a break")
    expect(window.page.get_by_role("button", name="Pause now")).to_be_focused()
    expect(dialog(window)).not_to_have_attribute("data-fresh", "")
    window.page.keyboard.press("Tab")
    expect(window.page.get_by_role("button", name="Continue")).to_be_focused()
    window.page.keyboard.press("Enter")
    expect(dialog(window)).to_be_hidden()
    expect(window.field).to_be_focused()
    window.page.keyboard.type(" of")
    expect(window.field).to_have_value("Half of a thought")


def test_who_is_typing_when_it_comes_does_not_answer_it_with_the_next_key(talk: Talk, window: Window) -> None:
    window.field.focus()
    window.page.evaluate(
        """() => {
            const dialog = document.querySelector("dialog");
            const press = () => {
                const key = new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true });
                return !document.activeElement.dispatchEvent(key);
            };
            new MutationObserver(() => dialog.open && (window.kept ??= press()))
                .observe(dialog, { attributes: true, attributeFilter: ["open"] });
        }"""
    )
    raised(talk, "break")
    expect(dialog(window)).to_be_visible()
    assert window.page.evaluate("window.kept") is True
    expect(dialog(window)).not_to_have_attribute("data-fresh", "")


def test_several_come_one_after_the_other(talk: Talk, window: Window) -> None:
    raised(talk, "reality", "dependence", "break")
    for name, button in (
        ("This is not a person", "I understand"),
        ("A word about your use", "I understand"),
        ("Time for a break", "Continue"),
    ):
        expect(dialog(window)).to_have_accessible_name(name)
        if button == "Continue":
            window.page.keyboard.press("Tab")
        expect(window.page.get_by_role("button", name=button)).to_be_focused()
        window.page.keyboard.press("Enter")
    expect(dialog(window)).to_be_hidden()
    expect(window.field).to_be_focused()
    window.say("And on we go")
    window.replied("And on we go")


def test_a_break_ends_the_talk_with_one_line_and_a_way_back(slow: FakeLLM, talk: Talk) -> None:
    window = talk.window(**PHONE).open()
    other = talk.window(window.page.context).open()
    slow.script(gap=0.3, reply=TALE)
    window.say("Tell me something long")
    window.writing()
    raised(talk, "break")
    pause, go_on = (window.page.get_by_role("button", name=name) for name in ("Pause now", "Continue"))
    expect(pause).to_be_visible()
    sizes = [button.bounding_box() for button in (pause, go_on)]
    assert [(round(box["width"]), round(box["height"])) for box in sizes if box] == [
        (round(box["width"]), round(box["height"])) for box in reversed(sizes) if box
    ]
    pause.tap()
    for one in (window, other):
        expect(dialog(one)).to_be_hidden()
        expect(one.page.get_by_role("button", name="Come back to this chat")).to_be_visible()
        expect(one.system).to_have_count(1)
        expect(one.system).to_contain_text("Paused.")
        assert END not in one.theirs.last.inner_text()
        assert one.persona_after_leaving() == []
    assert [row.how for row in Departure.objects.all()] == [Departure.How.PAUSE]
    assert Notice.objects.get(kind="break").answer == "pause"


def test_a_message_that_it_refuses_goes_back_to_the_draft(talk: Talk) -> None:
    window = talk.window()
    window.page.route_web_socket("**/ws/chat/**", _deaf_to("notice.raised"))
    window.open()
    raised(talk, "break")
    window.say("Crossing on the way")
    expect(window.field).to_have_value("Crossing on the way")
    expect(window.own).to_have_count(0)
    expect(dialog(window)).to_be_visible()
    window.page.get_by_role("button", name="Continue").click()
    expect(window.field).to_be_focused()
    window.field.press("Control+Enter")
    window.replied("Crossing on the way")


def _deaf_to(kind: str) -> Callable[[WebSocketRoute], None]:
    """A line on which the frames of this kind get lost; the page hears of it only by a refusal."""

    def line(client: WebSocketRoute) -> None:
        server = client.connect_to_server()
        server.on_message(lambda text: None if f'"kind":"{kind}"' in str(text) else client.send(text))

    return line


@pytest.mark.parametrize("size", [PHONE, SMALLEST], ids=["360", "320"])
def test_it_covers_neither_label_nor_help_nor_exit(talk: Talk, size: dict[str, object]) -> None:
    window = talk.window(**size).open()
    raised(talk, "break")
    expect(dialog(window)).to_be_visible()
    assert window.page.evaluate(
        """() => [".ai-strip", ".tool-help", ".chat-leave button"].every(name => {
            const one = document.querySelector(name), box = one.getBoundingClientRect();
            const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
            return one.contains(top);
        })"""
    )
    assert dialog(window).evaluate("e => e.scrollWidth <= e.clientWidth")
    help_lines = dialog(window).get_by_role("link", name="Help lines")
    with window.page.expect_popup() as popup:
        help_lines.tap()
    popup.value.close()
    expect(dialog(window)).to_be_visible()


@pytest.mark.parametrize("place", [".chat-leave button", "dialog .notice-ways button"])
def test_one_can_leave_while_it_waits(talk: Talk, window: Window, place: str) -> None:
    raised(talk, "break")
    expect(dialog(window)).to_be_visible()
    window.page.locator(place).click()
    expect(window.page.get_by_role("button", name="Come back to this chat")).to_be_visible()
    expect(dialog(window)).to_be_hidden()
    expect(window.system).to_contain_text("has ended")
    assert Notice.objects.get(kind="break").answer == ""  # it waits for the day one comes back
    window.page.get_by_role("button", name="Come back to this chat").click()
    expect(dialog(window)).to_be_visible()


def test_help_comes_before_it(talk: Talk, window: Window) -> None:
    raised(talk, "break")
    expect(dialog(window)).to_be_visible()
    with transaction.atomic():
        card = {"level": "urgent", "country": "CN"}
        realtime.emit(talk.user.pk, NewEvent("help.card", talk.conversation, data=card))
    expect(window.page.locator(".help-card")).to_be_in_viewport(ratio=1)
    expect(dialog(window)).to_be_hidden()
    expect(window.field).to_be_focused()
    window.say("Thank you")
    expect(dialog(window)).to_be_visible()  # before one talks on
    expect(window.page.locator(".help-card")).to_be_in_viewport(ratio=1)
    window.page.get_by_role("button", name="Continue").click()
    expect(window.field).to_have_value("Thank you")


def test_it_counts_as_shown_when_it_was_in_sight(talk: Talk) -> None:
    window = talk.window()
    window.page.add_init_script(
        "Object.defineProperty(document, 'hidden', { get: () => window.away ?? false })"
    )
    window.open()
    window.page.evaluate("window.away = true")
    raised(talk, "break")
    expect(dialog(window)).to_be_attached()
    expect(dialog(window)).to_have_attribute("open", "")
    window.page.evaluate(
        "fetch('/help/').then(answer => answer.text())"
    )  # whatever was sent before has arrived
    assert Notice.objects.get(kind="break").shown_at is None
    window.page.evaluate("window.away = false; document.dispatchEvent(new Event('visibilitychange'))")
    window.page.get_by_role("button", name="Continue").click()
    expect(dialog(window)).to_be_hidden()
    window.say("And on")
    window.replied("And on")
    notice = Notice.objects.get(kind="break")
    assert notice.shown_at is not None and notice.acknowledged_at is not None
    assert notice.shown_at < notice.acknowledged_at


def test_an_answer_without_any_network_arrives_once_when_it_is_back(talk: Talk) -> None:
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
    raised(talk, "break")
    expect(dialog(window)).to_be_visible()
    window.page.route("**/notice/acknowledge/", lambda route: route.abort("internetdisconnected"))
    up[0] = False
    lines[0].close(code=1012)
    expect(window.page.locator("[data-chat][data-up]")).to_have_count(0)
    window.page.get_by_role("button", name="Continue").click()
    expect(dialog(window)).to_be_hidden()
    assert Notice.objects.get(kind="break").answer == ""
    up[0] = True
    window.page.evaluate("dispatchEvent(new Event('online'))")
    window.ready()
    window.say("Here again")
    window.replied("Here again")
    expect(dialog(window)).to_be_hidden()
    assert Notice.objects.get(kind="break").answer == "continue"


def test_back_and_forward_do_not_wave_it_away(talk: Talk, window: Window) -> None:
    raised(talk, "break")
    expect(dialog(window)).to_be_visible()
    window.page.goto(f"{talk.site.url}/help/")
    window.page.go_back()
    expect(dialog(window)).to_be_visible()
    assert Notice.objects.get(kind="break").answer == ""


def test_a_break_works_without_javascript(talk: Talk) -> None:
    raised(talk, "break")
    window = talk.window(java_script_enabled=False)
    window.page.goto(window.url)
    window.page.get_by_role("button", name="Pause now").click()
    expect(dialog(window)).to_be_hidden()
    expect(window.system).to_contain_text("Paused.")
    assert Conversation.objects.get(public_id=talk.conversation).ended_at is not None


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_break_has_no_serious_faults_for_anybody(talk: Talk, scheme: str) -> None:
    raised(talk, "break")
    window = talk.window(bypass_csp=True, color_scheme=scheme, **PHONE).open()
    expect(dialog(window)).to_have_accessible_description(re.compile("computer program and not with a human"))
    sound(window.page)
