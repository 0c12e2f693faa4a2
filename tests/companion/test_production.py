"""The settings of a deployment: a web process that runs with them, and what is refused."""

import asyncio
import base64
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets

from accounts import keyring
from tests import embeddings
from tests.fake_llm import FakeLLM
from tests.live import ROOT, Site, companions, model, open_conversation, sign_in

__all__ = ["companions", "model"]
DEPLOYMENT = {
    "ANBAN_ENV": "production",
    "SITE_URL": "https://Anban.Example/",
    "ALLOWED_HOSTS": "anban.example,127.0.0.1",
    "SECRET_KEY": "x1" + "production-secret-of-the-tests-" * 3,
    "ANBAN_KEKS": "deployed:" + base64.b64encode(bytes(range(32))).decode(),
    "LLM_BASE_URL": "https://model.example/v1",
    "LLM_MODEL": "example",
    "EMBEDDINGS_BASE_URL": "https://embeddings.example/v1",
    "ALERT_ON_CALL": "oncall@anban.example",
    "ALERT_SMS_URL": "https://sms.example/send",
    "ALERT_SMS_SECRET": "example",
    "OUTSIDE_PING_URL": "https://watch.example/ping",
    "CANARY_ADDRESS": "canary@mail.example",
    "CANARY_IMAP_URL": "imaps://canary:secret@mail.example/INBOX",
}


@pytest.fixture
def deployed(companions: None, model: FakeLLM, tmp_path: Path, settings: Any) -> Iterator[Site]:
    settings.SECRET_KEY, settings.KEY_ENCRYPTION_KEYS = DEPLOYMENT["SECRET_KEY"], DEPLOYMENT["ANBAN_KEKS"]
    keyring.key_encryption_keys.cache_clear()
    keyring.clear_cache()
    running = Site(
        model.url,
        tmp_path / "log",
        **{
            **DEPLOYMENT,
            "LLM_BASE_URL": model.url,
            "LLM_MODEL": "fake",
            "EMBEDDINGS_BASE_URL": embeddings.server.url,
        },
    )
    running.start()
    yield running
    running.stop()
    keyring.key_encryption_keys.cache_clear()
    keyring.clear_cache()


@pytest.mark.django_db(transaction=True)
async def test_a_deployment_talks_with_its_own_pages_and_with_no_others(deployed, adult):
    session = await asyncio.to_thread(sign_in, adult)
    conversation = (await asyncio.to_thread(open_conversation, adult, session)).public_id
    async with deployed.socket(session, conversation, Origin="https://anban.example") as socket:
        await socket.say("在吗")
        await socket.until("reply.finished")
    for origin in (deployed.url, "http://anban.example", "https://anban.example:8443", "https://example"):
        with pytest.raises(websockets.InvalidStatus):
            async with deployed.socket(session, conversation, Origin=origin):
                pass


def check(**changes: str) -> tuple[int, str]:
    """`manage.py check --deploy` of this deployment."""
    environment = {**os.environ, **DEPLOYMENT, **changes}
    del environment["DJANGO_ALLOW_ASYNC_UNSAFE"]  # the test run's own
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_complete_deployment_passes_its_checks():
    assert check() == (0, "System check identified no issues (0 silenced).\n")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"SITE_URL": ""}, "companion.E001"),
        ({"SITE_URL": "http://anban.example"}, "accounts.E005"),
        ({"SITE_URL": "https://anban.example/chat"}, "accounts.E001"),
        ({"WEBSOCKET_ORIGINS": "https://*.anban.example"}, "accounts.E001"),
        ({"SECRET_KEY": ""}, "Set SECRET_KEY"),
        ({"ANBAN_KEKS": ""}, "accounts.E003"),
        ({"ANBAN_KEKS": DEPLOYMENT["ANBAN_KEKS"].replace("deployed", "development")}, "accounts.E003"),
        ({"ALLOWED_HOSTS": "*"}, "accounts.E004"),
        ({"LLM_BASE_URL": ""}, "companion.W001"),
        ({"EMBEDDINGS_BASE_URL": ""}, "safety.E003"),
        ({"EMBEDDINGS_MODEL": "another"}, "safety.E004"),
        ({"ANBAN_DEMO_MODEL": "1"}, "companion.W002"),
        ({"ALERT_LADDER": '{"4": {"contact": 121}}'}, "safety.E007"),
        ({"ALERT_SMS_URL": ""}, "safety.E008"),
        ({"OUTSIDE_PING_URL": ""}, "safety.E009"),
        ({"ALERT_ON_CALL": ""}, "safety.E010"),
        ({"ALERT_LEASE": "20"}, "safety.E011"),
        ({"CANARY_IMAP_URL": ""}, "safety.W002"),
    ],
)
def test_what_would_not_work_or_not_be_safe_is_said_before_it_starts(changes, said):
    status, output = check(**changes)
    assert status != 0
    assert said in output
