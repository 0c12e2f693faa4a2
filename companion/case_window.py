"""What staff may see of a conversation: the part that a reading is about, and no more (threat T12)."""

import datetime as dt
import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import merge
from typing import Final

from django.db.models import F, QuerySet
from django.db.models.functions import Greatest

from accounts.keyring import KeyringError
from companion import portrayal, sentences
from companion.models import Conversation, Message
from safety import readings
from safety.models import CaseSignal, StaffSession

log = logging.getLogger(__name__)

BEFORE: Final = 20  # messages before the first signal: what led there
MOST: Final = 200
LAST: Final = 50  # for a broken glass
UNREADABLE: Final = "[…]"


@dataclass(frozen=True)
class Line:
    """One entry as staff read it. `name` is the human's or the companion's; "" for the service."""

    author: str  # of Message.Author
    name: str
    text: str
    at: dt.datetime
    message: uuid.UUID
    level: int  # of the signal in it; 0 without one
    excerpt: bool = False  # kept for the case: the message was refused, erased or is further up


def lines(session: StaffSession, now: dt.datetime) -> list[Line]:
    """Oldest first. Raises readings.Refused when the right is over; that it is the right of this reader, and not of a
    colleague, the caller has asked readings.check().
    """
    readings.check(session, session.staff, now)
    conversation = (
        Conversation.objects.select_related("persona", "user")
        .filter(public_id=session.conversation, user=session.subject_id)
        .first()
    )
    if conversation is None:  # erased, or never theirs: what a case kept is left
        visible = Message.objects.none()
    else:
        visible = conversation.messages.exclude(
            state__in=(Message.State.STREAMING, Message.State.REPLACED)
        ).select_related("staff")
    signals = {signal.message: signal for signal in _signals(session)}
    rows = list(reversed(_window(session, visible, list(signals.values()))))
    shown = {row.public_id for row in rows}
    levels = {message: signal.level for message, signal in signals.items()}
    language = session.staff.language
    persona = _persona_name(conversation, language) if conversation else ""
    nickname = session.subject.nickname
    said = [
        _line(row, session.subject_id, {"user": nickname, "ai": persona}, levels, language) for row in rows
    ]
    kept = [_excerpt(s, session.subject_id, nickname) for s in signals.values() if s.message not in shown]
    found = list(merge(said, kept, key=lambda line: line.at))
    StaffSession.objects.filter(pk=session.pk, messages_read__lt=len(found)).update(
        messages_read=Greatest(F("messages_read"), len(found))
    )
    return found


def _signals(session: StaffSession) -> QuerySet[CaseSignal]:
    return CaseSignal.objects.filter(
        case=session.case_id, case__isnull=False, conversation=session.conversation
    ).order_by("pk")


def _window(session: StaffSession, visible: QuerySet[Message], signals: list[CaseSignal]) -> list[Message]:
    """Newest first."""
    newest = visible.order_by("-pk")
    if session.case_id is None:
        return list(newest[:LAST])
    if not signals:
        return list(newest[:BEFORE])
    first = signals[0]
    row = visible.filter(public_id=first.message).first()
    before = newest.filter(pk__lt=row.pk) if row else newest.filter(created_at__lt=first.created_at)
    start = list(before.values_list("pk", flat=True)[:BEFORE])
    since = newest.filter(pk__gte=start[-1]) if start else newest
    return list(since[:MOST])


def _line(
    row: Message,
    subject: uuid.UUID,
    names: Mapping[str, str],
    levels: Mapping[uuid.UUID, int],
    language: str,
) -> Line:
    name = names.get(row.author, "") or (row.staff.nickname if row.staff else "")
    try:
        text = (
            sentences.system_line(row.code, language)
            if row.author == Message.Author.SYSTEM
            else row.open(subject)
        )
    except KeyringError:  # one damaged row must not hide the others
        log.error("message %s does not open", row.public_id)
        text = UNREADABLE
    return Line(row.author, name, text, row.created_at, row.public_id, levels.get(row.public_id, 0))


def _excerpt(signal: CaseSignal, subject: uuid.UUID, name: str) -> Line:
    try:
        text = signal.open(subject)
    except KeyringError:
        log.error("excerpt %s does not open", signal.public_id)
        text = UNREADABLE
    return Line(
        Message.Author.USER, name, text, signal.created_at, signal.message, signal.level, excerpt=True
    )


def _persona_name(conversation: Conversation, language: str) -> str:
    try:
        return portrayal.face(conversation.persona, language).name
    except KeyringError:
        return ""
