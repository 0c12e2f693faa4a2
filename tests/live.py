"""The site as people meet it: a real daphne process on the test database, with real cookies and real sockets.

`site` is a running Site; `site.kill()` and `site.start()` are how a crash looks. Rows are made by the project's own
functions in the test process and committed, because the other process has to see them.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
import websockets
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import User
from companion import access, notices, turns
from companion.models import Conversation, Message
from tests import embeddings
from tests.cast import PASSWORD
from tests.fake_llm import FakeLLM

ROOT = Path(__file__).parents[1]
START_SECONDS = 90.0  # like every wait here: what a machine with other work may need, and no promise


class Site:
    """One web process. Its port and INSTANCE stay the same over restarts, as in real life."""

    program: tuple[str, ...] = ("-m", "daphne")

    def __init__(self, llm_url: str, log: Path, **environment: str) -> None:
        self.log = log
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self.environment = {
            **os.environ,
            "ANBAN_ENV": "test",
            "DJANGO_SETTINGS_MODULE": "companion.settings",
            "DATABASE_URL": environment.get("DATABASE_URL") or _test_database_url(),
            "PORT": str(self.port),
            "SITE_URL": self.url,
            "LLM_BASE_URL": llm_url,
            "LLM_MODEL": "fake",
            "SOCKET_IDLE_CHECK_SECONDS": "1",
            "LLM_FIRST_TOKEN_TIMEOUT": "1.5",
            "LLM_IDLE_TIMEOUT": "1.5",
            # The real server is only started for who needs it.
            "EMBEDDINGS_BASE_URL": "" if "EMBEDDINGS_BASE_URL" in environment else embeddings.server.url,
            "EMBEDDINGS_DEADLINE": "10",  # other work of the machine must not decide what a test finds
            **environment,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, close_interrupted: bool = True) -> None:
        command = [sys.executable, *self.program, "-b", "127.0.0.1", "-p", str(self.port)]
        command += ["--application-close-timeout", "5", "companion.asgi:application"]
        if close_interrupted:
            tidy = [sys.executable, "manage.py", "close_interrupted"]
            subprocess.run(tidy, cwd=ROOT, env=self.environment, check=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/health/", timeout=2).read()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("the site did not start") from None
                time.sleep(0.05)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """As a crash does it: SIGKILL, nothing is tidied up."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(8)
            except subprocess.TimeoutExpired:
                self.kill()

    @asynccontextmanager
    async def socket(self, session: str, conversation: uuid.UUID | str, **headers: str) -> Any:
        """An open chat socket with the session cookie of `sign_in`; yields a Socket after its `ready` frame."""
        sent = {"Origin": self.url, "Cookie": f"{settings.SESSION_COOKIE_NAME}={session}", **headers}
        origin = sent.pop("Origin")
        async with websockets.connect(
            f"ws://{self.host}/ws/chat/{conversation}/", origin=origin, additional_headers=sent, max_size=None
        ) as raw:
            yield Socket(raw)


class Socket:
    """A chat socket with the few moves that tests need."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw
        self.frames: list[dict[str, Any]] = []

    async def send(self, **frame: Any) -> None:
        await self.raw.send(json.dumps(frame))

    async def say(self, text: str, client_id: str | None = None) -> str:
        client_id = client_id or str(uuid.uuid4())
        await self.send(type="message", id=client_id, text=text)
        return client_id

    async def next(self, timeout: float = 30.0) -> dict[str, Any]:
        async with asyncio.timeout(timeout):
            frame: dict[str, Any] = json.loads(await self.raw.recv())
        self.frames.append(frame)
        return frame

    async def until(self, kind: str, timeout: float = 30.0) -> dict[str, Any]:
        """The next frame of a kind; those before it are kept in `frames`. The server's heartbeat buys no more time."""
        async with asyncio.timeout(timeout):
            while True:
                frame = await self.next(timeout)
                if frame["kind"] == kind:
                    return frame

    async def closed(self, timeout: float = 30.0) -> int:
        """Read to the end; the close code."""
        async with asyncio.timeout(timeout):
            try:
                while True:
                    self.frames.append(json.loads(await self.raw.recv()))
            except websockets.ConnectionClosed:
                return int(self.raw.close_code)


def sign_in(user: User, *, notice: bool = True) -> str:
    """A real login through the login page; the session key. With the notice confirmed unless told otherwise."""
    client = Client()
    response = client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    assert response.status_code == 302, "login failed"
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    if notice:
        confirm_notices(user.pk, session)
    return session


def confirm_notices(user_id: uuid.UUID, session: str) -> None:
    """As the person does on the first page of a login."""
    for notice in notices.pending(user_id, session):
        notices.acknowledge(user_id, notice.id, "understood")


def open_conversation(user: User, session: str, slug: str = "botanist") -> Conversation:
    return turns.open_conversation(access.load_actor(user.pk, session, timezone.now()), slug)


@pytest.fixture(scope="session")
def _model() -> Iterator[FakeLLM]:
    server = FakeLLM().start()
    yield server
    server.stop()


@pytest.fixture
def model(_model: FakeLLM) -> FakeLLM:
    """The fake model of this test: nothing scripted, nothing seen."""
    _model.reset()
    return _model


@pytest.fixture(scope="session")
def _site(django_db_setup: None, _model: FakeLLM, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    running = Site(_model.url, tmp_path_factory.mktemp("site") / "log")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def companions(transactional_db: None) -> None:
    call_command("load_personas", verbosity=0)


@pytest.fixture
def site(companions: None, model: FakeLLM, _site: Site) -> Iterator[Site]:
    """A process shared by all tests, with the rows of this one."""
    yield _site
    quiet()


def quiet() -> None:
    """Wait until the site has finished what the test began: tables cannot be emptied under a running transaction."""
    busy = (
        "SELECT EXISTS (SELECT 1 FROM companion_message WHERE state = 'streaming') OR EXISTS (SELECT 1 FROM "
        "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle')"
    )
    Message.objects.filter(state=Message.State.STREAMING).update(stop_requested=True)
    still, deadline = 0, time.monotonic() + 10
    while still < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
        with connection.cursor() as cursor:
            cursor.execute(busy)
            still = 0 if cursor.fetchone()[0] else still + 1


@pytest.fixture
def own_site(companions: None, model: FakeLLM, tmp_path: Path) -> Iterator[Site]:
    """A process of this test's own, to kill."""
    running = Site(model.url, tmp_path / "log")
    running.start()
    yield running
    running.stop()


def _test_database_url() -> str:
    """DATABASE_URL with the name of the test database."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(parts._replace(path="/" + connection.settings_dict["NAME"]))
