"""A process that is stopped while it holds a lock must not hold up those who need it (threat T40; `make chaos`, N07)."""

import psycopg
import pytest
from django.db import connection

from companion.settings import _database


@pytest.mark.django_db
def test_who_stops_in_a_transaction_loses_its_locks_before_others_give_up() -> None:
    where = connection.get_connection_params() | {"options": _database()["OPTIONS"]["options"]}
    wanted = ("host", "port", "user", "password", "dbname", "options")
    with psycopg.connect(**{name: where[name] for name in wanted if where.get(name)}) as process:
        found = process.execute(
            "SELECT name, setting::int FROM pg_settings "
            "WHERE name IN ('statement_timeout', 'idle_in_transaction_session_timeout')"
        )
        milliseconds = dict(found.fetchall())
    assert 0 < milliseconds["idle_in_transaction_session_timeout"] < milliseconds["statement_timeout"]
