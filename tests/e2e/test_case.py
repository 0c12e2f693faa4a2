"""A whole case, as the two people live it: message, alarm, human, contact, hand-back, closing, and the record afterwards."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from playwright.sync_api import BrowserContext, Page, expect

from accounts.models import User
from devstack.places import REPOSITORY
from safety.models import CrisisCase, Delivery
from tests.cast import CONTACT
from tests.e2e.conftest import Talk, open_talk
from tests.fake_llm import FakeLLM
from tests.live import Site, _test_database_url, sign_in
from tests.providers import MailHost, mail_host

__all__ = ["mail_host"]
pytestmark = pytest.mark.django_db(transaction=True)

WORDS = "I do not want to live any more"
QUICK = '{"3": {"contact": 3}}'  # seconds instead of ten minutes


@pytest.fixture
def house(
    companions: None, model: FakeLLM, mail_host: MailHost, tmp_path: Path
) -> Iterator[tuple[Site, MailHost]]:
    """A web process, an alert loop and a mail server, with a contact that is told after seconds."""
    site = Site(model.url, tmp_path / "log", ALERT_LADDER=QUICK)
    site.start()
    environment = {
        **os.environ,
        "DATABASE_URL": _test_database_url(),
        "SITE_URL": site.url,
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": "127.0.0.1",
        "EMAIL_PORT": str(mail_host.port),
        "ALERT_LADDER": QUICK,
    }
    with (tmp_path / "alerts.log").open("ab") as log:
        loop = subprocess.Popen(
            [sys.executable, "manage.py", "run_alerts"],
            cwd=REPOSITORY,
            env=environment,
            stdout=log,
            stderr=log,
        )
    yield site, mail_host
    loop.terminate()
    loop.wait(15)
    site.stop()


@pytest.fixture
def talk(house: tuple[Site, MailHost], adult: User, contexts: Callable[..., BrowserContext]) -> Talk:
    return open_talk(house[0], adult, contexts)


def _desk(site: Site, moderator: User, contexts: Callable[..., BrowserContext]) -> Page:
    context = contexts(viewport={"width": 1280, "height": 900})
    session = sign_in(moderator)
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": site.url}])
    page = context.new_page()
    page.goto(f"{site.url}/admin/crisis/")
    return page


def _text(letter: Message) -> str:
    """Headers and every part, as somebody reads them."""
    parts = [str(part.get_payload(decode=True), "utf-8") for part in letter.walk() if not part.is_multipart()]
    return "\n".join([*map(str, letter.values()), *parts])


def test_from_the_message_to_the_record(
    house: tuple[Site, MailHost],
    talk: Talk,
    moderator: User,
    contexts: Callable[..., BrowserContext],
    tmp_path: Path,
) -> None:
    site, mail = house
    desk = _desk(site, moderator, contexts)
    person = talk.window().open()

    # The message, the alarm
    person.say(WORDS)
    expect(person.page.locator(".help-card")).to_be_visible()
    expect(person.system).to_have_count(2)
    row = desk.locator("[data-case]")
    expect(row).to_have_count(1)
    assert WORDS not in desk.content()

    # A human takes over
    row.get_by_role("button", name="Take over").click()
    expect(desk.locator("[data-window]")).to_contain_text(WORDS)
    strip = person.page.locator("[data-human]")
    expect(strip).to_be_visible()
    expect(strip).to_contain_text("Moderator")
    label = person.page.locator(".ai-strip")
    expect(label).to_contain_text("AI-generated content")
    expect(label.get_by_text("You are talking with an AI")).to_be_hidden()
    desk.get_by_label("What you say to the person").fill("I am here. Is somebody with you?")
    desk.keyboard.press("Control+Enter")
    said = person.page.locator("[role=log] .message-staff")
    expect(said).to_contain_text("I am here. Is somebody with you?")
    expect(said).to_contain_text("A person, not an AI")
    person.say("My sister is on her way")
    expect(desk.locator("[data-window]")).to_contain_text("My sister is on her way")

    # The contact, meanwhile
    assert mail.seen.wait(20)
    letter = mail.taken[0]
    text = _text(letter)
    assert letter["To"] == CONTACT.email and CrisisCase.objects.get().number in text
    assert WORDS not in text and "My sister" not in text
    answer = re.search(r"/alerts/[^/\s]+/", text)
    assert answer
    contact = contexts().new_page()
    contact.goto(site.url + answer.group())
    contact.get_by_role("button", name="I am with them").click()
    expect(contact.get_by_role("status")).to_contain_text("Thank you for being with them")
    assert Delivery.objects.filter(state=Delivery.State.CONFIRMED, template="near").count() == 1

    # Back to the companion, and the end
    desk.locator("summary", has_text="Hand back").click()
    desk.get_by_label("How things stand, for the next human").fill("Calm again, sister is with them.")
    desk.get_by_role("button", name="Hand back").click()
    expect(strip).to_be_hidden()
    expect(label.get_by_text("You are talking with an AI")).to_be_visible()
    person.say("Thank you")
    expect(person.theirs.last).to_have_attribute("data-state", "complete")
    desk.locator("summary", has_text="Close the case").click()
    desk.get_by_label("Reason").select_option(CrisisCase.CloseReason.SAFE)
    desk.get_by_label("Outcome").select_option(CrisisCase.Outcome.CONTACT_WITH_THEM)
    desk.get_by_label("Note", exact=True).fill("Sister confirmed by telephone.")
    desk.get_by_role("button", name="Close the case").click()
    expect(desk.get_by_text("The case is closed.")).to_be_visible()

    # What the person can see afterwards
    person.page.goto(f"{site.url}/accounts/readings/")
    record = person.page.locator("main")
    expect(record).to_contain_text(re.compile("Moderator read"))
    expect(record).to_contain_text("because the safety engine saw signs that you might be in danger")
    assert CrisisCase.objects.get().state == CrisisCase.State.CLOSED

    # What was said is nowhere but in sealed columns (N18)
    logs = [(tmp_path / name).read_text() for name in ("log", "alerts.log")]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT COALESCE(string_agg(row::text, chr(10)), '') FROM \"{table}\" row")
            logs.append(cursor.fetchone()[0])
    for said in (WORDS, "My sister is on her way", "I am here. Is somebody"):
        assert not any(said in text for text in [*logs, *map(_text, mail.taken)])
