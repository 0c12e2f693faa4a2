"""Starting and stopping one process so that neither it nor its own children can be left behind."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from devstack.guard import Guard, signal_group
from devstack.places import Account

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

# How long each signal is given before the next; after the last one comes SIGKILL for the whole group.
Ladder = Sequence[tuple[signal.Signals, float]]
TERMINATE: Ladder = ((signal.SIGTERM, 10.0),)


class Child:
    """A process in a session of its own: Ctrl-C reaches the supervisor only, which decides the order."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        guard: Guard,
        ladder: Ladder = TERMINATE,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        account: Account | None = None,
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
    ) -> None:
        self.name = name
        self._guard = guard
        self._ladder = ladder
        self.process = subprocess.Popen(
            command,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            preexec_fn=_die_with_parent(ladder[0][0]),
        )
        guard.watch(self.pid, ladder[0][0])

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def status(self) -> int | None:
        """None while it runs, then the exit status as a shell gives it."""
        code = self.process.poll()
        return code if code is None or code >= 0 else 128 - code

    def ask_to_stop(self, number: int | None = None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number if number is not None else self._ladder[0][0])

    def stop(
        self, *, hurry: Callable[[], bool] = lambda: False, wait: Callable[[], None] | None = None
    ) -> None:
        """Climb the ladder until the process has ended, then kill what is left of its group.

        `wait` is called between two looks (the supervisor prints output there); `hurry` ends the politeness.
        """
        for number, patience in self._ladder:
            self.ask_to_stop(number)
            deadline = time.monotonic() + patience
            while self.process.poll() is None and time.monotonic() < deadline and not hurry():
                if wait:
                    wait()
                else:
                    time.sleep(0.02)
        signal_group(self.pid, signal.SIGKILL)
        self.process.wait()
        self._guard.forget(self.pid)


def _die_with_parent(number: int) -> Callable[[], None] | None:
    """Linux: have the kernel send `number` when the supervisor dies, even by kill -9."""
    libc, parent = _libc, os.getpid()
    if libc is None:
        return None

    def arrange() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it died between fork and prctl
            os.kill(os.getpid(), signal.SIGKILL)

    return arrange
