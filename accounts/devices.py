"""Devices somebody has logged in from before. A signed cookie names them; the server keeps nothing."""

import secrets

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare, salted_hmac

COOKIE = "anban_device"
_SALT = "accounts.devices"
_MAX_AGE = 180 * 24 * 3600  # seconds
_PEOPLE = 5  # a family shares a tablet; the longest unseen falls out


def remember(request: HttpRequest, response: HttpResponse, email: str) -> None:
    """After a complete login. The cookie holds a random device id and digests, no address."""
    device, digests = _read(request)
    digest = _digest(email)
    digests = [digest, *(other for other in digests if other != digest)][:_PEOPLE]
    value = signing.dumps([device or secrets.token_urlsafe(12), digests], salt=_SALT)
    response.set_cookie(
        COOKIE, value, max_age=_MAX_AGE, secure=settings.SESSION_COOKIE_SECURE, httponly=True, samesite="Lax"
    )


def known(request: HttpRequest, email: str) -> str | None:
    """The device's id when this person has logged in from it."""
    device, digests = _read(request)
    digest = _digest(email)
    return device if any(constant_time_compare(digest, other) for other in digests) else None


def _read(request: HttpRequest) -> tuple[str | None, list[str]]:
    try:
        device, digests = signing.loads(request.COOKIES.get(COOKIE, ""), salt=_SALT, max_age=_MAX_AGE)
    except (signing.BadSignature, ValueError):
        return None, []
    return device, digests


def _digest(email: str) -> str:
    return salted_hmac(_SALT, email.lower()).hexdigest()[:20]
