"""Days as people live them: clocks that change, islands that skip a date, and no moment that belongs to two days."""

import datetime as dt

import pytest

from accounts import local_days

HOURS = [
    ("America/New_York", dt.date(2026, 3, 8), 23),
    ("America/New_York", dt.date(2026, 11, 1), 25),
    ("Europe/Berlin", dt.date(2026, 3, 29), 23),
    ("Europe/Berlin", dt.date(2026, 10, 25), 25),
    ("Australia/Lord_Howe", dt.date(2026, 4, 5), 24.5),
    ("Australia/Lord_Howe", dt.date(2026, 10, 4), 23.5),
    ("Africa/Cairo", dt.date(2026, 4, 24), 23),  # midnight itself is skipped
    ("Pacific/Apia", dt.date(2011, 12, 29), 24),
    ("Pacific/Apia", dt.date(2011, 12, 30), 0),  # never was
    ("Pacific/Apia", dt.date(2011, 12, 31), 24),
    ("Asia/Shanghai", dt.date(2026, 11, 22), 24),
]


@pytest.mark.parametrize(("zone", "date", "hours"), HOURS)
def test_a_day_is_as_long_as_its_clock_says(zone: str, date: dt.date, hours: float) -> None:
    begun, end = local_days.start(date, zone), local_days.start(date + local_days.DAY, zone)
    assert end - begun == dt.timedelta(hours=hours)


@pytest.mark.parametrize(
    "zone", sorted({zone for zone, _date, _hours in HOURS} | {"America/St_Johns", "Africa/Casablanca"})
)
@pytest.mark.parametrize("year", [2010, 2011, 2026])
def test_every_moment_lies_in_exactly_one_day(zone: str, year: int) -> None:
    now = dt.datetime(year, 1, 1, tzinfo=dt.UTC)
    day = local_days.bounds(now, zone)
    for _ in range(366 * 24 * 2):
        now += dt.timedelta(minutes=30)
        found = local_days.bounds(now, zone)
        assert found[0] <= now < found[1]
        assert found == day or found[0] == day[1]
        day = found


def test_a_time_that_is_shown_twice_has_a_first_and_a_last_moment() -> None:
    date, time = dt.date(2026, 11, 1), dt.time(1, 30)
    first = local_days.at(date, time, "America/New_York")
    assert local_days.at(date, time, "America/New_York", last=True) - first == dt.timedelta(hours=1)
