"""The supervisor, with small processes in place of the application's."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.console import DevstackError
from devstack.supervisor import check_port, process_table
from tests.devstack.processes import gone, needs_linux, until

REPOSITORY = Path(__file__).resolve().parents[2]


class Run:
    def __init__(self, here: Path, *table: str) -> None:
        self.here = here
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.devstack.fake_run", str(here), *table],
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait_until_ready(self) -> list[int]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == "ready":
                return [int(path.read_text()) for path in self.here.glob("*.pid")]
        raise AssertionError("ended before it was ready")

    def end(self) -> str:
        assert self.process.stdout is not None
        output = self.process.stdout.read()
        self.process.wait(timeout=30)
        return output


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[list[Run]]:
    started: list[Run] = []
    yield started
    for run in started:
        run.process.kill()
        run.process.wait()


def test_ctrl_c_stops_the_web_process_first_and_the_model_last(tmp_path: Path, runs: list[Run]) -> None:
    run = Run(tmp_path, "model=3", "worker=2", "beat=1", "web=0")
    runs.append(run)
    pids = run.wait_until_ready()

    run.process.send_signal(signal.SIGINT)
    output = run.end()

    assert run.process.returncode == 0, output
    assert (tmp_path / "order").read_text().split() == ["web", "beat", "worker", "model"]
    assert all(gone(pid) for pid in pids)
    assert "Traceback" not in output


@needs_linux
def test_a_killed_supervisor_leaves_nothing_running_not_even_grandchildren(
    tmp_path: Path, runs: list[Run]
) -> None:
    run = Run(tmp_path, "stubborn=1", "web=0")
    runs.append(run)
    pids = run.wait_until_ready()
    assert len(pids) == 3

    run.process.kill()

    assert until(lambda: all(gone(pid) for pid in pids)), "something is still running"


def test_what_is_not_needed_for_the_page_starts_once_the_page_answers(
    tmp_path: Path, runs: list[Run]
) -> None:
    run = Run(tmp_path, "late=1", "web=0")
    runs.append(run)
    run.wait_until_ready()
    assert until((tmp_path / "late.pid").exists)
    assert (tmp_path / "web.pid").stat().st_mtime_ns < (tmp_path / "late.pid").stat().st_mtime_ns


def test_one_that_ends_by_itself_stops_the_rest_and_is_named_with_its_last_lines(
    tmp_path: Path, runs: list[Run]
) -> None:
    run = Run(tmp_path, "worker=1", "failing=0")
    runs.append(run)
    output = run.end()

    assert run.process.returncode == 3
    assert "'failing' ended by itself with exit status 3" in output
    assert "    the reason" in output
    assert all(gone(int(path.read_text())) for path in tmp_path.glob("*.pid"))


def test_every_line_stands_behind_the_name_of_its_process_without_colours_in_a_pipe(
    tmp_path: Path, runs: list[Run]
) -> None:
    run = Run(tmp_path, "failing=0")
    runs.append(run)
    output = run.end()
    assert "failing  | failing says hello" in output
    assert "\x1b[" not in output


def test_a_busy_port_is_told_before_anything_starts() -> None:
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", 0))
        busy.listen()
        port = busy.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "devstack", "run"],
            cwd=REPOSITORY,
            env={**os.environ, "PORT": str(port)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert f"Port {port} cannot be used" in done.stderr
    assert done.stdout == ""


def test_a_port_that_is_not_a_number_is_told_in_words() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "devstack", "run"],
        cwd=REPOSITORY,
        env={**os.environ, "PORT": "http"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "PORT is 'http'" in done.stderr


def test_a_free_port_is_accepted_and_a_busy_one_is_not() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    check_port(port)
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", port))
        busy.listen()
        with pytest.raises(DevstackError):
            check_port(port)


def names(model_port: int | None, embeddings_port: int | None) -> list[str]:
    table = process_table(port=8000, model_port=model_port, embeddings_port=embeddings_port)
    return [process.name for process in sorted(table, key=lambda process: process.rank)]


def test_model_and_embeddings_run_only_when_no_other_server_is_named() -> None:
    assert "model" in names(9000, None) and "embeddings" not in names(9000, None)
    assert "embeddings" in names(None, 9001) and "model" not in names(None, 9001)


def test_the_stop_goes_from_the_web_process_over_the_workers_to_the_models() -> None:
    assert names(9000, 9001) == [
        "web",
        "beat",
        "worker",
        "alerts-1",
        "alerts-2",
        "auditor",
        "alerts",
        "embeddings",
        "model",
    ]
