"""The public status page: what works, since when, what is announced, and help lines, whatever else is down.

It reads no session and no account: StatusFirst answers before the middleware that does. What it says is at most a few
seconds old, however many ask. Nothing in it names a person, a case, a number of either, or a machine.
"""

import datetime as dt
import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.cache import patch_vary_headers
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from companion import service_notices
from companion.llm import client as model
from companion.views import health
from safety.engine import client as embeddings
from safety.models import OperationsAlert
from safety.resources import help_lines

log = logging.getLogger(__name__)

HOLD: Final = 5.0  # seconds between two looks
REACH: Final = 0.5  # seconds for a connection to an endpoint
_STATES: Final = {"demo": "part", "degraded": "part", "unconfigured": "unset", "ok": "ok", "down": "down"}
# What it means for people when it does not work.
COMPONENTS: Final[dict[str, tuple[Promise, Promise]]] = {
    "pages": (_("Pages of the site"), _("You would not see this page.")),
    "database": (_("Messages are kept"), _("Nobody can sign in or write, and nothing can be read.")),
    "valkey": (_("News between pages"), _("Pages may show what is new some seconds late.")),
    "model": (_("Companions answer"), _("Messages are kept and companions stay silent.")),
    "safety": (
        _("Danger is understood by meaning"),
        _(
            "Rules alone look at messages; companions answer more carefully, and messages are read again later."
        ),
    ),
    "alerts": (
        _("People are called to somebody in danger"),
        _("Please call a help line; do not wait for an answer here."),
    ),
    "mail": (_("E-mail"), _("E-mails come late.")),
}


@dataclass(frozen=True)
class State:
    code: str  # ok, part, down, unset, unknown
    since: dt.datetime | None  # as this process has seen it


_states: dict[str, State] = {}
_looked_at = float("-inf")
_looking = threading.Lock()


class StatusFirst:
    """Answers for this one page before sessions, accounts and whatever else may be down."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info == reverse("status"):
            return status(request)
        return self._get_response(request)


@require_safe
def status(request: HttpRequest) -> HttpResponse:
    """503 while nothing can be kept; the page itself renders all the same."""
    language = request.GET.get("lang", "")
    if language not in dict(settings.LANGUAGES):
        language = translation.get_language_from_request(request)
    states = look()
    now = timezone.now()
    well = states["database"].code == "ok"
    with translation.override(language):
        notices = _notices(language, now, well)
        body = render_to_string(
            "pages/status.html",
            {
                "request": request,
                "rows": [
                    {"name": name, "means": means, "state": states[key]}
                    for key, (name, means) in COMPONENTS.items()
                ],
                "all_well": all(state.code in ("ok", "unset") for state in states.values()),
                "current": [notice for notice in notices if not notice.over],
                "past": [notice for notice in notices if notice.over],
                "help_lines": help_lines(settings.HELP_LINES_COUNTRIES[0]),
                "operator_contact": settings.OPERATOR_CONTACT,
                "now": now,
            },
        )
    response = HttpResponse(body, status=200 if well else 503)
    response["Cache-Control"] = f"max-age={HOLD:.0f}"
    response["Content-Language"] = language
    patch_vary_headers(response, ["Accept-Language", "Cookie"])
    return response


def look() -> dict[str, State]:
    """The states, looked at HOLD seconds ago at most. While one thread looks the others say what was known."""
    global _looked_at
    wait = not _states  # at the very first time there is nothing to say yet
    if time.monotonic() - _looked_at >= HOLD and _looking.acquire(blocking=wait):
        try:
            if time.monotonic() - _looked_at >= HOLD:
                now = timezone.now()
                for key, code in _probe().items():
                    if key not in _states or _states[key].code != code:
                        _states[key] = State(code, now)
                _looked_at = time.monotonic()
        finally:
            _looking.release()
    return dict(_states)


def _probe() -> dict[str, str]:
    database = health.database()
    alerts = health.alerts()["alerts"] if database == "ok" else "unknown"
    return {
        "pages": "ok",
        "database": database,
        "valkey": health.redis(),
        "model": _endpoint(model.status(), model.endpoint().base_url),
        "safety": _endpoint(embeddings.status(), settings.EMBEDDINGS_BASE_URL),
        "alerts": _STATES.get(alerts, "unknown"),
        "mail": _mail() if database == "ok" else "unknown",
    }


def _endpoint(seen: str, url: str) -> str:
    """What turns of this process have seen of an endpoint, and whether it is there at all."""
    code = _STATES[seen]
    if code not in ("ok", "part"):
        return code
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        socket.create_connection((parts.hostname or "", port), timeout=REACH).close()
    except (OSError, ValueError):
        return "down"
    return code


def _mail() -> str:
    """What the dispatchers know of the providers (safety/provider_health.py)."""
    try:
        failing = set(
            OperationsAlert.objects.filter(code="channel.failing", resolved_at=None).values_list(
                "subject", flat=True
            )
        )
    except DatabaseError:
        return "unknown"
    if "email" not in failing:
        return "ok"
    return "part" if settings.ALERT_EMAIL_2_URL and "email_2" not in failing else "down"


def _notices(language: str, now: dt.datetime, well: bool) -> list[service_notices.Shown]:
    try:
        return service_notices.public_history(language, now, ask=well)
    except DatabaseError as error:
        log.error("the notices of the status page were not read: %s", type(error).__name__)
        return []
