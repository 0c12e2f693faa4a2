"""What every page knows."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from accounts.models import User
from companion.llm import client
from guardians.limits import effective_policy
from safety.resources import help_lines


def page(request: HttpRequest) -> dict[str, Any]:
    """Policy, simple mode, state of the model and help lines, for base.html and its components."""
    user = getattr(request, "user", None)
    policy = effective_policy(user, timezone.now()) if isinstance(user, User) else None
    return {
        "policy": policy,
        "simple_mode": bool(policy and policy.simple_mode),
        "demo_model": settings.ANBAN_DEMO_MODEL,
        "model_status": client.status(),
        "help_lines": help_lines(settings.HELP_LINES_COUNTRIES[0])[:3],
    }
