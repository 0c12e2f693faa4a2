"""Who may pay how much in a month, and what comes of a payment (draft article 13, final article 14; E-21).

Off for minors until a guardian opens a budget, never under eight; an operator's cap stands above everybody's. Whether
somebody should not be sold anything at the moment is asked above this package (companion/purchases.py).
"""

import datetime as dt
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Sum
from payments import FraudStatus, PaymentStatus

from accounts import audit, local_days, switches
from accounts.age import years_old
from accounts.models import User
from guardians import access, wallet
from guardians.access import Right
from guardians.limits import effective_band, limit_zone
from guardians.models import Guardianship, Payment, Refund, SpendingCap, Wallet, WalletEntry
from guardians.models.spending import amount

YOUNGEST: Final = (
    8  # years; nobody buys anything for somebody younger, whoever agrees (Civil Code, article 20)
)
# A payment that was begun counts towards the month for so long, so that nobody begins two that pass the cap together. One
# that is made later is held against the cap when it arrives.
OPEN_FOR: Final = dt.timedelta(minutes=15)
Setter = SpendingCap.Setter
_UNPAID: Final = (PaymentStatus.WAITING, PaymentStatus.INPUT, PaymentStatus.PREAUTH)


class Refused(Exception):
    """Nothing can be paid. `code`: see `refusal`; also cap, amount, provider."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Outcome(StrEnum):
    NOTHING = "nothing"  # not paid, or noted already
    CREDITED = "credited"
    RETURNED = "returned"  # it came at a closed time: it goes back
    HELD = "held"  # an operator looks at it


@dataclass(frozen=True)
class Month:
    """The month in the zone that counts for the person."""

    begins: dt.datetime
    ends: dt.datetime
    spent: int  # paid, whether or not some of it went back
    begun: int  # payments that are under way
    cap: int

    @property
    def left(self) -> int:
        return max(0, self.cap - self.spent - self.begun)


def refusal(user: User, now: dt.datetime) -> str:
    """Why this account cannot pay; "" when it can: off, staff, birth_date, young, minor."""
    if not settings.PAYMENT_VARIANTS or switches.off(switches.Name.PAYMENTS):
        return "off"
    if user.is_staff or not user.is_active:
        return "staff"
    band = effective_band(user, now)
    if band is None:
        return "birth_date"
    if too_young(user, now):
        return "young"
    return "minor" if band.is_minor and not guardian_cap(user) else ""


def too_young(user: User, now: dt.datetime) -> bool:
    if user.birth_date is None:
        return True
    return years_old(user.birth_date, local_days.date_of(now, user.time_zone)) < YOUNGEST


# --- caps ----------------------------------------------------------------------------------------------------


def cap(user: User, now: dt.datetime) -> int:
    """The most this person may pay in a month: the lowest of operator's, guardian's and their own."""
    band = effective_band(user, now)
    if band is None or too_young(user, now):
        return 0
    caps = [settings.WALLET_MONTHLY_CAPS[band.value]]
    if band.is_minor:
        caps.append(guardian_cap(user) or 0)
    own = own_cap(user, now)
    return min([*caps, own] if own is not None else caps)


def guardian_cap(minor: User) -> int | None:
    """As a guardian set it last, while that guardian may still set it; None: nobody opened a budget."""
    row = (
        SpendingCap.objects.filter(user=minor, setter=Setter.GUARDIAN).order_by("-valid_from", "-pk").first()
    )
    if row is None or row.set_by_id is None:
        return None
    return row.cents if access.guardians_of(minor, Right.EDIT).filter(pk=row.set_by_id).exists() else None


def own_cap(user: User, now: dt.datetime) -> int | None:
    rows = SpendingCap.objects.filter(user=user, setter=Setter.SELF, valid_from__lte=now)
    row = rows.order_by("-valid_from", "-pk").first()
    return row.cents if row else None


def coming_cap(user: User, now: dt.datetime) -> SpendingCap | None:
    """One's own cap that is wider and holds from the next month on."""
    return SpendingCap.objects.filter(user=user, setter=Setter.SELF, valid_from__gt=now).first()


