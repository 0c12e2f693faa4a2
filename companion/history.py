"""Pages of a conversation's messages, by keyset: the cost does not grow with the conversation."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from companion.events import message_html, message_note, staff_name
from companion.models import Conversation, Message
from companion.personas import NotFound

PAGE = 40


@dataclass(frozen=True)
class Page:
    """Messages as templates show them, oldest first."""

    messages: list[dict[str, Any]]
    has_older: bool


def newest_page(conversation: Conversation, user_id: uuid.UUID, language: str) -> Page:
    return _page(_visible(conversation), user_id, language)


def page_before(conversation: Conversation, user_id: uuid.UUID, before: uuid.UUID, language: str) -> Page:
    """The messages just before one of this conversation. Raises NotFound for any other id."""
    pk = (
        Message.objects.filter(conversation=conversation, public_id=before)
        .values_list("pk", flat=True)
        .first()
    )
    if pk is None:
        raise NotFound
    return _page(_visible(conversation).filter(pk__lt=pk), user_id, language)


def _visible(conversation: Conversation) -> QuerySet[Message]:
    return Message.objects.filter(conversation=conversation).exclude(state=Message.State.REPLACED)


def _page(rows: QuerySet[Message], user_id: uuid.UUID, language: str) -> Page:
    newest_first = list(rows.order_by("-id")[: PAGE + 1])
    shown: Iterable[Message] = reversed(newest_first[:PAGE])
    return Page([_entry(message, user_id, language) for message in shown], len(newest_first) > PAGE)


def _entry(message: Message, user_id: uuid.UUID, language: str) -> dict[str, Any]:
    return {
        "id": message.public_id,
        "client_id": message.client_id,
        "author": message.author,
        "state": message.state,
        "code": message.code,
        "html": message_html(message, user_id, language),
        "note": message_note(message, language),
        "name": staff_name(message.staff_id),
        "at": message.created_at,
        "ai_generated": message.author == Message.Author.AI,
    }
