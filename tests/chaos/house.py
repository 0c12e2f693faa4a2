"""A whole installation under attack: web, dispatchers and providers, all killable, all gone afterwards.

Celery and beat are never started: nothing of the crisis path may need them (N05).
"""

import json
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from devstack.guard import Guard
from tests.chaos.providers import Mailbox, Telephone
from tests.live import ROOT, Site

SECRET = "a secret between us and the provider"
# The rungs that leave the house come seconds after the first, so that minutes are enough for all of them.
QUICK = json.dumps({"3": {"2": 1, "contact": 2}, "4": {"2": 1, "contact": 2}})
AT_ONCE = json.dumps({"3": {"2": 0, "contact": 0}, "4": {"2": 0, "contact": 0}})


class Dispatcher:
    """One `run_alerts` process, held by a descriptor: a pid that was given away again is never hit."""

    def __init__(self, name: str, pid: int) -> None:
        self.name = name
        self._process = os.pidfd_open(pid)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self.ended(10)

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def ended(self, timeout: float) -> bool:
        """Wait until the process is gone."""
        return bool(select.select([self._process], [], [], timeout)[0])

    def close(self) -> None:
        self.kill()
        os.close(self._process)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._process, number)


class House:
    """`environment` are settings of all its processes. `seed` decides who is killed when."""

    def __init__(
        self,
        directory: Path,
        llm_url: str,
        *,
        seed: int = 0,
        program: tuple[str, ...] = Site.program,
        **environment: str,
    ) -> None:
        self.random = random.Random(seed)
        self.mailbox = Mailbox(directory / "mails")
        self.telephone = Telephone(SECRET)
        self.dispatchers: list[Dispatcher] = []
        self.kills = 0
        self._log = directory / "alerts.log"
        self._guard = Guard()
        self.site = Site(
            llm_url,
            directory / "web.log",
            **{
                "EMBEDDINGS_BASE_URL": "",  # the rules alone: nobody waits for a model here
                "ALERT_LADDER": QUICK,
                "ALERT_LEASE": "3",
                "ALERT_TIMEOUT": "2",
                "ALERT_SMS_URL": self.telephone.url,
                "ALERT_SMS_SECRET": SECRET,
                "MESSAGES_PER_MINUTE": "100000",
                "DATABASE_POOL_SIZE": "12",  # as in a deployment, other than in the suite
                "SOCKET_IDLE_CHECK_SECONDS": "25",
                "LOG_LEVEL": "WARNING",
                **self.mailbox.environment,
                **environment,
            },
        )
        self.site.program = program
        self._nursery: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def open(self, dispatchers: int = 2, *, web: bool = True) -> "House":
        if web:
            self.start_web()
        for number in range(dispatchers):
            self.dispatch(f"d{number}")
        return self

    def start_web(self) -> None:
        self.site.start(close_interrupted=False)
        self._guard.watch(self.site.pid, signal.SIGKILL)

    def restart_web(self) -> None:
        """SIGKILL if it still lives, and up again as soon as it can be."""
        self._guard.forget(self.site.pid)
        self.site.kill()
        self.start_web()

    def dispatch(self, name: str, *, without: str = "", **environment: str) -> Dispatcher:
        """Start a dispatcher. `without`: one of tests.chaos.careless, for the control runs that must fail."""
        with self._lock:
            nursery = self._nursery or self._begin()
            assert nursery.stdin and nursery.stdout
            nursery.stdin.write(
                json.dumps({"name": name, "environment": environment, "without": without}) + "\n"
            )
            nursery.stdin.flush()
            dispatcher = Dispatcher(name, int(nursery.stdout.readline()))
        self.dispatchers.append(dispatcher)
        return dispatcher

    def replace(self, dispatcher: Dispatcher, **options: str) -> Dispatcher:
        """SIGKILL it and start it again at once, as a supervisor does."""
        self.kills += 1
        self.remove(dispatcher)
        return self.dispatch(dispatcher.name, **options)

    def remove(self, dispatcher: Dispatcher) -> None:
        self.dispatchers.remove(dispatcher)
        dispatcher.close()

    def close(self) -> None:
        while self.dispatchers:
            self.remove(self.dispatchers[0])
        if self._nursery is not None:
            self._nursery.kill()
            self._nursery.wait()
        self.site.stop()
        self._guard.close()
        self.mailbox.close()
        self.telephone.close()

    def __enter__(self) -> "House":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _begin(self) -> subprocess.Popen[str]:
        with self._log.open("ab") as log:
            self._nursery = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.nursery"],
                cwd=ROOT,
                env=self.site.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._guard.watch(self._nursery.pid, signal.SIGKILL)
        assert self._nursery.stdout
        if self._nursery.stdout.readline() != "ready\n":
            raise RuntimeError(f"the nursery did not start: {self._log.read_text()[-2000:]}")
        return self._nursery


def wait_for(
    what: Callable[[], bool], seconds: float, every: float = 0.1, said: Callable[[], object] = str
) -> float:
    """Seconds until it is true. Raises TimeoutError with what `said` says then."""
    began = time.monotonic()
    while not what():
        if time.monotonic() - began > seconds:
            raise TimeoutError(f"not within {seconds} s: {said()}")
        time.sleep(every)
    return time.monotonic() - began