def set_own_cap(user: User, cents: int | None, now: dt.datetime) -> dt.datetime | None:
    """A lower cap holds at once, a higher one from the next month on. Returns from when, None: now."""
    with transaction.atomic(durable=True):
        wallet.lock(user.pk)
        SpendingCap.objects.filter(user=user, setter=Setter.SELF, valid_from__gt=now).delete()
        present = own_cap(user, now)
        wider = present is not None and (cents is None or cents > present)
        since = month_of(user, now).ends if wider else now
        SpendingCap.objects.create(user=user, setter=Setter.SELF, set_by=user, cents=cents, valid_from=since)
        audit.record(
            "spending.cap_set", actor=user.pk, subject=user.pk, setter=Setter.SELF.value, cents=cents
        )
    return since if wider else None


def set_guardian_cap(link: Guardianship, by: User, cents: int, now: dt.datetime) -> int:
    """Open a minor's budget, change it, or close it with 0; holds at once. Returns what counts, with the operator's cap.

    The caller asked access.link_of for Right.EDIT. Raises Refused: young.
    """
    if cents and too_young(link.minor, now):
        raise Refused("young")
    band = effective_band(link.minor, now)
    cents = min(cents, settings.WALLET_MONTHLY_CAPS[band.value] if band else 0)
    with transaction.atomic(durable=True):
        wallet.lock(link.minor_id)
        SpendingCap.objects.create(
            user_id=link.minor_id, setter=Setter.GUARDIAN, set_by=by, cents=cents, valid_from=now
        )
        audit.record(
            "spending.cap_set",
            actor=by.pk,
            subject=link.minor_id,
            target=f"guardianship:{link.pk}",
            setter=Setter.GUARDIAN.value,
            cents=cents,
        )
    return cents


def month_of(user: User, now: dt.datetime) -> Month:
    """Three to six small queries; the caller who is about to pay holds the wallet."""
    zone = limit_zone(user, now)[0]
    first = local_days.date_of(now, zone).replace(day=1)
    begins = local_days.start(first, zone)
    ends = local_days.start((first + dt.timedelta(days=31)).replace(day=1), zone)
    paid = WalletEntry.objects.filter(
        wallet=user.pk, kind=WalletEntry.Kind.TOP_UP, created_at__gte=begins, created_at__lt=ends
    )
    credited = WalletEntry.objects.filter(payment=OuterRef("pk"), kind=WalletEntry.Kind.TOP_UP)
    begun = Payment.objects.filter(
        ~Exists(credited),
        ~Exists(Refund.objects.filter(payment=OuterRef("pk"))),
        user=user,
        status__in=[*_UNPAID, PaymentStatus.CONFIRMED],
        created__gt=now - OPEN_FOR,
    )
    return Month(
        begins,
        ends,
        spent=paid.aggregate(sum=Sum("cents"))["sum"] or 0,
        begun=begun.aggregate(sum=Sum("cents"))["sum"] or 0,
        cap=cap(user, now),
    )


# --- paying --------------------------------------------------------------------------------------------------


def begin(user: User, cents: int, variant: str, description: str, now: dt.datetime) -> Payment:
    """A payment about to be made. What it costs is ours to say: the page only chooses one of the amounts.

    In the caller's transaction, after `refusal`. Raises Refused: amount, provider, cap.
    """
    if cents not in settings.WALLET_TOP_UPS:
        raise Refused("amount")
    if variant not in settings.PAYMENT_VARIANTS:
        raise Refused("provider")
    wallet.lock(user.pk)
    if cents > month_of(user, now).left:
        raise Refused("cap")
    payment: Payment = Payment.objects.create(
        user=user,
        cents=cents,
        variant=variant,
        total=amount(cents),
        currency=settings.WALLET_CURRENCY,
        description=description,
    )
    audit.record("payment.begun", actor=user.pk, subject=user.pk, target=f"payment:{payment.pk}", cents=cents)
    return payment


