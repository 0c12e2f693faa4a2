"""The demonstration model behind one door: what it is asked, and what of its answer is a reply.

Without LLM_GGUF_PATH it is Gemma 3 270M with the project's own small adapter, which continues a transcript in
Chinese and English. A file named by LLM_GGUF_PATH is asked through its own chat template instead. Every reply is
generated; there is no canned text. What was tried before it became so, with the same weights:

- the base model with a few exemplars, in four shapes of transcript: grammatical, but beside the point and
  sometimes hurtful; no sampling or penalty changed that;
- SmolLM2-135M-Instruct for English, with and without exemplars, at several temperatures: the same;
- this adapter, trained for half an hour on the project's own lines: answers what was said, and says that it is
  an AI. It stays a toy: it must never answer where somebody may be at risk.
"""

import asyncio
import os
import re
import resource
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from companion.llm import weights
from companion.llm.engine import End, Engine, Shape
from companion.llm.transcript import Message, fit, transcript

DEFAULT_REPLY_TOKENS = 160
# One thread: where the web server, the database and a browser want the same two cores, two threads that wait for
# each other made a quarter of the tokens. A larger file gets all but one core.
SMALL = Shape(slots=4, threads=1, context=1024)
LARGE = Shape(slots=2, threads=max(1, (os.cpu_count() or 2) - 1), context=4096)
# The small model sometimes has nothing to say at first; it is asked this often before that is the answer.
ATTEMPTS = 3
SENTENCES = 3
HOTTEST = 0.5
# Small models fall into loops. DRY ends a repeated phrase, the penalty a repeated word.
_SAMPLING = {"top_k": 40, "top_p": 0.9, "min_p": 0.06, "repeat_penalty": 1.05, "dry_multiplier": 0.8}
# Latin sentences end before a space; "3.5" and "e.g." are none.
_SENTENCE_END = re.compile(r"[。！？]+[”’」』）]*|[.!?]+[\"')\]”’]*(?=\s)")


@dataclass(frozen=True)
class Job:
    """One request, checked."""

    messages: tuple[Message, ...]
    max_tokens: int = DEFAULT_REPLY_TOKENS
    temperature: float = 0.8
    stop: tuple[str, ...] = ()


class Embedded:
    """The model of this process, loaded when it is first needed."""

    def __init__(self, *, cache: Path, file: Path | None, say: Callable[[str], None]) -> None:
        self.name = file.stem if file else weights.GEMMA.id
        self._cache = cache
        self._file = file
        self._say = say
        self._engine: Engine | None = None
        self._loading = asyncio.Lock()

    @property
    def loaded(self) -> bool:
        return self._engine is not None

    async def warm_up(self) -> None:
        await self._ready()

    async def answer(self, job: Job) -> AsyncGenerator[str | End, None]:
        """Pieces of the reply, then its `End`."""
        engine = await self._ready()
        request = _chat_request(job) if self._file else _transcript_request(job)
        for attempt in range(ATTEMPTS):
            reply = Reply(sentences=None if self._file else SENTENCES)
            async with aclosing(engine.generate(request, chat=self._file is not None)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, str):
                        if text := reply.add(piece):
                            yield text
                    elif reply.text or attempt == ATTEMPTS - 1:
                        yield piece
                    if reply.complete:
                        break
            if reply.complete:
                yield End("stop", sum(len(text) for _, text in job.messages), reply.pieces)
            if reply.text:
                return

    def close(self) -> None:
        if self._engine is not None:
            self._engine.close()

    async def _ready(self) -> Engine:
        async with self._loading:
            if self._engine is None:
                self._engine = await asyncio.to_thread(self._load)
            return self._engine

    def _load(self) -> Engine:
        start = time.monotonic()
        self._say(f"Loading {self.name} …")
        if self._file is not None:
            engine = Engine(self._file, LARGE)
        else:
            engine = Engine(weights.gemma_path(self._cache), SMALL, weights.ADAPTER)
        seconds = time.monotonic() - start
        self._say(
            f"{self.name} is ready after {seconds:.1f} s; at most {memory_megabytes()} MB in use so far."
        )
        return engine


class Reply:
    """The reply so far: without leading space, and complete after so many sentences.

    A small model begins well and then wanders; nothing is lost when it is stopped.
    """

    def __init__(self, sentences: int | None) -> None:
        self.text = ""
        self.pieces = 0
        self.complete = False
        self._sentences = sentences

    def add(self, piece: str) -> str:
        """What of the piece belongs to the reply."""
        self.pieces += 1
        before = len(self.text)
        self.text = (self.text + piece) if before else piece.lstrip()
        if self._sentences is not None:
            ends = list(_SENTENCE_END.finditer(self.text))
            if len(ends) >= self._sentences:
                self.complete = True
                self.text = self.text[: ends[self._sentences - 1].end()].rstrip()
        return self.text[before:]


def memory_megabytes() -> int:
    """The most memory this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 * 1024 if sys.platform == "darwin" else 1024)


def _transcript_request(job: Job) -> dict[str, Any]:
    reply = min(job.max_tokens, DEFAULT_REPLY_TOKENS)
    text = transcript(job.messages, SMALL.context - reply - 64)
    sampling = {**_SAMPLING, "temperature": min(job.temperature, HOTTEST)}
    return {**sampling, "prompt": text.prompt, "stop": [*text.stop, *job.stop], "n_predict": reply}


def _chat_request(job: Job) -> dict[str, Any]:
    reply = min(job.max_tokens, LARGE.context // 2)
    messages = fit(job.messages, LARGE.context - reply - 64)
    spoken = [{"role": role, "content": text} for role, text in messages]
    sampling = {"temperature": job.temperature, "top_p": 0.95}
    return {**sampling, "messages": spoken, "stop": list(job.stop), "max_tokens": reply}
