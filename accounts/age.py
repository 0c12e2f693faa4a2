"""Age bands, computed in one place. Nobody else compares birth dates."""

import datetime as dt
from enum import StrEnum
from zoneinfo import ZoneInfo


class AgeBand(StrEnum):
    """Final Measures articles 12, 14 and 15: 14 is the consent line, 18 the intimacy line; 60 is the usual elderly line."""

    UNDER_14 = "under_14"
    FROM_14 = "14_15"
    FROM_16 = "16_17"
    ADULT = "adult"
    ELDER = "elder"

    @property
    def is_minor(self) -> bool:
        return self in (AgeBand.UNDER_14, AgeBand.FROM_14, AgeBand.FROM_16)

    @property
    def engine_band(self) -> str:
        """The four bands that the safety engine distinguishes."""
        if self is AgeBand.UNDER_14:
            return "child"
        if self.is_minor:
            return "teen"
        return "elder" if self is AgeBand.ELDER else "adult"


OLDEST_PLAUSIBLE = 120  # years


def years_old(birth_date: dt.date, today: dt.date) -> int:
    """Completed years. Somebody born on 29 February turns a year older on 1 March of a common year."""
    return today.year - birth_date.year - ((today.month, today.day) < (birth_date.month, birth_date.day))


def age_band(birth_date: dt.date, time_zone: str, now: dt.datetime) -> AgeBand:
    """The band on the person's own calendar day, so a birthday begins at local midnight."""
    years = years_old(birth_date, now.astimezone(ZoneInfo(time_zone)).date())
    if years < 14:
        return AgeBand.UNDER_14
    if years < 16:
        return AgeBand.FROM_14
    if years < 18:
        return AgeBand.FROM_16
    if years < 60:
        return AgeBand.ADULT
    return AgeBand.ELDER
