"""A real browser on a real site. What a page says on its console counts: any error there fails the test."""

import json
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from django.conf import settings
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from accounts.models import User
from devstack.browser import ARGUMENTS
from tests.fake_llm import FakeLLM
from tests.live import (
    Site,
    _model,
    _site,
    companions,
    model,
    open_conversation,
    own_site,
    quiet,
    sign_in,
    site,
)

__all__ = ["_model", "_site", "companions", "model", "own_site", "site"]

expect.set_options(timeout=20_000)  # two cores may have other work; nothing waits this long when it goes well

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
# A long reply that makes sense, because the engine reads it too.
TALE = (
    "First we walk down to the harbour, where the boats lie quietly side by side. A fisherman mends his nets, "
    "two children count the gulls, and the baker opens her door. Then we climb the hill and look over the bay, "
    "and far away a small white ferry comes in at last."
)
BEGINNING, END = "First we walk", "comes in at last."
SMALLEST = {"viewport": {"width": 320, "height": 568}, "has_touch": True, "is_mobile": True}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a browser."""
    for item in items:
        if "tests/e2e/" in item.nodeid:
            item.add_marker(pytest.mark.browser)
            # Playwright's loop is running in this thread, so set-up steps cannot ring the doorbell; the rows are there.
            item.add_marker(pytest.mark.filterwarnings("ignore:coroutine '_send' was never awaited"))


# Not for the whole session: playwright keeps an event loop in this thread, and other packages have async tests.
@pytest.fixture(scope="package")
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield running
        running.close()


class Window:
    """A person's browser window on one conversation, and the few moves of somebody who chats."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.field = page.locator("#composer-text")
        self.button = page.locator("[data-send]")
        self.messages = page.locator("[role=log] .message")
        self.theirs = page.locator("[role=log] .message-ai")
        self.own = page.locator("[role=log] .message-user")
        self.system = page.locator("[role=log] .message-system")
        self.frames: list[str] = []
        page.on("websocket", lambda ws: ws.on("framereceived", lambda text: self.frames.append(str(text))))

    def open(self) -> "Window":
        self.page.goto(self.url)
        self.ready()
        return self

    def ready(self) -> None:
        expect(self.page.locator("[data-chat][data-up]")).to_be_attached()

    def say(self, text: str) -> None:
        self.field.fill(text)
        self.field.press("Control+Enter")

    def replied(self, text: str | re.Pattern[str]) -> Locator:
        """The newest reply, once it is complete and says this."""
        last = self.theirs.last
        expect(last).to_contain_text(text)
        expect(last).to_have_attribute("data-state", "complete")
        return last

    def writing(self) -> None:
        """Wait until some of a reply is on the page and more of it is on its way."""
        expect(self.page.locator(".message-ai[data-state=streaming] .message-body p").first).not_to_be_empty()

    def received(self) -> list[dict[str, Any]]:
        """Every frame so far."""
        return [json.loads(frame) for frame in self.frames]

    def heard(self, kind: str, count: int = 1) -> None:
        """Wait until so many frames of this kind have come."""
        for _ in range(400):
            if sum(frame["kind"] == kind for frame in self.received()) >= count:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"no frame {kind}")

    def persona_after_leaving(self) -> list[dict[str, Any]]:
        """Frames in which the persona still spoke when the conversation had ended."""
        kinds = self.received()
        end = next(i for i, frame in enumerate(kinds) if frame["kind"] == "conversation.left")
        return [
            frame
            for frame in kinds[end:]
            if frame["kind"].startswith("reply.") or frame.get("message", {}).get("author") == "ai"
        ]

    def order(self) -> list[str]:
        """Every message of the page as its author and first words, from top to bottom."""
        said: list[str] = self.messages.evaluate_all(
            "all => all.map(m => m.className.match(/message-(ai|user|staff|system)/)[1] + ': '"
            " + m.querySelector('.message-body').innerText.trim())"
        )
        return said


class Talk(NamedTuple):
    site: Site
    user: User
    session: str
    conversation: uuid.UUID
    window: Callable[..., Window]


@pytest.fixture
def contexts(browser: Browser, companions: None) -> Iterator[Callable[..., BrowserContext]]:
    """Makes browser profiles; their pages may say nothing wrong on the console."""
    opened: list[BrowserContext] = []
    wrong: list[str] = []

    def make(**options: Any) -> BrowserContext:
        context = browser.new_context(**{"locale": "en-GB", "timezone_id": "Asia/Shanghai", **options})
        context.set_default_timeout(10_000)
        context.on("weberror", lambda error: wrong.append(f"{error.error}"))
        context.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        opened.append(context)
        return context

    yield make
    for context in opened:
        context.close()
    quiet()
    # What the browser reports by itself: a dropped line, which some tests are about, and the desk learning that the right
    # to read a conversation is over.
    usual = ("WebSocket", "ERR_INTERNET_DISCONNECTED", "410 (Gone)")
    assert [line for line in wrong if not any(name in line for name in usual)] == []


def open_talk(
    site: Site, user: User, contexts: Callable[..., BrowserContext], *, notice: bool = True
) -> Talk:
    """Somebody signed in, with a conversation."""
    session = sign_in(user, notice=notice)
    conversation = open_conversation(user, session).public_id

    def window(context: BrowserContext | None = None, **options: Any) -> Window:
        context = context or contexts(**options)
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": site.url}])
        return Window(context.new_page(), f"{site.url}/chats/{conversation}/")

    return Talk(site, user, session, conversation, window)


@pytest.fixture
def talk(site: Site, adult: User, contexts: Callable[..., BrowserContext]) -> Talk:
    """The adult of the cast, signed in and with the notice confirmed."""
    return open_talk(site, adult, contexts)


def at_hour(user: User, hour: int) -> None:
    """Somebody for whom it is this hour of the day now."""
    east = (hour - timezone.now().hour + 11) % 24 - 11
    user.time_zone = f"Etc/GMT{-east:+d}" if east else "Etc/GMT"  # their signs are the other way round
    user.save(update_fields=["time_zone"])


@pytest.fixture
def young(site: Site, minor: User, contexts: Callable[..., BrowserContext]) -> Talk:
    """The fifteen-year-old of the cast at noon: an hour a day."""
    at_hour(minor, 12)
    return open_talk(site, minor, contexts)


@pytest.fixture
def own_talk(own_site: Site, adult: User, contexts: Callable[..., BrowserContext]) -> Talk:
    """The same on a process that the test may kill."""
    return open_talk(own_site, adult, contexts)


@pytest.fixture
def fresh_talk(site: Site, adult: User, contexts: Callable[..., BrowserContext]) -> Talk:
    """The same before the notice was confirmed."""
    return open_talk(site, adult, contexts, notice=False)


@pytest.fixture
def window(talk: Talk) -> Window:
    return talk.window().open()


@pytest.fixture
def slow(model: FakeLLM) -> FakeLLM:
    """A model that takes about three seconds for a reply of fifty words."""
    model.script(gap=0.06, reply=TALE)
    return model
