"""A conversation that is ready to be had."""

import uuid
from typing import NamedTuple

import pytest
from django.db import connection

from accounts.models import User
from companion import steps, turns
from companion.access import Actor
from companion.models import Conversation, Message
from tests.live import Site, _model, _site, companions, model, open_conversation, own_site, sign_in, site

__all__ = ["_model", "_site", "companions", "model", "own_site", "site"]


class Talk(NamedTuple):
    site: Site
    user: User
    session: str
    conversation: uuid.UUID

    def socket(self):
        return self.site.socket(self.session, self.conversation)


@pytest.fixture
def talk(site: Site, adult: User) -> Talk:
    """The adult of the cast, signed in, with the notice confirmed and a conversation open."""
    session = sign_in(adult)
    return Talk(site, adult, session, open_conversation(adult, session).public_id)


@pytest.fixture
def own_talk(own_site: Site, adult: User) -> Talk:
    """The same with a process that the test may kill."""
    session = sign_in(adult)
    return Talk(own_site, adult, session, open_conversation(adult, session).public_id)


def say(
    actor: Actor, conversation: Conversation, text: str, client_id: uuid.UUID | None = None
) -> steps.Outcome:
    """Both database steps of a message, by the rules alone."""
    return turns.say(actor, turns.hear(actor, conversation.public_id, text), client_id)


def write(conversation: Conversation, count: int) -> None:
    """So many messages more, by turns of the companion and of the person."""
    rows = [
        Message(conversation=conversation, author=Message.Author.USER if i % 2 else Message.Author.AI)
        for i in range(count)
    ]
    for row in rows:
        row.seal(conversation.user_id, "一句话")
    Message.objects.bulk_create(rows)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE companion_message")  # as autovacuum does
