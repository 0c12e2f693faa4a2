"""Both embedded servers together: the kept ones of a run, and throw-away ones for tests and benchmarks."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from devstack.children import Child
from devstack.console import step
from devstack.guard import Guard
from devstack.places import Account, data_home, socket_dir, unprivileged_account
from devstack.postgres import DATABASE, Postgres
from devstack.valkey import Valkey


class Embedded:
    """The servers that the environment does not name already."""

    def __init__(
        self,
        home: Path,
        sockets: Path,
        *,
        given: Mapping[str, str],
        account: Account | None,
        guard: Guard,
        throwaway: bool = False,
    ) -> None:
        self.home = home
        self.children: list[Child] = []
        self.urls: dict[str, str] = {}
        self._postgres = Postgres(home, sockets, account=account, guard=guard, throwaway=throwaway)
        self._valkey = Valkey(home, sockets, account=account, guard=guard)
        self._given = given

    def start(self, *, quiet: bool = False) -> None:
        for variable, name, server in (
            ("DATABASE_URL", "PostgreSQL", self._postgres),
            ("REDIS_URL", "Valkey", self._valkey),
        ):
            if self._given.get(variable):
                continue
            if quiet:
                self.children.append(server.start())
            else:
                with step(f"Starting {name}"):
                    self.children.append(server.start())
            self.urls[variable] = server.url

    def stop(self) -> None:
        """In the reverse order: PostgreSQL last."""
        while self.children:
            self.children.pop().stop()


def kept_servers(guard: Guard, given: Mapping[str, str]) -> Embedded:
    account = unprivileged_account()
    sockets = socket_dir(account)
    guard.remove_at_end(sockets)
    return Embedded(data_home(account), sockets, given=given, account=account, guard=guard)


def urls_of_running() -> dict[str, str]:
    """Where a run that holds the lock keeps its servers."""
    sockets = socket_dir(unprivileged_account())
    return {
        "DATABASE_URL": f"postgresql://{DATABASE}@/{DATABASE}?host={sockets}",
        "REDIS_URL": f"unix://{sockets}/valkey.sock",
    }


@contextmanager
def throwaway_servers(given: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Yields the environment that leads to new servers and a new var directory.

    They lie under /tmp (a socket's path must be short) and are removed at the end, even after a kill.
    """
    account = unprivileged_account()
    directory = Path(tempfile.mkdtemp(prefix="anban-test-", dir="/tmp"))
    if account:
        os.chown(directory, account.uid, account.gid)
    with Guard() as guard:
        guard.remove_at_end(directory)
        servers = Embedded(directory, directory, given=given, account=account, guard=guard, throwaway=True)
        try:
            servers.start(quiet=True)
            yield servers.urls | {"ANBAN_VAR_DIR": str(directory / "var")}
        finally:
            servers.stop()
            shutil.rmtree(directory, ignore_errors=True)
