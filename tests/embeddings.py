"""The real embedding server, one for the whole test run, because it takes ten seconds and most of a gigabyte.

It starts in the background as soon as a test that needs it was collected, and whoever comes first waits for the rest.
"""

import os
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from devstack.children import Child
from devstack.guard import Guard
from devstack.supervisor import free_port

ROOT = Path(__file__).parents[1]
START_SECONDS = 120.0


class EmbeddingServer:
    def __init__(self) -> None:
        self._child: Child | None = None
        self._stack = ExitStack()
        self._address = ""
        self._ready = False

    def begin(self) -> None:
        """Start it, without waiting."""
        if self._child is not None:
            return
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

    @property
    def url(self) -> str:
        """EMBEDDINGS_BASE_URL of the server, once it is ready."""
        self.begin()
        deadline = time.monotonic() + START_SECONDS
        while not self._ready:
            try:
                with urllib.request.urlopen(f"{self._address}/health", timeout=5):
                    self._ready = True
            except OSError:
                assert self._child is not None and self._child.status is None, "the embedding server ended"
                assert time.monotonic() < deadline, "the embedding server did not start"
                time.sleep(0.1)
        return f"{self._address}/v1"

    def stop(self) -> None:
        self._stack.close()
        self._child, self._ready = None, False


server = EmbeddingServer()
