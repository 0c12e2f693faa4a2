"""What a program takes of the machine: processor time and memory of all its processes, from /proc (Linux)."""

import os
from contextlib import suppress
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")

Times = dict[int, float]  # seconds of processor time by process


def tree(pid: int) -> set[int]:
    """A process and everything below it."""
    found = {pid}
    with suppress(OSError):
        for task in (_PROC / str(pid) / "task").iterdir():
            for child in (task / "children").read_text().split():
                found |= tree(int(child))
    return found


def database_processes(postmaster: int, database: str) -> set[int]:
    """PostgreSQL's own processes and the backends of one database; the backends of the others are left out."""
    return {pid for pid in tree(postmaster) if _backend_of(pid) in (None, database)}


def _backend_of(pid: int) -> str | None:
    """The database that a backend serves; its title reads "postgres: role database [local] state"."""
    try:
        title = (_PROC / str(pid) / "cmdline").read_bytes().rstrip(b"\0 ").decode(errors="replace").split()
    except OSError:
        return None
    return title[2] if len(title) > 3 and title[0] == "postgres:" and title[3] == "[local]" else None


def cpu(pids: set[int]) -> Times:
    """From the scheduler, in nanoseconds; the clock ticks of /proc/…/stat are too coarse for twenty turns."""
    times: Times = {}
    for pid in pids:
        with suppress(OSError):
            tasks = (_PROC / str(pid) / "task").iterdir()
            times[pid] = sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    return times


def spent(before: Times, after: Times) -> float:
    """Seconds between two readings; a process that is new has spent all it has."""
    return sum(max(0.0, seconds - before.get(pid, 0.0)) for pid, seconds in after.items())


def memory(pids: set[int]) -> float:
    """Proportional set size in MB: what several processes share counts once."""
    kilobytes = 0
    for pid in pids:
        with suppress(OSError):
            for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kilobytes += int(line.split()[1])
    return kilobytes / 1024


def machine_busy() -> float:
    """Seconds of processor time that the whole machine has spent working."""
    fields = [int(field) for field in (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle, waiting = fields[3], fields[4]
    return (sum(fields) - idle - waiting) / _TICKS
