"""Channels: what goes over the wire, what is worth another try, and what never leaves."""

import json
import threading
from typing import Any

import pytest
from anymail.exceptions import AnymailRecipientsRefused, AnymailRequestsAPIError
from anymail.signals import AnymailTrackingEvent, tracking
from django.utils import timezone

from accounts.models import User
from devstack.supervisor import free_port
from safety import outbox
from safety.alert_texts import Notice
from safety.channels import CHANNELS, Permanent, Temporary, email
from safety.channels.webhook import IDEMPOTENCY, SIGNATURE, TIMESTAMP, signature
from safety.models import Delivery
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
