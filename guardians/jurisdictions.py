"""What the law of the places that a deployment serves asks of the clock; the strictest of them counts."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings

# The product's own promise where no law says less: a reminder every two hours, for minors also every half hour that
# this is no person.
LONGEST = 120  # minutes
REALITY = 30  # minutes; minors


@dataclass(frozen=True)
class Reminders:
    """Minutes of continuous use between reminders, and whether a stretch of use begins with a notice."""

    break_every: int
    reality_every: int | None
    start: bool


@cache
def known() -> dict[str, dict[str, int | bool]]:
    """The data file, by code (ISO 3166-1 or -2)."""
    with (Path(__file__).parent / "data" / "jurisdictions.toml").open("rb") as file:
        return tomllib.load(file)


def reminders(*, minor: bool) -> Reminders:
    """The strictest rules of all jurisdictions of this deployment. An operator may only be stricter still."""
    rules = [known()[code] for code in settings.JURISDICTIONS]
    longest = [int(rule["everyone"]) for rule in rules if "everyone" in rule]
    if minor:
        longest += [int(rule["minors"]) for rule in rules if "minors" in rule]
    return Reminders(
        break_every=min([LONGEST, settings.BREAK_EVERY_MINUTES, *longest]),
        reality_every=min(REALITY, settings.REALITY_EVERY_MINUTES) if minor else None,
        start=any(rule.get("start") for rule in rules),
    )
