"""`make run`: the embedded servers, the preparation of the database, then every process of the application.

Own code instead of a process manager because of three promises: a stop in order (web first, PostgreSQL
last), nothing left after a kill -9, and readiness that is measured and not guessed. It runs in one thread:
the signals the kernel sends at the death of a parent depend on the thread that started the child.
"""

import http.client
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import IO, TextIO

from devstack.children import Child
from devstack.console import DevstackError, Prefixed, step
from devstack.embedded import Embedded
from devstack.guard import Guard
from devstack.places import REPOSITORY, var_dir

READY_SECONDS = 120.0
LAST_LINES = 20


@dataclass(frozen=True)
class Process:
    """A row of the process table. Lower ranks are stopped first, equal ranks together.

    What a first visitor needs is started `early`: on two cores the page answers seconds sooner when the others
    do not load their modules at the same time.
    """

    name: str
    command: Sequence[str]
    rank: int
    early: bool = False
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass
class _Running:
    process: Process
    child: Child
    last_lines: deque[str]
    rest: bytes = b""


def process_table(*, port: int, model_port: int | None, embeddings_port: int | None) -> list[Process]:
    """What `make run` runs. A port is None when LLM_BASE_URL or EMBEDDINGS_BASE_URL names a server already."""
    programs = Path(sys.executable).parent
    celery = (str(programs / "celery"), "-A", "companion", "--quiet")
    # Root in a container is ordinary for development, and the tasks carry JSON, not pickles.
    as_root = {"PYTHONWARNINGS": "ignore:You're running the worker with superuser privileges"}
    worker = (
        *celery,
        "worker",
        "--pool",
        "prefork",
        "--loglevel",
        "warning",
        "--without-gossip",
        "--without-mingle",
    )
    beat = (*celery, "beat", "--loglevel", "warning", "--schedule", str(var_dir() / "celerybeat-schedule"))
    web = (
        *(sys.executable, "-m", "daphne", "-v", "0", "-b", "127.0.0.1", "-p", str(port)),
        *("--application-close-timeout", "5", "companion.asgi:application"),
    )
    alerts = (sys.executable, "manage.py", "run_alerts")
    table = [
        Process("worker", (*worker, "-n", "default@%h", "-c", "2", "-Q", "default"), rank=2, env=as_root),
        # Two copies, so that one may die or hang; celery's hands below are the third and nothing depends on them.
        Process("alerts-1", (*alerts, "--name", "alerts-1"), rank=2),
        Process("alerts-2", (*alerts, "--name", "alerts-2"), rank=2),
        Process("auditor", (sys.executable, "manage.py", "run_auditor"), rank=2),
        Process("alerts", (*worker, "-n", "alerts@%h", "-c", "1", "-Q", "alerts"), rank=2, env=as_root),
        Process("beat", (*beat, "--pidfile="), rank=1),
        Process("web", web, rank=0, early=True),
    ]
    if model_port is not None:
        model = (sys.executable, "manage.py", "llm_server", "--port", str(model_port))
        table.insert(0, Process("model", model, rank=3, early=True))
    if embeddings_port is not None:
        embeddings = (sys.executable, "manage.py", "embedding_server", "--port", str(embeddings_port))
        table.insert(0, Process("embeddings", embeddings, rank=3, early=True))
    return table


