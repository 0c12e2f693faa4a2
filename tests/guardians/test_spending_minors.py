"""Minors pay nothing until a guardian opens a budget; the guardian hears of each purchase and can close it at once."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Event, User
from guardians import access, spending
from guardians.access import Role
from guardians.models import Guardianship, Payment, Refund, SpendingCap
from guardians.views import spending as guardian_view
from safety.models import CareNotice, Delivery
from tests.cast import make_user, with_contact, with_guardian
from tests.guardians.buying import balance, begin, begun, buy, pay, signed_in

pytestmark = pytest.mark.django_db


def opened(guardian: User, minor: User, units: int = 50) -> None:
    response = signed_in(guardian).post(reverse("guardian_budget", args=[minor.pk]), {"cap": str(units)})
    assert response.status_code == 302
    assert response.headers["Location"].endswith("#spending")


def test_off_until_a_guardian_opens_it(minor: User, guardian: User) -> None:
    client = signed_in(minor)
    page = client.get(reverse("shop")).content.decode()
    assert "A guardian decides about that" in page
    assert begin(client).status_code == 403
    opened(guardian, minor)
    buy(client)
    assert balance(minor) == 1000


def test_the_guardian_is_told_at_once_with_the_amount(minor: User, guardian: User) -> None:
    opened(guardian, minor)
    payment = buy(signed_in(minor), 3000)
    notice = CareNotice.objects.get(kind=CareNotice.Kind.SPENDING)
    assert notice.data == {"amount": "30.00", "currency": "CNY"}
    assert notice.about == f"payment:{payment.pk}"
    deliveries = Delivery.objects.filter(care=notice)
    assert set(deliveries.values_list("recipient", flat=True)) == {f"guardian:{guardian.pk}"}
    assert {"in_app", "email"} <= set(deliveries.values_list("channel", flat=True))
    signed_in(minor).get(reverse("shop_done", args=[payment.pk]))
    assert CareNotice.objects.filter(kind=CareNotice.Kind.SPENDING).count() == 1


def test_nobody_is_told_of_what_an_adult_buys(adult: User) -> None:
    buy(signed_in(adult))
    assert not CareNotice.objects.exists()
    assert not Event.objects.filter(kind="alert.raised").exists()


def test_no_more_than_the_budget(minor: User, guardian: User) -> None:
    opened(guardian, minor, 25)
    client = signed_in(minor)
    buy(client)
    buy(client)
    refused = begin(client)
    assert refused.status_code == 403
    assert "more than may be paid this month" in refused.content.decode()
    assert balance(minor) == 2000


def test_a_budget_closed_on_the_way_to_the_provider_sends_the_money_back(minor: User, guardian: User) -> None:
    opened(guardian, minor)
    client = signed_in(minor)
    payment = begun(client)
    Payment.objects.filter(pk=payment.pk).update(
        status="confirmed"
    )  # the provider has it, its report is under way
    signed_in(guardian).post(reverse("guardian_budget", args=[minor.pk]), {"off": "1"})
    done = client.get(reverse("shop_done", args=[payment.pk])).content.decode()
    assert "goes back to you by itself" in done
    row = Refund.objects.get()
    assert (row.reason, row.state, row.cents, balance(minor)) == ("closed", "paid", 1000, 0)
    assert not CareNotice.objects.exists()


def test_closing_also_stops_the_use(minor: User, guardian: User) -> None:
    opened(guardian, minor)
    buy(signed_in(minor))
    spending.choose(minor, in_use=True, now=timezone.now())
    assert spending.hold(minor.pk, 1000, timezone.now()) is not None
    signed_in(guardian).post(reverse("guardian_budget", args=[minor.pk]), {"off": "1"})
    assert spending.hold(minor.pk, 1000, timezone.now()) is None


def test_the_operators_cap_stands_above_the_guardians(minor: User, guardian: User) -> None:
    opened(guardian, minor, 5000)
    assert spending.cap(minor, timezone.now()) == 20_000
    assert SpendingCap.objects.get().cents == 20_000


def test_a_budget_ends_with_the_guardians_right(minor: User, guardian: User) -> None:
    opened(guardian, minor)
    link = Guardianship.objects.get(minor=minor)
    access.give(link, Role.VIEW)
    assert spending.cap(minor, timezone.now()) == 0
    access.give(link, Role.MANAGE)
    assert spending.cap(minor, timezone.now()) == 5000
    Guardianship.objects.filter(pk=link.pk).update(state=Guardianship.State.ENDED)
    assert begin(signed_in(minor)).status_code == 403


def test_who_may_not_set_a_budget(minor: User, guardian: User, outsider: User) -> None:
    address = reverse("guardian_budget", args=[minor.pk])
    for person in (outsider, minor):
        assert signed_in(person).post(address, {"cap": "50"}).status_code == 404
    access.give(Guardianship.objects.get(minor=minor), Role.VIEW)
    assert signed_in(guardian).post(address, {"cap": "50"}).status_code == 404
    assert signed_in(guardian).get(address).status_code == 405
    assert Client().post(address, {"cap": "50"}).status_code == 302
    assert not SpendingCap.objects.exists()


def test_never_under_eight(guardian: User, settings: pytest.FixtureRequest) -> None:
    child = make_user("child", 7)
    with_guardian(child, guardian)
    signed_in(guardian).post(reverse("guardian_budget", args=[child.pk]), {"cap": "50"})
    assert not SpendingCap.objects.exists()
    # Not even with a row that somebody else wrote.
    now = timezone.now()
    SpendingCap.objects.create(user=child, setter="guardian", set_by=guardian, cents=5000, valid_from=now)
    assert spending.refusal(child, now) == "young"
    assert spending.cap(child, now) == 0
    assert begin(signed_in(child)).status_code == 403


def test_eight_is_old_enough_with_a_guardian(guardian: User) -> None:
    child = make_user("eight", 8)
    with_guardian(child, guardian)
    opened(guardian, child)
    assert spending.refusal(child, timezone.now()) == ""


def test_an_adult_in_minors_mode_is_treated_as_a_minor(adult: User) -> None:
    assert spending.refusal(adult, timezone.now()) == ""
    adult.minors_mode = User.MinorsMode.SUSPECTED
    adult.save()
    assert spending.refusal(adult, timezone.now()) == "minor"
    assert begin(signed_in(adult)).status_code == 403


def test_the_guardian_sees_dates_and_amounts_and_asks_for_a_refund(
    minor: User, guardian: User, outsider: User
) -> None:
    opened(guardian, minor)
    payment = buy(signed_in(minor))
    shown = guardian_view.context(Guardianship.objects.get(minor=minor))["spending"]
    assert (shown["month"].spent, shown["month"].cap, len(shown["receipts"])) == (1000, 5000, 1)
    address = reverse("guardian_refund", args=[minor.pk, payment.pk])
    assert signed_in(outsider).post(address, {"reason": "by_minor"}).status_code == 404
    signed_in(guardian).post(address, {"reason": "by_minor"})
    row = Refund.objects.get()
    assert (row.asked_by, row.reason) == (guardian, "by_minor")


def test_a_guardian_asks_back_only_what_their_own_ward_paid(minor: User, guardian: User, adult: User) -> None:
    payment = buy(signed_in(adult))
    address = reverse("guardian_refund", args=[minor.pk, payment.pk])
    assert signed_in(guardian).post(address, {"reason": "by_minor"}).status_code == 404


def test_one_guardian_of_two_closes_for_both(minor: User, guardian: User) -> None:
    second = with_contact(make_user("second", 40))
    link = Guardianship.objects.get(minor=minor)
    opened(guardian, minor)
    now = timezone.now()
    other = Guardianship.objects.create(
        minor=minor, guardian=second, state="active", details=link.details, consented_at=now
    )
    access.give(other, Role.MANAGE)
    signed_in(second).post(reverse("guardian_budget", args=[minor.pk]), {"off": "1"})
    assert spending.refusal(minor, timezone.now()) == "minor"


def test_paying_asks_again_at_the_last_step(minor: User, guardian: User) -> None:
    opened(guardian, minor)
    client = signed_in(minor)
    payment = begun(client)
    signed_in(guardian).post(reverse("guardian_budget", args=[minor.pk]), {"off": "1"})
    page = pay(client, payment)
    assert page.status_code == 403
    payment.refresh_from_db()
    assert payment.status in ("waiting", "input")
