"""The canary travels the whole way and is read back; a provider that says yes and delivers nothing is noticed (N12)."""

import datetime as dt
import socket
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as Server
from aiosmtpd.smtp import Envelope, Session

from accounts.models import User
from safety import canary, cases, clock, escalation, mailbox, outbox
from safety.cases import State
from safety.models import CrisisCase, Delivery, OperationsAlert
from tests.safety.test_escalation import MINUTE, SECOND, climbed, signal

pytestmark = pytest.mark.django_db(transaction=True)


class Provider:
    """A mail provider that takes everything and delivers what it likes: into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.discards, self.accepted = folder, False, 0

    async def handle_DATA(self, server: Server, session: Session, envelope: Envelope) -> str:
        self.accepted += 1
        if not self.discards:
            assert isinstance(envelope.content, bytes)
            (self.folder / f"{self.accepted}.eml").write_bytes(envelope.content)
        return "250 OK"


def served(provider: Provider) -> Controller:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(provider, hostname="127.0.0.1", port=port)
    controller.start()
    return controller


@pytest.fixture
def provider(settings: Any, tmp_path: Path) -> Iterator[Provider]:
    provider = Provider(tmp_path)
    controller = served(provider)
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = controller.hostname, controller.port
    settings.CANARY_ADDRESS, settings.CANARY_IMAP_URL = "canary@example.org", tmp_path.as_uri()
    settings.ALERT_ON_CALL = ["oncall@example.org"]
    yield provider
    controller.stop()


def minutes(start: dt.datetime, count: int) -> Iterator[dt.datetime]:
    """Virtual time: each minute the auditor's look, and a dispatcher's passes in between."""
    for minute in range(count):
        now = start + minute * MINUTE
        canary.step(now)
        yield now
        for second in (1, 2):
            escalation.sweep(now + second * SECOND)
            outbox.dispatch("test", now + second * SECOND)


def lost(now: dt.datetime) -> bool:
    return OperationsAlert.objects.filter(code="canary.lost", resolved_at=None).exists()


def test_a_canary_comes_home_and_another_follows_every_ten_minutes(
    provider: Provider, moderator: User, supervisor: User
) -> None:
    start = clock.now()
    assert not any(lost(now) for now in minutes(start, 31))
    assert provider.accepted == 4
    home = CrisisCase.objects.filter(is_canary=True, state=State.CLOSED)
    assert home.count() == 3
    assert [case.opened_at - start for case in home.order_by("pk")] == [n * 10 * MINUTE for n in range(3)]
    assert canary.age(start + 30 * MINUTE) == 9 * MINUTE
    # No human saw anything of it, on any page or by any channel.
    assert set(Delivery.objects.values_list("recipient", "channel")) == {("canary:0", "email")}
    assert cases.open_cases() == [] and not OperationsAlert.objects.exists()
    assert set(home[0].events.values_list("kind", flat=True)) == {"opened", "rung", "canary_home"}
    mail = message_from_string(next(provider.folder.glob("*.eml")).read_text())
    assert mail["To"] == "canary@example.org"


def test_the_person_of_the_canary_cannot_sign_in_and_is_made_once(provider: Provider) -> None:
    for _ in minutes(clock.now(), 12):
        pass
    person = User.objects.get(email=canary.ADDRESS)
    assert not person.is_active and not person.has_usable_password() and not person.is_staff
    assert CrisisCase.objects.filter(user=person).count() == 2


def test_a_provider_that_says_yes_and_delivers_nothing_is_noticed_within_twelve_minutes(
    provider: Provider, adult: User, moderator: User
) -> None:
    """N12. Nobody hears of the real case either, and so its ladder climbs on."""
    provider.discards = True
    start = clock.now()
    case = signal(adult, start, 4)
    heard = [now - start for now in minutes(start, 13) if lost(now)]
    assert heard and heard[0] <= 12 * MINUTE
    assert provider.accepted > 0
    assert Delivery.objects.filter(alert__code="canary.lost", recipient="oncall:0").exists()
    assert [rung for _, _, rung in climbed(case)] == [1, 2, 3, 5, 6]


def test_the_alarm_ends_when_a_later_canary_comes_home(provider: Provider) -> None:
    provider.discards = True
    start = clock.now()
    state = []
    for now in minutes(start, 20):
        state.append(lost(now))
        provider.discards = now - start < 11 * MINUTE  # the next is sent at the loss of the first
    assert state == [False] * 11 + [True] + [False] * 8


def test_a_sweep_or_an_outbox_that_stands_still_is_noticed_as_well(provider: Provider) -> None:
    start = clock.now()
    for minute in range(13):
        canary.step(start + minute * MINUTE)
    assert lost(start) and provider.accepted == 0


def test_both_providers_must_deliver(provider: Provider, settings: Any, tmp_path: Path) -> None:
    elsewhere = Provider(tmp_path)
    elsewhere.discards = True
    controller = served(elsewhere)
    settings.ALERT_EMAIL_2_URL = f"smtp://{controller.hostname}:{controller.port}"
    try:
        assert any(lost(now) for now in minutes(clock.now(), 13))
    finally:
        controller.stop()
    assert provider.accepted and elsewhere.accepted


def test_only_a_canary_is_ever_closed_by_the_machine(adult: User, moderator: User) -> None:
    case = signal(adult, now := clock.now())
    canary._end(case.pk, now, "canary_home")
    case.refresh_from_db()
    assert case.state != State.CLOSED


def test_without_a_mailbox_nothing_is_sent(settings: Any) -> None:
    settings.CANARY_ADDRESS = settings.CANARY_IMAP_URL = ""
    canary.step(clock.now())
    assert not CrisisCase.objects.exists()


def test_old_canaries_are_forgotten(provider: Provider) -> None:
    start = clock.now()
    for day in range(3):
        for _ in minutes(start + day * 1500 * MINUTE, 2):
            pass
    assert CrisisCase.objects.filter(is_canary=True).count() <= 2


# The mailbox


class Imap(socketserver.StreamRequestHandler):
    """As much of RFC 3501 as is asked: one mailbox, searched by Message-ID, from which messages are deleted."""

    def handle(self) -> None:
        server: Any = self.server
        self.wfile.write(b"* OK ready\r\n")
        while line := self.rfile.readline().decode().strip():
            tag, verb, *rest = line.split(" ", 2)
            words = rest[0] if rest else ""
            status = "OK"
            match verb.upper():
                case "CAPABILITY":
                    self._say("CAPABILITY IMAP4rev1")
                case "LOGIN":
                    status = "OK" if words == 'canary "s3cret@"' else "NO"
                case "SELECT":
                    status = "OK" if words == "INBOX" else "NO"
                case "SEARCH":
                    found = [
                        n for n, key in enumerate(server.box, 1) if words == f'HEADER Message-ID "{key}"'
                    ]
                    self._say(" ".join(["SEARCH", *map(str, found)]))
                case "STORE":
                    server.marked.append(int(words.split()[0]))
                case "EXPUNGE":
                    for number in sorted(server.marked, reverse=True):
                        del server.box[number - 1]
                    server.marked = []
            self.wfile.write(f"{tag} {status} done\r\n".encode())
            if verb.upper() == "LOGOUT":
                return

    def _say(self, line: str) -> None:
        self.wfile.write(f"* {line}\r\n".encode())


@pytest.fixture
def imap() -> Iterator[Any]:
    server: Any = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Imap)
    server.box, server.marked = ["one@host", "two@host"], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_mailbox_is_searched_and_what_was_found_is_deleted(imap: Any) -> None:
    url = f"imap://canary:s3cret%40@127.0.0.1:{imap.server_address[1]}/INBOX"
    assert mailbox.arrived(url, {"two@host", "three@host"}) == {"two@host"}
    assert imap.box == ["one@host"]


@pytest.mark.parametrize(
    "url",
    [
        "imap://canary:wrong@127.0.0.1:{port}/INBOX",
        "imap://canary:s3cret%40@127.0.0.1:{port}/Other",
        "imap://canary:s3cret%40@127.0.0.1:1/INBOX",
        "imaps://canary:s3cret%40@127.0.0.1:{port}/INBOX",
        "pop://127.0.0.1:{port}",
        "file:///does/not/exist",
    ],
)
def test_a_mailbox_that_cannot_be_read_says_so_without_an_address(imap: Any, url: str) -> None:
    with pytest.raises(mailbox.MailboxError) as caught:
        mailbox.arrived(url.format(port=imap.server_address[1]), {"one@host"})
    assert "@" not in str(caught.value) and "127" not in str(caught.value)


def test_a_mailbox_that_is_away_is_an_alarm_and_no_crash(provider: Provider, settings: Any) -> None:
    settings.CANARY_IMAP_URL = "file:///does/not/exist"
    assert any(lost(now) for now in minutes(clock.now(), 13))
