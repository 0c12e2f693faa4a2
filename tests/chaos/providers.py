"""Providers that behave as badly as providers do, with a ledger of their own that no crash of ours can touch."""

import asyncio
import hashlib
import hmac
import json
import logging
import threading
import time
from collections import Counter
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, NamedTuple

from aiosmtpd.controller import Controller

from devstack.supervisor import free_port
from tests.faults import Proxy

logging.getLogger("mail.log").setLevel(logging.WARNING)  # a line for each word of the protocol

Mode = Literal["ok", "421", "550", "hang", "drop"]


class Mail(NamedTuple):
    """A mail as it arrived: written down before the sender is told anything."""

    message_id: str
    recipient: str
    at: float  # seconds, time.time()
    body: bytes


class Mailbox:
    """An SMTP server. `mode` is how it answers; `wire` can cut, freeze or slow the way to it.

    421 and 550 are answered to DATA; "hang" takes the mail and never answers; "drop" takes it and hangs up.
    Only refusals mean that nothing arrived.
    """

    def __init__(self, ledger: Path | None = None) -> None:
        self.mode: Mode = "ok"
        self.mails: list[Mail] = []
        self.tries = 0  # all of them, also those that were refused
        self._ledger = ledger
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port(), ready_timeout=10)
        self._controller.start()
        self.wire = Proxy(self._controller.port)

    @property
    def port(self) -> int:
        return self.wire.port

    @property
    def environment(self) -> dict[str, str]:
        return {
            "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
            "EMAIL_HOST": "127.0.0.1",
            "EMAIL_PORT": str(self.port),
        }

    @property
    def ids(self) -> Counter[str]:
        return Counter(mail.message_id for mail in self.mails)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.tries += 1
        mode = self.mode
        if mode == "421":
            return "421 try again later"
        if mode == "550":
            return "550 no such mailbox"
        message_id = message_from_bytes(envelope.content)["Message-ID"] or ""
        mail = Mail(message_id.strip(), envelope.rcpt_tos[0], time.time(), envelope.content)
        if self._ledger is not None:
            with self._ledger.open("a") as file:
                file.write(f"{mail.message_id}\t{mail.recipient}\t{mail.at}\n")
        self.mails.append(mail)
        if mode == "hang":
            await asyncio.sleep(3600)
        if mode == "drop":
            server.transport.abort()
        return "250 taken"

    def close(self) -> None:
        self.wire.close()
        self._controller.stop()


class Telephone:
    """The webhook of a provider of text messages: refuses what is not signed as docs/deployment.md says."""

    def __init__(self, secret: str) -> None:
        self.status = 200
        self.taken: list[dict[str, Any]] = []
        self.forged = 0
        telephone = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not telephone.signed(secret, dict(self.headers), body):
                    telephone.forged += 1
                    self.send_response(403)
                else:
                    telephone.taken.append(json.loads(body) | {"at": time.time()})
                    self.send_response(telephone.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *args: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/sms"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @staticmethod
    def signed(secret: str, headers: dict[str, str], body: bytes) -> bool:
        given = {name.lower(): value for name, value in headers.items()}
        stamp, signature = given.get("anban-timestamp", ""), given.get("anban-signature", "")
        right = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(signature.rpartition("=")[2], right)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
