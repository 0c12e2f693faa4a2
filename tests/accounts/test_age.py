"""Birthdays begin at local midnight, and people born on 29 February have them too."""

import datetime as dt

import pytest

from accounts.age import AgeBand, age_band, years_old


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("years", "band"),
    [
        (13, AgeBand.UNDER_14),
        (14, AgeBand.FROM_14),
        (15, AgeBand.FROM_14),
        (16, AgeBand.FROM_16),
        (17, AgeBand.FROM_16),
        (18, AgeBand.ADULT),
        (59, AgeBand.ADULT),
        (60, AgeBand.ELDER),
    ],
)
def test_a_band_begins_on_the_birthday_and_not_a_day_earlier(years: int, band: AgeBand) -> None:
    now = at("2026-11-22T12:00:00+00:00")
    birthday = dt.date(2026 - years, 11, 22)
    assert age_band(birthday, "UTC", now) is band
    earlier = age_band(birthday + dt.timedelta(days=1), "UTC", now)
    assert (earlier is band) == (years in (15, 17, 59, 13))


def test_the_same_moment_is_a_birthday_in_shanghai_and_not_yet_in_los_angeles() -> None:
    now = at("2026-03-01T16:30:00+00:00")  # 2 March 00:30 in Shanghai, 1 March 08:30 in Los Angeles
    birth_date = dt.date(2008, 3, 2)
    assert age_band(birth_date, "Asia/Shanghai", now) is AgeBand.ADULT
    assert age_band(birth_date, "America/Los_Angeles", now) is AgeBand.FROM_16


@pytest.mark.parametrize(
    ("today", "years"),
    [("2026-02-28", 17), ("2026-03-01", 18), ("2028-02-28", 19), ("2028-02-29", 20)],
)
def test_somebody_born_on_29_february_turns_older_on_1_march_of_a_common_year(today: str, years: int) -> None:
    assert years_old(dt.date(2008, 2, 29), dt.date.fromisoformat(today)) == years


def test_the_engine_knows_four_bands() -> None:
    assert [band.engine_band for band in AgeBand] == ["child", "teen", "teen", "adult", "elder"]
    assert [band.is_minor for band in AgeBand] == [True, True, True, False, False]
