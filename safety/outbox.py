"""★ The outbox: rows of notices become notices, also when processes die or freeze at any step.

A row is claimed by one conditional UPDATE (owner and attempt number are the fence), the attempt is committed before the
network is used, and the result is written only while the claim still holds. A process that dies leaves a lease that ends;
one that wakes up late changes nothing. Every copy of a notice carries the same key. docs/safety-policy.md has the promise.

Notices on a page need no network and never wait for it: state, event and the case's first notice are one transaction.
Order of locks: case, delivery, event counter.
"""

import base64
import datetime as dt
import hashlib
import logging
import queue
import threading
import time
import uuid
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection, connections, transaction
from django.db.models import Q

from accounts import realtime
from safety import (
    alert_texts,
    care_notices,
    channels,
    clock,
    contact_agreement,
    contact_answers,
    outcomes,
    recipients,
)
from safety.channels import Permanent, Temporary
from safety.crash import POINTS as CRASH_POINTS
from safety.crash import crash_at
from safety.models import CrisisCase, Delivery, DeliveryAttempt
from safety.provider_health import ProviderHealth
from safety.recipients import Reach

__all__ = ["CRASH_POINTS", "Dispatcher", "dispatch", "message_key", "receipt"]

log = logging.getLogger(__name__)

State, Channel = Delivery.State, Delivery.Channel

SENDERS_PER_CHANNEL: Final = 4  # at once, so that one hanging provider holds up nobody else
KEPT_FREE: Final = 1  # of them, from notices outside of cases
BATCH: Final = 200  # notices on pages before the network has its turn
LONGEST: Final = {"name": 200, "email": 320, "phone": 40}  # characters; longer is broken data


@dataclass(eq=False)
class _Job:
    """A row on its way through a provider."""

    delivery: Delivery  # as claimed: owner and attempt_no are the fence
    via: str  # the channel that is really used
    until: float  # monotonic; after this nobody waits for the provider any more
    given_up: bool = False


