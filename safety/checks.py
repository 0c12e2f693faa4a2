"""Help lines that are missing or that nobody has checked for long are found at start-up, not by a person in need."""

import datetime as dt
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from safety.resources import every_line


@register
def help_lines_are_there_and_fresh(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """One error for each country without a line for a crisis, one warning for all lines that are too old."""
    try:
        lines = every_line()
    except (OSError, ValueError, KeyError) as error:
        return [
            Error(
                f"The help lines cannot be read: {error}",
                hint="Set HELP_LINES_FILE to a file in the form of safety/data/help_lines.toml.",
                id="safety.E002",
            )
        ]
    found: list[CheckMessage] = [
        Error(
            f"There is no help line for somebody in a crisis in {country}.",
            hint="Add one to the file that HELP_LINES_FILE names.",
            id="safety.E001",
        )
        for country in settings.HELP_LINES_COUNTRIES
        if not any(line.country == country and "crisis" in line.kinds for line in lines)
    ]
    oldest = dt.date.today() - dt.timedelta(days=settings.HELP_LINES_MAX_AGE_DAYS)
    if old := [line.number or line.names["en"] for line in lines if line.last_verified < oldest]:
        found.append(
            Warning(
                f"Nobody has checked these help lines for a long time: {', '.join(old)}.",
                hint="Call them, correct them where needed and set last_verified to the day of the call.",
                id="safety.W001",
            )
        )
    return found
