"""The whole way of somebody new, with a model that really generates: sign up, choose, talk, reload, leave."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from companion.models import Message
from tests.e2e.conftest import PHONE, Window
from tests.live import ROOT, Site

LOADING_SECONDS = 120.0


@pytest.fixture
def demo_site(companions: None, tmp_path: Path) -> Iterator[Site]:
    """The site with the embedded demonstration model, each in its own process, as `make run` has them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path / "model.log").open("wb")
    model = subprocess.Popen(
        [sys.executable, "manage.py", "llm_server", "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "ANBAN_ENV": "test"},
        stdout=log,
        stderr=log,
    )
    _wait(f"http://127.0.0.1:{port}/health", model)
    site = Site(
        f"http://127.0.0.1:{port}/v1",
        tmp_path / "site.log",
        LLM_MODEL="anban-demo",
        ANBAN_DEMO_MODEL="true",
        LLM_FIRST_TOKEN_TIMEOUT=str(LOADING_SECONDS),
        LLM_IDLE_TIMEOUT="60",
    )
    site.start()
    yield site
    site.stop()
    model.terminate()
    model.wait(20)
    log.close()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LOADING_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).read()
            return
        except OSError:
            assert process.poll() is None, "the model did not start"
            assert time.monotonic() < deadline, "the model did not start in time"
            time.sleep(0.2)


@pytest.mark.slow
def test_a_newcomer_signs_up_talks_with_the_embedded_model_reloads_and_leaves(
    demo_site: Site, contexts: Callable[..., BrowserContext]
) -> None:
    page = contexts(**PHONE).new_page()
    page.goto(f"{demo_site.url}/accounts/signup/")
    page.get_by_label("E-mail address").fill("newcomer@example.org")
    page.get_by_label("Password", exact=True).fill("a long test password")
    page.get_by_label("Year", exact=True).fill("1994")
    page.get_by_label("Month", exact=True).select_option("5")
    page.get_by_label("Day", exact=True).select_option("17")
    page.get_by_label("I accept the terms").check()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Name", exact=True).fill("Lin Qiu")
    page.get_by_label("Who is this to you?").select_option(index=1)
    page.get_by_label("Their e-mail address").fill("contact@example.org")
    page.get_by_role("button", name="Finish").click()

    page.goto(f"{demo_site.url}/companions/")
    page.get_by_role("link", name="Moss").click()
    page.get_by_role("button", name="Talk with Moss").click()
    page.get_by_role("button", name="I understand").click()
    expect(page.get_by_role("dialog")).to_be_hidden()  # until the server has recorded it, nobody can type
    window = Window(page, page.url)
    expect(page.get_by_text("demonstration model")).to_be_visible()

    window.say("Hello, I planted a small tree today. Tell me about trees.")
    expect(page.locator(".message-user[data-id]")).to_be_visible()
    page.reload()  # the reply has begun in the same moment as the message was stored
    window.ready()
    reply = window.theirs.nth(1)
    expect(reply).not_to_have_attribute("data-state", "streaming", timeout=LOADING_SECONDS * 1000)
    expect(reply).to_have_attribute("data-state", "complete")
    assert len(reply.locator(".message-body").inner_text()) > 20
    expect(window.own).to_have_count(1)
    assert Message.objects.filter(author="ai", state="complete").count() == 2

    window.say("Be honest with me: are you a real person?")
    expect(window.system).to_contain_text("You are talking with an AI, not with a person.")
    answer = window.theirs.nth(2)
    expect(answer).not_to_have_attribute("data-state", "streaming", timeout=LOADING_SECONDS * 1000)
    # Whatever this small model wrote: what does not say so is not shown.
    assert answer.get_attribute("data-state") == "cut" or re.search(
        r"\bAI\b|computer|program", answer.inner_text()
    )

    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("button", name="Come back to this chat")).to_be_visible()
    expect(window.system).to_have_count(2)