@dataclass
class Dispatcher:
    """One hand at the outbox. Rows are touched by the caller's thread only; threads of their own wait for providers."""

    owner: str
    health: ProviderHealth = field(default_factory=ProviderHealth)
    _jobs: list[_Job] = field(default_factory=list)
    _results: "queue.SimpleQueue[tuple[_Job, str | Exception]]" = field(default_factory=queue.SimpleQueue)
    _unwritten: "deque[tuple[_Job, str | Exception]]" = field(default_factory=deque)

    @property
    def busy(self) -> bool:
        return bool(self._unwritten) or any(not job.given_up for job in self._jobs)

    def step(self, now: dt.datetime | None = None, *, claim: bool = True) -> int:
        """Pages first, then what providers answered, then new claims. How many rows were touched."""
        done = self._show_all(now) if claim else 0
        done += self._write_results(now)
        return done + (self._claim_all(now) if claim else 0)

    def wait(self, seconds: float) -> None:
        """Until a provider answered, at most `seconds`."""
        try:
            self._unwritten.append(self._results.get(timeout=seconds))
        except queue.Empty:
            return

    def _show_all(self, now: dt.datetime | None) -> int:
        due = Delivery.objects.filter(
            channel=Channel.IN_APP, state=State.PENDING, next_at__lte=now or clock.now()
        )
        rows = due.order_by("-level", "next_at").values_list("pk", "case_id")[:BATCH]
        return sum(self._show(pk, case_pk, now or clock.now()) for pk, case_pk in list(rows))

    def _show(self, pk: int, case_pk: int | None, now: dt.datetime) -> bool:
        try:
            return _show(self.owner, pk, case_pk, now)
        except Exception as error:
            log.error("delivery %s not shown: %s", pk, type(error).__name__)
            if not outcomes.is_of_the_database(error):
                outcomes.broken(Q(pk=pk, state=State.PENDING), pk, case_pk, now)
            return False

    def _claim_all(self, now: dt.datetime | None) -> int:
        done = 0
        while free := self._free():
            delivery = _claim(self.owner, free, now, for_care=self._free(KEPT_FREE))
            if delivery is None:
                break
            done += 1
            crash_at("after_claim")
            self._begin(delivery, now or clock.now())
        return done

    def _free(self, kept: int = 0) -> list[str]:
        used = Counter(job.delivery.channel for job in self._jobs)
        return [channel for channel in channels.CHANNELS if used[channel] < SENDERS_PER_CHANNEL - kept]

    def _begin(self, delivery: Delivery, now: dt.datetime) -> None:
        """Look at the world again, note the attempt, and let a thread talk with the provider."""
        if delivery.lease_until is None or delivery.lease_until <= now:
            return  # frozen since the claim: somebody else has it by now
        try:
            reach = recipients.reach(delivery.recipient)
            if obstacle := _obstacle(delivery, reach):
                outcomes.cancel(_fence(delivery), delivery, obstacle, now)
                return
            assert reach is not None
            _refuse_oversized(reach)
            notice = alert_texts.compose(delivery, reach, link=_link(delivery))
        except Exception as error:
            fault = Temporary("database") if outcomes.is_of_the_database(error) else error
            self._settle(_Job(delivery, "", 0), fault, now)
            return
        DeliveryAttempt.objects.create(delivery=delivery, attempt_no=delivery.attempt_no, started_at=now)
        crash_at("after_started")
        via = self.health.route(delivery.channel, now)
        job = _Job(delivery, via, time.monotonic() + 1.5 * settings.ALERT_TIMEOUT)
        self._jobs.append(job)
        key = message_key(delivery)
        threading.Thread(
            target=self._send, args=(job, notice, reach, key), daemon=True, name="sender"
        ).start()

    def _send(self, job: _Job, notice: alert_texts.Notice, reach: Reach, key: str) -> None:
        result: str | Exception
        try:
            result = channels.CHANNELS[job.via].send(notice, reach, key)
        except Exception as error:
            result = error
        finally:
            connections.close_all()  # of this thread
        if isinstance(result, str):
            crash_at("after_accepted")
        self._results.put((job, result))

    def _write_results(self, now: dt.datetime | None) -> int:
        while not self._results.empty():
            self._unwritten.append(self._results.get())
        done = 0
        while self._unwritten:
            job, result = self._unwritten[0]
            if not job.given_up:
                self._settle(job, result, now or clock.now())
                done += 1
            self._unwritten.popleft()  # not before: the database may have been away
            self._jobs.remove(job)
        for job in self._jobs:
            if not job.given_up and time.monotonic() > job.until:
                self._settle(job, Temporary("timeout"), now or clock.now())
                job.given_up = True  # its thread still counts as taken until it ends
                done += 1
        return done

    def _settle(self, job: _Job, result: str | Exception, now: dt.datetime) -> None:
        """What the provider said becomes state, one short transaction."""
        delivery, fence = job.delivery, _fence(job.delivery)
        try:
            match result:
                case str():
                    outcomes.accept(fence, delivery, result, now)
                    crash_at("after_result")
                case Temporary() if not care_notices.too_late(delivery, now):
                    outcomes.try_again(fence, delivery, result.code, now)
                case Temporary() | Permanent():
                    outcomes.fail(fence, delivery, result.code, now)
                case _:
                    log.error("delivery %s not sent: %s", delivery.pk, type(result).__name__)
                    outcomes.broken(fence, delivery.pk, delivery.case_id, now)
            if job.via and isinstance(result, str | Temporary):
                self.health.note(job.via, ok=isinstance(result, str), now=now)
        except Exception as error:  # the lease ends, and somebody tries again
            outcomes.is_of_the_database(error)
            log.error("result of delivery %s not written: %s", delivery.pk, type(error).__name__)


def dispatch(owner: str, now: dt.datetime | None = None) -> int:
    """One pass: claim and send what is due, and wait until all of it is settled. How many rows were touched."""
    dispatcher, done = Dispatcher(owner), 0
    while True:
        touched = dispatcher.step(now)
        done += touched
        if dispatcher.busy:
            dispatcher.wait(settings.ALERT_TIMEOUT)
        elif not touched:
            return done


def new_owner(name: str) -> str:
    """A name that no process had before: a restarted one must not pass for its predecessor."""
    return f"{name[:60]}/{uuid.uuid4().hex[:12]}"


def message_key(delivery: Delivery) -> str:
    """Made of the unique key alone, so every try of a delivery has the same: Message-ID and idempotency key."""
    if delivery.care_id:
        what = f"care-{base64.urlsafe_b64encode(delivery.care_id.bytes).decode().rstrip('=')}"
    else:
        about = f"case-{delivery.case_id}" if delivery.case_id else f"alert-{delivery.alert_id}"
        what = f"{about}.{delivery.level}.{delivery.rung}.{delivery.round}"
    who = hashlib.sha256(f"{delivery.template} {delivery.recipient}".encode()).hexdigest()[:16]
    host = urlsplit(settings.SITE_URL).hostname or "localhost"
    return f"{what}.{delivery.channel}.{who}@{host}"


