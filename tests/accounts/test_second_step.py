"""Two-step verification from the settings to the next login, with a real code and a real passkey."""

import base64
import hashlib
import hmac
import re
import struct
import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.staticfiles.testing import StaticLiveServerTestCase
from django.test import Client, override_settings
from playwright.sync_api import sync_playwright

from accounts.models import User
from accounts.staff import has_second_step
from devstack.browser import ARGUMENTS, find_chromium
from tests.cast import PASSWORD, make_user, with_contact

LOGIN, ACTIVATE = "/accounts/login/", "/accounts/2fa/totp/activate/"


def code_for(secret: str) -> str:
    """RFC 6238 with the usual parameters, as an authenticator app computes it."""
    counter = struct.pack(">Q", int(time.time()) // 30)
    digest = hmac.new(base64.b32decode(secret), counter, hashlib.sha1).digest()
    offset = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[offset : offset + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def log_in(user: User) -> Client:
    client = Client()
    client.post(LOGIN, {"login": user.email, "password": PASSWORD})
    return client


def set_up(user: User) -> tuple[Client, str]:
    client = log_in(user)
    ask = client.get(ACTIVATE).headers["Location"]
    assert ask.startswith("/accounts/reauthenticate/")  # a stolen open browser is not enough
    client.post(ask, {"password": PASSWORD})
    page = client.get(ACTIVATE).content.decode()
    assert "<svg" in page
    assert 'src="data:' not in page  # the content security policy would not show it
    found = re.search(r'value="([A-Z2-7]{32})"', page)
    assert found
    secret = found.group(1)
    client.post(ACTIVATE, {"code": code_for(secret)})
    return client, secret


@pytest.mark.django_db
def test_an_authenticator_app_is_asked_for_at_the_next_login(adult: User) -> None:
    _client, secret = set_up(adult)
    assert has_second_step(adult)
    client = log_in(adult)
    assert "_auth_user_id" not in client.session
    client.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert "_auth_user_id" not in client.session
    Authenticator.objects.filter(user=adult).update(last_used_at=None)
    with pytest.MonkeyPatch.context() as patch:
        later = time.time() + 30  # the code of the set-up is used up
        patch.setattr(time, "time", lambda: later)
        client.post("/accounts/2fa/authenticate/", {"code": code_for(secret)})
    assert client.session["_auth_user_id"] == str(adult.pk)


@pytest.mark.django_db
def test_a_recovery_code_opens_the_account_once(adult: User) -> None:
    client, _secret = set_up(adult)
    client.post("/accounts/2fa/recovery-codes/generate/")
    page = client.get("/accounts/2fa/recovery-codes/").content.decode()
    code = Authenticator.objects.get(user=adult, type="recovery_codes").wrap().get_unused_codes()[0]
    assert code in page
    for expected in (True, False):
        visitor = log_in(adult)
        visitor.post("/accounts/2fa/authenticate/", {"code": code})
        assert ("_auth_user_id" in visitor.session) is expected


@pytest.mark.browser
@override_settings(ALLOWED_HOSTS=["localhost"], ACCOUNT_EMAIL_VERIFICATION="optional")
class PasskeyTest(StaticLiveServerTestCase):
    """Chromium's virtual authenticator stands in for a fingerprint; everything else is real."""

    host = "localhost"  # passkeys belong to names, not to addresses

    def test_a_passkey_is_added_in_the_settings_and_then_opens_the_account(self) -> None:
        user = with_contact(make_user("adult", 29))
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=find_chromium(), args=ARGUMENTS)
            page = browser.new_page(locale="en-GB")
            errors: list[str] = []
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
            session = page.context.new_cdp_session(page)
            session.send("WebAuthn.enable")
            options: dict[str, Any] = {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
            session.send("WebAuthn.addVirtualAuthenticator", {"options": options})

            page.goto(f"{self.live_server_url}{LOGIN}")
            page.fill("[name=login]", user.email)
            page.fill("[name=password]", PASSWORD)
            page.press("[name=password]", "Enter")
            page.wait_for_url("**/companions/")
            page.goto(f"{self.live_server_url}/accounts/2fa/webauthn/add/")
            page.fill("[name=password]", PASSWORD)
            page.press("[name=password]", "Enter")
            page.wait_for_url("**/webauthn/add/")
            page.fill("[name=name]", "My telephone")
            page.check("[name=passwordless]")
            page.click("#mfa_webauthn_add")
            page.wait_for_url("**/recovery-codes/**")

            page.context.clear_cookies()
            page.goto(f"{self.live_server_url}{LOGIN}")
            page.click("#passkey_login")
            page.wait_for_url("**/companions/")
            browser.close()
        assert Authenticator.objects.filter(user=user, type="webauthn").exists()
        assert errors == []
