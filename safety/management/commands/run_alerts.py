"""`manage.py run_alerts`: climbs the ladders of open cases and sends what is due, once a second, for ever.

Two copies run at least; each takes what the others leave. Nothing but PostgreSQL is needed. SIGTERM finishes the rows
in hand. It prints ids and codes only.
"""

import asyncio
import logging
import os
import signal
import socket
import threading
import time
import uuid
from argparse import ArgumentParser
from collections.abc import Callable
from datetime import timedelta
from types import FrameType
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connections

from accounts import audit_chain, realtime
from companion import takeover
from safety import clock, escalation, outbox, outcomes
from safety.models import Heartbeat

log = logging.getLogger(__name__)

PAUSE: Final = 1.0  # seconds between two looks
CLIMBS: Final = 100  # cases of one look: in a flood notices go out between them
LONGEST_PAUSE: Final = 5.0  # while the database is away
FORGOTTEN_AFTER: Final = timedelta(days=1)  # heartbeats of processes that died
ROLE: Final = "alerts"


class Command(BaseCommand):
    help = "Climb the ladders of open cases and send notices."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="one pass, then end")
        parser.add_argument("--name", default=ROLE, help="names this copy in heartbeats")

    def handle(self, *args: Any, **options: Any) -> None:
        process = f"{options['name']}/{socket.gethostname()[:40]}/{os.getpid()}"[:80]
        if options["once"]:
            escalation.sweep(limit=CLIMBS)
            takeover.tell_people()
            outbox.dispatch(outbox.new_owner(process))
            return
        stop = threading.Event()

        def on_signal(number: int, frame: FrameType | None) -> None:
            stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, on_signal)
        _ring_in_the_background()
        threading.Thread(target=audit_chain.keep, args=(stop,), daemon=True, name="audit").start()
        Watch(process, stop).run()


class Watch:
    """The loop of one process."""

    def __init__(self, process: str, stop: threading.Event) -> None:
        self._process, self._stop = process, stop
        self._dispatcher = outbox.Dispatcher(outbox.new_owner(process))
        self._looked = self._told = -PAUSE

    def run(self) -> None:
        pause = PAUSE
        while not self._stop.is_set():
            if self._try(self._climb) & self._try(self._tell) & self._try(self._send):
                pause = PAUSE
            else:
                self._stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
        self._finish()

    def _try(self, work: Callable[[], None]) -> bool:
        """A fault of one part stops neither the others nor the next second's try."""
        try:
            work()
        except Exception as error:
            log.error("alerts: %s failed: %s", work.__name__.strip("_"), type(error).__name__)
            connections.close_all()
            return False
        return True

    def _climb(self) -> None:
        if time.monotonic() - self._looked >= PAUSE:
            self._looked = time.monotonic()
            self._beat()
            escalation.sweep(limit=CLIMBS)

    def _tell(self) -> None:
        """What happened in cases without the person, in their conversation; once for each look."""
        if self._told < self._looked:
            self._told = self._looked
            takeover.tell_people()

    def _send(self) -> None:
        """Send what is due; with nothing to do, rest until a provider answers or the next look is due."""
        if self._dispatcher.step():
            return
        rest = max(0.0, self._looked + PAUSE - time.monotonic())
        if self._dispatcher.busy:
            self._dispatcher.wait(rest)
        else:
            self._stop.wait(rest)

    def _finish(self) -> None:
        """Take no more; write down what providers still answer."""
        until = time.monotonic() + settings.ALERT_TIMEOUT
        try:
            while self._dispatcher.busy and time.monotonic() < until:
                self._dispatcher.wait(0.1)
                self._dispatcher.step(claim=False)
            Heartbeat.objects.filter(process=self._process).delete()
        except outcomes.DatabaseGone as error:
            log.error("alerts ended without a database: %s", type(error).__name__)

    def _beat(self) -> None:
        now = clock.now()
        Heartbeat.objects.update_or_create(process=self._process, defaults={"role": ROLE, "at": now})
        Heartbeat.objects.filter(role=ROLE, at__lt=now - FORGOTTEN_AFTER).delete()


def _ring_in_the_background() -> None:
    """Give doorbells a loop of their own: a Redis that hangs holds up no notice."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True, name="doorbell").start()
    asyncio.run_coroutine_threadsafe(realtime.listen(_nobody_here), loop).result()


async def _nobody_here(user_id: uuid.UUID, message: dict[str, Any]) -> None:
    """No page is open in this process."""