class Supervisor:
    """Starts a table of processes and sees to it that they live and end together."""

    def __init__(
        self, servers: Embedded, *, guard: Guard, env: Mapping[str, str], out: TextIO | None = None
    ) -> None:
        self._servers = servers
        self._guard = guard
        self._env = dict(env)
        self._out = out or sys.stdout
        self._screen = Prefixed(self._out)
        self._selector = selectors.DefaultSelector()
        self._running: list[_Running] = []
        self._stopping = False
        self._hurry = False

    def run(
        self,
        table: Sequence[Process],
        *,
        prepare: Sequence[str] | None = None,
        ready: Callable[[], bool] = lambda: True,
        announce: Callable[[str], None] = lambda prepared: None,
    ) -> int:
        """Returns when everything is stopped: 0 after Ctrl-C, else the status of what ended first."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        try:
            self._servers.start()
            self._env |= self._servers.urls
            prepared = self._prepare(prepare) if prepare else ""
            self._start(process for process in table if process.early)
            self._wait_until_ready(ready)
            self._start(process for process in table if not process.early)
            announce(prepared)
            while True:
                self._pump(0.25)
                self._raise_if_one_ended()
        except KeyboardInterrupt:
            return 0
        except _Ended as ended:
            print(f"\n{ended.message}", file=self._out, flush=True)
            return ended.status or 1
        finally:
            self._stopping = True
            self._stop()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """The first signal begins the ordered stop, a second one ends its patience."""
        if self._stopping:
            self._hurry = True
            return
        self._stopping = True
        raise KeyboardInterrupt

    def _prepare(self, command: Sequence[str]) -> str:
        child = Child(
            "prepare", command, guard=self._guard, env=self._env, cwd=REPOSITORY, stdout=subprocess.PIPE
        )
        try:
            output = _stdout(child).read().decode()
            child.process.wait()
        finally:
            child.stop()
        if status := child.status:
            raise _Ended("The preparation failed; what it said is above.", status)
        return output

    def _start(self, table: Iterable[Process]) -> None:
        for process in table:
            child = Child(
                process.name,
                process.command,
                guard=self._guard,
                env={**self._env, **process.env},
                cwd=REPOSITORY,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            running = _Running(process, child, deque(maxlen=LAST_LINES))
            self._running.append(running)
            os.set_blocking(_stdout(child).fileno(), False)
            self._selector.register(_stdout(child), selectors.EVENT_READ, running)

    def _wait_until_ready(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not ready():
            self._pump(0.1)
            self._raise_if_one_ended()
            if time.monotonic() > deadline:
                raise _Ended(f"The page did not answer within {READY_SECONDS:.0f} seconds; see above.", 1)

    def _pump(self, seconds: float) -> None:
        """Print what the processes wrote, waiting at most `seconds` for it."""
        for key, _ in self._selector.select(seconds):
            running: _Running = key.data
            received = os.read(key.fd, 65536)
            if not received:
                self._selector.unregister(key.fileobj)
            *lines, running.rest = (running.rest + received).split(b"\n")
            if not received and running.rest:
                lines, running.rest = [running.rest], b""
            for line in lines:
                text = line.decode(errors="replace")
                running.last_lines.append(text)
                self._screen.line(running.process.name, text)

    def _raise_if_one_ended(self) -> None:
        for server in self._servers.children:
            if server.status is not None:
                raise _Ended(
                    f"{server.name} ended by itself; see {server.name}.log in {self._servers.home}.",
                    server.status,
                )
        for running in self._running:
            if (status := running.child.status) is not None:
                self._pump(0)
                said = "\n".join(f"    {line}" for line in running.last_lines) or "    (nothing)"
                raise _Ended(
                    f"'{running.process.name}' ended by itself with exit status {status}. "
                    f"Everything else is stopped too. Its last lines:\n{said}",
                    status,
                )

    def _stop(self) -> None:
        for _, same_rank in groupby(sorted(self._running, key=_rank), key=_rank):
            together = list(same_rank)
            began = time.monotonic()
            for running in together:
                running.child.ask_to_stop()
            for running in together:
                running.child.stop(hurry=lambda: self._hurry, wait=lambda: self._pump(0.05))
            self._pump(0)
            names = ", ".join(running.process.name for running in together)
            print(f"Stopped {names} after {time.monotonic() - began:.1f} s", file=self._out, flush=True)
        if self._servers.children:
            with step("Stopping the servers", self._out):
                self._servers.stop()


class _Ended(Exception):
    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def _rank(running: _Running) -> int:
    return running.process.rank


def _stdout(child: Child) -> IO[bytes]:
    assert child.process.stdout is not None
    return child.process.stdout


def answers(port: int, path: str = "/health/") -> bool:
    """Does the page answer with 200?"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def understands(port: int) -> bool:
    """Has the embedding server loaded its model?"""
    return answers(port, "/health")


def check_port(port: int) -> None:
    """A busy port is found out before anything is started."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DevstackError(
                f"Port {port} cannot be used ({error.strerror}). Choose another one: make run PORT=8001"
            ) from error


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
