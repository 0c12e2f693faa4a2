"""Buying at this moment: nothing is sold near a sign of distress, and guardians hear of what was bought (article 7(6)).

The one place that brings together guardians/spending.py, the signs of danger and the notices. Money that comes in at a
closed time, because a provider's page was open, goes back by itself.
"""

import datetime as dt
import logging
import uuid
from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from payments import PaymentStatus

from accounts import ratelimit
from accounts.models import User
from guardians import refunds, spending
from guardians.limits import effective_band
from guardians.models import Payment, Refund, WalletEntry
from guardians.models.spending import amount
from guardians.spending import Outcome, Refused
from safety import care_notices, operations, sanctions
from safety.models import Assessment, CareNotice, CaseSignal, CrisisCase, OperationsAlert

log = logging.getLogger(__name__)

QUIET: Final = dt.timedelta(hours=1)  # after a sign of distress
DISTRESS: Final = 2  # the level of a verdict from which it is one
PER_HOUR: Final = 10  # payments begun by one person
_WAITING: Final = "refund.waiting"


def closed(user: User, now: dt.datetime) -> str:
    """Why this person can buy nothing now; "" when they can: see spending.refusal, and suspended, rest."""
    if code := spending.refusal(user, now):
        return code
    if sanctions.all_in_force(user.pk, now):
        return "suspended"
    return "rest" if distressed(user.pk, now) else ""


def distressed(user_id: uuid.UUID, now: dt.datetime) -> bool:
    """A case that is open or was until a moment ago, or something said that sounded like distress."""
    since = now - QUIET
    case = CrisisCase.objects.filter(~Q(state=CrisisCase.State.CLOSED) | Q(closed_at__gt=since), user=user_id)
    signal = CaseSignal.objects.filter(case__user=user_id, created_at__gt=since)
    said = Assessment.objects.filter(user=user_id, level__gte=DISTRESS, created_at__gt=since)
    return case.exists() or signal.exists() or said.exists()


def begin(user: User, cents: int, variant: str, description: str, now: dt.datetime) -> Payment:
    """A payment that the person may now make at the provider. Raises spending.Refused; also often."""
    if not ratelimit.allow(f"payment:{user.pk}", rate=PER_HOUR / 3600, burst=PER_HOUR):
        raise Refused("often")
    with transaction.atomic(durable=True):
        if code := closed(user, now):
            raise Refused(code)
        return spending.begin(user, cents, variant, description, now)


def settle(payment_id: uuid.UUID) -> Outcome:
    """What a provider reported, brought into the wallet with the notice to guardians; as often as one likes."""
    now = timezone.now()
    with transaction.atomic(durable=True):
        outcome = spending.note(payment_id, lambda user: closed(user, now), now)
        if outcome == Outcome.CREDITED:
            _tell_guardians(Payment.objects.select_related("user").get(pk=payment_id), now)
    if outcome == Outcome.RETURNED:
        for refund in Refund.objects.filter(payment=payment_id, state=Refund.State.APPROVED):
            refunds.pay(refund.pk)
    return outcome


def catch_up() -> int:
    """What a process left that died between two steps: payments not brought in, refunds not begun."""
    brought = Payment.objects.filter(
        ~Exists(WalletEntry.objects.filter(payment=OuterRef("pk"))),
        ~Exists(Refund.objects.filter(payment=OuterRef("pk"))),
        status=PaymentStatus.CONFIRMED,
    )
    count = 0
    for payment_id in brought.values_list("pk", flat=True)[:100]:
        count += settle(payment_id) != Outcome.NOTHING
    count += sum(refunds.pay(refund_id) for refund_id in refunds.due())
    _tell_operators(timezone.now())
    return count


def _tell_operators(now: dt.datetime) -> None:
    """The people on call hear of refunds that wait too long or were not paid; the alert ends when they do."""
    waiting = {f"refund:{refund_id}" for refund_id in refunds.waiting(now)}
    told = OperationsAlert.objects.filter(code=_WAITING, resolved_at=None)
    for subject in set(told.values_list("subject", flat=True)) - waiting:
        operations.resolve(_WAITING, subject, now=now)
    for subject in waiting:
        with transaction.atomic():
            operations.raise_alert(_WAITING, subject, now=now)


def _tell_guardians(payment: Payment, now: dt.datetime) -> None:
    """Each guardian of a minor at once, with the amount."""
    band = effective_band(payment.user, now)
    if band is None or not band.is_minor:
        return
    care_notices.tell(
        CareNotice.Kind.SPENDING,
        payment.user,
        f"payment:{payment.pk}",
        care_notices.guardian_recipients(payment.user),
        now,
        amount=str(amount(payment.cents).quantize(amount(1))),
        currency=payment.currency,
    )
