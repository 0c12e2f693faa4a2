"""Two at once never pass a cap, a balance or a payment (threads on the real database)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import User
from companion import budgets, purchases
from guardians import refunds, spending, wallet
from guardians.models import Payment, Refund, WalletEntry
from safety.models import CareNotice
from tests.guardians.buying import balance

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(count: int, step: Callable[[], Any]) -> list[Any]:
    """What each of them got; a refusal as its code."""

    def one(_: int) -> Any:
        try:
            return step()
        except (spending.Refused, refunds.Refused) as refused:
            return refused.code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, range(count)))


def paid(user: User, cents: int = 1000) -> Payment:
    payment = purchases.begin(user, cents, "dummy", "", timezone.now())
    Payment.objects.filter(pk=payment.pk).update(status="confirmed")
    return payment


def test_a_report_that_comes_twenty_times_at_once_counts_once(minor: User, guardian: User) -> None:
    from guardians.models import Guardianship

    spending.set_guardian_cap(Guardianship.objects.get(minor=minor), guardian, 5000, timezone.now())
    payment = paid(minor)
    outcomes = at_once(20, lambda: purchases.settle(payment.pk))
    assert outcomes.count(spending.Outcome.CREDITED) == 1
    assert set(outcomes) == {spending.Outcome.CREDITED, spending.Outcome.NOTHING}
    assert balance(minor) == 1000
    assert CareNotice.objects.count() == 1


def test_payments_begun_at_once_do_not_pass_the_cap(adult: User) -> None:
    spending.set_own_cap(adult, 3000, timezone.now())
    outcomes = at_once(8, lambda: purchases.begin(adult, 1000, "dummy", "", timezone.now()))
    assert sum(isinstance(each, Payment) for each in outcomes) == 3
    assert outcomes.count("cap") == 5


def test_payments_that_arrive_together_after_a_lower_limit_do_not_pass_it(adult: User) -> None:
    waiting = [paid(adult) for _ in range(4)]
    spending.set_own_cap(adult, 2000, timezone.now())
    with ThreadPoolExecutor(4) as pool:

        def settle(payment: Payment) -> str:
            try:
                return purchases.settle(payment.pk)
            finally:
                connection.close()

        outcomes = list(pool.map(settle, waiting))
    assert sorted(outcomes) == ["credited", "credited", "returned", "returned"]
    assert balance(adult) == 2000
    assert set(Refund.objects.values_list("state", flat=True)) == {"paid"}


def test_replies_at_once_never_use_more_than_there_is(adult: User, settings: Any) -> None:
    settings.TOKENS_PER_USER_PER_DAY = 0
    settings.WALLET_PRICE_PER_1000_TOKENS = 100
    purchases.settle(paid(adult).pk)
    spending.choose(adult, in_use=True, now=timezone.now())
    reserved = at_once(30, lambda: budgets.reserve(adult.pk, 1000, timezone.now()))
    granted = [each for each in reserved if not each.empty]
    assert len(granted) == 10
    assert {each.empty for each in reserved} == {"", "budget_user"}
    todo = iter([*granted, *granted])  # each settled twice
    at_once(20, lambda: budgets.settle(next(todo), 1000))
    assert balance(adult) == 0
    assert WalletEntry.objects.filter(kind="use").count() == 10


def test_a_refund_and_a_reply_do_not_share_the_same_money(
    adult: User, supervisor: User, settings: Any
) -> None:
    settings.WALLET_PRICE_PER_1000_TOKENS = 100
    payment = paid(adult)
    purchases.settle(payment.pk)
    spending.choose(adult, in_use=True, now=timezone.now())
    row = refunds.ask(payment, "not_needed", adult, timezone.now())
    hold = spending.hold(adult.pk, 4000, timezone.now())
    assert hold
    approved = at_once(5, lambda: refunds.approve(supervisor, row.pk, timezone.now(), everything=False))
    assert approved.count("gone") == 4
    wallet.settle(hold, 4000, timezone.now())
    row.refresh_from_db()
    assert (row.cents, balance(adult)) == (600, 0)


def test_a_refund_is_paid_by_one_of_many(adult: User, supervisor: User) -> None:
    payment = paid(adult)
    purchases.settle(payment.pk)
    row = refunds.ask(payment, "mistake", adult, timezone.now())
    refunds.approve(supervisor, row.pk, timezone.now(), everything=True)
    assert at_once(10, lambda: refunds.pay(row.pk)).count(True) == 1
    row.refresh_from_db()
    assert row.state == "paid"
