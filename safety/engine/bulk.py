"""Many messages at once, for commands: the texts of a batch are understood together, then each message is assessed.

Messages come from an iterator and verdicts leave by one; only a batch of them is in memory.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain
from typing import Final, Literal, Protocol

import numpy as np
from django.conf import settings

from safety.engine import Turn, Verdict, assess, client, wanted
from safety.engine.heads import Array, HeadsError, heads
from safety.engine.scores import Meaning, from_vectors, readable

ROWS: Final = 256  # messages of a batch
_AT_ONCE: Final = 32  # texts the encoder takes together
_LONGEST: Final = 2_000  # characters of a text
_PATIENCE: Final = 60.0  # seconds for so many texts: nobody waits for an answer to what they said
_PAUSES: Final = (0.2, 1.0)  # seconds before the server is asked again


@dataclass(frozen=True, slots=True)
class Message:
    """What `assess` wants to know of one message, and the name it goes by."""

    id: str | int
    text: str
    author: Literal["user", "ai"]
    age_band: str
    history: tuple[Turn, ...] = ()


class NotUnderstood(Exception):
    """There is no embedding of a text to be had; the message says why and what to do."""


class Embedder(Protocol):
    """Where embeddings come from: 32 texts at a time."""

    async def embed(self, texts: list[str]) -> Array: ...


class ByServer:
    """From the embedding server of EMBEDDINGS_BASE_URL, which may be busy with the messages of people: they go first."""

    async def embed(self, texts: list[str]) -> Array:
        for pause in (*_PAUSES, None):
            try:
                return await client.embed(texts, deadline=_PATIENCE)
            except client.Unavailable as error:
                if pause is None or error.code == "garbage":
                    raise NotUnderstood(
                        f"The embedding server of EMBEDDINGS_BASE_URL does not answer as it should ({error.code}). "
                        "Start it (manage.py embedding_server), unset the variable, or ask for --rules-only."
                    ) from error
                await asyncio.sleep(pause)
        raise AssertionError("unreachable")


class InProcess:
    """From the encoder in this process, which takes some seconds and half a gigabyte to load: at the first text."""

    async def embed(self, texts: list[str]) -> Array:
        return self._encoder(texts)

    @cached_property
    def _encoder(self) -> Callable[[list[str]], Array]:
        os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
        try:
            # Only here: no process of the service may load torch.
            from safety.engine.embeddings import encoder
            from safety.engine.embeddings.checkpoint import CheckpointError
        except ImportError as error:
            raise NotUnderstood(
                "The encoder is not installed here. Install requirements.txt, set EMBEDDINGS_BASE_URL, "
                "or ask for --rules-only."
            ) from error
        try:
            return partial(encoder.embed, encoder.load())
        except (CheckpointError, OSError) as error:
            raise NotUnderstood(
                f"The encoder cannot be loaded: {error} Set EMBEDDINGS_BASE_URL or ask for --rules-only."
            ) from error


def embedder() -> Embedder:
    """The server where one is set, or the encoder in this process."""
    try:
        heads()
    except HeadsError as error:
        raise NotUnderstood(
            f"{error}. Train them (manage.py train_engine) or ask for --rules-only."
        ) from error
    return ByServer() if settings.EMBEDDINGS_BASE_URL else InProcess()


async def understood(texts: Iterable[str], source: Embedder) -> Meaning:
    """The scores of all these texts."""
    # What is padded together is of one length.
    ordered = sorted(set(texts), key=lambda text: (len(text), text))
    clear = [_two_ends(readable(text)) for text in ordered]
    vectors = [await source.embed(clear[at : at + _AT_ONCE]) for at in range(0, len(clear), _AT_ONCE)]
    try:
        return from_vectors(ordered, np.concatenate(vectors))
    except HeadsError as error:
        raise NotUnderstood(f"The heads were trained for another embedding model: {error}.") from error


def _two_ends(text: str) -> str:
    """What the encoder would look at of a long text anyway; a server may refuse to take all of it."""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} {text[-half:]}"


async def verdicts(
    messages: Iterable[Message], source: Embedder | None, *, rows: int = ROWS
) -> AsyncIterator[tuple[Message, Verdict]]:
    """Each message with its verdict, in their order. Without a `source` of embeddings the rules alone decide."""
    for batch in batches(messages, rows):
        meaning: Meaning | None = None
        if source is not None:
            texts = (wanted(one.text, author=one.author, history=one.history) for one in batch)
            meaning = await understood(chain.from_iterable(texts), source)
        for one in batch:
            yield (
                one,
                assess(
                    one.text, author=one.author, age_band=one.age_band, history=one.history, meaning=meaning
                ),
            )


def batches(messages: Iterable[Message], rows: int) -> Iterator[list[Message]]:
    """Lists of `rows` messages; nothing is read before it is asked for."""
    batch: list[Message] = []
    for message in messages:
        batch.append(message)
        if len(batch) == rows:
            yield batch
            batch = []
    if batch:
        yield batch
