"""Functions that an operator can turn off at once (final article 24; Measures, article 23): for everybody, and logged.

Everybody asks `off(name)`. The answer comes from memory and is at most HOLD old, so that nobody's message waits for a
query; while the database is away the last answer holds, and before the first one everything is as configured: on.
Help lines, leaving, humans in charge, reading and export have no switch.
"""

import datetime as dt
from typing import Final

from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from accounts import audit
from accounts.held import Held
from accounts.models import Switch, User

HOLD: Final = 4.0  # seconds; with the second between two checkpoints of a reply, five
MAX_NOTE: Final = 200  # characters
Name = Switch.Name


class Reason(models.TextChoices):
    """Why, for the log, which keeps no text."""

    SAFETY = "safety", _("Danger to people")
    FAULT = "fault", _("Something is broken")
    ATTACK = "attack", _("Attack or abuse")
    LAW = "law", _("Order of an authority, or the law")
    LOAD = "load", _("Too much load")
    MAINTENANCE = "maintenance", _("Maintenance")
    END = "end", _("End of the service or of a feature, as announced")
    OVER = "over", _("The reason is over")


# What each one does, for whoever is about to use it.
MEANING: Final = {
    Name.SIGN_UPS: _("Nobody can create an account. Everybody who has one goes on as before."),
    Name.PERSONAS: _(
        "No companion answers and no conversation is begun; replies being written end within five seconds. "
        "Reading, leaving, help lines, export and humans of the team stay. Danger is still seen and people are told."
    ),
    Name.WRITTEN_PERSONAS: _(
        "Nobody writes, changes or submits a companion, and those written by members cannot be found or talked with. "
        "Built-in companions stay."
    ),
    Name.MINORS: _(
        "People under 18 cannot talk with companions. Reading, help lines, humans and their guardians' pages stay."
    ),
    Name.VOICE: _("Nothing is spoken or heard in chats. Leaving by button and by words stays."),
    Name.PAYMENTS: _(
        "Nothing can be bought, and nothing is taken from wallets. What is paid at a provider now goes back by itself. "
        "Receipts and refunds stay."
    ),
}


class NotAllowed(Exception):
    """Only operators turn the service off and on."""


def _read() -> dict[str, tuple[str, str]]:
    """What is off, with the operator's sentence in Chinese and English."""
    rows = Switch.objects.filter(off=True).values_list("name", "sentence_zh", "sentence_en")
    return {name: (chinese, english) for name, chinese, english in rows}


_off: Held[dict[str, tuple[str, str]]] = Held("switches", _read, {}, HOLD)


def off(name: Name) -> bool:
    """Is this function turned off? Never raises."""
    return name in _off.get()


def sentence(name: Name, language: str) -> str:
    """What the operator says to people about it, as last read; "" when nothing was written."""
    chinese, english = _off.last().get(name, ("", ""))
    return (chinese or english) if language.startswith("zh") else (english or chinese)


def may_change(person: User) -> bool:
    return person.is_active and person.is_staff and person.role == User.Role.OPERATOR


def change(
    operator: User | None,
    name: Name,
    *,
    off: bool,
    reason: Reason,
    now: dt.datetime,
    note: str = "",
    sentences: tuple[str, str] = ("", ""),
) -> bool:
    """Turn a function off or on; False when it was so already. None as the operator: a command, or a notice that is due.

    `sentences` are what people read in place of ours, in Chinese and English.
    """
    if operator is not None and not may_change(operator):
        raise NotAllowed
    with transaction.atomic():
        row, _created = Switch.objects.select_for_update().get_or_create(name=name)
        if row.off == off:
            return False
        row.off, row.reason, row.note = off, reason, note[:MAX_NOTE]
        row.sentence_zh, row.sentence_en = sentences if off else ("", "")
        row.changed_by, row.changed_at = operator, now
        row.save()
        audit.record(
            "switch.changed",
            actor=operator.pk if operator else None,
            target=f"switch:{name}",
            off=off,
            reason=str(reason),
        )
        transaction.on_commit(_off.forget)
    return True
