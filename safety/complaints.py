"""Complaints of anybody, and the clock of all tickets: deadlines that are published, medians that are true."""

import datetime as dt
import statistics
from collections.abc import Mapping
from typing import Final

from django.db import transaction

from accounts import audit, keyring, ratelimit
from accounts.models import User
from safety import operations
from safety.models import AgeReview, Appeal, Complaint, Lane, Report, UseReview
from safety.moderation import check_decider, close, due, is_moderator, is_young, locked, number

MAX_TEXT: Final = 4000  # characters
MEDIAN_OF: Final = dt.timedelta(days=90)
MEDIAN_ROWS: Final = 5000  # of each kind at most: the page is open to everybody
MEDIAN_FROM: Final = 5  # tickets: fewer would tell of single ones
# Per address: a house or a school behind one address can complain, a script cannot fill the queue.
_FILING_RATE: Final = 1 / 360
_LOOKING_RATE: Final = 1 / 4
_TICKETS: Final = (Report, Complaint, Appeal)


def may_file(address: str) -> bool:
    return ratelimit.allow(f"complaint:{address}", rate=_FILING_RATE, burst=5)


def may_look(address: str) -> bool:
    return ratelimit.allow(f"ticket:{address}", rate=_LOOKING_RATE, burst=30)


def file(
    *, category: Complaint.Category, text: str, email: str, person: User | None, now: dt.datetime
) -> Complaint:
    """A new complaint. A danger and what touches minors go into the lanes that are answered first."""
    if category is Complaint.Category.DANGER:
        lane = Lane.SAFETY
    elif category is Complaint.Category.MINORS or (person is not None and is_young(person, now)):
        lane = Lane.MINORS
    else:
        lane = Lane.ORDINARY
    row = Complaint(
        number=number("K"),
        lane=lane,
        created_at=now,
        due_at=due(lane, now),
        person=person,
        category=category,
        text=keyring.seal_secret(text[:MAX_TEXT]),
        email=keyring.seal_secret(email) if email else "",
    )
    with transaction.atomic():
        row.save(force_insert=True)
        audit.record(
            "complaint.filed", actor=None, target=row.number, category=category.value, lane=lane.value
        )
    return row


def find(ticket: str) -> Complaint | None:
    """By its number, however it was typed."""
    letters = "".join(filter(str.isalnum, ticket.upper()))
    if len(letters) != 13:
        return None
    typed = "-".join((letters[0], letters[1:5], letters[5:9], letters[9:]))
    return Complaint.objects.filter(number=typed).first()


def may_decide(staff: User, row: Complaint) -> bool:
    return is_moderator(staff) and row.person_id != staff.pk


def decide(staff: User, pk: int, decision: Complaint.Decision, answer: str, now: dt.datetime) -> Complaint:
    """Answer a complaint. Who sends the answer by mail does so after the commit."""
    with transaction.atomic():
        row = locked(Complaint, pk)
        check_decider(staff, row.person_id)
        close(row, staff, decision.value, now)
        row.answer = keyring.seal_secret(answer[:MAX_TEXT])
        row.save(update_fields=["state", "decision", "decided_by", "decided_at", "answer"])
        audit.record("complaint.decided", actor=staff.pk, target=row.number, decision=decision.value)
    return row


def medians(now: dt.datetime) -> Mapping[str, float]:
    """Hours from ticket to answer by lane, and of appeals, over the last 90 days; only where enough were decided."""
    spans: dict[str, list[float]] = {}
    for model in _TICKETS:
        rows = model.objects.filter(decided_at__gt=now - MEDIAN_OF, decided_at__lte=now)
        for row in rows.only("lane", "created_at", "decided_at").order_by("-id")[:MEDIAN_ROWS]:
            assert row.decided_at is not None
            kind = "appeal" if model is Appeal else row.lane
            spans.setdefault(kind, []).append((row.decided_at - row.created_at).total_seconds() / 3600)
    return {kind: statistics.median(each) for kind, each in spans.items() if len(each) >= MEDIAN_FROM}


def escalate_overdue(now: dt.datetime) -> int:
    """Tell the people on call of each ticket whose time has passed, once. Returns how many are new."""
    told = 0
    for model in (*_TICKETS, UseReview, AgeReview):
        late = model.objects.filter(state="open", due_at__lt=now, escalated_at=None)
        for pk, ticket in late.values_list("pk", "number"):
            with transaction.atomic():
                if model.objects.filter(pk=pk, state="open", escalated_at=None).update(escalated_at=now):
                    operations.raise_alert("complaint.overdue", ticket, now=now)
                    told += 1
    return told
