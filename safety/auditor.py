"""The dead man's handle: each minute the alert path is asked whether it works, and only a yes reaches the outside.

It watches rows, not programs, from a process of its own. Whatever stops it, also the loss of the whole machine, ends the
calls to OUTSIDE_PING_URL, and whoever waits for them there wakes the people on call.
"""

import datetime as dt
import http.client
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction

from accounts import audit_chain
from safety import canary, clock, invariants, operations, roster
from safety.models import CrisisCase, Heartbeat, OperationsAlert

log = logging.getLogger(__name__)

ROLE: Final = "auditor"
PING_TIMEOUT: Final = 10.0  # seconds
# Alerts about one case: their subject is its number.
_OF_CASES: Final = ("contact.none", "roster.safeguarding", "case.stuck")


def look(now: dt.datetime | None = None) -> Sequence[str]:
    """One round; the names of what does not hold. Each fault is told to the people on call, and taken back when over."""
    broken = [
        name
        for name, work in (("canary.failed", canary.step), ("audit.failed", audit_chain.seal))
        if not _done(name, lambda work=work: work(now or clock.now()))  # type: ignore[misc]
    ]
    now = now or clock.now()
    found = {**{name: ["-"] for name in broken}, **invariants.violations(now)}
    for name, rows in found.items():
        log.error("does not hold: %s %s", name, ",".join(rows))
    _keep("invariant", found, now)
    _keep("roster.gap", [""] if roster.gap(now) else [], now)
    _keep("second_look.missing", invariants.without_second_look(now), now)
    _forget_ended(now)
    return sorted(found)


def beat(process: str, now: dt.datetime) -> None:
    """It has looked. The web process reads this, and says so when it grows old."""
    Heartbeat.objects.filter(role=ROLE).exclude(process=process).delete()
    Heartbeat.objects.update_or_create(process=process, defaults={"role": ROLE, "at": now})


def ping() -> str:
    """Tell the outside that all is well; "" or the code of what failed. Redirects are not followed."""
    parts = urlsplit(settings.OUTSIDE_PING_URL)
    if not settings.OUTSIDE_PING_URL:
        return ""
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=PING_TIMEOUT)
        try:
            connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return type(error).__name__
    return "" if 200 <= status < 300 else f"http.{status}"


def _done(name: str, work: Callable[[], object]) -> bool:
    """One broken part must not keep the others from being looked at."""
    try:
        work()
    except Exception as error:
        log.error("%s: %s", name, type(error).__name__)
        return False
    return True


def _keep(code: str, subjects: Iterable[str], now: dt.datetime) -> None:
    """Alerts of this code stand for exactly these subjects. That the auditor is away, as web processes say, is over too."""
    present = set(subjects)
    with transaction.atomic():
        for subject in sorted(present):
            operations.raise_alert(code, subject, now=now)
        over = OperationsAlert.objects.filter(code=code, resolved_at=None).exclude(subject__in=present)
        over.update(resolved_at=now)


def _forget_ended(now: dt.datetime) -> None:
    """What was wrong with a case is over when the case is closed, or when its sweep works again."""
    for alert in OperationsAlert.objects.filter(code__in=_OF_CASES, resolved_at=None):
        number = alert.subject.removeprefix("C-")
        case = CrisisCase.objects.filter(pk=number).first() if number.isdigit() else None
        works = alert.code == "case.stuck" and case is not None and (case.next_due_at or now) > now
        if case is None or case.state == CrisisCase.State.CLOSED or works:
            operations.resolve(alert.code, alert.subject, now=now)
