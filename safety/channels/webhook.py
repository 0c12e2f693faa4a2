"""Text messages and calls: a signed request to the operator's own gateway. docs/deployment.md describes it."""

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from django.conf import settings

from safety.channels import http
from safety.channels.base import Permanent
from safety.recipients import Reach

if TYPE_CHECKING:
    from safety.alert_texts import Notice

TIMESTAMP: Final = "Anban-Timestamp"
SIGNATURE: Final = "Anban-Signature"
IDEMPOTENCY: Final = "Idempotency-Key"


@dataclass(frozen=True)
class Webhook:
    """POST of {"key", "channel", "to", "text", "language"} to the address in the settings."""

    name: str
    url: str  # names of settings
    secret: str

    def send(self, notice: "Notice", reach: Reach, key: str) -> str:
        url, secret = getattr(settings, self.url), getattr(settings, self.secret)
        if not url or not secret:
            raise Permanent("unconfigured")
        if not reach.phone:
            raise Permanent("address.missing")
        content = {
            "key": key,
            "channel": self.name,
            "to": reach.phone,
            "text": notice.short,
            "language": reach.language,
        }
        body = json.dumps(content, ensure_ascii=False).encode()
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            IDEMPOTENCY: key,
            TIMESTAMP: timestamp,
            SIGNATURE: "sha256=" + signature(secret, timestamp, body),
        }
        _, answer = http.post(url, body, headers)
        return _id(answer)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 over timestamp, a full stop and the body: neither can be changed or sent again later."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def _id(answer: bytes) -> str:
    """The gateway may name the message: {"id": …}."""
    try:
        found = json.loads(answer)
    except ValueError:
        return ""
    return str(found.get("id", ""))[:200] if isinstance(found, dict) else ""


sms: Final = Webhook("sms", "ALERT_SMS_URL", "ALERT_SMS_SECRET")
voice: Final = Webhook("voice", "ALERT_VOICE_URL", "ALERT_VOICE_SECRET")
