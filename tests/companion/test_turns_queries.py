"""What a turn costs in the database: a fixed number of statements, however long the conversation is."""

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from companion import access, departures, replies, turns
from companion.access import Actor
from companion.models import Conversation, Message
from tests.companion.conftest import say, write
from tests.live import companions, open_conversation, sign_in

__all__ = ["companions"]
pytestmark = pytest.mark.django_db(transaction=True)
# Statements, with BEGIN and COMMIT where there is a transaction. A higher number is a decision, not an accident.
SAY, CHECKPOINT, COMMIT, OPEN, LEAVE = 15, 1, 8, 10, 12


@pytest.fixture
def conversation(companions: None, adult: User) -> Conversation:
    return open_conversation(adult, sign_in(adult))


@pytest.fixture
def actor(conversation: Conversation, adult: User) -> Actor:
    return access.load_actor(adult.pk, sign_in(adult), timezone.now())


def asked(step: Any, *args: Any) -> tuple[Any, int]:
    """Without the one statement by which the first sign of a minute is marked (companion/usage.py)."""
    with CaptureQueriesContext(connection) as queries:
        result = step(*args)
    return result, sum("companion_usageminute" not in query["sql"] for query in queries)


def turn(actor: Actor, conversation: Conversation) -> tuple[int, int, int]:
    """Statements of the first transaction, a checkpoint, and the second."""
    said, first = asked(say, actor, conversation, "今天吃了面", uuid.uuid4())
    assert said.job is not None
    _, checkpoint = asked(replies._save_progress, said.job, "好")
    _, second = asked(replies._commit, said.job, "好吃吗？", Message.State.COMPLETE, "", (), 10)
    return first, checkpoint, second


def test_a_turn_costs_the_same_after_ten_messages_and_after_a_thousand(
    actor: Actor, conversation: Conversation
) -> None:
    begun = say(actor, conversation, "你好", uuid.uuid4()).job  # the stretch of use begins
    assert begun is not None
    replies._commit(begun, "好", Message.State.COMPLETE, "", (), 10)
    write(conversation, 10)
    few = turn(actor, conversation)
    write(conversation, 990)
    many = turn(actor, conversation)
    assert many == few
    assert few == (SAY, CHECKPOINT, COMMIT)


def test_leaving_and_opening_cost_the_same_in_a_long_conversation(
    actor: Actor, conversation: Conversation
) -> None:
    from companion.consumers import _open

    costs = []
    for count in (10, 990):
        write(conversation, count)
        _, opened = asked(_open, actor.user_id, actor.session_key, conversation.public_id)
        _, left = asked(departures.leave, actor, conversation.public_id)
        turns.open_conversation(actor, "botanist")
        costs.append((opened, left))
    assert costs[0] == costs[1]
    assert costs[0] == (OPEN, LEAVE)


def test_a_message_sent_again_costs_the_same_in_a_long_conversation(
    actor: Actor, conversation: Conversation
) -> None:
    client_id = uuid.uuid4()
    say(actor, conversation, "只说一次", client_id)
    costs = []
    for count in (10, 990):
        write(conversation, count)
        outcome, cost = asked(say, actor, conversation, "只说一次", client_id)
        assert outcome.echo and outcome.job is None
        costs.append(cost)
    assert costs[0] == costs[1]


def test_looking_over_many_logins_takes_three_statements(actor: Actor, adult: User) -> None:
    logins = {(adult.pk, 0, sign_in(adult)) for _ in range(8)}
    _, cost = asked(access.look_over, logins)
    assert cost == 3
