"""What a message means, asked outside the database and never waited for longer than the deadlines."""

import asyncio
import uuid
from collections.abc import Iterable, Sequence

from django.conf import settings

from companion import offload, orders, turns
from companion.access import Actor
from companion.orders import Said
from companion.steps import Outcome
from companion.turns import Heard
from safety.engine import Meaning, judge
from safety.engine.meaning import understand


async def take(actor: Actor, conversation: uuid.UUID, text: str, client_id: uuid.UUID | None) -> Outcome:
    """A message from the socket to its verdict: read the window, understand, then decide and store in one transaction."""
    heard = await offload.run_in_turn(actor.user_id, turns.hear, actor, conversation, text)
    if not heard.wanted:
        late = _could_be_answered(heard)
        return await offload.run_in_turn(actor.user_id, turns.say, actor, heard, client_id, late=late)
    meaning = await meaning_of(heard.text, heard.history, heard.wanted, deadline=settings.EMBEDDINGS_DEADLINE)
    late = meaning is None
    return await offload.run_in_turn(actor.user_id, turns.say, actor, heard, client_id, meaning, late=late)


async def meaning_of(
    text: str, history: Sequence[Said], wanted: Iterable[str], *, deadline: float
) -> Meaning | None:
    """The meaning of a message, raised by the judge where there is one; None when the embeddings are late or down.

    The judge is asked at the same time and is never the only one: without the embeddings nobody waits for it.
    """
    async with asyncio.TaskGroup() as asked:
        opinion = asked.create_task(judge.ask(text, orders.turns(history), deadline=settings.JUDGE_DEADLINE))
        meaning = await understand(wanted, deadline=deadline)
        if meaning is None:
            opinion.cancel()
    return meaning.raised(text, opinion.result()) if meaning is not None else None


def _could_be_answered(heard: Heard) -> bool:
    """A message that will be taken although nothing was to be understood: the engine could not say what it needs."""
    return bool(heard.text) and heard.within_rate and len(heard.text) <= settings.MESSAGE_MAX_CHARACTERS