def note(payment_id: uuid.UUID, closed: Callable[[User], str], now: dt.datetime) -> Outcome:
    """What a provider reported about a payment, brought into the wallet; as often as one likes.

    In the caller's transaction. `closed` is asked with the wallet held, so whatever closed the shop meanwhile counts.
    """
    owner = Payment.objects.select_related("user").get(pk=payment_id).user
    row = wallet.lock(owner.pk)
    payment = Payment.objects.get(pk=payment_id)
    ours = payment.refunds.exclude(state=Refund.State.REFUSED).exists()
    credited = payment.entries.filter(kind=WalletEntry.Kind.TOP_UP).exists()
    if payment.status == PaymentStatus.REFUNDED and credited and not ours:
        return _reversed(payment, row, now)
    if payment.status != PaymentStatus.CONFIRMED or credited or payment.refunds.exists():
        return Outcome.NOTHING
    if not _as_agreed(payment):
        _give_back(payment, Refund.Reason.MISMATCH, now)
        return Outcome.HELD
    month = month_of(owner, now)
    # What is still under way counts as well, but not this payment itself.
    if closed(owner) or month.spent + payment.cents > month.cap:
        _give_back(payment, Refund.Reason.CLOSED, now)
        return Outcome.RETURNED
    wallet.add(row, WalletEntry.Kind.TOP_UP, payment.cents, f"payment:{payment.pk}", payment=payment)
    audit.record(
        "payment.credited", actor=None, subject=owner.pk, target=f"payment:{payment.pk}", cents=payment.cents
    )
    return Outcome.CREDITED


def _as_agreed(payment: Payment) -> bool:
    """Amount and currency as we said, all of it taken, and no suspicion of the provider's."""
    agreed = amount(payment.cents)
    return (
        payment.total == agreed
        and payment.captured_amount in (0, agreed)  # some providers do not say
        and payment.currency == settings.WALLET_CURRENCY
        and payment.fraud_status not in (FraudStatus.REJECT, FraudStatus.REVIEW)
    )


def _give_back(payment: Payment, reason: Refund.Reason, now: dt.datetime) -> None:
    """Money that is not credited: all of it goes back, or an operator looks first at what was reported."""
    clear = reason == Refund.Reason.CLOSED
    Refund.objects.create(
        payment=payment,
        state=Refund.State.APPROVED if clear else Refund.State.ASKED,
        reason=reason,
        cents=payment.cents if clear else None,
        asked_at=now,
        due_at=now + dt.timedelta(days=settings.REFUND_DAYS),
    )
    audit.record(
        "payment.not_credited",
        actor=None,
        subject=payment.user_id,
        target=f"payment:{payment.pk}",
        reason=reason.value,
    )


def _reversed(payment: Payment, row: Wallet, now: dt.datetime) -> Outcome:
    """The provider took the money back by itself; so do we, as far as it is still there."""
    cents = min(payment.cents, wallet.available(row, now))
    if wallet.add(row, WalletEntry.Kind.REVERSAL, -cents, f"reversal:{payment.pk}", payment=payment):
        audit.record(
            "payment.reversed",
            actor=None,
            subject=payment.user_id,
            target=f"payment:{payment.pk}",
            cents=cents,
        )
    return Outcome.NOTHING


# --- using ---------------------------------------------------------------------------------------------------


def choose(user: User, *, in_use: bool, now: dt.datetime) -> None:
    """The person wants replies paid from the wallet when the free ones of the day are over, or not any more."""
    with transaction.atomic(durable=True):
        row = wallet.lock(user.pk)
        if row.in_use != in_use:
            row.in_use = in_use
            row.save(update_fields=["in_use"])
            audit.record("wallet.use_chosen", actor=user.pk, subject=user.pk, in_use=in_use)


@transaction.atomic
def hold(user_id: uuid.UUID, tokens: int, now: dt.datetime) -> uuid.UUID | None:
    """Set aside what a reply may cost; None when the wallet is not to be used, is closed to this person, or too empty."""
    row = (
        Wallet.objects.select_for_update(of=("self",))
        .select_related("user")
        .filter(pk=user_id, in_use=True, balance__gt=0)
        .first()
    )
    if row is None or refusal(row.user, now):
        return None
    return wallet.hold(row, tokens, now)