def receipt(provider_id: str, *, arrived: bool, now: dt.datetime) -> bool:
    """The provider says later what became of a notice. True when it was one of ours."""
    delivery = Delivery.objects.filter(provider_id=provider_id).exclude(provider_id="").first()
    if delivery is None:
        return False
    taken = Q(pk=delivery.pk, state__in=(State.ACCEPTED, State.CONFIRMED))
    if arrived:
        Delivery.objects.filter(taken).update(state=State.CONFIRMED, confirmed_at=now)
    else:
        outcomes.fail(taken, delivery, "bounced", now)
    return True


def _claim(
    owner: str, free: list[str], now: dt.datetime | None, *, for_care: list[str] | None = None
) -> Delivery | None:
    """One statement: the gravest row that is due or was left behind is ours until the lease ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH time AS (SELECT COALESCE(%s::timestamptz, clock_timestamp()) AS at) "
            "UPDATE safety_delivery SET state = 'leased', owner = %s, attempt_no = attempt_no + 1, "
            "lease_until = (SELECT at FROM time) + make_interval(secs => %s::float8) "
            "WHERE id = (SELECT id FROM safety_delivery WHERE channel = ANY(%s::text[]) "
            "AND (care_id IS NULL OR channel = ANY(%s::text[])) AND ("
            "(state = 'pending' AND next_at <= (SELECT at FROM time)) "
            "OR (state = 'leased' AND lease_until < (SELECT at FROM time))) "
            "ORDER BY level DESC, next_at LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id, attempt_no",
            [now, owner, settings.ALERT_LEASE, free, free if for_care is None else for_care],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    claimed = Delivery.objects.select_related("case", "alert", "care__user").filter(
        pk=row[0], owner=owner, attempt_no=row[1]
    )
    return claimed.first()


def _fence(delivery: Delivery) -> Q:
    return Q(pk=delivery.pk, state=State.LEASED, owner=delivery.owner, attempt_no=delivery.attempt_no)


def _obstacle(delivery: Delivery, reach: Reach | None) -> str:
    """Why a notice is not wanted any more; "" when it is."""
    case, alert = delivery.case, delivery.alert
    if case is not None and case.state == CrisisCase.State.CLOSED:
        return "closed"
    if alert is not None and alert.resolved_at is not None:
        return "resolved"
    if delivery.template == "near" and case is not None and case.safeguarding:
        return "safeguarding"
    if delivery.care_id is not None and (obstacle := care_notices.obstacle(delivery)):
        return obstacle
    return "unreachable" if reach is None else ""


def _refuse_oversized(reach: Reach) -> None:
    for name, longest in LONGEST.items():
        if len(getattr(reach, name)) > longest:
            raise ValueError(f"oversized {name}")


@transaction.atomic(durable=True)
def _show(owner: str, pk: int, case_pk: int | None, now: dt.datetime) -> bool:
    """A notice on somebody's page, exactly once. False when somebody else is at it."""
    case = outcomes.lock(case_pk, skip_locked=True)
    if case is None and case_pk is not None:
        return False  # another step has the case for a moment; the next pass comes within a second
    delivery = (
        Delivery.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("alert", "care__user")
        .filter(pk=pk, state=State.PENDING)
        .first()
    )
    if delivery is None:
        return False
    delivery.case = case
    reach = recipients.reach(delivery.recipient)
    if obstacle := _obstacle(delivery, reach):
        outcomes.cancelled(Q(pk=pk, state=State.PENDING), delivery, obstacle, now)
        return True
    assert reach is not None and reach.user is not None
    delivery.state, delivery.owner, delivery.accepted_at = State.ACCEPTED, owner, now
    delivery.attempt_no += 1
    delivery.save(update_fields=["state", "owner", "accepted_at", "attempt_no"])
    if case is not None and case.first_notice_at is None and delivery.template != "near":
        case.first_notice_at = now
        case.save(update_fields=["first_notice_at"])
    realtime.emit(reach.user, realtime.NewEvent("alert.raised", data=_codes(delivery)))
    crash_at("before_in_app_commit")
    transaction.on_commit(lambda: crash_at("after_in_app"))
    return True


def _link(delivery: Delivery) -> str:
    """The page that a notice leads to; "" where the text itself knows."""
    if delivery.template != "care":
        return contact_answers.link(delivery)
    return contact_agreement.link(delivery) or care_notices.link(delivery)


def _codes(delivery: Delivery) -> dict[str, int | str]:
    """What the page is told: ids and codes, never a text."""
    if delivery.care is not None:
        return {"care": str(delivery.care.pk), "kind": delivery.care.kind}
    data = {"case": delivery.case_id, "alert": delivery.alert_id, "level": delivery.level}
    return {name: value for name, value in data.items() if value is not None}
