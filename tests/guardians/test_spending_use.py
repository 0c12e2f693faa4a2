"""The wallet pays for tokens once the free ones of the day are over: exactly, only when turned on, and never unasked."""

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from companion import access, budgets, export, purchases, replies
from companion.models import Message, TokenBudget
from guardians import spending, wallet
from guardians.models import Payment, WalletEntry, WalletHold
from tests.companion.conftest import say
from tests.guardians.buying import balance
from tests.live import companions, open_conversation, sign_in

__all__ = ["companions"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def rich(adult: User, settings: Any) -> User:
    """Ten yuan in the wallet, turned on, 1000 free tokens a day; a coin for 1000 tokens."""
    settings.TOKENS_PER_USER_PER_DAY = 1000
    settings.WALLET_PRICE_PER_1000_TOKENS = 1
    payment = purchases.begin(adult, 1000, "dummy", "", timezone.now())
    Payment.objects.filter(pk=payment.pk).update(status="confirmed")
    purchases.settle(payment.pk)
    spending.choose(adult, in_use=True, now=timezone.now())
    return adult


def used(user: User) -> int:
    return TokenBudget.objects.get(scope__startswith=f"user:{user.pk}").used


def spend(user: User, tokens: int, reserved: int = 0) -> budgets.Reservation:
    row = budgets.reserve(user.pk, reserved or tokens, timezone.now())
    budgets.settle(row, tokens)
    return row


def test_free_tokens_come_first_and_cost_no_statement(rich: User) -> None:
    with CaptureQueriesContext(connection) as queries:
        row = budgets.reserve(rich.pk, 800, timezone.now())
        budgets.settle(row, 700)
    assert len(queries) == 2
    assert row.hold is None and not WalletHold.objects.exists()
    assert balance(rich) == 1000


def test_the_wallet_pays_what_was_used_and_not_what_was_set_aside(rich: User) -> None:
    spend(rich, 1000)
    row = spend(rich, 5000, reserved=20_000)
    assert row.hold is not None
    assert balance(rich) == 995
    assert used(rich) == 1000  # the day's own tokens are as they were
    assert TokenBudget.objects.get(scope__startswith="deployment:").used == 6000
    entry = WalletEntry.objects.get(kind="use")
    assert (entry.cents, entry.tokens) == (-5, 5000)


def test_what_is_less_than_a_coin_is_carried_on_exactly(rich: User) -> None:
    spend(rich, 1000)
    for _ in range(7):
        spend(rich, 333)
    rich.wallet.refresh_from_db()
    assert (balance(rich), rich.wallet.owed) == (998, 331)  # 2331 tokens
    assert sum(WalletEntry.objects.filter(kind="use").values_list("tokens", flat=True)) == 2331


def test_only_when_the_person_turned_it_on(rich: User) -> None:
    spend(rich, 1000)
    spending.choose(rich, in_use=False, now=timezone.now())
    assert spend(rich, 100).empty == "budget_user"
    assert balance(rich) == 1000


def test_an_empty_wallet_is_an_empty_budget(rich: User) -> None:
    spend(rich, 1000)
    spend(rich, 999_000)
    assert balance(rich) == 1
    assert budgets.reserve(rich.pk, 2000, timezone.now()).empty == "budget_user"
    assert used(rich) == 1000 and not WalletHold.objects.exists()


def test_the_deployments_hour_holds_for_payers_too(rich: User, settings: Any) -> None:
    settings.TOKENS_PER_DEPLOYMENT_PER_HOUR = 1500
    spend(rich, 1000)
    assert budgets.reserve(rich.pk, 600, timezone.now()).empty == "budget_user"
    assert balance(rich) == 1000 and not WalletHold.objects.exists()


def test_a_reply_that_never_began_costs_nothing(rich: User) -> None:
    spend(rich, 1000)
    budgets.settle(budgets.reserve(rich.pk, 4000, timezone.now()), 0)
    assert balance(rich) == 1000 and not WalletHold.objects.exists()


def test_a_crash_leaves_the_money_where_it_was(rich: User) -> None:
    """What is set aside lapses, and a settlement that comes afterwards takes nothing."""
    now = timezone.now()
    lost = spending.hold(rich.pk, 1_000_000, now)
    assert lost and spending.hold(rich.pk, 1000, now) is None
    later = now + dt.timedelta(minutes=10)
    assert spending.hold(rich.pk, 1000, later) is not None
    wallet.settle(lost, 1_000_000, later)
    assert balance(rich) == 1000


def test_a_reply_saved_after_its_money_lapsed_costs_nothing(rich: User) -> None:
    now = timezone.now()
    hold = spending.hold(rich.pk, 5000, now)
    assert hold
    wallet.settle(hold, 5000, now + dt.timedelta(minutes=10))
    assert balance(rich) == 1000


def test_more_than_was_set_aside_is_taken_as_far_as_it_is_there(rich: User) -> None:
    now = timezone.now()
    hold = spending.hold(rich.pk, 1000, now)
    assert hold
    wallet.settle(hold, 5_000_000, now)
    assert balance(rich) == 0
    wallet.settle(hold, 5_000_000, now)
    assert WalletEntry.objects.filter(kind="use").count() == 1


def test_turning_it_on_and_off_is_noted_and_only_for_oneself(rich: User, outsider: User) -> None:
    from accounts.models import AuditEntry
    from tests.guardians.buying import signed_in

    signed_in(outsider).post("/shop/use/", {"use": "on"})
    signed_in(outsider).post("/shop/use/", {"use": "off"})
    rich.wallet.refresh_from_db()
    assert rich.wallet.in_use
    noted = AuditEntry.objects.filter(action="wallet.use_chosen", subject=outsider.pk)
    assert list(noted.order_by("pk").values_list("data__in_use", flat=True)) == [True, False]


@pytest.mark.django_db(transaction=True)
def test_a_reply_of_a_conversation_is_paid_and_one_that_was_stopped_pays_for_what_was_written(
    companions: None, rich: User, settings: Any
) -> None:
    conversation = open_conversation(rich, session := sign_in(rich))
    actor = access.load_actor(rich.pk, session, timezone.now())
    settings.TOKENS_PER_USER_PER_DAY = 0
    first = say(actor, conversation, "你好").job
    assert first is not None and first.reserved.hold is not None
    replies._commit(first, "好", Message.State.COMPLETE, "", (), 3000)
    assert balance(rich) == 997
    second = say(actor, conversation, "讲个故事").job
    assert second is not None
    replies._commit(second, "从前", Message.State.STOPPED, "", (), 2000)
    replies._commit(second, "从前", Message.State.STOPPED, "", (), 2000)  # saved again after a fault
    assert balance(rich) == 995
    spending.choose(rich, in_use=False, now=timezone.now())
    assert say(actor, conversation, "后来呢").job is None
    lines = Message.objects.filter(conversation=conversation, author=Message.Author.SYSTEM)
    assert "budget_user" in set(lines.values_list("code", flat=True))
    assert balance(rich) == 995 and not WalletHold.objects.exists()


def test_ones_own_copy_holds_every_payment_and_movement(rich: User) -> None:
    spend(rich, 1000)
    spend(rich, 5000)
    copy = json.loads("".join(export.as_json(rich, uuid.uuid4(), timezone.now())))
    assert [(each["amount"], each["currency"], each["state"]) for each in copy["payments"]] == [
        ("10.00", "CNY", "confirmed")
    ]
    assert [(each["kind"], each["cents"], each["tokens"]) for each in copy["wallet"]] == [
        ("top_up", 1000, None),
        ("use", -5, 5000),
    ]
    assert "Movements of your wallet" in "".join(export.as_html(rich, uuid.uuid4(), timezone.now()))
