"""Amounts as people read them."""

from babel.numbers import format_currency
from django import template
from django.conf import settings
from django.utils.translation import get_language

from guardians.models.spending import amount

register = template.Library()


@register.filter
def money(cents: int, currency: str = "") -> str:
    """Smallest coins as an amount in the reader's language: ¥30.00."""
    locale = "zh_Hans" if (get_language() or "").startswith("zh") else "en"
    return str(format_currency(amount(cents), currency or settings.WALLET_CURRENCY, locale=locale))
