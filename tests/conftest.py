"""Fixtures of the whole suite."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management.commands import flush
from django.db import connection
from django.db.models.signals import post_migrate

from accounts import held, keyring, ratelimit
from safety.engine import client
from tests import embeddings
from tests.cast import adult, elder, guardian, minor, moderator, outsider, supervisor

__all__ = ["adult", "elder", "guardian", "minor", "moderator", "outsider", "supervisor"]


# Fixtures whose tests end up asking the embedding server: sites, and those that name it.
_ASKING = frozenset({"_model", "embedding_server"})


def pytest_configure(config: pytest.Config) -> None:
    if board := getattr(config, "workerinput", {}).get("embeddings"):
        embeddings.server.use_shared(board)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A worker of pytest-xdist is about to start."""
    node.workerinput["embeddings"] = embeddings.server.share()


@pytest.hookimpl(tryfirst=True)  # a worker asks before it says that it has collected
def pytest_collection_finish(session: pytest.Session) -> None:
    """The server loads while the first tests run."""
    wanted = any(not _ASKING.isdisjoint(getattr(item, "fixturenames", ())) for item in session.items)
    if wanted and not session.config.option.collectonly:
        embeddings.server.begin()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished() -> None:
    embeddings.server.begin_if_asked()


def pytest_unconfigure() -> None:
    embeddings.server.stop()


@pytest.fixture
def embedding_server(settings: Any) -> Iterator[str]:
    """The real server, also for the code in this process; without this fixture it sees none."""
    settings.EMBEDDINGS_BASE_URL = embeddings.server.url
    settings.EMBEDDINGS_DEADLINE = 10.0  # other work of the machine must not decide what a test finds
    yield settings.EMBEDDINGS_BASE_URL
    client._breakers.clear()


@pytest.fixture(scope="session", autouse=True)
def _quick_flush() -> Iterator[None]:
    """Tables are emptied after a test that commits, but content types and permissions stay, because no test changes them.

    Django empties these too and then writes them anew, which takes four times as long as everything else of a flush.
    """
    assert len(post_migrate.receivers) == 3, (
        "more than content types and permissions is written after a flush"
    )
    kept = {"django_content_type", "auth_permission"}

    def sql_flush(style: Any, connection: Any, **options: bool) -> list[str]:
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        return connection.ops.sql_flush(style, [name for name in tables if name not in kept], **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flush, "sql_flush", sql_flush)
        patch.setattr(flush, "emit_post_migrate_signal", lambda *arguments: None)
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """A test may think for long inside its transaction; a process of the service may not (companion/settings.py)."""
    connection.settings_dict["OPTIONS"]["options"] += " -c idle_in_transaction_session_timeout=0"


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """What processes keep in memory or in Valkey must not travel from one test to the next."""
    keyring.clear_cache()
    ratelimit.reset()
    cache.clear()
    for each in held.EVERY:
        each.rest()
