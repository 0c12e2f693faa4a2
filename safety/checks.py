"""What would fail people in need is found at start-up: help lines that are missing or old, an engine that cannot judge."""

import datetime as dt
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from safety.engine.heads import HeadsError, heads
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


@register
def messages_can_be_understood(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The engine's second stage: a server of embeddings, and heads that were trained for its model."""
    found: list[CheckMessage] = []
    if settings.PRODUCTION and not settings.EMBEDDINGS_BASE_URL:
        found.append(
            Error(
                "The safety engine has no embedding server: it would judge by words alone.",
                hint="Run manage.py embedding_server and set EMBEDDINGS_BASE_URL to its address.",
                id="safety.E003",
            )
        )
    try:
        trained_for = heads().model
    except (HeadsError, LookupError, TypeError) as error:
        if settings.PRODUCTION:
            found.append(
                Error(
                    f"The safety engine's heads cannot be used: {error}",
                    hint="Restore safety/engine/model/, or train them anew with manage.py train_engine.",
                    id="safety.E005",
                )
            )
    else:
        if trained_for != settings.EMBEDDINGS_MODEL:
            found.append(
                Error(
                    f"The safety engine's heads were trained for the embedding model {trained_for!r}.",
                    hint="Set EMBEDDINGS_MODEL to it, or train heads for yours with manage.py train_engine.",
                    id="safety.E004",
                )
            )
    return found


@register
def the_judge_has_a_model(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """The optional second opinion: an address alone would fail at every message, and nobody would notice."""
    if settings.JUDGE_BASE_URL and not settings.JUDGE_MODEL:
        return [
            Error(
                "JUDGE_BASE_URL is set without JUDGE_MODEL: the judge could not answer.",
                hint="Set JUDGE_MODEL to the endpoint's name of the guard model, or leave both empty.",
                id="safety.E006",
            )
        ]
    return []
