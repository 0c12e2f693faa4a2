"""A payment from the page to the wallet and back, through the real test provider; reports that lie or come twice."""

from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, User
from companion import purchases
from guardians import refunds, spending, wallet
from guardians.models import Payment, Refund, WalletEntry
from guardians.spending import Outcome
from safety.models import OperationsAlert
from tests.guardians.buying import balance, begin, begun, buy, pay, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(adult: User) -> Client:
    return signed_in(adult)


def actions() -> list[str]:
    return list(AuditEntry.objects.filter(action__startswith="payment.").values_list("action", flat=True))


def test_somebody_buys_and_finds_it_in_the_wallet(adult: User, client: Client) -> None:
    page = client.get(reverse("shop")).content.decode()
    assert "CN¥10.00" in page and "checked" not in page.partition("shop-pay")[2]
    payment = begun(client, 3000)
    assert "no money moves" in client.get(reverse("shop_pay", args=[payment.pk])).content.decode()
    done = pay(client, payment)
    assert done.redirect_chain[-1][0].endswith(reverse("shop_done", args=[payment.pk]))
    assert "CN¥30.00 are in your wallet" in done.content.decode()
    assert balance(adult) == 3000
    assert actions() == ["payment.begun", "payment.credited"]
    assert "CN¥30.00" in client.get(reverse("shop_receipts")).content.decode()


def test_a_payment_that_fails_leaves_nothing(adult: User, client: Client) -> None:
    for status in ("rejected", "error", "cancelled"):
        done = pay(client, begun(client), status=status)
        assert "was not made" in done.content.decode()
    assert balance(adult) == 0


def test_the_provider_that_fails_is_no_error_page(adult: User, client: Client) -> None:
    done = pay(client, begun(client), status="waiting", gateway_response="failure")
    assert done.status_code == 200
    assert "have not heard yet" in done.content.decode()
    assert balance(adult) == 0


def test_reports_that_come_again_and_again_count_once(adult: User, client: Client) -> None:
    payment = begun(client)
    pay(client, payment, gateway_response="3ds-redirect", verification_result="confirmed")
    provider = Client(enforce_csrf_checks=True)
    address = reverse("process_payment", args=[Payment.objects.get(pk=payment.pk).token])
    for _ in range(3):
        provider.post(f"{address}?verification_result=confirmed")
        provider.get(f"{address}?verification_result=confirmed")
        client.get(reverse("shop_done", args=[payment.pk]))
    assert balance(adult) == 1000
    assert WalletEntry.objects.count() == 1


def test_a_late_report_of_failure_takes_nothing_back(adult: User, client: Client) -> None:
    payment = buy(client)
    address = reverse("process_payment", args=[Payment.objects.get(pk=payment.pk).token])
    Client().get(f"{address}?verification_result=rejected")
    assert balance(adult) == 1000
    Client().get(f"{address}?verification_result=confirmed")
    assert balance(adult) == 1000


@pytest.mark.parametrize(
    "forged",
    [
        {"total": Decimal("1.00")},
        {"total": Decimal("1000.00")},
        {"captured_amount": Decimal("1.00")},
        {"currency": "XTS"},
        {"fraud_status": "reject"},
        {"fraud_status": "review"},
    ],
)
def test_what_is_not_as_agreed_is_not_credited(
    adult: User, client: Client, forged: dict[str, object]
) -> None:
    payment = begun(client)
    Payment.objects.filter(pk=payment.pk).update(status="confirmed", **forged)
    assert purchases.settle(payment.pk) == Outcome.HELD
    assert purchases.settle(payment.pk) == Outcome.NOTHING
    assert balance(adult) == 0
    row = Refund.objects.get()
    assert (row.reason, row.state) == ("mismatch", "asked")
    assert "looks at your payment" in client.get(reverse("shop_done", args=[payment.pk])).content.decode()


