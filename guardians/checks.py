"""Limits and reminders may be stricter than the built-in ones, never wider; a wrong setting is said at start."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from guardians import jurisdictions
from guardians.limits import DAILY, hours

WIDEST = 240  # minutes a day, whatever guardian and operator agree on
MOST_EXTRA = 120  # minutes on top of one day


@register()
def jurisdictions_are_known(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    known = ", ".join(jurisdictions.known())
    found: list[CheckMessage] = [
        Error(
            f"JURISDICTIONS names {code!r}, whose rules are not known here.",
            hint=f"Known are {known}. Add others to guardians/data/jurisdictions.toml, with a lawyer's eye.",
            id="guardians.E001",
        )
        for code in settings.JURISDICTIONS
        if code not in jurisdictions.known()
    ]
    if not settings.JURISDICTIONS:
        found.append(Error("JURISDICTIONS is empty.", hint=f"Known are {known}.", id="guardians.E001"))
    return found


@register()
def reminders_come_in_time(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"{name} is {getattr(settings, name)}: reminders must come after 1 to {longest} minutes.",
            hint="Leave it away, or choose a shorter time.",
            id="guardians.E002",
        )
        for name, longest in (
            ("BREAK_EVERY_MINUTES", jurisdictions.LONGEST),
            ("REALITY_EVERY_MINUTES", jurisdictions.REALITY),
        )
        if not 1 <= getattr(settings, name) <= longest
    ]


@register()
def limits_are_not_wider(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    built_in = {band.value: minutes for band, minutes in DAILY.items()}
    found: list[CheckMessage] = [
        Error(
            f"MINORS_DAILY_MINUTES gives {band!r} {minutes!r} minutes a day.",
            hint=f"At most, and by age: {built_in}.",
            id="guardians.E003",
        )
        for band, minutes in settings.MINORS_DAILY_MINUTES.items()
        if band not in built_in or not isinstance(minutes, int) or not 1 <= minutes <= built_in[band]
    ]
    for text in settings.MINORS_QUIET_HOURS:
        try:
            hours(text)
        except ValueError:
            found.append(
                Error(
                    f"MINORS_QUIET_HOURS holds {text!r}.",
                    hint="Write hours like 21:30-06:30; they are added to 22:00-06:00.",
                    id="guardians.E004",
                )
            )
    return found


@register()
def guardians_widen_within_bounds(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    least = {
        band.value: settings.MINORS_DAILY_MINUTES.get(band.value, minutes) for band, minutes in DAILY.items()
    }
    found: list[CheckMessage] = [
        Error(
            f"MINORS_GUARDIAN_DAILY_MINUTES lets guardians set {minutes!r} minutes a day for {band!r}.",
            hint=f"At least what holds for the age, {least}, and at most {WIDEST}.",
            id="guardians.E005",
        )
        for band, minutes in settings.MINORS_GUARDIAN_DAILY_MINUTES.items()
        if band not in least or type(minutes) is not int or not least[band] <= minutes <= WIDEST
    ]
    if not 0 <= settings.MINORS_EXTRA_MINUTES <= MOST_EXTRA:
        found.append(
            Error(
                f"MINORS_EXTRA_MINUTES is {settings.MINORS_EXTRA_MINUTES}.",
                hint=f"Choose 0 to {MOST_EXTRA}; with 0 nobody can ask for more time.",
                id="guardians.E006",
            )
        )
    return found
