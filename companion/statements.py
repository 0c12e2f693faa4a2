"""The reads of a turn as SQL, for the few that every message repeats.

Django compiles a query anew each time, which here costs several times what PostgreSQL needs to answer it
(benchmarks/README.md). Columns come from the models, so that a migration cannot leave these behind.
"""

import datetime as dt
import uuid
from typing import Any, TypeVar

from django.db import connection, models

from companion.models import Conversation, Persona

M = TypeVar("M", bound=models.Model)


def _columns(model: type[models.Model], alias: str) -> str:
    return ", ".join(f'{alias}."{field.column}"' for field in model._meta.concrete_fields)


def _instance(model: type[M], values: Any) -> M:
    return model.from_db("default", [field.attname for field in model._meta.concrete_fields], values)


_CONVERSATION = _columns(Conversation, "c")
_WIDTH = len(Conversation._meta.concrete_fields)
_OWN = (
    f"SELECT {_CONVERSATION}, {_columns(Persona, 'p')} FROM companion_conversation c "
    "JOIN companion_persona p ON p.id = c.persona_id WHERE c.user_id = %s AND c.public_id = %s"
)
_LOCKED = f"SELECT {_CONVERSATION} FROM companion_conversation c WHERE c.id = %s FOR UPDATE"
_SAID = (
    "SELECT id, public_id, author, body FROM companion_message WHERE conversation_id = %s AND body IS NOT NULL "
    "AND author IN ('user', 'ai', 'staff') AND state NOT IN ('replaced', 'streaming') ORDER BY id DESC LIMIT %s"
)
_STREAMING = (
    "SELECT id, lease_until FROM companion_message WHERE conversation_id = %s AND state = 'streaming'"
)
_MEMORIES = "SELECT public_id, body FROM companion_memory WHERE user_id = %s AND persona_id = %s ORDER BY id DESC LIMIT %s"
_LATER = "SELECT EXISTS (SELECT 1 FROM companion_message WHERE conversation_id = %s AND id > %s AND author = 'user')"
_SENT = "SELECT EXISTS (SELECT 1 FROM companion_message WHERE conversation_id = %s AND client_id = %s)"
_LINE = (
    "SELECT created_at FROM companion_message WHERE conversation_id = %s AND author = 'system' "
    "ORDER BY id DESC LIMIT 1"
)


def own_conversation(user_id: uuid.UUID, public_id: uuid.UUID) -> Conversation | None:
    """A person's conversation together with its persona."""
    rows = _fetch(_OWN, user_id, public_id)
    if not rows:
        return None
    conversation = _instance(Conversation, rows[0][:_WIDTH])
    conversation.persona = _instance(Persona, rows[0][_WIDTH:])
    return conversation


def lock_conversation(pk: int) -> Conversation:
    """The conversation as it is now, locked until the transaction ends."""
    return _instance(Conversation, _fetch(_LOCKED, pk)[0])


def said(conversation_pk: int, limit: int) -> list[tuple[int, uuid.UUID, str, bytes]]:
    """(id, public id, author, sealed text) of the newest messages that count, oldest first."""
    return _fetch(_SAID, conversation_pk, limit)[::-1]


def streaming(conversation_pk: int) -> tuple[int, dt.datetime | None] | None:
    """(id, lease) of the reply being written."""
    rows = _fetch(_STREAMING, conversation_pk)
    return rows[0] if rows else None


def memories(user_id: uuid.UUID, persona_pk: int, limit: int) -> list[tuple[uuid.UUID, bytes]]:
    """(public id, sealed text) of the newest memories, oldest first."""
    return _fetch(_MEMORIES, user_id, persona_pk, limit)[::-1]


def said_later(conversation_pk: int, message_pk: int) -> bool:
    """Has the person written since this message?"""
    return bool(_fetch(_LATER, conversation_pk, message_pk)[0][0])


def sent_before(conversation_pk: int, client_id: uuid.UUID) -> bool:
    """Is the message with this id of the client's here already?"""
    return bool(_fetch(_SENT, conversation_pk, client_id)[0][0])


def newest_line_at(conversation_pk: int) -> dt.datetime | None:
    """When the last reviewed sentence was said; None before the first."""
    rows = _fetch(_LINE, conversation_pk)
    return rows[0][0] if rows else None


def _fetch(sql: str, *params: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[Any] = cursor.fetchall()
    return rows
