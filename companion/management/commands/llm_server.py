"""`manage.py llm_server`: the embedded demonstration model in a process of its own."""

import asyncio
import os
import signal
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

if TYPE_CHECKING:
    from companion.llm.embedded import Embedded


class Command(BaseCommand):
    help = (
        "Serve the embedded demonstration model (or LLM_GGUF_PATH) to LLM_BASE_URL clients on this computer."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8790)
        parser.add_argument("--host", default="127.0.0.1")

    def handle(self, *args: Any, **options: Any) -> None:
        file = Path(settings.LLM_GGUF_PATH) if settings.LLM_GGUF_PATH else None
        if file is not None and not file.is_file():
            raise CommandError("LLM_GGUF_PATH does not name a file. Correct it, or leave it empty.")
        try:
            # Only this process may load the engine: no other has its library, or its hundreds of megabytes.
            from companion.llm.embedded import Embedded
            from companion.llm.server import application
        except ImportError as error:
            raise CommandError(
                "The embedded model is not installed here. Install requirements.txt, or set LLM_BASE_URL."
            ) from error
        embedded = Embedded(cache=settings.VAR_DIR / "models", file=file, say=self.say)
        asyncio.run(self.serve(application(embedded), embedded, options["host"], options["port"]))
        self.say("Stopped.")
        # A generation may still sit in native code; leaving like this does not wait for its next token.
        os._exit(0)

    async def serve(self, app: web.Application, embedded: "Embedded", host: str, port: int) -> None:
        """Until SIGTERM or SIGINT. A client that leaves cancels its handler, and that stops the model."""
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            await runner.cleanup()
            reason = os.strerror(error.errno or 0)
            raise CommandError(f"Port {port} on {host} cannot be used: {reason}.") from error
        self.say(f"The embedded model listens at http://{host}:{port}/v1")
        warming = asyncio.create_task(embedded.warm_up())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({warming, stopped}, return_when=asyncio.FIRST_EXCEPTION)
        embedded.close()
        await runner.cleanup()
        if warming.done() and (problem := warming.exception()):
            raise CommandError(f"The model could not be loaded: {problem}") from problem

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
