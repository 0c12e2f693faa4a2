"""Pytest plugin: PostgreSQL and Valkey of its own for every test run, and the browser tests' browser.

Loaded by `addopts = -p devstack.pytest_services`, because pytest-django reads the settings before any
conftest.py. `TEST_DATABASE_URL` and `TEST_REDIS_URL` name servers to use instead.

With pytest-xdist (`-n`), every worker has servers of its own; the process that hands out the tests needs none.
"""

import os
from collections.abc import Generator
from contextlib import ExitStack

import pytest

from companion import catalogue
from devstack.browser import find_chromium
from devstack.embedded import throwaway_servers
from devstack.places import REPOSITORY

# A worker with its servers, its site and its browser takes a gigabyte.
MOST_WORKERS = 8
_NO_BROWSER = "No Chromium found: install one or set CHROMIUM to its path."


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """A wrapper runs before every plain hook, also before pytest-django's, which loads the settings."""
    known = early_config.known_args_namespace
    if not (known.help or known.version):
        worker = "PYTEST_XDIST_WORKER" in os.environ
        if not worker:
            catalogue.compile_all(REPOSITORY)  # the compiled texts are not in the repository
        stack = ExitStack()
        # Runs however the session ends; a killed one is cleared by the guard.
        early_config.add_cleanup(stack.close)
        given = {
            "DATABASE_URL": os.environ.get("TEST_DATABASE_URL", ""),
            "REDIS_URL": os.environ.get("TEST_REDIS_URL", ""),
        }
        os.environ.update({name: url for name, url in given.items() if url})
        # With --pdb, `-n auto` is no worker at all.
        if getattr(known, "numprocesses", None) and not worker and not known.usepdb:
            given = dict.fromkeys(given, "each worker starts its own")
        os.environ.update(stack.enter_context(throwaway_servers(given)))
        os.environ["ANBAN_ENV"] = "test"
        # Playwright's sync interface keeps an event loop in the thread, which Django would take for a
        # mistake.
        os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
        # No test talks to a model of the person who runs it.
        for name in [name for name in os.environ if name.startswith(("LLM_", "EMBEDDINGS_"))]:
            del os.environ[name]
        os.environ.pop("ANBAN_DEMO_MODEL", None)
    return (yield)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: one for each core this process may use; messages of a Valkey that was named reach every worker of it."""
    if os.environ.get("TEST_REDIS_URL"):
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST_WORKERS)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "browser: drives a real Chromium; skipped where there is none")
    config.addinivalue_line("markers", "slow: takes more than a few seconds")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("browser") and find_chromium() is None:
        if os.environ.get("REQUIRE_BROWSER") == "1":
            pytest.fail(f"{_NO_BROWSER} REQUIRE_BROWSER=1 makes this a failure.", pytrace=False)
        pytest.skip(_NO_BROWSER)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [
        report for report in terminalreporter.getreports("skipped") if _NO_BROWSER in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.write_line(f"Browser tests skipped: {len(skipped)}. {_NO_BROWSER}", yellow=True)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """For playwright's `chromium.launch(executable_path=…, args=devstack.browser.ARGUMENTS)`."""
    path = find_chromium()
    assert path is not None, _NO_BROWSER
    return path
