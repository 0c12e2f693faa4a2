"""The wallet's ledger: what is paid in, set aside for a reply, used and paid back. Never below zero.

Every change locks the wallet's row first. Entries carry a key of what they follow from, so that a call that comes twice
writes once.
"""

import datetime as dt
import uuid
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Sum

from guardians.models import Payment, Wallet, WalletEntry, WalletHold

Kind = WalletEntry.Kind
# A reply is over by then, also one that was saved late. What is still set aside after it belongs to a process that is gone.
GRACE: Final = dt.timedelta(minutes=2)


def lock(user_id: uuid.UUID) -> Wallet:
    """The person's wallet, made if there is none, held until the caller's transaction ends."""
    Wallet.objects.bulk_create([Wallet(user_id=user_id)], ignore_conflicts=True)
    return Wallet.objects.select_for_update().get(pk=user_id)


def available(wallet: Wallet, now: dt.datetime) -> int:
    """What may be used or paid back: the balance without what replies being written have set aside."""
    held = wallet.holds.filter(expires_at__gt=now).aggregate(sum=Sum("cents"))["sum"]
    return max(0, wallet.balance - (held or 0))


def add(
    wallet: Wallet,
    kind: WalletEntry.Kind,
    cents: int,
    key: str,
    *,
    payment: Payment | None = None,
    tokens: int | None = None,
) -> bool:
    """Write an entry to a locked wallet; False when it is there already. Raises ValueError for more than there is."""
    if WalletEntry.objects.filter(key=key).exists():
        return False
    if wallet.balance + cents < 0:
        raise ValueError("a wallet does not go below zero")
    WalletEntry.objects.create(wallet=wallet, kind=kind, cents=cents, key=key, payment=payment, tokens=tokens)
    wallet.balance += cents
    wallet.save(update_fields=["balance", "owed"])
    return True


def hold(wallet: Wallet, tokens: int, now: dt.datetime) -> uuid.UUID | None:
    """Set the price of so many tokens aside in a locked wallet; None when there is not enough."""
    wallet.holds.filter(expires_at__lte=now).delete()
    cents = -(-(tokens * settings.WALLET_PRICE_PER_1000_TOKENS + wallet.owed) // 1000)
    if available(wallet, now) < cents:
        return None
    longest = dt.timedelta(seconds=settings.LLM_TOTAL_TIMEOUT) + GRACE
    return WalletHold.objects.create(wallet=wallet, cents=cents, expires_at=now + longest).pk


@transaction.atomic
def settle(hold_id: uuid.UUID, tokens: int, now: dt.datetime) -> None:
    """Charge what a reply used in place of what was set aside for it.

    Thousandths of a coin are carried on, so a person pays for the tokens and not for rounding. Twice is once; what was set
    aside too long ago is not charged at all.
    """
    wallet = Wallet.objects.select_for_update(of=("self",)).filter(holds=hold_id).first()
    if wallet is None:
        return
    deleted, _ = wallet.holds.filter(pk=hold_id, expires_at__gt=now).delete()
    if not deleted or not tokens:
        return
    cents, wallet.owed = divmod(tokens * settings.WALLET_PRICE_PER_1000_TOKENS + wallet.owed, 1000)
    cents = min(cents, available(wallet, now))
    add(wallet, Kind.USE, -cents, f"hold:{hold_id}", tokens=tokens)
