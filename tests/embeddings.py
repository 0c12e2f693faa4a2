"""The real embedding server, one for the whole test run, because it takes ten seconds and most of a gigabyte.

It starts in the background as soon as a test that needs it was collected, and whoever comes first waits for the rest.
With pytest-xdist it belongs to the process that hands out the tests, which outlives every worker: a worker asks for it
with a file in a directory that both know, and finds the address there.
"""

import os
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp

from devstack.children import Child
from devstack.guard import Guard
from devstack.supervisor import free_port

ROOT = Path(__file__).parents[1]
START_SECONDS = 180.0


class EmbeddingServer:
    """`begin`, then `url`, in one process or in a worker; `share` and `begin_if_asked` where the workers come from."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self._stack = ExitStack()
        self._address = ""
        self._ready = False
        self._board: Path | None = None  # the directory of the questions and the answer
        self._theirs = False

    def share(self) -> str:
        """The directory to give to the workers."""
        if self._board is None:
            self._board = Path(mkdtemp(prefix="anban-embeddings-"))
            self._stack.enter_context(guard := Guard())
            guard.remove_at_end(self._board)
        return str(self._board)

    def use_shared(self, board: str) -> None:
        self._board, self._theirs = Path(board), True

    def begin_if_asked(self) -> None:
        if self._board is not None and (self._board / "asked").exists():
            self.begin()

    def begin(self) -> None:
        """Start it, without waiting."""
        if self._theirs:
            assert self._board is not None
            (self._board / "asked").touch()
        elif self._child is None:
            port = free_port()
            self._address = f"http://127.0.0.1:{port}"
            self._child = Child(
                "embeddings",
                [sys.executable, "manage.py", "embedding_server", "--port", str(port)],
                guard=self._stack.enter_context(Guard()),
                cwd=ROOT,
                env={**os.environ, "ANBAN_ENV": "test"},
                stdout=subprocess.DEVNULL,
            )
            self._stack.callback(self._child.stop)
            if self._board is not None:
                (self._board / "draft").write_text(self._address)
                (self._board / "draft").rename(self._board / "address")

    @property
    def url(self) -> str:
        """EMBEDDINGS_BASE_URL of the server, once it is ready."""
        self.begin()
        deadline = time.monotonic() + START_SECONDS
        while not self._ready:
            try:
                if self._theirs and self._board is not None:
                    self._address = (self._board / "address").read_text()
                with urllib.request.urlopen(f"{self._address}/health", timeout=5):
                    self._ready = True
            except OSError:  # no address yet, or nobody there yet
                assert self._child is None or self._child.status is None, "the embedding server ended"
                assert time.monotonic() < deadline, "the embedding server did not start"
                time.sleep(0.1)
        return f"{self._address}/v1"

    def stop(self) -> None:
        self._stack.close()
        self._child, self._ready = None, False


server = EmbeddingServer()
