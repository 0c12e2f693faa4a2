"""Providers of mail, text messages and push on the loopback: real servers that can be told to fail."""

import asyncio
import base64
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from typing import Any

import http_ece
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management import call_command

from devstack.supervisor import free_port


class MailHost:
    """A mail server. What it took is noted before it answers, which is the worst case for whoever dies then.

    `answer`: "250", or what it says to each recipient ("421 …", "550 …"), or "hang" and "drop" after the message.
    """

    def __init__(self) -> None:
        self.answer = "250"
        self.taken: list[Message] = []
        self.seen = threading.Event()  # a message was noted
        self.go_on = threading.Event()  # lets those go that hang
        self.port = free_port()
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    @property
    def ids(self) -> list[str]:
        return [str(message["Message-ID"]) for message in self.taken]

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.answer[0] in "45":
            return self.answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.taken.append(message_from_bytes(envelope.content))
        answer = self.answer
        self.seen.set()
        if answer == "drop":
            assert server.transport is not None
            server.transport.abort()
        if answer == "hang":
            await asyncio.to_thread(self.go_on.wait, 30)
        return "250 OK"

    def __enter__(self) -> "MailHost":
        self._controller.start()
        return self

    def __exit__(self, *args: object) -> None:
        self.go_on.set()
        self._controller.stop()


@dataclass
class Gateway:
    """A server for webhooks and push: answers every POST with `status`."""

    status: int = 200
    answer: dict[str, Any] = field(default_factory=lambda: {"id": "gw-1"})
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    go_on: threading.Event | None = None  # answers wait for it
    url: str = ""


@contextmanager
def gateway_running() -> Iterator[Gateway]:
    gateway = Gateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            gateway.taken.append((dict(self.headers.items()), body))
            if gateway.go_on:
                gateway.go_on.wait(10)
            self.send_response(gateway.status)
            if 300 <= gateway.status < 400:
                self.send_header("Location", gateway.url + "elsewhere")
            self.end_headers()
            self.wfile.write(json.dumps(gateway.answer).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    gateway.url = f"http://127.0.0.1:{server.server_port}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield gateway
    finally:
        if gateway.go_on:
            gateway.go_on.set()
        server.shutdown()
        server.server_close()


class PushBrowser:
    """A browser that can be woken, with its keys (RFC 8291)."""

    def __init__(self, endpoint: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._auth = os.urandom(16)
        point = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        self.subscription: dict[str, Any] = {
            "endpoint": endpoint,
            "keys": {"p256dh": _base64(point), "auth": _base64(self._auth)},
        }

    def read(self, body: bytes) -> Any:
        plain = http_ece.decrypt(body, private_key=self._key, auth_secret=self._auth, version="aes128gcm")
        return json.loads(plain)


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def new_vapid_key() -> str:
    out = StringIO()
    call_command("make_vapid_keys", stdout=out, stderr=StringIO())
    return out.getvalue().strip().partition("=")[2]


@pytest.fixture
def mail_host(settings: Any) -> Iterator[MailHost]:
    """The operator's mail server."""
    with MailHost() as host:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", host.port
        yield host


@pytest.fixture
def second_host(settings: Any) -> Iterator[MailHost]:
    """The second provider of mail."""
    with MailHost() as host:
        settings.ALERT_EMAIL_2_URL = host.url
        yield host


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with gateway_running() as running:
        yield running


@pytest.fixture
def vapid(settings: Any) -> None:
    settings.VAPID_PRIVATE_KEY = new_vapid_key()
