"""Whether this process can do its work: for the supervisor, load balancers and people on call."""

import datetime as dt
import logging
import threading
import time
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from accounts.cache import answers
from companion.llm import client
from safety import clock, operations

log = logging.getLogger(__name__)

AUDITOR_SILENT: Final = 180.0  # seconds; it looks once a minute
CANARY_LATE: Final = 1500.0  # seconds since the last one came home: two were sent since
_LOOK_EVERY: Final = 60.0  # seconds between two alerts about the auditor by this process
# One round trip: dispatchers, auditor, what does not hold, whether a duty gap is told, the last canary.
_ALERTS: Final = """
    SELECT (SELECT count(*) FROM safety_heartbeat WHERE role = 'alerts' AND at > %(now)s - interval '10 s'),
        (SELECT EXTRACT(epoch FROM %(now)s - max(at))::float8 FROM safety_heartbeat WHERE role = 'auditor'),
        (SELECT COALESCE(array_agg(subject ORDER BY subject), '{}') FROM safety_operationsalert
            WHERE code = 'invariant' AND resolved_at IS NULL),
        (SELECT count(*) > 0 FROM safety_operationsalert WHERE code = 'roster.gap' AND resolved_at IS NULL),
        (SELECT EXTRACT(epoch FROM %(now)s - max(e.at))::float8 FROM safety_crisiscase c
            JOIN safety_caseevent e ON e.case_id = c.id AND e.kind = 'canary_home' WHERE c.is_canary)"""

_began = time.monotonic()
_told_at = -_LOOK_EVERY
_telling = threading.Lock()


@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 while messages can be kept. Everything else is reported, but without it people still reach help."""
    kept = database()
    state: dict[str, Any] = {
        "database": kept,
        "redis": redis(),
        "model": client.status(),
        "alerts": "down",
        "instance": settings.INSTANCE,
    }
    if kept == "ok":
        state |= alerts()
    return JsonResponse(state, status=200 if kept == "ok" else 503)


def database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return "down"
    return "ok"


def redis() -> str:
    return "ok" if answers() else "down"


def alerts() -> dict[str, Any]:
    """The alert path: "down" when nothing is sent at all, "degraded" when something of it is missing. Times in seconds."""
    try:
        now = clock.now()
        with connection.cursor() as cursor:
            cursor.execute(_ALERTS, {"now": now})
            dispatchers, auditor, broken, gap, canary = cursor.fetchone()
        silent = auditor is None or auditor > AUDITOR_SILENT
        if silent:
            _tell_of_the_auditor(now)
    except DatabaseError as error:
        log.error("the alert path was not seen: %s", type(error).__name__)
        return {"alerts": "down"}
    late = bool(settings.CANARY_ADDRESS) and (canary is None or canary > CANARY_LATE)
    well = dispatchers >= 2 and not (silent or broken or gap or late)
    return {
        "alerts": "down" if not dispatchers else "ok" if well else "degraded",
        "dispatchers": dispatchers,
        "auditor_age": auditor,
        "violations": broken,
        "duty_gap": gap,
        "canary_age": canary,
    }


def _tell_of_the_auditor(now: dt.datetime) -> None:
    """Nobody else watches the watcher. Not before it had time to start with us, and once a minute at most."""
    global _told_at
    time_now = time.monotonic()
    with _telling:
        if time_now - _began < AUDITOR_SILENT or time_now - _told_at < _LOOK_EVERY:
            return
        _told_at = time_now
    operations.raise_alert("invariant", "auditor", now=now)
