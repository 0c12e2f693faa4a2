"""Everything a benchmark stands on: servers of its own that keep what they commit, programs on their own core, an end.

Servers get the first core of the process, the stub model and whoever measures get the second; where there is only one, or
the system cannot pin, all share. Everything listens on unix sockets or on 127.0.0.1 and is gone afterwards.
"""

import base64
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from benchmarks import meters
from devstack.children import Child
from devstack.console import step
from devstack.embedded import Embedded
from devstack.guard import Guard
from devstack.places import REPOSITORY, unprivileged_account
from devstack.supervisor import answers, free_port

START_SECONDS = 60.0
_SETTINGS = {"DJANGO_SETTINGS_MODULE": "companion.settings"}


def _cores() -> tuple[set[int], set[int]]:
    if not hasattr(os, "sched_getaffinity"):
        return set(), set()
    available = sorted(os.sched_getaffinity(0))
    return {available[0]}, {available[1 if len(available) > 1 else 0]}


SERVERS, MEASURING = _cores()  # empty sets: this system cannot pin


def pin(cores: set[int]) -> None:
    """Stay on these cores; a child keeps the cores that its parent had when it was started."""
    if cores:
        os.sched_setaffinity(0, cores)


class Stage:
    """The running servers and the programs started beside them."""

    def __init__(self, home: Path, guard: Guard, servers: Embedded) -> None:
        self.home = home
        self.postgres, self.valkey = (child.pid for child in servers.children)
        self._guard = guard
        self.database_url = servers.urls["DATABASE_URL"]
        self._redis_url = servers.urls["REDIS_URL"]
        self._children: list[Child] = []

    def database(self, name: str, schema: str) -> str:
        """A database beside the application's; returns its URL."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        url = self.database_url.replace("/anban?", f"/{name}?")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(schema)
        return url

    def start_model(self) -> str:
        """The stub model, on the core of whoever measures; returns its base URL."""
        port = free_port()
        self._start("model", ["benchmarks.stub", "--port", str(port)], port, {}, MEASURING)
        return f"http://127.0.0.1:{port}/v1"

    def start_program(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> tuple[int, int]:
        """`python -m command…` with `--port` at its end, on the core of the servers; returns its pid and port."""
        port = int(env.get("PORT") or free_port())
        return self._start(name, [*command, str(port)], port, env, SERVERS), port

    def start_worker(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> int:
        """`python -m command…`, which answers on no port, on the core of the servers; returns its pid."""
        return self._spawn(name, command, {**env, **_SETTINGS}, SERVERS).pid

    def run(self, module: str, *arguments: str, env: Mapping[str, str]) -> str:
        """Run `python -m module` to its end and return what it printed."""
        command = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(
            command, cwd=REPOSITORY, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout

    def application_environment(self, model_url: str) -> dict[str, str]:
        """The application as a deployment runs it: production settings, nothing switched off, limits out of the way."""
        port = free_port()
        return {
            "ANBAN_ENV": "production",
            "ANBAN_VAR_DIR": str(self.home / "var"),
            "ANBAN_KEKS": f"bench:{base64.b64encode(os.urandom(32)).decode()}",
            "SECRET_KEY": secrets.token_urlsafe(60),
            "ALLOWED_HOSTS": "127.0.0.1",
            "SITE_URL": f"http://127.0.0.1:{port}",
            "SECURE_SSL_REDIRECT": "0",  # there is no TLS proxy on the loopback
            "PORT": str(port),
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self._redis_url,
            "LLM_BASE_URL": model_url,
            "LLM_MODEL": "stub",
            "MESSAGES_PER_MINUTE": "100000",
            "TOKENS_PER_USER_PER_DAY": str(10**12),
            "TOKENS_PER_DEPLOYMENT_PER_HOUR": str(10**12),
        }

    def start_application(self, env: Mapping[str, str]) -> tuple[int, int]:
        """As `make run` starts it; returns its pid and port."""
        command = ["daphne", "--application-close-timeout", "5", "companion.asgi:application"]
        return self.start_program("app", [*command, "-b", "127.0.0.1", "-p"], env)

    def people(self, count: int, env: Mapping[str, str]) -> list[dict[str, Any]]:
        """Prepare the application's database and let `count` people sign in, each with a conversation."""
        with step("Preparing the database"):
            for command in ("migrate", "load_personas"):
                # The checks of a deployment ask for TLS, which is not there.
                self.run("django", command, "--skip-checks", "--verbosity", "0", env={**env, **_SETTINGS})
        with step(f"{count} people sign in"):
            printed = self.run("benchmarks.people", str(count), env={**env, **_SETTINGS})
        people: list[dict[str, Any]] = json.loads(printed)
        return people

    def collect_static(self, env: Mapping[str, str]) -> None:
        """Compressed files with hashed names, as a deployment serves them."""
        with step("Collecting static files"):
            arguments = ("--no-input", "--skip-checks", "--verbosity", "0")
            self.run("django", "collectstatic", *arguments, env={**env, **_SETTINGS})

    def everything(self) -> set[int]:
        """All processes of this benchmark."""
        return meters.tree(os.getpid())

    def stop(self) -> None:
        while self._children:
            self._children.pop().stop()

    def _start(
        self, name: str, command: Sequence[str], port: int, env: Mapping[str, str], on: set[int]
    ) -> int:
        child = self._spawn(name, command, env, on)
        deadline = time.monotonic() + START_SECONDS
        while not answers(port):
            if child.status is not None or time.monotonic() > deadline:
                said = (self.home / f"{name}.log").read_text(errors="replace")[-3000:]
                raise SystemExit(f"{name} does not answer. It said:\n{said}")
            time.sleep(0.05)
        return child.pid

    def _spawn(self, name: str, command: Sequence[str], env: Mapping[str, str], on: set[int]) -> Child:
        pin(on)
        try:
            with (self.home / f"{name}.log").open("wb") as output:
                child = Child(
                    name,
                    [sys.executable, "-m", *command],
                    guard=self._guard,
                    env={**os.environ, **env},
                    cwd=REPOSITORY,
                    stdout=output,
                    stderr=output,
                )
        finally:
            pin(MEASURING)
        self._children.append(child)
        return child


@contextmanager
def stage() -> Iterator[Stage]:
    """A new PostgreSQL with fsync and synchronous commit, as production has them, and a new Valkey."""
    account = unprivileged_account()
    home = Path(tempfile.mkdtemp(prefix="anban-bench-", dir="/tmp"))  # the path of a socket must be short
    if account:
        os.chown(home, account.uid, account.gid)
    with Guard() as guard:
        guard.remove_at_end(home)
        servers = Embedded(home, home, given={}, account=account, guard=guard)
        found: Stage | None = None
        try:
            pin(SERVERS)
            servers.start()
            pin(MEASURING)
            found = Stage(home, guard, servers)
            yield found
        finally:
            if found is not None:
                found.stop()
            servers.stop()
            shutil.rmtree(home, ignore_errors=True)
