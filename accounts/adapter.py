"""How Anban signs people up and in: the parts of allauth that it bends."""

import logging
import smtplib
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context as current
from allauth.core.internal import ratelimit
from allauth.mfa.adapter import DefaultMFAAdapter
from django.conf import settings
from django.contrib import messages
from django.contrib.sites.shortcuts import get_current_site
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.encoding import force_str
from django.utils.translation import get_language, gettext, gettext_lazy

from accounts import demo, devices, keyring, switches
from accounts.care import AGREEMENT_VERSION
from accounts.models import User

log = logging.getLogger(__name__)

# Wrong passwords on a device that this person has logged in from before. Counted apart from everybody else's,
# so that a flood of wrong passwords against an account never locks its owner out (threat T26).
_KNOWN_DEVICE = {"login_failed": "10/5m/key"}


def display_name(user: User) -> str:
    """For allauth's mails and pages, in place of the primary key that str(user) gives to logs."""
    return user.nickname or user.email


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return not switches.off(switches.Name.SIGN_UPS)

    def save_user(self, request: HttpRequest, user: User, form: Any, commit: bool = True) -> User:
        """All of sign-up's facts in the same row and the same INSERT."""
        data = form.cleaned_data
        user.birth_date = data["birth_date"]
        user.nickname = data.get("nickname", "")
        user.language = get_language() or settings.LANGUAGE_CODE
        user.agreement_version, user.agreed_at = AGREEMENT_VERSION, timezone.now()
        if data.get("minors_mode") and not (user.age_band and user.age_band.is_minor):
            user.minors_mode, user.minors_mode_at = User.MinorsMode.CHOSEN, timezone.now()
        saved: User = super().save_user(request, user, form, commit=commit)
        return saved

    def clean_email(self, email: str) -> str:
        email = email.lower()
        if demo.is_demo_address(email):
            raise self.validation_error("email_reserved")
        return email

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_reserved": gettext_lazy("This address is reserved. Please use your own."),
    }

    # Where to next: `account_next` knows what an account still lacks.
    def get_login_redirect_url(self, request: HttpRequest) -> str:
        return reverse("account_next")

    def get_signup_redirect_url(self, request: HttpRequest) -> str:
        return reverse("care")

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("settings")

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse | None:
        """Every way in comes by here: password, passkey, reset."""
        if settings.PRODUCTION and demo.is_demo_address(user.email):
            log.error("a demonstration account was refused in production")
            inactive: HttpResponse = self.respond_user_inactive(request, user)
            return inactive
        response: HttpResponse | None = super().pre_login(request, user, **kwargs)
        return response

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = super().post_login(request, user, **kwargs)
        devices.remember(request, response, user.email)
        return response

    def pre_authenticate(self, request: HttpRequest, **credentials: Any) -> None:
        device = devices.known(request, credentials.get("email", ""))
        if device is None:
            super().pre_authenticate(request, **credentials)
            return
        self._login_failed_rl_usage = ratelimit.consume(
            request,
            app="allauth.account",
            action="login_failed",
            config=_KNOWN_DEVICE,
            key=f"{self._get_login_attempts_cache_key(request, **credentials)}:{device}",
        )
        if not self._login_failed_rl_usage:
            raise self.validation_error("too_many_login_attempts")

    def format_email_subject(self, subject: str) -> str:
        return f"Anban: {force_str(subject)}"

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """A mail server that is away must not turn a saved account into an error page."""
        site = get_current_site(current.request)
        site.name = gettext("Anban")  # else mails greet with the name of the host
        try:
            super().send_mail(template_prefix, email, {"current_site": site} | context)
        except (smtplib.SMTPException, OSError) as error:
            log.error("mail %s not sent: %s", template_prefix, type(error).__name__)
            messages.warning(
                current.request,
                gettext("We could not send the e-mail just now. Please try again in a few minutes."),
            )


class MFAAdapter(DefaultMFAAdapter):  # type: ignore[misc]
    """TOTP keys and recovery seeds are sealed: a dump of the database opens no second step."""

    def encrypt(self, text: str) -> str:
        return keyring.seal_secret(text)

    def decrypt(self, encrypted_text: str) -> str:
        return keyring.open_secret(encrypted_text)
