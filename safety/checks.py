"""What would fail people in need is found at start-up: help lines that are missing or old, an engine that cannot judge."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError, connection

from safety import age_reviews, age_signs, ladder
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


@register
def the_ladder_is_not_slower_than_allowed(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Everywhere: a ladder that is tried out in development must not surprise in production."""
    try:
        wrong = list(ladder.too_slow())
    except (AttributeError, TypeError, ValueError):
        wrong = ["ALERT_LADDER"]
    if not wrong:
        return []
    return [
        Error(
            f"These times of the ladder are unknown, or slower than a person in danger can wait: {', '.join(wrong)}.",
            hint="ALERT_LADDER may only name times of safety/ladder.py and make them shorter.",
            id="safety.E007",
        )
    ]


@register
def ages_are_decided_in_time_and_by_signs(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Somebody waits in minors' mode for a human; and no single message may bring them there."""
    found: list[CheckMessage] = []
    if age_reviews.days() != settings.AGE_REVIEW_DAYS:
        found.append(
            Error(
                f"AGE_REVIEW_DAYS is {settings.AGE_REVIEW_DAYS}.",
                hint=f"Choose 1 to {age_reviews.MOST_DAYS} working days.",
                id="safety.E013",
            )
        )
    try:
        age_signs.sign_set()
    except (OSError, ValueError, KeyError, TypeError) as error:
        found.append(
            Error(
                f"The signs of a younger age cannot be used: {error}",
                hint="Restore safety/data/age_signs.toml.",
                id="safety.E014",
            )
        )
    return found


@register
def alerts_reach_somebody(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Two ways out, people on call, somebody outside who notices silence, and leases that outlive a slow provider."""
    found: list[CheckMessage] = []
    if settings.ALERT_LEASE <= 2 * settings.ALERT_TIMEOUT:
        found.append(
            Error(
                "A notice could be taken for lost while a slow provider still has it.",
                hint="Make ALERT_LEASE more than twice as long as ALERT_TIMEOUT.",
                id="safety.E011",
            )
        )
    if not settings.PRODUCTION:
        return found
    others = (
        settings.ALERT_EMAIL_2_URL,
        settings.ALERT_SMS_URL,
        settings.ALERT_VOICE_URL,
        settings.VAPID_PRIVATE_KEY,
    )
    if not any(others) and not settings.ALERT_ACCEPT_ONE_CHANNEL:
        found.append(
            Error(
                "Alerts have one way out: when the mail provider fails, nobody is told.",
                hint="Set ALERT_EMAIL_2_URL, ALERT_SMS_URL, ALERT_VOICE_URL or VAPID_PRIVATE_KEY, "
                "or accept it with ALERT_ACCEPT_ONE_CHANNEL=1.",
                id="safety.E008",
            )
        )
    if not settings.OUTSIDE_PING_URL and not settings.OUTSIDE_PING_ACCEPT_NONE:
        found.append(
            Error(
                "Nobody outside would notice that this machine is down.",
                hint="Set OUTSIDE_PING_URL to a service that alarms when calls stay away, "
                "or accept it with OUTSIDE_PING_ACCEPT_NONE=1.",
                id="safety.E009",
            )
        )
    if not settings.ALERT_ON_CALL:
        found.append(
            Error(
                "Nobody is on call: a case that moderators do not see would climb to nobody.",
                hint="Set ALERT_ON_CALL to addresses and telephone numbers.",
                id="safety.E010",
            )
        )
    if not (settings.CANARY_ADDRESS and settings.CANARY_IMAP_URL):
        found.append(
            Warning(
                "No canary: mail that the provider accepts and loses would not be noticed.",
                hint="Set CANARY_ADDRESS and CANARY_IMAP_URL to a mailbox with another provider.",
                id="safety.W002",
            )
        )
    return found


@register(Tags.database)
def what_is_committed_stays(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """A case that the database forgets in a crash is a person nobody looks after."""
    if not settings.PRODUCTION or not databases:
        return []
    unsafe = []
    try:
        with connection.cursor() as cursor:
            for name in ("synchronous_commit", "fsync"):
                cursor.execute("SELECT current_setting(%s)", [name])
                if cursor.fetchone()[0] == "off":
                    unsafe.append(name)
    except DatabaseError:  # migrate says so itself
        return []
    if not unsafe:
        return []
    return [
        Error(
            f"The database may lose what it has confirmed: {', '.join(unsafe)} is off.",
            hint="Switch both on in postgresql.conf.",
            id="safety.E012",
        )
    ]
