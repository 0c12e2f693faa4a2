"""What became of a notice, and what follows: each a short transaction, fenced, with the case locked before the delivery.

`fence` says for which state of the row the result still counts; whoever comes late changes nothing.
"""

import datetime as dt
import logging
from typing import Any, Final

from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, Q

from safety import care_notices, escalation, operations
from safety.crash import crash_at
from safety.models import CrisisCase, Delivery, DeliveryAttempt

log = logging.getLogger(__name__)

State = Delivery.State

RETRY_AFTER: Final = (5, 15, 30, 60)  # seconds; then every 60 for as long as the case is open
OTHER_CHANNEL_AFTER: Final = 2  # temporary failures
UNEXPECTED: Final = "unexpected"  # code of a fault that is no provider's answer
DatabaseGone: Final = (OperationalError, InterfaceError)


@transaction.atomic(durable=True)
def accept(fence: Q, delivery: Delivery, provider_id: str, now: dt.datetime) -> None:
    Delivery.objects.filter(fence).update(
        state=State.ACCEPTED, provider_id=provider_id[:200], accepted_at=now, lease_until=None, error=""
    )
    _attempt_ended(delivery, "accepted", "", now)
    crash_at("before_result_commit")


@transaction.atomic(durable=True)
def try_again(fence: Q, delivery: Delivery, code: str, now: dt.datetime) -> None:
    """Back into the queue; after the second time another channel of the same person begins beside it."""
    case = lock(delivery.case_id)
    failures = delivery.failures + 1
    changed = _back_to_queue(fence, delivery, code, now)
    _attempt_ended(delivery, "temporary", code, now)
    if changed and failures == OTHER_CHANNEL_AFTER:
        delivery.case = case
        _elsewhere(delivery, now)  # this row still waits, so nobody counts as unreachable
    crash_at("before_failure_commit")


@transaction.atomic(durable=True)
def fail(fence: Q, delivery: Delivery, code: str, now: dt.datetime) -> None:
    """For good: the next channel or the next person, in the same transaction."""
    case = lock(delivery.case_id)
    changed = Delivery.objects.filter(fence).update(state=State.FAILED, error=code, lease_until=None)
    _attempt_ended(delivery, "permanent", code, now)
    if changed:
        delivery.case = case
        _elsewhere(delivery, now)
    crash_at("before_failure_commit")


@transaction.atomic(durable=True)
def broken(fence: Q, pk: int, case_pk: int | None, now: dt.datetime) -> None:
    """A row that raised what no provider raises: one more try, then it is set aside and operations are told."""
    case = lock(case_pk)
    delivery = Delivery.objects.filter(fence).first()
    if delivery is None:
        return
    _attempt_ended(delivery, "broken", UNEXPECTED, now)
    if delivery.error != UNEXPECTED:
        _back_to_queue(fence, delivery, UNEXPECTED, now)
        return
    delivery.case = case
    Delivery.objects.filter(fence).update(state=State.QUARANTINED, lease_until=None)
    _elsewhere(delivery, now)
    if delivery.alert_id is None:  # an alert about an alert would go the same broken way
        operations.raise_alert("delivery.quarantined", str(pk), now=now)


@transaction.atomic(durable=True)
def cancel(fence: Q, delivery: Delivery, reason: str, now: dt.datetime) -> None:
    delivery.case = lock(delivery.case_id)
    cancelled(fence, delivery, reason, now)


def cancelled(fence: Q, delivery: Delivery, reason: str, now: dt.datetime) -> None:
    """In the caller's transaction, after the case was locked."""
    changed = Delivery.objects.filter(fence).update(state=State.CANCELLED, error=reason, lease_until=None)
    if changed and reason == "unreachable":
        _elsewhere(delivery, now)


def _elsewhere(delivery: Delivery, now: dt.datetime) -> None:
    """The next channel or person; also for a recipient of whom nothing can be read any more. The case is locked."""
    try:
        with transaction.atomic():
            if delivery.care_id:
                care_notices.another_channel(delivery, now)
            else:
                escalation.unreachable(delivery, now)
    except Exception as error:
        is_of_the_database(error)
        log.error("delivery %s has no other channel: %s", delivery.pk, type(error).__name__)
        case = delivery.case
        if case is None or case.state == CrisisCase.State.CLOSED:
            return
        case.refresh_from_db()
        if delivery.template == "near":
            case.contact_due_at = now
        elif case.climb_due_at is not None:
            case.climb_due_at = now
        escalation.keep(case)


def _back_to_queue(fence: Q, delivery: Delivery, code: str, now: dt.datetime) -> int:
    pauses = care_notices.RETRY_AFTER if delivery.care_id else RETRY_AFTER
    pause = pauses[min(delivery.failures + 1, len(pauses)) - 1]
    return Delivery.objects.filter(fence).update(
        state=State.PENDING,
        failures=F("failures") + 1,
        error=code,
        lease_until=None,
        next_at=now + dt.timedelta(seconds=pause),
    )


def _attempt_ended(delivery: Delivery, result: str, code: str, now: dt.datetime) -> None:
    attempts = DeliveryAttempt.objects.filter(
        delivery=delivery, attempt_no=delivery.attempt_no, finished_at=None
    )
    attempts.update(finished_at=now, result=result, detail=code)


def lock(case_pk: int | None, *, skip_locked: bool = False) -> CrisisCase | None:
    rows: Any = CrisisCase.objects.select_for_update(skip_locked=skip_locked, of=("self",))
    found: CrisisCase | None = rows.filter(pk=case_pk).first() if case_pk is not None else None
    return found


def is_of_the_database(error: Exception) -> bool:
    """Not the row's fault: a lock, a time limit. Raises the error again when the database itself is away."""
    if not isinstance(error, DatabaseGone):
        return False
    if not connection.is_usable():
        raise error
    return True
