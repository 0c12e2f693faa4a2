"""The guard: a small process that outlives a killed supervisor and clears what it left.

Linux signals the direct children of a dead process by itself (children.py asks for it), but not the
grandchildren, and macOS not even those. The guard is told every child over a pipe; when the pipe closes or
its parent is gone, it ends what is still there, politely and then not, and removes throw-away directories.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE = 5.0  # seconds between asking and killing


class Guard:
    """The supervisor's end of the pipe."""

    def __init__(self, *, keep_open: tuple[int, ...] = (), patience: float = PATIENCE) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "devstack.guard", str(os.getpid()), str(patience)],
            stdin=subprocess.PIPE,
            start_new_session=True,
            pass_fds=keep_open,
            cwd=Path(__file__).resolve().parent.parent,
        )

    def watch(self, pid: int, stop_signal: int) -> None:
        self._tell(f"watch {pid} {stop_signal}")

    def forget(self, pid: int) -> None:
        self._tell(f"forget {pid}")

    def remove_at_end(self, directory: Path) -> None:
        self._tell(f"remove {directory}")

    def close(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(
            BrokenPipeError
        ):  # somebody killed the guard; the servers still have to be stopped in order
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()


def main(parent: int, patience: float) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watched: dict[int, int] = {}
    directories: list[Path] = []
    buffer = b""
    # The parent is looked at as well as the pipe: a process it forked may hold the other end of the pipe
    # open.
    while os.getppid() == parent:
        if not select.select([0], [], [], 1.0)[0]:
            continue
        received = os.read(0, 4096)
        if not received:
            break
        *lines, buffer = (buffer + received).split(b"\n")
        for line in lines:
            verb, _, rest = line.decode().partition(" ")
            if verb == "watch":
                pid, stop_signal = rest.split()
                watched[int(pid)] = int(stop_signal)
            elif verb == "forget":
                watched.pop(int(rest), None)
            else:
                directories.append(Path(rest))
    end_groups(watched, patience)
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


def end_groups(watched: dict[int, int], patience: float) -> None:
    """Every child leads a session of its own, so its process id names the group with its children."""
    for pid, stop_signal in watched.items():
        signal_group(pid, stop_signal, leader_only=True)
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and any(signal_group(pid, 0) for pid in watched):
        time.sleep(0.05)
    for pid in watched:
        signal_group(pid, signal.SIGKILL)


def signal_group(pid: int, number: int, *, leader_only: bool = False) -> bool:
    """Signal a process or its whole group; False when nothing of it is left."""
    try:
        if leader_only:
            os.kill(pid, number)
        else:
            os.killpg(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says this of a group of zombies
        return False
    return True


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
