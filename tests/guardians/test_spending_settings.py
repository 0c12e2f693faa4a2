"""Wrong settings of the wallet are said at start."""

from typing import Any

import pytest
from django.conf import settings as configured

from guardians import spending_checks as checks

DUMMY = "payments.dummy.DummyProvider"


def ids(found: list[Any]) -> list[str]:
    return [each.id for each in found]


def test_what_is_built_in_is_right() -> None:
    every = (checks.payment_providers, checks.amounts, checks.caps, checks.refunds)
    assert [check(None) for check in every] == [[], [], [], []]
    assert configured.WALLET_MONTHLY_CAPS.keys() == {*checks.MINORS, *checks.GROWN}


def test_production_refuses_the_test_provider_under_any_name(settings: Any) -> None:
    settings.PAYMENT_VARIANTS = {"card": [DUMMY, {}]}
    assert ids(checks.payment_providers(None)) == []
    settings.PRODUCTION = True
    assert ids(checks.payment_providers(None)) == ["guardians.E010"]


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("card", ["nowhere.Provider", {}]),
        ("card", ["payments.PaymentError", {}]),
        ("card", [DUMMY]),
        ("card", [DUMMY, {"capture": False}]),
        ("Card/1", [DUMMY, {}]),
        ("card", DUMMY),
    ],
)
def test_a_provider_that_cannot_work(settings: Any, name: str, entry: Any) -> None:
    settings.PAYMENT_VARIANTS = {name: entry}
    assert ids(checks.payment_providers(None)) == ["guardians.E010"]


@pytest.mark.parametrize(
    ("name", "value", "check", "code"),
    [
        ("WALLET_TOP_UPS", [], checks.amounts, "guardians.E011"),
        ("WALLET_TOP_UPS", [1000, -1], checks.amounts, "guardians.E011"),
        ("WALLET_TOP_UPS", ["1000"], checks.amounts, "guardians.E011"),
        ("WALLET_PRICE_PER_1000_TOKENS", 0, checks.amounts, "guardians.E011"),
        ("WALLET_CURRENCY", "JPY", checks.amounts, "guardians.E011"),
        ("WALLET_CURRENCY", "yuan", checks.amounts, "guardians.E011"),
        ("REFUND_DAYS", 8, checks.refunds, "guardians.E013"),
        ("REFUND_DAYS", 0, checks.refunds, "guardians.E013"),
    ],
)
def test_amounts_that_cannot_be_right(settings: Any, name: str, value: Any, check: Any, code: str) -> None:
    setattr(settings, name, value)
    assert ids(check(None)) == [code]


@pytest.mark.parametrize("change", [{"14_15": 20_001}, {"under_14": -1}, {"child": 1}, {"adult": "many"}])
def test_caps_for_minors_are_only_lowered(settings: Any, change: dict[str, Any]) -> None:
    settings.WALLET_MONTHLY_CAPS = configured.WALLET_MONTHLY_CAPS | {"16_17": 100}
    assert ids(checks.caps(None)) == []
    settings.WALLET_MONTHLY_CAPS = settings.WALLET_MONTHLY_CAPS | change
    assert ids(checks.caps(None)) == ["guardians.E012"]
