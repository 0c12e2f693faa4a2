"""Alerts about the machinery itself: one row for as long as a fault lasts, told to the people on call once an hour."""

import datetime as dt
from typing import Final

from django.db.models import F

from safety import recipients
from safety.models import Delivery, OperationsAlert

CODES: Final = frozenset(
    {
        "case.stuck",  # a case whose sweep fails
        "contact.none",  # nobody near can be told
        "roster.safeguarding",  # nobody is safeguarding lead
        "roster.gap",  # nobody on duty now or soon
        "rung.empty",  # a rung without anybody on it
        "delivery.quarantined",
        "channel.failing",
        "invariant",  # the subject says which (safety/invariants.py)
        "canary.lost",
        "second_look.missing",  # an imminent case closed by one human only
        "complaint.overdue",
        "refund.waiting",  # past its promised time, or the provider did not pay it
        "appeal.safeguarding",  # somebody says that they are not safe with a guardian
    }
)
AGAIN: Final = dt.timedelta(hours=1)


def raise_alert(code: str, subject: str = "", *, now: dt.datetime) -> OperationsAlert:
    """Note the fault and tell the people on call, in the caller's transaction. Told again after an hour."""
    if code not in CODES:
        raise ValueError(f"unregistered alert {code!r}")
    OperationsAlert.objects.bulk_create(
        [OperationsAlert(code=code, subject=subject, opened_at=now, last_seen_at=now, count=0)],
        ignore_conflicts=True,
    )
    rows = OperationsAlert.objects.filter(code=code, subject=subject, resolved_at=None)
    rows.update(count=F("count") + 1, last_seen_at=now)
    alert = rows.get()
    hours = int((now - alert.opened_at) / AGAIN)
    deliveries = []
    for recipient in recipients.on_call():
        reach = recipients.reach(recipient)
        deliveries += [
            Delivery(
                alert=alert,
                template="operations",
                round=hours,
                channel=channel,
                recipient=recipient,
                next_at=now,
                created_at=now,
            )
            for channel in (reach.channels() if reach else [])
        ]
    Delivery.objects.bulk_create(deliveries, ignore_conflicts=True)
    return alert


def resolve(code: str, subject: str = "", *, now: dt.datetime) -> None:
    """The fault is over."""
    OperationsAlert.objects.filter(code=code, subject=subject, resolved_at=None).update(resolved_at=now)
