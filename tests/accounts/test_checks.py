"""Wrong configuration is named at start."""

import base64
from typing import Any

import pytest

from accounts import checks, keyring


@pytest.fixture
def production(settings: Any) -> Any:
    settings.PRODUCTION = True
    settings.SECRET_KEY = "k9" + "abcdefghij" * 6
    settings.KEY_ENCRYPTION_KEYS = "2026a:" + base64.b64encode(bytes(range(32))).decode()
    settings.ALLOWED_HOSTS = ["anban.example"]
    settings.WEBSOCKET_ORIGINS = ["https://anban.example"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.ACCOUNT_EMAIL_VERIFICATION = "mandatory"
    settings.STAFF_MFA_REQUIRED = True
    keyring.key_encryption_keys.cache_clear()
    yield settings
    keyring.key_encryption_keys.cache_clear()


def ids() -> set[str | None]:
    found = [*checks.origins_are_exact(), *checks.production_secrets(), *checks.production_logins()]
    return {issue.id for issue in found}


def test_a_good_configuration_passes(production: Any) -> None:
    assert ids() == set()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("WEBSOCKET_ORIGINS", ["anban.example"], "accounts.E001"),
        ("WEBSOCKET_ORIGINS", ["https://*.anban.example"], "accounts.E001"),
        ("WEBSOCKET_ORIGINS", ["https://anban.example/chat"], "accounts.E001"),
        ("WEBSOCKET_ORIGINS", ["http://anban.example"], "accounts.E005"),
        ("SECRET_KEY", "short", "accounts.E002"),
        ("KEY_ENCRYPTION_KEYS", "", "accounts.E003"),
        ("KEY_ENCRYPTION_KEYS", "development:" + "A" * 43 + "=", "accounts.E003"),
        ("ALLOWED_HOSTS", ["*"], "accounts.E004"),
        ("EMAIL_BACKEND", "django.core.mail.backends.console.EmailBackend", "accounts.W001"),
        ("EMAIL_BACKEND", "django.core.mail.backends.filebased.EmailBackend", "accounts.W001"),
        ("ACCOUNT_EMAIL_VERIFICATION", "optional", "accounts.W002"),
        ("STAFF_MFA_REQUIRED", False, "accounts.W003"),
    ],
)
def test_each_mistake_has_its_message(production: Any, name: str, value: Any, expected: str) -> None:
    setattr(production, name, value)
    assert expected in ids()


def test_development_needs_no_secrets(settings: Any) -> None:
    settings.PRODUCTION = False
    settings.ALLOWED_HOSTS = ["*"]
    assert checks.production_secrets() == []


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8000", "https://[::1]:8443", "http://localhost"])
def test_local_origins_are_full_origins(settings: Any, origin: str) -> None:
    settings.WEBSOCKET_ORIGINS = [origin]
    assert checks.origins_are_exact() == []
