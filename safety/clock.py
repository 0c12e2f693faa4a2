"""The time of the alert path: the database's, so that processes with wrong clocks agree."""

import datetime as dt

from django.db import connection


def now() -> dt.datetime:
    """clock_timestamp(): goes on within a transaction, other than now()."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        value: dt.datetime = cursor.fetchone()[0]
    return value
