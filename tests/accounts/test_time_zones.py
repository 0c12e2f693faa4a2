"""The settings offer clocks by names that people know."""

import datetime as dt
import zoneinfo
from typing import Any

import pytest
from django.utils import translation

from accounts import time_zones

NOW = dt.datetime(2026, 1, 15, 12, tzinfo=dt.UTC)


def offered(current: str = "Asia/Shanghai") -> dict[str, str]:
    """Every choice as a select would send it, with its label."""
    flat: dict[str, str] = {}
    for value, label in time_zones.choices(current, now=NOW):
        rows: Any = label if isinstance(label, list) else [(value, label)]
        flat.update(rows)
    return flat


def test_every_offered_zone_exists() -> None:
    assert zoneinfo.available_timezones() >= time_zones.OFFERED


def test_the_list_is_short_enough_to_read() -> None:
    assert len(offered()) < 80


@pytest.mark.parametrize(
    ("language", "shanghai", "kathmandu"),
    [
        ("zh-hans", "上海 (UTC+8:00)", "加德满都 (UTC+5:45)"),
        ("en", "Shanghai (UTC+8:00)", "Kathmandu (UTC+5:45)"),
    ],
)
def test_a_zone_is_named_in_the_language_of_the_page(language: str, shanghai: str, kathmandu: str) -> None:
    with translation.override(language):
        assert offered()["Asia/Shanghai"] == shanghai
        assert offered()["Asia/Kathmandu"] == kathmandu


def test_a_zone_west_of_greenwich_has_a_minus() -> None:
    with translation.override("en"):
        assert offered()["America/St_Johns"] == "St. John’s (UTC-3:30)"


def test_somebody_keeps_a_zone_that_is_not_offered() -> None:
    assert "Antarctica/Troll" not in offered()
    assert next(iter(offered("Antarctica/Troll"))) == "Antarctica/Troll"
