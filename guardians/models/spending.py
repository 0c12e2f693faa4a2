"""The wallet: what somebody paid for extra replies, what was used of it, and who limits it.

Amounts are whole numbers of the smallest coin of WALLET_CURRENCY (fen, cents).
"""

import uuid
from decimal import Decimal
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from payments import PurchasedItem
from payments.models import BasePayment


class Wallet(models.Model):
    """The balance is the sum of the entries: both change in one transaction that holds this row (guardians/wallet.py)."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="wallet"
    )
    balance = models.BigIntegerField(default=0)
    owed = models.PositiveSmallIntegerField(
        default=0
    )  # thousandths of a coin that are used and not yet charged
    in_use = models.BooleanField(
        default=False
    )  # the person wants replies paid from it, once the free ones are over
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("wallet")
        verbose_name_plural = _("wallets")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(name="wallet_never_negative", condition=Q(balance__gte=0)),
            models.CheckConstraint(name="wallet_owes_less_than_a_coin", condition=Q(owed__lt=1000)),
        ]

    def __str__(self) -> str:
        return str(self.pk)


class WalletHold(models.Model):
    """Set aside for a reply that is being written. One that nobody settles lapses: a crash costs the person nothing."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    wallet = models.ForeignKey(Wallet, models.CASCADE, related_name="holds")
    cents = models.PositiveBigIntegerField()
    expires_at = models.DateTimeField()


class WalletEntry(models.Model):
    """One movement. Rows are only added, and the database refuses to change one."""

    class Kind(models.TextChoices):
        TOP_UP = "top_up", _("Top-up")
        USE = "use", _("Extra replies")
        REFUND = "refund", _("Refund")
        RETURN = "return", _("Refund that could not be paid")
        REVERSAL = "reversal", _("Taken back by the payment provider")

    id = models.BigAutoField(primary_key=True)
    wallet = models.ForeignKey(Wallet, models.CASCADE, related_name="entries")
    kind = models.CharField(max_length=10, choices=Kind)
    cents = models.BigIntegerField()  # what the balance changes by
    tokens = models.PositiveIntegerField(null=True)  # of a use
    payment = models.ForeignKey("Payment", models.CASCADE, null=True, related_name="entries")
    # What it follows from, so that it is written once: "payment:<id>", "hold:<id>", "refund:<id>".
    key = models.CharField(max_length=60, unique=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = _("entry of a wallet")
        verbose_name_plural = _("entries of wallets")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["wallet", "-created_at"], name="wallet_entries_by_time")
        ]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(
                name="wallet_entry_has_its_sign",
                condition=Q(kind__in=["top_up", "return"], cents__gt=0)
                | Q(kind__in=["use", "refund", "reversal"], cents__lte=0),
            )
        ]


class Payment(BasePayment):  # type: ignore[misc]
    """A payment as django-payments keeps it. Providers write its status; the entries say what came of it.

    Nothing about the payer is asked here or kept: names, addresses and card numbers stay with the provider.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    cents = models.PositiveBigIntegerField()  # as agreed; `total` must still say the same when it is paid

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["user", "-created"], name="payments_of_a_person")
        ]

    def __str__(self) -> str:
        return str(self.pk)

    def get_success_url(self) -> str:
        return f"{settings.SITE_URL}{reverse('shop_done', args=[self.pk])}"

    def get_failure_url(self) -> str:
        return self.get_success_url()  # one page says how it ended

    def get_purchased_items(self) -> list[PurchasedItem]:
        return [
            PurchasedItem(
                name=self.description, quantity=1, price=self.total, currency=self.currency, sku="top-up"
            )
        ]


class SpendingCap(models.Model):
    """The most that may be paid in a month. A history: the newest row of each setter counts, and the lowest of these."""

    class Setter(models.TextChoices):
        SELF = "self", _("Oneself")
        GUARDIAN = "guardian", _("Guardian")

    id = models.BigAutoField(primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="spending_caps")
    setter = models.CharField(max_length=10, choices=Setter)
    set_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    cents = models.PositiveBigIntegerField(null=True)  # None: no cap of one's own
    valid_from = models.DateTimeField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["user", "setter", "-valid_from", "-id"], name="spending_caps_in_force")
        ]


class Refund(models.Model):
    """Money that goes back: asked for and decided by an operator, or due by itself because it came at a closed time."""

    class State(models.TextChoices):
        ASKED = "asked", _("Waiting for a decision")
        APPROVED = "approved", _("About to be paid back")
        PAYING = "paying", _("Being paid back")
        PAID = "paid", _("Paid back")
        FAILED = "failed", _("The payment provider did not do it")
        REFUSED = "refused", _("Not paid back")

    class Reason(models.TextChoices):
        NOT_NEEDED = "not_needed", _("I do not need it any more")
        MISTAKE = "mistake", _("It was a mistake")
        NOT_MINE = "not_mine", _("Somebody else paid without being allowed to")
        BY_MINOR = "by_minor", _("A young person paid without a guardian's yes")
        CLOSED = "closed", _("It arrived when nothing could be bought")
        MISMATCH = "mismatch", _("The provider reported something else than was agreed")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    payment = models.ForeignKey(Payment, models.CASCADE, related_name="refunds")
    state = models.CharField(max_length=10, choices=State, default=State.ASKED)
    reason = models.CharField(max_length=12, choices=Reason)
    cents = models.PositiveBigIntegerField(null=True)  # what goes back; None until decided
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    asked_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField()  # an answer is promised until then
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True)
    claimed_at = models.DateTimeField(null=True)  # when somebody last began to pay it
    paid_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["payment"],
                name="refund_one_open",
                condition=~Q(state__in=["paid", "refused"]),
            ),
            models.CheckConstraint(
                name="refund_has_an_amount",
                condition=Q(state__in=["asked", "refused"]) | Q(cents__isnull=False, cents__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)


def amount(cents: int) -> Decimal:
    """As payment providers write it."""
    return Decimal(cents) / 100
