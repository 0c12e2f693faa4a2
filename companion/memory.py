"""What a companion may remember about a person: remember, recall, forget. Theirs to see and erase at any time.

While a guardian has turned it off, nothing new is kept and nothing is told to the model; what is there stays the minor's.
"""

import uuid
from collections.abc import Sequence

from accounts import keyring
from companion import statements
from companion.models import Memory
from guardians.limits import EffectivePolicy

MAX_CHARACTERS = 300
MAX_PER_PERSONA = 50
RECALLED = 12  # newest memories given to the model


class MemoryFull(Exception):
    """The person keeps as many memories with this companion as we hold."""


class MemoryOff(Exception):
    """A guardian has turned it off."""


def remember(policy: EffectivePolicy, persona_id: int, text: str) -> Memory:
    """Keep one line the person wrote. Raises MemoryOff, ValueError when empty or too long, MemoryFull at the limit."""
    if not policy.choices.memory:
        raise MemoryOff
    user_id = policy.user_id
    text = " ".join(text.split())
    if not text or len(text) > MAX_CHARACTERS:
        raise ValueError("a memory has 1 to 300 characters")
    if Memory.objects.filter(user_id=user_id, persona_id=persona_id).count() >= MAX_PER_PERSONA:
        raise MemoryFull
    memory = Memory(user_id=user_id, persona_id=persona_id)
    memory.seal(text)
    memory.save()
    return memory


def recall(policy: EffectivePolicy, persona_id: int, limit: int = RECALLED) -> list[str]:
    """The newest memories as text, oldest first. They are data for the prompt, never instructions."""
    if not policy.choices.memory:
        return []
    return [
        keyring.decrypt(policy.user_id, "memory.body", public_id, body)
        for public_id, body in statements.memories(policy.user_id, persona_id, limit)
    ]


def kept(user_id: uuid.UUID, persona_id: int) -> Sequence[tuple[uuid.UUID, str]]:
    """Every memory with its id, newest first, for the person's own page."""
    rows = Memory.objects.filter(user_id=user_id, persona_id=persona_id).order_by("-id")
    return [(row.public_id, row.open()) for row in rows]


def forget(user_id: uuid.UUID, memory: uuid.UUID) -> bool:
    """Erase one memory; False when it is absent or somebody else's."""
    deleted, _ = Memory.objects.filter(user_id=user_id, public_id=memory).delete()
    return bool(deleted)
