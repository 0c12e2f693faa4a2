"""`manage.py run_auditor`: asks each minute whether nobody is forgotten, and calls the outside while that is so.

A process of its own, restarted by the supervisor; only PostgreSQL is needed. While the database is away it waits for it
and calls nobody. It prints names of invariants and ids only.
"""

import logging
import os
import signal
import socket
import threading
import time
from argparse import ArgumentParser
from types import FrameType
from typing import Any, Final

from django.core.management.base import BaseCommand
from django.db import connections

from safety import auditor, clock

log = logging.getLogger(__name__)

EVERY: Final = 60.0  # seconds between two rounds
AGAIN: Final = 5.0  # seconds after a call to the outside failed, or the database was away
CALLS: Final = 3  # tries of one round


class Command(BaseCommand):
    help = "Check each minute that no case is forgotten, and call OUTSIDE_PING_URL while all is well."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="one round, then end")

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()

        def on_signal(number: int, frame: FrameType | None) -> None:
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        process = f"auditor/{socket.gethostname()[:40]}/{os.getpid()}"
        while not stop.is_set():
            began = time.monotonic()
            try:
                pause = self.round(process, stop)
            except Exception as error:  # the database is away, or a fault of ours: no call, and another try
                log.error("the auditor saw nothing: %s", type(error).__name__)
                connections.close_all()
                pause = AGAIN
            if options["once"]:
                return
            stop.wait(max(0.0, pause - (time.monotonic() - began)))

    def round(self, process: str, stop: threading.Event) -> float:
        """Look, and call the outside if all holds; seconds until the next round."""
        found = auditor.look()
        auditor.beat(process, clock.now())
        connections.close_all()  # none is held while the network is used
        if found:
            return EVERY
        for left in reversed(range(CALLS)):
            if not (code := auditor.ping()):
                break
            log.error("the outside was not reached: %s", code)
            if not left or stop.wait(AGAIN):
                break
        return EVERY
