"""Web push (RFC 8030, 8291, 8292): wakes the browsers of a member of staff."""

import base64
import hashlib
import json
import time
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import serialization
from django.conf import settings
from py_vapid import Vapid, VapidException
from pywebpush import WebPusher, WebPushException

from accounts import keyring
from accounts.models import User
from safety.channels import http
from safety.channels.base import Permanent, Temporary
from safety.models import PushSubscription
from safety.recipients import Reach

if TYPE_CHECKING:
    from safety.alert_texts import Notice

KEPT: Final = 3600  # seconds that the push service keeps a notice for a sleeping browser
_SIGNED_FOR: Final = 12 * 3600  # seconds, of at most 24 hours
_PLACE: Final = "push_subscription"
_GONE: Final = ("http.404", "http.410")


def subscribe(user: User, subscription: dict[str, Any]) -> PushSubscription:
    """Keep what the browser's PushManager gave: {"endpoint", "keys": {"p256dh", "auth"}}. The same browser once."""
    endpoint = str(subscription["endpoint"])
    content = {
        "endpoint": endpoint,
        "keys": {name: str(subscription["keys"][name]) for name in ("p256dh", "auth")},
    }
    digest = hashlib.sha256(endpoint.encode()).hexdigest()
    PushSubscription.objects.filter(digest=digest).delete()
    row = PushSubscription(user=user, digest=digest)
    row.subscription = keyring.encrypt(user.pk, _PLACE, row.pk, json.dumps(content))
    row.save(force_insert=True)
    return row


def public_key(private: str | None = None) -> str:
    """The applicationServerKey for the browser, base64url; "" when push is not set up."""
    private = settings.VAPID_PRIVATE_KEY if private is None else private
    if not private:
        return ""
    key = Vapid.from_string(private).public_key
    point = key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    return base64.urlsafe_b64encode(point).rstrip(b"=").decode()


class Push:
    """Handed over when one browser of the person took it."""

    def send(self, notice: "Notice", reach: Reach, key: str) -> str:
        if not settings.VAPID_PRIVATE_KEY:
            raise Permanent("unconfigured")
        taken, last = 0, Permanent("address.missing")
        failed: Temporary | None = None
        for row in PushSubscription.objects.filter(user=reach.user):
            content = json.loads(keyring.decrypt(row.user_id, _PLACE, row.pk, row.subscription))
            try:
                _send(content, notice, key)
                taken += 1
            except Temporary as error:
                failed = error
            except Permanent as error:
                last = error
                if error.code in _GONE:
                    row.delete()
            except (VapidException, WebPushException, ValueError):
                last = Permanent("subscription")  # one browser's nonsense keeps nothing from the others
        if not taken:
            raise failed or last
        return ""


def _send(subscription: dict[str, Any], notice: "Notice", key: str) -> None:
    endpoint = subscription["endpoint"]
    parts = urlsplit(endpoint)
    claims = {
        "sub": _subject(),
        "aud": f"{parts.scheme}://{parts.netloc}",
        "exp": int(time.time()) + _SIGNED_FOR,
    }
    body = json.dumps({"title": notice.subject, "body": notice.short, "tag": _topic(key)}, ensure_ascii=False)
    encrypted = WebPusher(subscription).encode(body.encode(), "aes128gcm")
    headers = {
        **Vapid.from_string(settings.VAPID_PRIVATE_KEY).sign(claims),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(KEPT),
        "Urgency": "high",
        "Topic": _topic(key),  # a newer notice about the same case takes the place of one not yet shown
    }
    http.post(endpoint, bytes(encrypted["body"]), headers, public=True)


def _topic(key: str) -> str:
    """The case: the first part of the key; at most 32 characters of base64url."""
    return key.partition(".")[0][:32]


def _subject() -> str:
    """Whom the push service may ask about us."""
    if settings.SITE_URL.startswith("https://"):
        return str(settings.SITE_URL)
    return f"mailto:{parseaddr(settings.DEFAULT_FROM_EMAIL)[1]}"
