"""Watching processes without sleeping longer than needed."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest


def until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def gone(pid: int) -> bool:
    """Ended; a zombie that a container without an init never reaps counts as ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


needs_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
