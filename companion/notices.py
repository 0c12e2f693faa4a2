"""Notices that must be confirmed: raised once per occasion, shown by every open page, acknowledged by the person.

While one waits, the next message is refused, except from somebody in danger (companion/access.py). Draft articles 16 and
17, final article 18.
"""

import datetime as dt
import hashlib
import uuid
from collections.abc import Iterable
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils import timezone, translation

from accounts import audit, generation, realtime
from accounts.models import Notice
from accounts.realtime import NewEvent

VERSION = "2026-11.3"  # of the texts in templates/companion/notices/


class Pending(NamedTuple):
    """A notice that waits for its answer."""

    id: uuid.UUID
    kind: str


def session_digest(session_key: str) -> str:
    return hashlib.sha256(session_key.encode()).hexdigest()


def pending(user_id: uuid.UUID, session_key: str) -> tuple[Pending, ...]:
    """Oldest first. The one of a login belongs to that login, all others to the person on whatever device.

    The notice "this is AI" is raised here when this login has none yet, so that nobody talks without having confirmed it.
    """
    login = session_digest(session_key)
    rows = list(
        Notice.objects.filter(
            Q(answer="") & ~Q(kind=Notice.Kind.AI) | Q(kind=Notice.Kind.AI, occasion=login), user_id=user_id
        )
        .order_by("raised_at", "pk")
        .values_list("public_id", "kind", "answer")
    )
    if all(kind != Notice.Kind.AI for _id, kind, _answer in rows):
        notice, _created = Notice.objects.get_or_create(
            user_id=user_id, kind=Notice.Kind.AI, occasion=login, defaults={"version": VERSION}
        )
        rows.insert(0, (notice.public_id, notice.kind, notice.answer))
    return tuple(Pending(public_id, kind) for public_id, kind, answer in rows if not answer)


def raise_one(user_id: uuid.UUID, kind: str, occasion: str) -> bool:
    """Raise a notice in the caller's transaction, once per occasion; open pages show it at once."""
    notice, created = Notice.objects.get_or_create(
        user_id=user_id, kind=kind, occasion=occasion, defaults={"version": VERSION}
    )
    if created:
        generation.policy_changed(user_id)
        realtime.emit(user_id, raised(notice.public_id, kind))
    return created


def raised(notice: uuid.UUID, kind: str) -> NewEvent:
    """The event of a notice just raised."""
    return NewEvent("notice.raised", data={"notice": str(notice), "about": kind})


def answered(notice: uuid.UUID) -> NewEvent:
    """The event of a notice that no page need show any more."""
    return NewEvent("notice.acknowledged", data={"notice": str(notice)})


def shown(user_id: uuid.UUID, notice: uuid.UUID, now: dt.datetime) -> None:
    """A page says that the notice is in sight; the first one counts."""
    Notice.objects.filter(user_id=user_id, public_id=notice, shown_at=None).update(shown_at=now)


def acknowledge(user_id: uuid.UUID, notice: uuid.UUID, answer: str) -> bool:
    """Record the person's answer; False when there was nothing to answer. Raises ValueError for an unknown answer."""
    answer = Notice.Answer(answer)
    if answer == Notice.Answer.LAPSED:
        raise ValueError("nobody answers like that")
    now = timezone.now()
    with transaction.atomic(durable=True):
        rows = Notice.objects.filter(user_id=user_id, public_id=notice, answer="")
        kind = rows.values_list("kind", flat=True).first()
        if kind is None or not rows.update(acknowledged_at=now, answer=answer):
            return False
        Notice.objects.filter(public_id=notice, shown_at=None).update(
            shown_at=now
        )  # whoever answers has seen it
        audit.record("notice.acknowledged", actor=user_id, subject=user_id, notice=kind, answer=str(answer))
        generation.policy_changed(user_id)
        realtime.emit(user_id, answered(notice))
    return True


def lapse(user_id: uuid.UUID, kinds: Iterable[str]) -> None:
    """In the caller's transaction: what concerned a stretch of use that is over asks for no answer any more."""
    waiting = Notice.objects.filter(user_id=user_id, kind__in=list(kinds), answer="")
    gone = list(waiting.values_list("public_id", flat=True))
    if gone:
        waiting.filter(public_id__in=gone).update(answer=Notice.Answer.LAPSED)
        generation.policy_changed(user_id)
        realtime.emit(user_id, *map(answered, gone))


def html(kind: str, language: str) -> str:
    """The inside of the dialog, rendered by the server so that page and socket show the same."""
    with translation.override(language):
        return render_to_string(f"companion/notices/{kind}.html", {"language": language})
