"""PostgreSQL and Valkey of a test's own, to kill and to freeze. On unix sockets, gone afterwards."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from devstack.children import Child
from devstack.guard import Guard
from devstack.places import unprivileged_account
from devstack.postgres import Postgres
from devstack.valkey import Valkey
from tests.live import ROOT


class Mortal:
    """A server that comes back with what it had on disk."""

    def __init__(self, server: Postgres | Valkey) -> None:
        self._server = server
        # The kernel ends a child with the thread that started it: this one lives as long as the server may.
        self._starter = ThreadPoolExecutor(max_workers=1)
        self._child: Child
        self.start()
        self.deaths = 0

    @property
    def url(self) -> str:
        return self._server.url

    def kill(self) -> None:
        """SIGKILL for it and all its children at once: what they had only in shared memory is gone."""
        self.deaths += 1
        for pid in [*_children(self._child.pid), self._child.pid]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._child.process.wait()

    def start(self) -> None:
        self._child = self._starter.submit(self._server.start).result()

    def freeze(self) -> None:
        os.kill(self._child.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._child.pid, signal.SIGCONT)

    def stop(self) -> None:
        with suppress(ProcessLookupError):
            self.thaw()
        self._child.stop()
        self._starter.shutdown()


@contextmanager
def valkey() -> Iterator[Mortal]:
    with _home() as (home, guard):
        server = Mortal(Valkey(home, home, account=unprivileged_account(), guard=guard))
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def postgres(*, careless: bool = False) -> Iterator[Mortal]:
    """As a deployment runs it. `careless`: what was committed reaches the disk some time later."""
    with _home() as (home, guard):
        account = unprivileged_account()
        server = Mortal(Postgres(home, home, account=account, guard=guard, throwaway=careless))
        try:
            yield server
        finally:
            server.stop()


def manage(database: str, *command: str) -> str:
    """Run `python` with these arguments on another database; what it prints."""
    environment = {**os.environ, "DATABASE_URL": database, "DJANGO_SETTINGS_MODULE": "companion.settings"}
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


@contextmanager
def _home() -> Iterator[tuple[Path, Guard]]:
    home = Path(tempfile.mkdtemp(prefix="anban-chaos-", dir="/tmp"))  # the path of a socket must be short
    account = unprivileged_account()
    if account:
        os.chown(home, account.uid, account.gid)
    with Guard() as guard:
        guard.remove_at_end(home)
        try:
            yield home, guard
        finally:
            shutil.rmtree(home, ignore_errors=True)


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
