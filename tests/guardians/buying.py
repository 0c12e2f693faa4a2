"""Buying as people do: through the pages and the test provider of django-payments."""

from typing import Any

from django.test import Client
from django.urls import reverse

from accounts.models import User
from guardians.models import Payment, Wallet
from tests.cast import PASSWORD

CONFIRMED = {
    "status": "confirmed",
    "fraud_status": "unknown",
    "gateway_response": "3ds-disabled",
    "verification_result": "",
}


def signed_in(user: User) -> Client:
    client = Client()
    client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    return client


def begin(client: Client, cents: int = 1000) -> Any:
    return client.post(reverse("shop_begin"), {"amount": str(cents)})


def begun(client: Client, cents: int = 1000) -> Payment:
    response = begin(client, cents)
    assert response.status_code == 302, response.content.decode()
    return Payment.objects.get(pk=response.headers["Location"].rstrip("/").rpartition("/")[2])


def pay(client: Client, payment: Payment, **how: str) -> Any:
    return client.post(reverse("shop_pay", args=[payment.pk]), CONFIRMED | how, follow=True)


def buy(client: Client, cents: int = 1000) -> Payment:
    payment = begun(client, cents)
    page = pay(client, payment)
    assert page.status_code == 200
    return payment


def balance(user: User) -> int:
    wallet = Wallet.objects.filter(pk=user.pk).first()
    if wallet is None:
        return 0
    assert wallet.balance == sum(wallet.entries.values_list("cents", flat=True))
    return wallet.balance
