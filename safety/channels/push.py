"""Web push (RFC 8030, 8291, 8292): wakes the browsers of somebody who asked for it there.

A subscription belongs to one login of one person and ends with it. Its endpoint is an address that a browser names and
this server then calls, so production accepts only TLS on the open internet, and looks again each time it sends (T32).
"""

import base64
import binascii
import hashlib
import json
import time
from email.utils import parseaddr
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from allauth.usersessions.models import UserSession
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.dispatch import receiver
from django.http import HttpRequest
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
BROWSERS: Final = 10  # of one person; the newest
_SIGNED_FOR: Final = 12 * 3600  # seconds, of at most 24 hours
_LONGEST_ENDPOINT: Final = 1024  # characters; those of the large services have some 200
_AUTH_BYTES: Final = 16
_PLACE: Final = "push_subscription"
_GONE: Final = ("http.404", "http.410")


class Refused(Exception):
    """`code`: shape, address, taken, unknown, signed_out."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def subscribe(login: UserSession, subscription: object, *, renewing: bool = False) -> PushSubscription:
    """Keep what the browser's PushManager gave: {"endpoint", "keys": {"p256dh", "auth"}}. One per login; raises Refused.

    `renewing`: the browser changed its address by itself, which counts only where this login had one. Call it outside of
    transactions: it asks the name server.
    """
    content = _read(subscription)
    digest = _digest(content["endpoint"])
    there = PushSubscription.objects.filter(digest=digest, login=login, user=login.user_id).first()
    if there is not None:
        return there
    try:
        with transaction.atomic(durable=True):
            return _kept(login, content, digest, renewing)
    except IntegrityError:  # somebody else's browser was quicker, or the login ended in this moment
        raise Refused("taken") from None


def _kept(login: UserSession, content: dict[str, Any], digest: str, renewing: bool) -> PushSubscription:
    user = User.objects.select_for_update(no_key=True).get(pk=login.user_id)  # two tabs, one after the other
    if not user.is_active or not UserSession.objects.filter(pk=login.pk, user=user).exists():
        raise Refused("signed_out")
    # A shared computer: whoever was here before loses nothing by somebody who knows their address.
    if PushSubscription.objects.filter(digest=digest).exclude(user=user).exists():
        raise Refused("taken")
    own = PushSubscription.objects.filter(user=user)
    if renewing and not own.filter(login=login).exists():
        raise Refused("unknown")
    own.filter(Q(digest=digest) | Q(login=login)).delete()
    row = PushSubscription(user=user, login=login, digest=digest)
    row.subscription = keyring.encrypt(user.pk, _PLACE, row.pk, json.dumps(content))
    row.save(force_insert=True)
    newest = own.order_by("-created_at").values_list("pk", flat=True)[:BROWSERS]
    own.exclude(pk__in=list(newest)).delete()
    return row


def unsubscribe(login: UserSession) -> None:
    """Forget the browser of this login."""
    PushSubscription.objects.filter(login=login).delete()


@receiver(user_logged_out, dispatch_uid="safety.push")
def forget_this_browser(sender: Any, request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    """The row of a login outlives a logout (allauth tidies up at the next login), so it is said here."""
    if user is not None and (key := request.session.session_key):
        PushSubscription.objects.filter(user=user, login__session_key=key).delete()


def _read(subscription: object) -> dict[str, Any]:
    """Only what is needed, and only if a notice could be sealed for it."""
    match subscription:
        case {"endpoint": str(endpoint), "keys": {"p256dh": str(point), "auth": str(secret)}}:
            pass
        case _:
            raise Refused("shape")
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), _bytes(point))
        if len(_bytes(secret)) != _AUTH_BYTES:
            raise Refused("shape")
    except (ValueError, binascii.Error):
        raise Refused("shape") from None
    _refuse_inner(endpoint)
    return {"endpoint": endpoint, "keys": {"p256dh": point, "auth": secret}}


def _refuse_inner(endpoint: str) -> None:
    if len(endpoint) > _LONGEST_ENDPOINT or not (endpoint.isascii() and endpoint.isprintable()):
        raise Refused("address")
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise Refused("address") from None
    if not host or parts.username is not None or parts.scheme not in ("https", "http"):
        raise Refused("address")
    if not settings.PRODUCTION:
        if parts.scheme == "http" and host not in ("127.0.0.1", "localhost"):
            raise Refused("address")
        return
    if parts.scheme != "https" or port not in (None, 443):
        raise Refused("address")
    try:
        http.addresses(host, 443)
    except (Permanent, OSError, UnicodeError):
        raise Refused("address") from None


def _bytes(value: str) -> bytes:
    return base64.b64decode(value.encode() + b"=" * (-len(value) % 4), altchars=b"-_", validate=True)


def _digest(endpoint: str) -> str:
    return hashlib.sha256(endpoint.encode(errors="replace")).hexdigest()


def public_key(private: str | None = None) -> str:
    """The applicationServerKey for the browser, base64url; "" when push is not set up."""
    private = settings.VAPID_PRIVATE_KEY if private is None else private
    return _public_key(private) if private else ""


@cache
def _public_key(private: str) -> str:
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
        rows = PushSubscription.objects.filter(user=reach.user, user__is_active=True)
        for row in rows.order_by("-created_at"):
            try:
                wake(row, title=notice.subject, body=notice.short, url=notice.url, tag=_topic(key))
                taken += 1
            except Temporary as error:
                failed = error
            except Permanent as error:  # one browser's nonsense keeps nothing from the others
                last = error
        if not taken:
            raise failed or last
        return ""


def wake(row: PushSubscription, *, title: str, body: str, url: str, tag: str) -> None:
    """What one browser shows (static/js/sw.js); raises Temporary or Permanent. One that is gone is forgotten."""
    path = urlsplit(url)._replace(scheme="", netloc="").geturl()
    content = {"title": title, "body": body, "tag": tag, "url": path or "/"}
    try:
        opened = json.loads(keyring.decrypt(row.user_id, _PLACE, row.pk, row.subscription))
        _send(opened, json.dumps(content, ensure_ascii=False).encode(), tag)
    except Permanent as error:
        if error.code in _GONE:
            row.delete()
        raise
    except (VapidException, WebPushException, keyring.KeyringError, ValueError):
        raise Permanent("subscription") from None


def _send(subscription: dict[str, Any], body: bytes, topic: str) -> None:
    endpoint = subscription["endpoint"]
    parts = urlsplit(endpoint)
    claims = {
        "sub": _subject(),
        "aud": f"{parts.scheme}://{parts.netloc}",
        "exp": int(time.time()) + _SIGNED_FOR,
    }
    encrypted = WebPusher(subscription).encode(body, "aes128gcm")
    headers = {
        **Vapid.from_string(settings.VAPID_PRIVATE_KEY).sign(claims),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "TTL": str(KEPT),
        "Urgency": "high",
        "Topic": topic,  # a newer notice about the same case takes the place of one not yet shown
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
