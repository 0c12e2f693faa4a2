"""Mail, through whatever backend the operator has set (SMTP, or a provider of django-anymail), and a second provider."""

import smtplib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import environ
from anymail.exceptions import AnymailRecipientsRefused, AnymailRequestsAPIError
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection

from safety.channels.base import Permanent, Temporary
from safety.recipients import Reach

if TYPE_CHECKING:
    from safety.alert_texts import Notice

# Nobody's holiday notice shall answer, and no list shall take it for one of its own (RFC 3834).
_HEADERS: Final = {
    "Auto-Submitted": "auto-generated",
    "X-Auto-Response-Suppress": "All",
    "Importance": "high",
}
_WRONG_MESSAGE: Final = (
    400,
    404,
    413,
    422,
)  # of a provider's interface; other refusals are about the account


class Email:
    """The operator's ordinary mail."""

    def send(self, notice: "Notice", reach: Reach, key: str) -> str:
        if not reach.email:
            raise Permanent("address.missing")
        message = EmailMultiAlternatives(
            notice.subject, notice.text, to=[reach.email], headers={"Message-ID": f"<{key}>", **_HEADERS}
        )
        if notice.html:
            message.attach_alternative(notice.html, "text/html")
        message.message()  # what cannot be written down is the row's fault, not the provider's
        try:
            get_connection(**self.provider()).send_messages([message])
        except Exception as error:
            raise _meaning(error) from None
        status = getattr(message, "anymail_status", None)
        return str(getattr(status, "message_id", None) or key)

    def provider(self) -> Mapping[str, Any]:
        return {"timeout": settings.ALERT_TIMEOUT}


class SecondEmail(Email):
    """Another provider, for the people on call and for when the first one fails."""

    def provider(self) -> Mapping[str, Any]:
        if not settings.ALERT_EMAIL_2_URL:
            raise Permanent("unconfigured")
        config = environ.Env.email_url_config(settings.ALERT_EMAIL_2_URL)
        return {
            "backend": config["EMAIL_BACKEND"],
            "host": config.get("EMAIL_HOST"),
            "port": config.get("EMAIL_PORT"),
            "username": config.get("EMAIL_HOST_USER") or "",
            "password": config.get("EMAIL_HOST_PASSWORD") or "",
            "use_tls": config.get("EMAIL_USE_TLS", False),
            "use_ssl": config.get("EMAIL_USE_SSL", False),
            "timeout": settings.ALERT_TIMEOUT,
        }


def _meaning(error: Exception) -> Exception:
    """What a failure of the provider means for the delivery. Anything unknown is given back as it is."""
    match error:
        case Permanent():
            return error
        case AnymailRecipientsRefused():
            return Permanent("provider.refused")
        case AnymailRequestsAPIError():
            status = error.status_code or 0
            code = f"provider.{status}"
            return Permanent(code) if status in _WRONG_MESSAGE else Temporary(code)
        case smtplib.SMTPAuthenticationError():  # our account, not the recipient
            return Temporary("smtp.login")
        case smtplib.SMTPRecipientsRefused():
            return _by_status(next(iter(error.recipients.values()))[0])
        case smtplib.SMTPResponseException():
            return _by_status(error.smtp_code)
        case smtplib.SMTPNotSupportedError():
            return Permanent("smtp.unsupported")
        case TimeoutError():
            return Temporary("timeout")
        case smtplib.SMTPException() | OSError():
            return Temporary("connection")
    return error


def _by_status(status: int) -> Permanent | Temporary:
    code = f"smtp.{status}"
    return Permanent(code) if 500 <= status < 600 else Temporary(code)
