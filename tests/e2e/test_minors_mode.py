"""Somebody turns minors' mode on in the chat, and an adult says that the doubt about their age is wrong."""

import datetime as dt
import uuid

from django.utils import timezone
from playwright.sync_api import Page, expect

from accounts.models import User
from companion.models import Persona
from safety import age_reviews
from safety.models import AgeReview
from tests.cast import noon_zone
from tests.e2e.conftest import PHONE, Talk


def no_scroll(page: Page) -> bool:
    """Nothing stands out of the page to the side."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_minors_mode_is_two_taps_away_in_the_chat_and_seen_from_then_on(talk: Talk) -> None:
    User.objects.filter(pk=talk.user.pk).update(time_zone=noon_zone())
    window = talk.window(**PHONE).open()
    page = window.page
    expect(page.locator("[data-minors]")).to_be_hidden()
    page.locator(".chat-head .menu summary").click()
    page.get_by_role("link", name="Turn on minors' mode").click()
    page.get_by_role("button", name="Turn on minors' mode").click()
    expect(page.get_by_text("It is on.")).to_be_visible()
    page.goto(window.url)
    expect(page.locator("[data-minors]")).to_be_visible()
    assert no_scroll(page)


def test_a_doubt_about_age_is_said_at_once_and_can_be_answered(talk: Talk) -> None:
    User.objects.filter(pk=talk.user.pk).update(time_zone=noon_zone())
    for days in (3, 2):
        age_reviews.note(talk.user.pk, uuid.uuid4(), ["stated"], timezone.now() - dt.timedelta(days=days))
    window = talk.window(**PHONE).open()
    window.say("I'm 15 years old by the way")
    expect(window.system.last).to_contain_text("minors' mode is on")
    expect(window.page.locator("[data-minors]")).to_be_visible()  # without loading the page anew
    window.page.locator("[data-minors]").click()
    window.page.locator("textarea").fill("I teach at a school.")
    window.page.get_by_role("button", name="I object").click()
    expect(window.page.get_by_text("has arrived")).to_be_visible()
    assert no_scroll(window.page)
    assert AgeReview.objects.get(person=talk.user).open() == "I teach at a school."


def test_a_partner_s_chat_closes_while_it_is_open(talk: Talk) -> None:
    User.objects.filter(pk=talk.user.pk).update(time_zone=noon_zone())
    Persona.objects.filter(slug="botanist").update(relationship="partner", age_rating="18")
    for days in (3, 2):
        age_reviews.note(talk.user.pk, uuid.uuid4(), ["stated"], timezone.now() - dt.timedelta(days=days))
    window = talk.window(**PHONE).open()
    window.say("I'm 15 years old by the way")
    expect(window.page.get_by_role("heading", name="This chat is closed for now")).to_be_visible()
    assert no_scroll(window.page)
