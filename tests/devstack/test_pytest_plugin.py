"""The plugin that gives the suite its servers and its browser."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.devstack.processes import gone, needs_linux, until

REPOSITORY = Path(__file__).resolve().parents[2]


def start_pytest(test_file: Path, *options: str, **env: str) -> subprocess.Popen[str]:
    # This process may be a worker of pytest-xdist; what it starts is none.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST_")}
    return subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "pytest",
                "-p",
                "no:django",
                "-p",
                "no:cacheprovider",
                "-p",
                "devstack.pytest_services",
            ),
            *(
                "-c",
                os.devnull,
                f"--rootdir={test_file.parent}",
                "-o",
                "asyncio_mode=auto",
                "-s",
                *options,
                str(test_file),
            ),
        ],
        cwd=REPOSITORY,
        env={**outside, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.fixture
def browser_test(tmp_path: Path) -> Path:
    file = tmp_path / "test_page.py"
    file.write_text("import pytest\n\n@pytest.mark.browser\ndef test_page():\n    pass\n")
    return file


def without_browser(**env: str) -> dict[str, str]:
    # This run's own servers, so that no third pair has to be started.
    servers = {f"TEST_{name}": os.environ[name] for name in ("DATABASE_URL", "REDIS_URL")}
    return {"CHROMIUM": "/nonexistent/chromium", "REQUIRE_BROWSER": "", **servers, **env}


def test_without_a_browser_its_tests_are_skipped_with_one_clear_line(browser_test: Path) -> None:
    output, _ = start_pytest(browser_test, **without_browser()).communicate(timeout=180)
    assert "Browser tests skipped: 1. No Chromium found: install one or set CHROMIUM to its path." in output
    assert "1 skipped" in output


def test_where_the_browser_is_required_its_absence_is_a_failure(browser_test: Path) -> None:
    process = start_pytest(browser_test, **without_browser(REQUIRE_BROWSER="1"))
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 1
    assert "REQUIRE_BROWSER=1 makes this a failure" in output


def test_every_worker_has_servers_of_its_own_and_who_hands_out_the_tests_has_none(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "import os, pathlib\n\n"
        "def pytest_sessionfinish(session):\n"
        "    name = os.environ.get('PYTEST_XDIST_WORKER', 'first')\n"
        "    home = pathlib.Path(os.environ['ANBAN_VAR_DIR']).parent\n"
        "    here = pathlib.Path(__file__).with_name(f'{name}.seen')\n"
        "    here.write_text(' '.join([str(home), *sorted(path.name for path in home.glob('postgres*'))]))\n"
    )
    file = tmp_path / "test_some.py"
    file.write_text(
        "import os, psycopg, pytest, redis\n\n"
        "@pytest.mark.parametrize('n', range(4))\n"
        "def test_servers(n):\n"
        "    psycopg.connect(os.environ['DATABASE_URL']).close()\n"
        "    assert redis.Redis.from_url(os.environ['REDIS_URL']).ping()\n"
    )
    run = start_pytest(file, "-n", "2", TEST_DATABASE_URL="", TEST_REDIS_URL="")
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 0, output
    seen = {path.stem: path.read_text().split() for path in tmp_path.glob("*.seen")}
    assert set(seen) == {"first", "gw0", "gw1"}
    assert len({home for home, *_ in seen.values()}) == 3
    assert seen["first"][1:] == []
    assert seen["gw0"][1:] == seen["gw1"][1:] == ["postgres", "postgres.log"]
    assert not any(Path(home).exists() for home, *_ in seen.values())


@needs_linux
def test_a_killed_test_run_leaves_no_server_and_no_directory(tmp_path: Path) -> None:
    file = tmp_path / "test_hang.py"
    file.write_text(
        "import os, time\n\n"
        "def test_hang():\n"
        "    print('AT', os.environ['ANBAN_VAR_DIR'], flush=True)\n"
        "    time.sleep(60)\n"
    )
    run = start_pytest(file, TEST_DATABASE_URL="", TEST_REDIS_URL="")
    assert run.stdout is not None
    line = next(line for line in run.stdout if "AT /" in line)
    directory = Path(line.split("AT ", 1)[1].strip()).parent
    postgres = int((directory / "postgres" / "postmaster.pid").read_text().split()[0])

    run.send_signal(signal.SIGKILL)
    run.wait()

    assert until(lambda: gone(postgres))
    assert until(lambda: not directory.exists())


def test_the_suite_runs_on_a_throw_away_cluster() -> None:
    if os.environ.get("TEST_DATABASE_URL"):
        pytest.skip("the person who runs the suite gave it a server")
    assert "host=/tmp/anban-test-" in os.environ["DATABASE_URL"]
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("off",)
