"""What every page knows."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import get_language

from accounts import simple_mode, switches
from accounts.models import User
from companion import service_notices
from companion.llm import client
from guardians.limits import effective_policy
from safety.resources import help_lines


def _banners(request: HttpRequest) -> list[service_notices.Shown]:
    user = getattr(request, "user", None)
    person = user if isinstance(user, User) else None
    language = person.language if person else get_language() or settings.LANGUAGE_CODE
    return service_notices.banners(person, language, timezone.now())


def page(request: HttpRequest) -> dict[str, Any]:
    """Policy, simple mode, state of the model and help lines, for base.html and its components."""
    user = getattr(request, "user", None)
    policy = effective_policy(user, timezone.now()) if isinstance(user, User) else None
    return {
        "policy": policy,
        "simple_mode": simple_mode.chosen(request),
        "demo_model": settings.ANBAN_DEMO_MODEL,
        "model_status": client.status(),
        # Called by the templates that show them.
        "service_banners": lambda: _banners(request),
        "unseen_notices": lambda: isinstance(user, User) and service_notices.unseen(user),
        "signup_sentence": lambda: switches.sentence(switches.Name.SIGN_UPS, get_language() or "en"),
        "help_lines": help_lines(settings.HELP_LINES_COUNTRIES[0])[:3],
    }