def test_the_page_chooses_among_our_amounts_only(adult: User, client: Client) -> None:
    for amount in ("1", "-1000", "1000.5", "١٠٠٠", "999999999999", ""):
        response = client.post(reverse("shop_begin"), {"amount": amount})
        assert response.status_code == 403
        assert "Choose one of the amounts" in response.content.decode()
    assert not Payment.objects.exists()


def test_one_provider_does_not_report_for_another(
    adult: User, client: Client, settings: pytest.FixtureRequest
) -> None:
    from payments.dummy import DummyProvider

    token = begun(client).token
    settings.PAYMENT_VARIANTS = {  # type: ignore[attr-defined]
        "dummy": ["payments.dummy.DummyProvider", {}],
        "other": ["payments.dummy.DummyProvider", {}],
    }
    named = pytest.MonkeyPatch()
    named.setattr(
        DummyProvider, "get_token_from_request", lambda self, payment, request: request.GET["token"]
    )
    try:
        path = f"?token={token}&verification_result=confirmed"
        other = Client().post(reverse("static_process_payment", args=["other"]) + path)
        own = Client().post(reverse("static_process_payment", args=["dummy"]) + path)
    finally:
        named.undo()
    assert (other.status_code, own.status_code) == (404, 302)
    assert balance(adult) == 1000


def test_reports_of_nothing_we_know(client: Client) -> None:
    unknown = reverse("process_payment", args=["0a2c9d3e-77aa-4c53-8d7e-1f0a55d7f9b1"])
    assert Client().post(unknown).status_code == 404
    assert Client().post(reverse("static_process_payment", args=["nobody"])).status_code == 404
    assert Client().get(reverse("static_process_payment", args=["dummy"])).status_code == 405
    assert Client().delete(unknown).status_code == 405


def test_a_payment_is_its_payers_alone(outsider: User, client: Client) -> None:
    payment = begun(client)
    stranger = signed_in(outsider)
    for name in ("shop_pay", "shop_done"):
        assert stranger.get(reverse(name, args=[payment.pk])).status_code == 404
        assert Client().get(reverse(name, args=[payment.pk])).status_code == 302
    assert stranger.post(reverse("shop_refund", args=[payment.pk]), {"reason": "mistake"}).status_code == 404
    for name in ("shop_begin", "shop_use", "shop_cap"):
        assert client.get(reverse(name)).status_code == 405


def test_what_a_dead_process_left_is_brought_in_later(adult: User, client: Client) -> None:
    payment = begun(client)
    Payment.objects.filter(pk=payment.pk).update(status="confirmed")
    assert purchases.catch_up() == 1
    assert purchases.catch_up() == 0
    assert balance(adult) == 1000


