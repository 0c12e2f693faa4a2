"""Wrong configuration is said at start, with a hint, and not found out by a person."""

import re
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError

from accounts import demo, keyring

_ORIGIN = re.compile(
    r"(https?)://[a-z0-9.-]+(?::\d{1,5})?|(https?)://\[[0-9a-f:]+\](?::\d{1,5})?", re.IGNORECASE
)
_UNSENT_MAIL = ("console", "filebased", "dummy", "locmem")


@register(Tags.security)
def origins_are_exact(**kwargs: Any) -> Sequence[CheckMessage]:
    wrong = [origin for origin in settings.WEBSOCKET_ORIGINS if not _ORIGIN.fullmatch(origin)]
    return [
        Error(
            f"WEBSOCKET_ORIGINS holds {origin!r}, which is not a full origin.",
            hint="Write scheme, host and port without a path or wildcard, for example https://anban.example.",
            id="accounts.E001",
        )
        for origin in wrong
    ]


@register(Tags.security)
def production_secrets(**kwargs: Any) -> Sequence[CheckMessage]:
    if not settings.PRODUCTION:
        return []
    found: list[CheckMessage] = []
    if len(settings.SECRET_KEY) < 50 or len(set(settings.SECRET_KEY)) < 5:
        found.append(
            Error("SECRET_KEY is too short.", hint="Use 50 or more random characters.", id="accounts.E002")
        )
    try:
        keyring.key_encryption_keys()
    except (ImproperlyConfigured, OSError) as error:
        found.append(
            Error(
                f"Text at rest has no usable key-encryption key: {error}",
                hint="Set ANBAN_KEK_FILE to a file with a line id:base64 of 32 random bytes.",
                id="accounts.E003",
            )
        )
    if "*" in settings.ALLOWED_HOSTS:
        found.append(
            Error("ALLOWED_HOSTS allows every host.", hint="List the host names.", id="accounts.E004")
        )
    if any(not origin.startswith("https://") for origin in settings.WEBSOCKET_ORIGINS):
        found.append(
            Error("WEBSOCKET_ORIGINS allows an origin without TLS.", hint="Use https.", id="accounts.E005")
        )
    return found


@register(Tags.security)
def production_logins(**kwargs: Any) -> Sequence[CheckMessage]:
    if not settings.PRODUCTION:
        return []
    found: list[CheckMessage] = []
    if any(f".{name}." in settings.EMAIL_BACKEND for name in _UNSENT_MAIL):
        found.append(
            Warning(
                "E-mail is written to this machine and never sent.",
                hint="Set EMAIL_BACKEND and EMAIL_HOST: addresses are confirmed by mail.",
                id="accounts.W001",
            )
        )
    if settings.ACCOUNT_EMAIL_VERIFICATION != "mandatory":
        found.append(
            Warning(
                "Addresses are not verified, so sign-up tells who has an account.",
                hint="Leave ACCOUNT_EMAIL_VERIFICATION at mandatory.",
                id="accounts.W002",
            )
        )
    if not getattr(settings, "STAFF_MFA_REQUIRED", True):
        found.append(
            Warning(
                "Staff may work without two-step verification.",
                hint="Leave STAFF_MFA_REQUIRED switched on.",
                id="accounts.W003",
            )
        )
    return found


@register(Tags.database)
def no_demo_accounts(databases: Sequence[str] | None = None, **kwargs: Any) -> Sequence[CheckMessage]:
    if not settings.PRODUCTION or not databases:
        return []
    try:
        exist = demo.accounts_exist()
    except DatabaseError:  # before the first migration there is no table, and no account
        return []
    if not exist:
        return []
    return [
        Error(
            "There are demonstration accounts, whose passwords are public.",
            hint=f"Delete the people whose address ends in @{demo.DOMAIN}.",
            id="accounts.E006",
        )
    ]
