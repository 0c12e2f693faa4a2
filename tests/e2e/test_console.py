"""The console in a browser: a new case comes by itself and rings, the keyboard does the work, a phone suffices."""

import re
import uuid
from collections.abc import Callable

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.db import transaction
from playwright.sync_api import BrowserContext, Page, expect

from accounts.models import User
from companion.models import Message
from safety import cases
from safety.engine import Verdict
from safety.models import CrisisCase, Presence
from tests.e2e.conftest import PHONE
from tests.e2e.test_access import WCAG
from tests.live import Site, open_conversation, sign_in

Open = Callable[..., Page]
SECRET = "words that only an opened page shows"


def in_danger(user: User, level: int, conversation: uuid.UUID | None = None) -> CrisisCase:
    verdict = Verdict(level, "hold", {}, ("crisis.explicit.wish_to_die",))
    with transaction.atomic():
        return cases.raise_signal(
            user,
            message=uuid.uuid4(),
            conversation=conversation or uuid.uuid4(),
            verdict=verdict,
            category=cases.Category.SELF_HARM,
            text=SECRET,
        )


@pytest.fixture
def desk(site: Site, moderator: User, contexts: Callable[..., BrowserContext]) -> Open:
    """The moderator's browser at the queue."""
    session = sign_in(moderator)

    def open_desk(**options: object) -> Page:
        context = contexts(**options)
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": site.url}])
        page = context.new_page()
        page.goto(f"{site.url}/admin/crisis/")
        return page

    return open_desk


def test_a_new_case_comes_by_itself_and_rings_until_it_was_seen(
    desk: Open, adult: User, outsider: User, moderator: User
) -> None:
    first = in_danger(adult, 3)
    page = desk()
    page.get_by_role("button", name="Turn sound on").click()
    expect(page.locator("body[data-alarm=ringing][data-sound=on]")).to_be_attached()
    rings = int(page.locator("body").get_attribute("data-rings") or 0)
    second = in_danger(outsider, 4)
    row = page.locator(f"[data-case='{second.pk}']")
    expect(row).to_be_visible(timeout=4000)  # while somebody calls, the page asks every 1.5 s, else every 3
    assert page.locator(".queue .case").first.get_attribute("data-case") == str(second.pk)
    assert int(page.locator("body").get_attribute("data-rings") or 0) > rings
    expect(page.locator("[data-announce]")).to_contain_text(second.number)
    expect(page).to_have_title(re.compile("2"))
    page.get_by_role("button", name="Mute for 60 s").click()
    expect(page.locator("body[data-alarm=muted]")).to_be_attached()
    cases.acknowledge(first.pk, moderator, second.opened_at)
    cases.acknowledge(second.pk, moderator, second.opened_at)
    expect(page.locator("body[data-alarm=quiet]")).to_be_attached()
    second.refresh_from_db()
    page.context.set_offline(True)
    expect(page.get_by_role("alert")).to_contain_text("Live link off")
    page.context.set_offline(False)
    expect(page.locator("body[data-link=on]")).to_be_attached()
    assert second.first_notice_at is not None and Presence.objects.filter(user=moderator).exists()


def test_from_the_queue_to_the_first_words_by_keyboard(desk: Open, adult: User, site: Site) -> None:
    conversation = open_conversation(adult, sign_in(adult)).public_id
    case = in_danger(adult, 4, conversation)
    page = desk()
    expect(page.locator("body[data-alarm=ringing]")).to_be_attached()
    assert SECRET not in page.content()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("c")
    expect(page).to_have_url(f"{site.url}/admin/crisis/{case.pk}/")
    expect(page.locator("[data-window]")).to_contain_text(SECRET)
    page.keyboard.press("/")
    page.keyboard.type("I am here, c and j and q are letters now.")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".line.staff")).to_contain_text("letters now")
    expect(page.locator("#reply-text")).to_have_value("")
    assert Message.objects.filter(author=Message.Author.STAFF).count() == 1


def test_a_phone_needs_no_sideways_scrolling(desk: Open, adult: User, minor: User, site: Site) -> None:
    conversation = open_conversation(adult, sign_in(adult)).public_id
    in_danger(adult, 4, conversation)
    in_danger(minor, 3)
    page = desk(**PHONE)
    wide = "document.documentElement.scrollWidth"
    assert page.evaluate(wide) == 360
    page.get_by_role("button", name="Take over").first.click()
    expect(page.locator("#reply-text")).to_be_visible()
    assert page.evaluate(wide) == 360
    expect(page.get_by_role("button", name="Send")).to_be_in_viewport()
    box = page.get_by_role("button", name="Send").bounding_box()
    assert box is not None and box["height"] >= 44


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", [PHONE, {}], ids=["phone", "desk"])
def test_no_serious_faults(
    device: dict[str, object], scheme: str, desk: Open, adult: User, minor: User, elder: User
) -> None:
    """Every rule, not the grave ones alone: on this page nobody has time for detours."""
    session = sign_in(adult)
    in_danger(adult, 3, open_conversation(adult, session, "lighthouse").public_id)
    case = in_danger(adult, 4, open_conversation(adult, session).public_id)
    in_danger(minor, 3)
    in_danger(elder, 2)
    page = desk(bypass_csp=True, color_scheme=scheme, **device)

    found: list[str] = []

    def look(stage: str) -> None:
        report = Axe().run(page, options=WCAG).response
        assert len(report["passes"]) > 15  # the rules did run
        for rule in report["violations"]:
            found.append(f"{stage} {rule['id']}: {[node['html'][:160] for node in rule['nodes']]}")

    expect(page.locator("body[data-alarm=ringing]")).to_be_attached()
    look("queue")
    page.locator("[data-bell]").click()
    look("bell")
    page.keyboard.press("Escape")
    page.locator(f"[data-case='{case.pk}'] [data-open]").click()
    expect(page.locator("[data-window]")).to_contain_text(SECRET)
    look("case")
    page.locator("[data-claim]").click()
    expect(page.locator("#reply-text")).to_be_visible()
    for closed in page.locator("summary").all():
        closed.click()
    look("reply")
    assert "\n".join(found) == ""
