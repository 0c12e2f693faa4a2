"""One loaded model file and its slots. Only this module knows xllamacpp.

xllamacpp must never be forked after a model was loaded, so it lives in a process of its own. It lets go of the
interpreter while it computes; the callback comes on the thread that asked, one piece at a time, and returning True
from it ends the generation.
"""

import asyncio
import tempfile
import threading
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import xllamacpp

WAITING_PER_SLOT = 2


class Busy(Exception):
    """All slots work and enough people wait already."""


class Refused(Exception):
    """The model did not take the request, for example because it is too long."""


@dataclass(frozen=True)
class End:
    """How a generation ended, with the model's own count of tokens."""

    reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int


@dataclass(frozen=True)
class Shape:
    """How a model is loaded. `context` is in tokens, for each slot."""

    slots: int
    threads: int
    context: int


class Engine:
    """Generates for as many people at once as it has slots, in one batch."""

    def __init__(self, path: Path, shape: Shape, adapter: Path | None = None) -> None:
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        if adapter is not None:
            correction = xllamacpp.CommonAdapterLoraInfo()
            correction.path = str(adapter)
            correction.scale = 1.0
            params.lora_adapters = [correction]
        params.n_parallel = shape.slots
        params.n_ctx = shape.context * shape.slots
        for threads in (params.cpuparams, params.cpuparams_batch):
            threads.n_threads = shape.threads
            threads.poll = 0  # threads that wait by spinning take the processor from the web server
        params.n_batch = params.n_ubatch = 256
        params.cont_batching = True
        params.use_jinja = True
        params.fit_params = False
        params.cache_ram_mib = 0  # its default would keep gigabytes of old prompts
        params.n_ctx_checkpoints = 4
        params.verbosity = 0
        # It also opens a server of its own and cannot be told not to: a socket in a directory only we can enter.
        self._directory = tempfile.TemporaryDirectory(prefix="anban-llm-")
        params.hostnames = [f"{self._directory.name}/engine.sock"]
        params.ui = params.endpoint_slots = params.endpoint_props = False
        self._server = xllamacpp.Server(params)
        self._threads = ThreadPoolExecutor(shape.slots, thread_name_prefix="llm")
        self._room = shape.slots * (1 + WAITING_PER_SLOT)
        self._stops: set[threading.Event] = set()

    async def generate(self, request: dict[str, Any], *, chat: bool) -> AsyncGenerator[str | End, None]:
        """Pieces of text, then an `End`. Closing the generator stops the model at its next token."""
        if len(self._stops) >= self._room:
            raise Busy
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        stop = threading.Event()
        self._stops.add(stop)

        def receive(piece: dict[str, Any] | None) -> bool:
            if not stop.is_set():
                loop.call_soon_threadsafe(arrived.put_nowait, piece)
            return stop.is_set()

        def work() -> None:
            if not stop.is_set():
                ask = self._server.handle_chat_completions if chat else self._server.handle_completions
                ask({**request, "stream": True}, receive)
            receive(None)

        done = loop.run_in_executor(self._threads, work)
        done.add_done_callback(lambda _: self._stops.discard(stop))
        written = 0
        reason: Literal["stop", "length"] = "stop"
        prompt_tokens = 0
        try:
            while (piece := await arrived.get()) is not None:
                if "error" in piece:
                    raise Refused
                choice = piece["choices"][0]
                if choice["finish_reason"] == "length":
                    reason = "length"
                timings = piece.get("timings") or {}
                prompt_tokens = timings.get("prompt_n", 0) + timings.get("cache_n", 0) or prompt_tokens
                written = timings.get("predicted_n", written)
                # What the model wrote that is no character at all comes as U+FFFD; nobody needs to see it.
                text = ((choice["delta"].get("content") if chat else choice["text"]) or "").replace(
                    "\ufffd", ""
                )
                if text:
                    yield text
            await done
        finally:
            stop.set()
        yield End(reason, prompt_tokens, written)

    def close(self) -> None:
        """Let the generations that run end at their next token, and take no more."""
        for stop in list(self._stops):
            stop.set()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._directory.cleanup()
