"""Channels: what goes over the wire, what is worth another try, and what never leaves."""

import base64
import json
import os
import threading
from collections.abc import Callable
from io import StringIO
from typing import Any

import http_ece
import pytest
from anymail.exceptions import AnymailRecipientsRefused, AnymailRequestsAPIError
from anymail.signals import AnymailTrackingEvent, tracking
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management import call_command
from django.utils import timezone

from accounts.models import User
from devstack.supervisor import free_port
from safety import outbox
from safety.alert_texts import Notice
from safety.channels import CHANNELS, Permanent, Temporary, email, push
from safety.channels.webhook import IDEMPOTENCY, SIGNATURE, TIMESTAMP, signature
from safety.models import Delivery, PushSubscription
from safety.recipients import Reach
from tests.providers import Gateway, MailHost, gateway, mail_host, second_host
from tests.safety.test_outbox import climbed

__all__ = ["gateway", "mail_host", "second_host"]

NOTICE = Notice("A subject", "A text.\n", "<p>A text.</p>", "In short")
REACH = Reach("Lin", "lin@example.org", "+15550100", "en")
KEY = "case-7.4.2.0.sms.0123456789abcdef@anban.example"


def code_of(channel: str, reach: Reach = REACH) -> str:
    """ "" when it was taken, else the kind and the code of the refusal."""
    try:
        CHANNELS[channel].send(NOTICE, reach, KEY)
    except (Temporary, Permanent) as error:
        return f"{type(error).__name__} {error.code}"
    return ""


@pytest.fixture
def sms(gateway: Gateway, settings: Any) -> Gateway:
    settings.ALERT_SMS_URL, settings.ALERT_SMS_SECRET = gateway.url, "a shared secret"
    return gateway


def test_a_text_message_is_a_signed_request_that_names_its_key(sms: Gateway) -> None:
    assert CHANNELS["sms"].send(NOTICE, REACH, KEY) == "gw-1"
    headers, body = sms.taken[0]
    assert json.loads(body) == {
        "key": KEY,
        "channel": "sms",
        "to": REACH.phone,
        "text": NOTICE.short,
        "language": "en",
    }
    assert headers[IDEMPOTENCY] == KEY
    assert headers[SIGNATURE] == "sha256=" + signature("a shared secret", headers[TIMESTAMP], body)
    for forged in (
        signature("another secret", headers[TIMESTAMP], body),
        signature("a shared secret", str(int(headers[TIMESTAMP]) + 1), body),
        signature("a shared secret", headers[TIMESTAMP], body + b" "),
    ):
        assert headers[SIGNATURE] != "sha256=" + forged


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_a_busy_gateway_is_asked_again(status: int, sms: Gateway) -> None:
    sms.status = status
    assert code_of("sms") == f"Temporary http.{status}"


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 410, 422])
def test_a_refusal_or_a_redirect_is_for_good(status: int, sms: Gateway) -> None:
    sms.status = status
    assert code_of("sms") == f"Permanent http.{status}"
    assert len(sms.taken) == 1  # not followed


def test_a_gateway_that_hangs_or_is_away_is_asked_again(sms: Gateway, settings: Any) -> None:
    settings.ALERT_TIMEOUT = 0.1
    sms.go_on = threading.Event()
    assert code_of("sms") == "Temporary timeout"
    settings.ALERT_SMS_URL = f"http://127.0.0.1:{free_port()}/"
    assert code_of("sms") == "Temporary connection"


@pytest.mark.parametrize("answer", ["text", 7, None, {"other": 1}])
def test_a_gateway_may_answer_anything(answer: Any, sms: Gateway) -> None:
    sms.answer = answer
    assert code_of("sms") == ""


def test_channels_without_settings_or_address_refuse_for_good(settings: Any) -> None:
    settings.ALERT_SMS_URL = settings.ALERT_EMAIL_2_URL = settings.VAPID_PRIVATE_KEY = ""
    for channel in ("sms", "voice", "push", "email_2"):
        assert code_of(channel) == "Permanent unconfigured"
    settings.ALERT_SMS_URL = settings.ALERT_SMS_SECRET = "http://127.0.0.1/"
    assert code_of("sms", Reach(email="a@example.org")) == "Permanent address.missing"
    assert code_of("email", Reach(phone="+15550100")) == "Permanent address.missing"
    settings.ALERT_SMS_SECRET = ""
    assert code_of("sms") == "Permanent unconfigured"


def test_the_second_provider_has_an_address_of_its_own(mail_host: MailHost, second_host: MailHost) -> None:
    assert code_of("email_2") == ""
    assert (len(mail_host.taken), second_host.ids) == (0, [f"<{KEY}>"])