def test_a_page_of_a_provider_is_reached_by_a_link(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from payments import RedirectNeeded
    from payments.dummy import DummyProvider

    def elsewhere(self: object, payment: Payment, data: object = None) -> None:
        raise RedirectNeeded("https://pay.example/session?id=1")

    monkeypatch.setattr(DummyProvider, "get_form", elsewhere)
    page = client.get(reverse("shop_pay", args=[begun(client).pk]))
    assert page.status_code == 200
    assert 'href="https://pay.example/session?id=1"' in page.content.decode()
    assert "pay.example" not in page.headers["Content-Security-Policy"]


def test_a_form_of_a_provider_gets_no_token_of_ours(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from payments.dummy import DummyProvider
    from payments.forms import PaymentForm

    monkeypatch.setattr(
        DummyProvider,
        "get_form",
        lambda self, payment, data=None: PaymentForm({"id": "1"}, "https://pay.example/enter", "post"),
    )
    page = client.get(reverse("shop_pay", args=[begun(client).pk]))
    assert "csrfmiddlewaretoken" not in page.content.decode().partition("pay.example")[2]
    assert "form-action 'self' https://pay.example;" in page.headers["Content-Security-Policy"] + ";"
    assert "pay.example" not in client.get(reverse("shop")).headers["Content-Security-Policy"]


# --- money back ----------------------------------------------------------------------------------------------


def asked(client: Client, payment: Payment) -> Refund:
    client.post(reverse("shop_refund", args=[payment.pk]), {"reason": "not_needed"})
    return Refund.objects.get(payment=payment)


def test_a_refund_from_the_request_to_the_provider(adult: User, supervisor: User, client: Client) -> None:
    payment = buy(client, 3000)
    row = asked(client, payment)
    assert (row.due_at - row.asked_at).days == 7
    assert "answer until" in client.get(reverse("shop_receipts")).content.decode()
    operator = signed_in(supervisor)
    page = operator.get(reverse("admin:guardians_refund_act", args=[row.pk])).content.decode()
    assert "Pay back everything: CN¥30.00" in page
    operator.post(reverse("admin:guardians_refund_act", args=[row.pk]), {"everything": "1"})
    row.refresh_from_db()
    payment.refresh_from_db()
    assert (row.state, row.cents, payment.status) == ("paid", 3000, "refunded")
    assert balance(adult) == 0
    assert purchases.settle(payment.pk) == Outcome.NOTHING  # the provider's own report of it comes later
    assert balance(adult) == 0


def test_what_was_used_stays_used(adult: User, supervisor: User, client: Client) -> None:
    payment = buy(client)
    spending.choose(adult, in_use=True, now=timezone.now())
    hold = spending.hold(adult.pk, 400_000, timezone.now())
    assert hold
    wallet.settle(hold, 400_000, timezone.now())
    row = asked(client, payment)
    refunds.approve(supervisor, row.pk, timezone.now(), everything=False)
    assert refunds.pay(row.pk)
    row.refresh_from_db()
    assert (row.cents, balance(adult)) == (600, 0)


def test_all_of_it_goes_back_when_a_child_paid_and_the_wallet_does_not_go_below_zero(
    adult: User, supervisor: User, client: Client
) -> None:
    payment = buy(client)
    spending.choose(adult, in_use=True, now=timezone.now())
    hold = spending.hold(adult.pk, 400_000, timezone.now())
    assert hold
    wallet.settle(hold, 400_000, timezone.now())
    row = asked(client, payment)
    refunds.approve(supervisor, row.pk, timezone.now(), everything=True)
    assert refunds.pay(row.pk)
    row.refresh_from_db()
    assert (row.cents, balance(adult)) == (1000, 0)


def test_a_provider_that_fails_leaves_a_row_and_giving_up_gives_back(
    adult: User, supervisor: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from payments import PaymentError
    from payments.dummy import DummyProvider

    def fails(self: object, payment: Payment, amount: object = None) -> None:
        raise PaymentError("not today")

    row = asked(client, buy(client))
    with monkeypatch.context() as patch:
        patch.setattr(DummyProvider, "refund", fails)
        refunds.approve(supervisor, row.pk, timezone.now(), everything=True)
        assert not refunds.pay(row.pk)
    row.refresh_from_db()
    assert (row.state, balance(adult)) == ("failed", 0)
    refunds.refuse(supervisor, row.pk, timezone.now())
    assert balance(adult) == 1000
    with pytest.raises(refunds.Refused):
        refunds.refuse(supervisor, row.pk, timezone.now())
    assert balance(adult) == 1000


def test_nobody_pays_a_refund_twice(
    adult: User, supervisor: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from payments.dummy import DummyProvider

    paid: list[Decimal] = []
    monkeypatch.setattr(
        DummyProvider, "refund", lambda self, payment, amount=None: paid.append(amount) or amount
    )
    payment = buy(client)
    spending.choose(adult, in_use=True, now=timezone.now())
    hold = spending.hold(adult.pk, 100_000, timezone.now())
    assert hold
    wallet.settle(hold, 100_000, timezone.now())
    row = asked(client, payment)
    refunds.approve(supervisor, row.pk, timezone.now(), everything=False)
    assert [refunds.pay(row.pk), refunds.pay(row.pk)] == [True, False]
    row.refresh_from_db()
    # The rest of the payment is still the provider's to pay back, so nothing but the claim stands in the way.
    assert (paid, row.state, Payment.objects.get().status) == ([Decimal("9.00")], "paid", "confirmed")
    with pytest.raises(refunds.Refused):
        refunds.approve(supervisor, row.pk, timezone.now(), everything=True)


def test_a_refund_whose_process_died_waits_for_an_operators_look(supervisor: User, client: Client) -> None:
    row = asked(client, buy(client))
    refunds.approve(supervisor, row.pk, timezone.now(), everything=True)
    now = timezone.now()
    Refund.objects.filter(pk=row.pk).update(state="paying", claimed_at=now)
    assert purchases.catch_up() == 0
    with pytest.raises(refunds.Refused):
        refunds.settle_by_hand(supervisor, row.pk, now, paid=True)
    refunds.settle_by_hand(supervisor, row.pk, now + refunds.STUCK, paid=True)
    row.refresh_from_db()
    assert row.state == "paid"


def test_the_people_on_call_hear_of_a_refund_that_waits_too_long(supervisor: User, client: Client) -> None:
    row = asked(client, buy(client))
    purchases.catch_up()
    assert not OperationsAlert.objects.exists()
    Refund.objects.filter(pk=row.pk).update(due_at=timezone.now())
    purchases.catch_up()
    purchases.catch_up()
    alert = OperationsAlert.objects.get()
    assert (alert.code, alert.subject, alert.resolved_at) == ("refund.waiting", f"refund:{row.pk}", None)
    refunds.refuse(supervisor, row.pk, timezone.now())
    purchases.catch_up()
    alert.refresh_from_db()
    assert alert.resolved_at is not None


def test_only_operators_decide(adult: User, moderator: User, client: Client) -> None:
    row = asked(client, buy(client))
    address = reverse("admin:guardians_refund_act", args=[row.pk])
    assert signed_in(moderator).post(address, {"everything": "1"}).status_code == 403
    assert client.post(address, {"everything": "1"}).status_code == 302
    for person in (adult, moderator):
        with pytest.raises(refunds.Refused):
            refunds.approve(person, row.pk, timezone.now(), everything=True)
    row.refresh_from_db()
    assert row.state == "asked"


def test_a_request_is_made_once_and_for_what_was_credited(client: Client) -> None:
    open_one = begun(client)
    assert (
        "did not work"
        in client.post(
            reverse("shop_refund", args=[open_one.pk]), {"reason": "mistake"}, follow=True
        ).content.decode()
    )
    payment = buy(client)
    client.post(reverse("shop_refund", args=[payment.pk]), {"reason": "because"})
    assert not Refund.objects.exists()
    asked(client, payment)
    client.post(reverse("shop_refund", args=[payment.pk]), {"reason": "mistake"})
    assert Refund.objects.count() == 1


def test_a_provider_that_takes_money_back_takes_what_is_left(adult: User, client: Client) -> None:
    payment = buy(client)
    Payment.objects.filter(pk=payment.pk).update(status="refunded")
    purchases.settle(payment.pk)
    purchases.settle(payment.pk)
    assert balance(adult) == 0
    assert list(WalletEntry.objects.values_list("kind", flat=True)) == ["top_up", "reversal"]


# --- what the database holds to ------------------------------------------------------------------------------


def test_an_entry_is_not_rewritten(client: Client) -> None:
    buy(client)
    with pytest.raises(DatabaseError), transaction.atomic():
        WalletEntry.objects.update(cents=1_000_000)


def test_a_balance_below_zero_is_refused(adult: User, client: Client) -> None:
    buy(client)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE guardians_wallet SET balance = -1")
    with transaction.atomic(), pytest.raises(ValueError, match="below zero"):
        wallet.add(wallet.lock(adult.pk), WalletEntry.Kind.USE, -1001, "hold:x")


def test_too_many_payments_begun(client: Client, settings: pytest.FixtureRequest) -> None:
    settings.WALLET_TOP_UPS = [100]  # type: ignore[attr-defined]
    codes = [begin(client, 100).status_code for _ in range(12)]
    assert codes[:10] == [302] * 10 and codes[-1] == 403
