"""The dispatcher without one of its guards. Each belongs to a control run that has to fail."""

import datetime as dt
from typing import Any

from django.db.models import Q

from safety import clock, outbox, outcomes
from safety.models import Delivery


def switch_off(guard: str) -> None:
    """claim: rows are taken without a lease. order: a row is done before it is sent. fence: whoever comes late, writes.

    retry: what failed once has failed.
    """
    if guard == "claim":
        seen: set[tuple[int, int]] = set()
        outbox._claim = lambda owner, free, now, **_: _take(seen, free)
        outbox._fence = lambda delivery: Q(pk=delivery.pk)
    elif guard == "order":
        claim = outbox._claim

        def done_already(*arguments: Any, **options: Any) -> Delivery | None:
            delivery = claim(*arguments, **options)
            if delivery is not None:
                Delivery.objects.filter(pk=delivery.pk).update(state="accepted", accepted_at=clock.now())
            return delivery

        outbox._claim = done_already
    elif guard == "fence":
        outbox._fence = lambda delivery: Q(pk=delivery.pk)
    elif guard == "retry":
        outcomes.try_again = outcomes.fail
    else:
        raise ValueError(guard)


def _take(seen: set[tuple[int, int]], free: list[str]) -> Delivery | None:
    due = Delivery.objects.filter(state="pending", next_at__lte=clock.now(), channel__in=free)
    for delivery in due.select_related("case", "alert").order_by("-level", "next_at"):
        if (delivery.pk, delivery.failures) not in seen:
            seen.add((delivery.pk, delivery.failures))
            delivery.lease_until = clock.now() + dt.timedelta(hours=1)
            return delivery
    return None
