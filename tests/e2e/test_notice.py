"""The notice at the first use and at every login: it cannot be waved away, and it comes once."""

from playwright.sync_api import expect

from accounts.models import Notice
from tests.e2e.conftest import Talk
from tests.live import sign_in


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