def _provider(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    class Backend:
        def send_messages(self, messages: list[Any]) -> int:
            raise error

    monkeypatch.setattr(email, "get_connection", lambda **options: Backend())


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (400, "Permanent provider.400"),
        (422, "Permanent provider.422"),
        (401, "Temporary provider.401"),
        (429, "Temporary provider.429"),
        (503, "Temporary provider.503"),
    ],
)
def test_what_a_provider_answers(status: int, meaning: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error = AnymailRequestsAPIError("x")
    error.status_code = status
    _provider(monkeypatch, error)
    assert code_of("email") == meaning


def test_a_provider_that_refuses_the_recipient_does_so_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    _provider(monkeypatch, AnymailRecipientsRefused())
    assert code_of("email") == "Permanent provider.refused"


def test_what_nobody_foresaw_is_not_taken_for_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    _provider(monkeypatch, KeyError("x"))
    with pytest.raises(KeyError):
        CHANNELS["email"].send(NOTICE, REACH, KEY)


class Browser:
    """A browser with its keys (RFC 8291)."""

    def __init__(self, endpoint: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._auth = os.urandom(16)
        point = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        self.subscription = {
            "endpoint": endpoint,
            "keys": {"p256dh": _base64(point), "auth": _base64(self._auth)},
        }

    def read(self, body: bytes) -> Any:
        plain = http_ece.decrypt(body, private_key=self._key, auth_secret=self._auth, version="aes128gcm")
        return json.loads(plain)


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


@pytest.fixture
def vapid(settings: Any) -> None:
    out = StringIO()
    call_command("make_vapid_keys", stdout=out, stderr=StringIO())
    settings.VAPID_PRIVATE_KEY = out.getvalue().strip().partition("=")[2]


@pytest.fixture
def subscribe(moderator: User, gateway: Gateway, vapid: None) -> Callable[[str], Browser]:
    def add(path: str = "push/1") -> Browser:
        browser = Browser(gateway.url + path)
        push.subscribe(moderator, browser.subscription)
        return browser

    return add


@pytest.mark.django_db(transaction=True)
def test_a_push_is_sealed_for_the_browser_and_signed(
    subscribe: Callable[[str], Browser], moderator: User, gateway: Gateway
) -> None:
    browser = subscribe("push/1")
    CHANNELS["push"].send(NOTICE, Reach(user=moderator.pk), KEY)
    headers, body = gateway.taken[0]
    assert browser.read(body) == {"title": "A subject", "body": "In short", "tag": "case-7"}
    assert b"short" not in body
    assert (headers["Topic"], headers["TTL"], headers["Urgency"]) == ("case-7", "3600", "high")
    assert headers["Authorization"].endswith(f"k={push.public_key()}")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("status", "left"), [(404, 0), (410, 0), (400, 1), (503, 1)])
def test_a_browser_that_is_gone_is_forgotten(
    status: int, left: int, subscribe: Callable[[str], Browser], moderator: User, gateway: Gateway
) -> None:
    subscribe("push/1")
    gateway.status = status
    kind = "Temporary" if status == 503 else "Permanent"
    assert code_of("push", Reach(user=moderator.pk)) == f"{kind} http.{status}"
    assert PushSubscription.objects.count() == left


@pytest.mark.django_db(transaction=True)
def test_the_same_browser_is_kept_once_and_its_address_is_sealed(
    subscribe: Callable[[str], Browser], moderator: User, gateway: Gateway
) -> None:
    subscribe("push/1"), subscribe("push/1"), subscribe("push/2")
    assert PushSubscription.objects.count() == 2
    stored = [bytes(row.subscription) for row in PushSubscription.objects.all()]
    assert not [value for value in stored if b"push" in value]
    assert code_of("push", Reach(user=moderator.pk)) == "" and len(gateway.taken) == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "host", ["http://127.0.0.1", "https://127.0.0.1", "https://localhost", "https://0x7f.1"]
)
def test_production_reaches_no_inner_address_with_a_push(
    host: str, subscribe: Callable[[str], Browser], moderator: User, gateway: Gateway, settings: Any
) -> None:
    settings.PRODUCTION = True
    push.subscribe(moderator, Browser(f"{host}:{gateway.url.rsplit(':')[-1]}").subscription)
    assert code_of("push", Reach(user=moderator.pk)) == "Permanent url"
    assert not gateway.taken


@pytest.mark.django_db(transaction=True)
def test_one_browsers_nonsense_keeps_nothing_from_the_others(
    subscribe: Callable[[str], Browser], moderator: User, gateway: Gateway
) -> None:
    endpoint = gateway.url + "push/0"
    push.subscribe(moderator, {"endpoint": endpoint, "keys": {"p256dh": "AAAA", "auth": "AAAA"}})
    assert code_of("push", Reach(user=moderator.pk)) == "Permanent subscription"
    subscribe("push/1")
    assert code_of("push", Reach(user=moderator.pk)) == "" and len(gateway.taken) == 1


@pytest.mark.django_db(transaction=True)
def test_what_a_provider_reports_later_reaches_the_row(adult: User, moderator: User) -> None:
    _, now = climbed(adult)
    outbox.dispatch("a", now)
    row = Delivery.objects.get(channel="email")

    def report(kind: str) -> str:
        event = AnymailTrackingEvent(event_type=kind, message_id=row.provider_id, timestamp=timezone.now())
        tracking.send(sender=None, event=event, esp_name="Test")
        return Delivery.objects.get(pk=row.pk).state

    assert [report(kind) for kind in ("opened", "delivered", "bounced")] == [
        "accepted",
        "confirmed",
        "failed",
    ]
