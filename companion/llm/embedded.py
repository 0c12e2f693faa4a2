"""The demonstration models behind one door: which of them answers, loaded when first needed, and how it is asked.

SmolLM2-135M-Instruct answers English through its chat template, Gemma-3-270M continues a transcript for everything
that is written in Han characters. A file named by LLM_GGUF_PATH answers everything instead, through its own
template. Every reply is generated; there is no canned text.
"""

import asyncio
import re
import resource
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from companion.llm import transcript, weights
from companion.llm.engine import End, Engine, Shape
from companion.llm.transcript import Message

Say = Callable[[str], None]
Kind = Literal["gemma", "smollm2", "file"]

DEFAULT_REPLY_TOKENS = 160
SMALL = Shape(slots=4, threads=2, context=1024)
LARGE = Shape(slots=2, threads=2, context=4096)
# A base model sometimes has nothing to say; it is asked this often before that is the answer.
ATTEMPTS = 3
SENTENCES = 3
# Latin sentences end before a space; "3.5" and "..." are none.
_SENTENCE_END = re.compile(r"[。！？]+[”’」』）]*|[.!?]+[\"')\]”’]*(?=\s)")

# Small models fall into loops and cycles. DRY ends a repeated phrase, the penalty a repeated word.
_SAMPLING: dict[Kind, dict[str, Any]] = {
    "gemma": {"top_k": 40, "top_p": 0.9, "min_p": 0.06, "repeat_penalty": 1.1, "dry_multiplier": 0.8},
    "smollm2": {"top_p": 0.9, "min_p": 0.05, "repeat_penalty": 1.12},
    "file": {"top_p": 0.95},
}
_HOTTEST: dict[Kind, float] = {"gemma": 0.6, "smollm2": 0.6, "file": 1.5}


@dataclass(frozen=True)
class Job:
    """One request, checked."""

    messages: tuple[Message, ...]
    max_tokens: int = DEFAULT_REPLY_TOKENS
    temperature: float = 0.8
    stop: tuple[str, ...] = ()


class Embedded:
    """The loaded engines of this process."""

    def __init__(self, *, cache: Path, file: Path | None, say: Say) -> None:
        self._cache = cache
        self._file = file
        self._say = say
        self._engines: dict[Kind, Engine] = {}
        self._loading: dict[Kind, asyncio.Lock] = {}

    @property
    def loaded(self) -> list[str]:
        return [self.label(kind) for kind in self._engines]

    def label(self, kind: Kind) -> str:
        """The name of the weights, as a reply states it."""
        if kind == "file":
            return self._file.stem if self._file else "file"
        return weights.GEMMA.id if kind == "gemma" else weights.SMOLLM2.id

    def choose(self, job: Job) -> Kind:
        if self._file is not None:
            return "file"
        return "gemma" if transcript.language(job.messages) == "zh" else "smollm2"

    async def warm_up(self) -> None:
        await self._engine("gemma" if self._file is None else "file")

    async def answer(self, job: Job, kind: Kind) -> AsyncGenerator[str | End, None]:
        """Pieces of the reply, then its `End`."""
        engine = await self._engine(kind)
        request = self._request(job, kind)
        asked = sum(transcript.cost(text) for _, text in job.messages)
        for attempt in range(ATTEMPTS):
            reply = Reply(sentences=None if kind == "file" else SENTENCES)
            async with aclosing(engine.generate(request, chat=kind != "gemma")) as pieces:
                async for piece in pieces:
                    if isinstance(piece, str):
                        if text := reply.add(piece):
                            yield text
                    elif reply.text or attempt == ATTEMPTS - 1:
                        yield piece
                    if reply.complete:
                        break
            if reply.complete:
                yield End("stop", asked, reply.pieces)
            if reply.text:
                return

    def close(self) -> None:
        for engine in self._engines.values():
            engine.close()

    def _request(self, job: Job, kind: Kind) -> dict[str, Any]:
        sampling = {**_SAMPLING[kind], "temperature": min(job.temperature, _HOTTEST[kind])}
        shape = LARGE if kind == "file" else SMALL
        reply = max(1, min(job.max_tokens, shape.context // 4 if kind != "file" else shape.context // 2))
        budget = shape.context - reply - 64
        if kind == "gemma":
            text = transcript.transcript(job.messages, budget)
            return {**sampling, "prompt": text.prompt, "stop": [*text.stop, *job.stop], "n_predict": reply}
        messages = (transcript.brief if kind == "smollm2" else transcript.fit)(job.messages, budget)
        spoken = [{"role": role, "content": text} for role, text in messages]
        return {**sampling, "messages": spoken, "stop": list(job.stop), "max_tokens": reply}

    async def _engine(self, kind: Kind) -> Engine:
        async with self._loading.setdefault(kind, asyncio.Lock()):
            if kind not in self._engines:
                self._engines[kind] = await asyncio.to_thread(self._load, kind)
            return self._engines[kind]

    def _load(self, kind: Kind) -> Engine:
        start = time.monotonic()
        self._say(f"Loading {self.label(kind)} …")
        if kind == "file" and self._file is not None:
            engine = Engine(self._file, LARGE)
        else:
            path = weights.gemma_path(self._cache) if kind == "gemma" else weights.smollm2_path()
            engine = Engine(path, SMALL)
        self._say(
            f"{self.label(kind)} is ready after {time.monotonic() - start:.1f} s; "
            f"this process now uses {memory_megabytes()} MB."
        )
        return engine


class Reply:
    """The reply so far: without leading space, and complete after so many sentences.

    Small models begin well and then wander; nothing is lost when they are stopped.
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
        self.text = (self.text + piece).lstrip() if not before else self.text + piece
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
