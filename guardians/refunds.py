"""Money back: asked for by the person or a guardian, answered by an operator in time, paid by the provider that took it.

The wallet gives up what goes back before the provider is asked, so it cannot be used meanwhile; a provider that fails
leaves a row that says so. Whoever pays claims the row first: two operators never pay twice.
"""

import datetime as dt
import logging
import uuid
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone
from payments import PaymentStatus

from accounts import audit
from accounts.models import User
from accounts.switches import may_change
from guardians import wallet
from guardians.models import Payment, Refund, WalletEntry
from guardians.models.spending import amount

log = logging.getLogger(__name__)

STUCK: Final = dt.timedelta(
    minutes=10
)  # a claim that is older belongs to a process that died with the provider's answer
State, Kind = Refund.State, WalletEntry.Kind
REASONS: Final = (
    Refund.Reason.NOT_NEEDED,
    Refund.Reason.MISTAKE,
    Refund.Reason.NOT_MINE,
    Refund.Reason.BY_MINOR,
)


class Refused(Exception):
    """It cannot be done. `code`: not_operator, gone, nothing, reason."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def ask(payment: Payment, reason: str, by: User, now: dt.datetime) -> Refund:
    """A request for a payment of one's own, or of a minor by their guardian (the caller asked access). Raises Refused."""
    if reason not in REASONS:
        raise Refused("reason")
    with transaction.atomic(durable=True):
        wallet.lock(payment.user_id)
        if payment.refunds.exclude(state=State.REFUSED).exists():
            raise Refused("gone")
        if not payment.entries.filter(kind=Kind.TOP_UP).exists():
            raise Refused("nothing")
        row = Refund.objects.create(
            payment=payment,
            reason=reason,
            asked_by=by,
            asked_at=now,
            due_at=now + dt.timedelta(days=settings.REFUND_DAYS),
        )
        audit.record(
            "refund.asked",
            actor=by.pk,
            subject=payment.user_id,
            target=f"refund:{row.pk}",
            reason=str(reason),
        )
    return row


def unused(payment: Payment, now: dt.datetime) -> int:
    """What of a payment is still in the wallet; all of it when it was never credited."""
    if not payment.entries.filter(kind=Kind.TOP_UP).exists():
        return payment.cents
    row = payment.user.wallet
    return min(payment.cents, wallet.available(row, now))


def approve(operator: User, refund_id: uuid.UUID, now: dt.datetime, *, everything: bool) -> None:
    """Decide that the unused part, or everything, goes back. Then `pay`. Raises Refused."""
    with transaction.atomic(durable=True):
        row = _open(operator, refund_id, [State.ASKED])
        payment = row.payment
        left = unused(payment, now)
        row.cents = payment.cents if everything else left
        if not row.cents:
            raise Refused("nothing")
        if payment.entries.filter(kind=Kind.TOP_UP).exists():
            taken = min(row.cents, left)
            wallet.add(wallet.lock(payment.user_id), Kind.REFUND, -taken, f"refund:{row.pk}", payment=payment)
        _decide(row, State.APPROVED, operator, now)


def refuse(operator: User, refund_id: uuid.UUID, now: dt.datetime) -> None:
    """Decide that nothing goes back, or give up after the provider failed: the wallet has it again. Raises Refused."""
    with transaction.atomic(durable=True):
        row = _open(operator, refund_id, [State.ASKED, State.FAILED])
        taken = -(row.payment.entries.filter(key=f"refund:{row.pk}").aggregate(sum=Sum("cents"))["sum"] or 0)
        if taken:
            wallet.add(
                wallet.lock(row.payment.user_id), Kind.RETURN, taken, f"return:{row.pk}", payment=row.payment
            )
        _decide(row, State.REFUSED, operator, now)


def settle_by_hand(operator: User, refund_id: uuid.UUID, now: dt.datetime, *, paid: bool) -> None:
    """After a look at the provider's own pages: the process that was paying died before it knew. Raises Refused."""
    with transaction.atomic(durable=True):
        row = _open(operator, refund_id, [State.PAYING])
        if row.claimed_at is None or row.claimed_at > now - STUCK:
            raise Refused("gone")
        row.paid_at = now if paid else None
        _decide(row, State.PAID if paid else State.FAILED, operator, now)


def pay(refund_id: uuid.UUID) -> bool:
    """Ask the provider, outside of any transaction. False when it did not work or somebody else does it."""
    claimed = Refund.objects.filter(pk=refund_id, state__in=[State.APPROVED, State.FAILED]).update(
        state=State.PAYING, claimed_at=timezone.now()
    )
    if not claimed:
        return False
    row = Refund.objects.select_related("payment").get(pk=refund_id)
    payment = row.payment
    payment.captured_amount = amount(
        payment.cents
    )  # some providers do not keep it; there is one refund of a payment
    try:
        if payment.status != PaymentStatus.CONFIRMED:
            raise ValueError("the provider has not confirmed this payment")
        payment.refund(amount(row.cents or 0))
    except Exception as error:  # whatever a provider's client raises: the row says that an operator is needed
        log.error("refund %s not paid: %s", row.pk, type(error).__name__)
        _ended(row, State.FAILED)
        return False
    _ended(row, State.PAID)
    return True


def due() -> list[uuid.UUID]:
    """Approved and not begun: what goes back by itself, or was decided by a process that then died."""
    return list(
        Refund.objects.filter(state=State.APPROVED).order_by("asked_at").values_list("pk", flat=True)[:50]
    )


def waiting(now: dt.datetime) -> list[uuid.UUID]:
    """Past the promised time, not paid by the provider, or begun by a process that died: an operator is needed."""
    late = Q(state=State.ASKED, due_at__lt=now) | Q(state=State.PAYING, claimed_at__lt=now - STUCK)
    return list(Refund.objects.filter(late | Q(state=State.FAILED)).values_list("pk", flat=True)[:100])


def _open(operator: User, refund_id: uuid.UUID, states: list[Refund.State]) -> Refund:
    if not may_change(operator):
        raise Refused("not_operator")
    owner = Payment.objects.filter(refunds=refund_id).values_list("user_id", flat=True).first()
    if owner is None:
        raise Refused("gone")
    wallet.lock(owner)
    row = (
        Refund.objects.select_for_update(of=("self",))
        .select_related("payment__user__wallet")
        .get(pk=refund_id)
    )
    if row.state not in states:
        raise Refused("gone")
    return row


def _decide(row: Refund, state: Refund.State, operator: User, now: dt.datetime) -> None:
    row.state, row.decided_by, row.decided_at = state, operator, now
    row.save()
    audit.record(
        "refund.decided",
        actor=operator.pk,
        subject=row.payment.user_id,
        target=f"refund:{row.pk}",
        state=str(state),
        cents=row.cents,
    )


def _ended(row: Refund, state: Refund.State) -> None:
    with transaction.atomic():
        paid = timezone.now() if state == State.PAID else None
        if Refund.objects.filter(pk=row.pk, state=State.PAYING).update(state=state, paid_at=paid):
            audit.record(
                "refund.paid" if paid else "refund.failed",
                actor=None,
                subject=row.payment.user_id,
                target=f"refund:{row.pk}",
                cents=row.cents,
            )
