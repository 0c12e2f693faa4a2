"""The time zones that the settings offer: one or two well-known cities for each clock, not all six hundred names."""

import datetime as dt
from collections.abc import Iterable
from zoneinfo import ZoneInfo

from babel import Locale
from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

Group = tuple[Promise, list[tuple[str, str]]]

_REGIONS: tuple[tuple[Promise, str, str], ...] = (
    (
        _("Asia"),
        "Asia",
        "Shanghai Urumqi Hong_Kong Macau Taipei Tokyo Seoul Ulaanbaatar Singapore Kuala_Lumpur Manila Jakarta Bangkok "
        "Ho_Chi_Minh Yangon Dhaka Kathmandu Kolkata Karachi Kabul Tashkent Almaty Dubai Tehran Riyadh Jerusalem",
    ),
    (
        _("Europe"),
        "Europe",
        "London Lisbon Paris Berlin Madrid Rome Stockholm Warsaw Athens Kyiv Istanbul Moscow",
    ),
    (
        _("America"),
        "America",
        "St_Johns Halifax New_York Toronto Chicago Mexico_City Denver Phoenix Los_Angeles Vancouver Anchorage Bogota "
        "Lima Caracas Santiago Sao_Paulo Argentina/Buenos_Aires",
    ),
    (_("Africa"), "Africa", "Casablanca Accra Lagos Cairo Johannesburg Nairobi"),
    (_("Australia"), "Australia", "Sydney Brisbane Adelaide Darwin Perth"),
    (_("Pacific Ocean"), "Pacific", "Auckland Fiji Guam Honolulu"),
)
# The locale data (CLDR) keeps the names that these zones had first.
_FIRST_NAMES = {
    "America/Argentina/Buenos_Aires": "America/Buenos_Aires",
    "Asia/Ho_Chi_Minh": "Asia/Saigon",
    "Asia/Kathmandu": "Asia/Katmandu",
    "Asia/Kolkata": "Asia/Calcutta",
    "Asia/Yangon": "Asia/Rangoon",
    "Europe/Kyiv": "Europe/Kiev",
}
OFFERED = frozenset(f"{area}/{city}" for _region, area, cities in _REGIONS for city in cities.split())


def choices(current: str, *, now: dt.datetime) -> list[tuple[str, str] | Group]:
    """By region, west to east, in the reader's language. A person keeps a zone that is not in the list."""
    groups: list[tuple[str, str] | Group] = [
        (region, _labelled((f"{area}/{city}" for city in cities.split()), now))
        for region, area, cities in _REGIONS
    ]
    return groups if current in OFFERED else [*_labelled([current], now), *groups]


def _labelled(zones: Iterable[str], now: dt.datetime) -> list[tuple[str, str]]:
    locale = Locale.parse(get_language() or "en", sep="-")
    rows = []
    for zone in zones:
        offset = now.astimezone(ZoneInfo(zone)).utcoffset() or dt.timedelta()
        known = locale.time_zones.get(_FIRST_NAMES.get(zone, zone), {})
        city = known.get("city", zone.rpartition("/")[2].replace("_", " "))
        rows.append((offset, zone, f"{city} (UTC{_hours(offset)})"))
    return [(zone, label) for _offset, zone, label in sorted(rows)]


def _hours(offset: dt.timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours}:{rest:02}"
