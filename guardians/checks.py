"""Limits and reminders may be stricter than the built-in ones, never wider; a wrong setting is said at start."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from guardians import jurisdictions
from guardians.limits import DAILY, hours


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
