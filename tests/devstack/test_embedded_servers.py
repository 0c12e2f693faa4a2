"""The embedded PostgreSQL and Valkey survive what happens to servers on a developer's machine."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from devstack import places
from devstack.console import DevstackError
from devstack.embedded import Embedded
from devstack.guard import Guard
from devstack.places import claim, private_dir, unprivileged_account
from devstack.postgres import clear_stale_pid_file
from tests.devstack.processes import until


@pytest.fixture
def home() -> Iterator[Path]:
    """Not pytest's tmp_path: its parents are closed to the account that root runs PostgreSQL as."""
    directory = private_dir(Path(tempfile.mkdtemp(prefix="anban-t-", dir="/tmp")), unprivileged_account())
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard() as guard:
        yield guard


@pytest.fixture
def servers(home: Path, guard: Guard) -> Iterator[Embedded]:
    servers = embedded(home, guard)
    yield servers
    servers.stop()


def embedded(home: Path, guard: Guard, **given: str) -> Embedded:
    return Embedded(home, home, given=given, account=unprivileged_account(), guard=guard)


def test_what_was_written_is_there_after_a_kill_and_an_immediate_restart(servers: Embedded) -> None:
    servers.start(quiet=True)
    with psycopg.connect(servers.urls["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE kept (word text)")
        connection.execute("INSERT INTO kept VALUES ('still here')")
    for server in servers.children:
        server.process.kill()
        server.process.wait()
    servers.children.clear()

    servers.start(quiet=True)

    with psycopg.connect(servers.urls["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT word FROM kept").fetchall() == [("still here",)]


def test_the_application_is_no_superuser_and_may_create_databases(servers: Embedded) -> None:
    servers.start(quiet=True)
    with psycopg.connect(servers.urls["DATABASE_URL"]) as connection:
        row = connection.execute(
            "SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    assert row == (False, True)


def test_nobody_else_can_enter_the_socket_directory(servers: Embedded, home: Path) -> None:
    servers.start(quiet=True)
    assert home.stat().st_mode & 0o077 == 0
    assert {path.name for path in home.iterdir()} >= {".s.PGSQL.5432", "valkey.sock"}


def test_statements_with_personal_data_stay_out_of_the_servers_log(servers: Embedded, home: Path) -> None:
    servers.start(quiet=True)
    with psycopg.connect(servers.urls["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE TABLE people (email text UNIQUE)")
        for _ in range(2):
            with suppress(psycopg.errors.UniqueViolation):
                connection.execute("INSERT INTO people VALUES ('mei@example.org')")
    written = (home / "postgres.log").read_text()
    assert "duplicate key" in written
    assert "mei@example.org" not in written


def test_a_server_named_in_the_environment_is_not_started(home: Path, guard: Guard) -> None:
    servers = embedded(home, guard, DATABASE_URL="postgresql://elsewhere/anban")
    try:
        servers.start(quiet=True)
        assert [server.name for server in servers.children] == ["valkey"]
        assert set(servers.urls) == {"REDIS_URL"}
    finally:
        servers.stop()


def test_data_of_another_major_version_is_refused_in_words(servers: Embedded, home: Path) -> None:
    servers.start(quiet=True)
    servers.stop()
    (home / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(DevstackError, match=r"written by PostgreSQL 12.*Move the directory away"):
        servers.start(quiet=True)


def test_a_pid_file_that_names_a_stranger_is_removed_and_the_stranger_lives(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / "postmaster.pid").write_text(f"{stranger.pid}\n{tmp_path}\n")
        clear_stale_pid_file(tmp_path)
        assert not (tmp_path / "postmaster.pid").exists()
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_server_left_over_from_a_lost_run_is_stopped_before_the_next(servers: Embedded, home: Path) -> None:
    servers.start(quiet=True)
    left_over = servers.children[0].process

    clear_stale_pid_file(home / "postgres")

    assert until(lambda: left_over.poll() is not None)


def test_a_second_run_is_refused_while_the_first_one_lives(tmp_path: Path) -> None:
    lock = claim(tmp_path / "run.lock")
    with pytest.raises(DevstackError, match=f"already running.*process {os.getpid()}"):
        claim(tmp_path / "run.lock")
    os.close(lock)
    os.close(claim(tmp_path / "run.lock"))


def test_the_lock_waits_for_the_guard_of_a_dead_run(tmp_path: Path) -> None:
    """The guard inherits the lock: a new server must not meet an old one that is still going down."""
    lock = claim(tmp_path / "run.lock")
    os.pwrite(lock, b"999999999\n", 0)  # the holder is dead, its guard holds on
    holder = subprocess.Popen(["sleep", "60"], pass_fds=(lock,))
    os.close(lock)
    try:
        with pytest.raises(DevstackError):
            claim(tmp_path / "run.lock", patience=0.3)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    os.close(claim(tmp_path / "run.lock"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")
def test_root_keeps_its_data_where_the_account_can_reach_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("ANBAN_VAR_DIR", str(tmp_path / "var"))
    home = places.data_home(unprivileged_account())
    try:
        assert places.reachable(home, unprivileged_account())
        assert tmp_path.stat().st_mode & 0o777 == 0o700, "a closed directory stays closed"
    finally:
        home.rmdir()  # one per var directory, and this one was made for the test


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes accounts")
def test_programs_in_a_closed_checkout_are_copied_with_their_libraries(tmp_path: Path, home: Path) -> None:
    packages = tmp_path / "site-packages"
    programs = packages / "server" / "bin"
    programs.mkdir(parents=True)
    (programs / "postgres").write_text("program")
    (packages / "server.libs").mkdir()
    (packages / "server.libs" / "libpq.so").write_text("library")
    tmp_path.chmod(0o700)
    home.chmod(0o755)

    copy = places.reachable_programs(programs, home, unprivileged_account())

    assert places.reachable(copy, unprivileged_account())
    assert (copy / "postgres").read_text() == "program"
    assert (copy / ".." / ".." / "server.libs" / "libpq.so").read_text() == "library"


def test_a_socket_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(DevstackError, match="belongs to somebody else"):
        private_dir(tmp_path / "link", unprivileged_account())
