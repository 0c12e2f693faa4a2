"""The encoder as an OpenAI-compatible server: `/v1/embeddings`, `/v1/models`, `/health`.

In a process of its own, because torch needs hundreds of megabytes and would hold up the event loop of the web process;
any other text-embeddings server can stand here instead. Nothing of a text is logged.
"""

import asyncio
import base64
import ctypes
import gc
import resource
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aiohttp import web

from safety.engine.embeddings.batching import Batcher, Embed, Full, Vector

MAX_BODY_BYTES: Final = 1024 * 1024
MAX_TEXTS: Final = 256  # of a request
MAX_CHARACTERS: Final = 20_000  # of a text
WORK: Final = web.AppKey("work", asyncio.Task[None])  # ends by itself only when loading fails


class BadRequest(Exception):
    """The body is no request for embeddings; the message says what is wrong with it."""


@dataclass(frozen=True)
class Job:
    texts: tuple[str, ...]
    base64: bool


class Service:
    """The encoder of this process: loaded in the thread that will use it, while the port is open already."""

    def __init__(self, model: str, load: Callable[[], Embed]) -> None:
        self.model = model
        self.loaded = asyncio.Event()
        self._load = load
        self._thread = ThreadPoolExecutor(1, "encoder")
        self._batcher: Batcher | None = None

    async def run(self) -> None:
        """Load, then serve until cancelled. Raises what loading raises."""
        embed = await asyncio.get_running_loop().run_in_executor(self._thread, self._loading)
        self._batcher = Batcher(embed, self._thread)
        self.loaded.set()
        await self._batcher.run()

    def _loading(self) -> Embed:
        embed = self._load()
        embed(["你好", "hello"])  # the first call costs three times the time
        return_free_memory()
        return embed

    async def vectors(self, texts: Sequence[str]) -> list[Vector]:
        if self._batcher is None:
            raise Full
        return await self._batcher.vectors(texts)

    def state(self) -> dict[str, Any]:
        batcher = self._batcher
        return {
            "status": "loading" if batcher is None else "ok",
            "model": self.model,
            "memory_bytes": memory_bytes(),
            "waiting": batcher.waiting if batcher else 0,
            "batches": batcher.batches if batcher else 0,
        }


def application(service: Service) -> web.Application:
    app = web.Application(client_max_size=MAX_BODY_BYTES)

    async def embeddings(request: web.Request) -> web.Response:
        try:
            job = parse(await request.json(), service.model)
        except BadRequest as error:
            return _error(400, str(error))
        except (ValueError, RecursionError):
            return _error(400, "The body is not JSON.")
        try:
            vectors = await service.vectors(job.texts)
        except Full:
            return _error(503, "There is more to do than can be done in time. Try again in a moment.")
        except RuntimeError:
            return _error(500, "The encoder failed.")
        return web.json_response(_answer(job, vectors, service.model))

    async def models(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": service.model, "object": "model"}]})

    async def health(request: web.Request) -> web.Response:
        return web.json_response(service.state(), status=200 if service.loaded.is_set() else 503)

    async def working(app: web.Application) -> AsyncIterator[None]:
        app[WORK] = asyncio.create_task(service.run())
        yield
        app[WORK].cancel()
        with suppress(asyncio.CancelledError, Exception):
            await app[WORK]

    app.router.add_post("/v1/embeddings", embeddings)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/health", health)
    app.router.add_get("/v1/health", health)
    app.cleanup_ctx.append(working)
    return app


def parse(body: Any, model: str) -> Job:
    """A checked job from the body of a request."""
    if not isinstance(body, dict):
        raise BadRequest("The body is not an object.")
    if body.get("model", model) != model:
        raise BadRequest(f"The model here is {model}.")
    texts = body.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadRequest("input is not a text or a list of texts.")
    if not 0 < len(texts) <= MAX_TEXTS:
        raise BadRequest(f"input has to hold 1 to {MAX_TEXTS} texts.")
    if any(len(text) > MAX_CHARACTERS for text in texts):
        raise BadRequest(f"A text is longer than {MAX_CHARACTERS} characters.")
    encoding = body.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise BadRequest("encoding_format is float or base64.")
    # Half of a character, which JSON can write and no encoder can read, becomes the replacement character.
    whole = (text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts)
    return Job(tuple(whole), encoding == "base64")


def _answer(job: Job, vectors: Sequence[Vector], model: str) -> dict[str, Any]:
    characters = sum(map(len, job.texts))  # the nearest thing to tokens that costs nothing
    return {
        "object": "list",
        "model": model,
        "data": [
            {
                "object": "embedding",
                "index": index,
                "embedding": _encoded(vector) if job.base64 else vector.tolist(),
            }
            for index, vector in enumerate(vectors)
        ],
        "usage": {"prompt_tokens": characters, "total_tokens": characters},
    }


def _encoded(vector: Vector) -> str:
    return base64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode()


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status)


def return_free_memory() -> None:
    """What loading needed for a moment goes back to the system; glibc keeps it otherwise, other libraries do not."""
    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def memory_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * resource.getpagesize()
