"""Wrong settings of the wallet are said at start; the test provider, which believes everybody, never meets production."""

import re
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string
from payments.core import BasicProvider
from payments.dummy import DummyProvider

LONGEST: Final = 7  # days until an answer to a request for a refund
MINORS: Final = {"under_14": 20_000, "14_15": 20_000, "16_17": 40_000}
GROWN: Final = ("adult", "elder")
# Those whose smallest coin is not a hundredth: amounts here are hundredths.
_OTHER_COINS: Final = (
    "BIF CLP DJF GNF JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF BHD IQD JOD KWD LYD OMR TND"
)


@register()
def payment_providers(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    hint = 'Write {"name": ["dotted.path.Provider", {"key": "…"}]} as django-payments documents it.'
    return [
        Error(f"PAYMENT_VARIANTS: {name!r} {wrong}.", hint=hint, id="guardians.E010")
        for name, entry in settings.PAYMENT_VARIANTS.items()
        if (wrong := _wrong_provider(name, entry))
    ]


def _wrong_provider(name: str, entry: Any) -> str:
    if not re.fullmatch(r"[a-z][a-z-]{0,30}", name):
        return "is no name in small letters"
    try:
        path, options = entry
        provider = import_string(path)
        options = dict(options)
    except (TypeError, ValueError, ImportError):
        return "names no provider that is installed"
    if not (isinstance(provider, type) and issubclass(provider, BasicProvider)):
        return "is no provider"
    if settings.PRODUCTION and issubclass(provider, DummyProvider):
        return "is the test provider, which lets everybody pay nothing"
    # Money is taken or it is not: nothing here captures a part of it later.
    return "takes money in two steps" if options.get("capture") is False else ""


@register()
def amounts(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    tops = settings.WALLET_TOP_UPS
    if not tops or any(not isinstance(cents, int) or not 0 < cents <= 100_000 for cents in tops):
        found.append(
            Error(
                f"WALLET_TOP_UPS is {tops!r}.",
                hint="A list of amounts in the smallest coin, such as [1000, 3000, 5000]; each at most 100000.",
                id="guardians.E011",
            )
        )
    if not 1 <= settings.WALLET_PRICE_PER_1000_TOKENS <= 10_000:
        found.append(
            Error(
                f"WALLET_PRICE_PER_1000_TOKENS is {settings.WALLET_PRICE_PER_1000_TOKENS}.",
                hint="In the smallest coin, from 1 to 10000.",
                id="guardians.E011",
            )
        )
    if not re.fullmatch("[A-Z]{3}", settings.WALLET_CURRENCY) or settings.WALLET_CURRENCY in _OTHER_COINS:
        found.append(
            Error(
                f"WALLET_CURRENCY is {settings.WALLET_CURRENCY!r}.",
                hint="Three capital letters of a currency with hundredths, such as CNY.",
                id="guardians.E011",
            )
        )
    return found


@register()
def caps(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"WALLET_MONTHLY_CAPS gives {band!r} {cents!r} a month.",
            hint=f"In the smallest coin, not below 0; for minors at most {MINORS}.",
            id="guardians.E012",
        )
        for band, cents in settings.WALLET_MONTHLY_CAPS.items()
        if (band not in MINORS and band not in GROWN)
        or not isinstance(cents, int)
        or not 0 <= cents <= MINORS.get(band, 10_000_000)
    ]


@register()
def refunds(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if 1 <= settings.REFUND_DAYS <= LONGEST:
        return []
    return [
        Error(
            f"REFUND_DAYS is {settings.REFUND_DAYS}.",
            hint=f"From 1 to {LONGEST}: people are promised an answer until then.",
            id="guardians.E013",
        )
    ]
