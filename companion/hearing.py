"""What a message means, asked outside the database and never waited for longer than the deadline."""

import uuid

from django.conf import settings

from companion import offload, turns
from companion.access import Actor
from companion.turns import Outcome
from safety.engine.meaning import understand


async def take(actor: Actor, conversation: uuid.UUID, text: str, client_id: uuid.UUID | None) -> Outcome:
    """A message from the socket to its verdict: read the window, understand, then decide and store in one transaction."""
    heard = await offload.run(turns.hear, actor, conversation, text)
    if not heard.wanted:
        return await offload.run(turns.say, actor, heard, client_id)
    meaning = await understand(heard.wanted, deadline=settings.EMBEDDINGS_DEADLINE)
    return await offload.run(turns.say, actor, heard, client_id, meaning, late=meaning is None)
