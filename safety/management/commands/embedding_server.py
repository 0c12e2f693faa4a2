"""`manage.py embedding_server`: the encoder of the safety engine in a process of its own."""

import asyncio
import os
import signal
from argparse import ArgumentParser
from typing import TYPE_CHECKING, Any

from aiohttp import web
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

if TYPE_CHECKING:
    from safety.engine.embeddings.batching import Embed


class Command(BaseCommand):
    help = "Serve the embeddings of the safety engine to EMBEDDINGS_BASE_URL clients on this computer."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8791)
        parser.add_argument("--host", default="127.0.0.1")

    def handle(self, *args: Any, **options: Any) -> None:
        problem = asyncio.run(self.serve(options["host"], options["port"]))
        if problem is not None:
            raise CommandError(f"The encoder could not be loaded: {problem}") from problem
        self.say("Stopped.")
        # Loading may still sit in native code; leaving like this does not wait for it.
        os._exit(0)

    async def serve(self, host: str, port: int) -> BaseException | None:
        """Until SIGTERM or SIGINT, or until loading fails. A client that leaves takes its texts out of the queue."""
        from safety.engine.embeddings.server import WORK, Service, application, memory_bytes

        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        began = loop.time()
        service = Service(settings.EMBEDDINGS_MODEL, load)
        app = application(service)
        runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise CommandError(f"Port {port} on {host} cannot be used: {reason}.") from error
        work, stopped = app[WORK], asyncio.create_task(stop.wait())
        ready = asyncio.create_task(service.loaded.wait())
        await asyncio.wait({work, stopped, ready}, return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            self.say(
                f"Embeddings at http://{host}:{port}/v1 after {loop.time() - began:.1f} s, "
                f"{memory_bytes() // 2**20} MB in use"
            )
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
        problem = work.exception() if work.done() else None
        await runner.cleanup()
        return problem

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def load() -> "Embed":
    # Only this process may import torch: no other has its hundreds of megabytes.
    from safety.engine.embeddings import encoder

    model = encoder.load()
    return lambda texts: encoder.embed(model, texts)
