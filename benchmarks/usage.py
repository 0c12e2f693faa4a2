"""What a look for due reminders costs when a million people are here: the tick of the celery beat, in its parts.

python -m benchmarks.usage            ten thousand, a hundred thousand and a million open stretches, about five minutes
python -m benchmarks.usage --quick    without the million, about a minute

benchmarks/README.md says what the columns mean.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from benchmarks import meters
from benchmarks.stage import Stage, stage
from benchmarks.table import Column, show
from devstack.console import step

DUE = 1_000  # people whose reminder falls due in one tick
ROUNDS = 7
_SETTINGS = {"DJANGO_SETTINGS_MODULE": "companion.settings"}

# People, each with a conversation and an open stretch of use. Reminders are spread over the coming two hours.
_PEOPLE = """
INSERT INTO accounts_user (id, password, is_superuser, email, nickname, role, language, time_zone,
    previous_zone, minors_mode, simple_mode, agreement_version, is_staff, is_active, date_joined, session_generation,
    policy_generation)
SELECT gen_random_uuid(), '', false, 'u' || i || '@example.org', '', 'person', 'en', 'UTC', '', '', false, '', false, true,
    now(), 0, 0 FROM generate_series(%(first)s::int, %(last)s::int) AS i
"""
_CONVERSATIONS = """
INSERT INTO companion_conversation (public_id, user_id, persona_id, created_at)
SELECT gen_random_uuid(), u.id, (SELECT min(id) FROM companion_persona), now() FROM accounts_user u
WHERE NOT EXISTS (SELECT 1 FROM companion_conversation c WHERE c.user_id = u.id)
"""
_STRETCHES = """
INSERT INTO companion_usagesession (user_id, started_at, seen_at, conversation, break_every, breaks, realities,
    due_at, ended)
SELECT c.user_id, due - interval '2 hours', now(), c.public_id, 120, 0, 0, due, false
FROM companion_conversation c, LATERAL (SELECT now() + interval '1 hour' + random() * interval '1 hour' AS due) AS later
WHERE NOT EXISTS (SELECT 1 FROM companion_usagesession s WHERE s.user_id = c.user_id)
"""
_COUNTERS = """
INSERT INTO accounts_eventcounter (user_id, last) SELECT id, 0 FROM accounts_user ON CONFLICT DO NOTHING
"""
# A thousand of them fall due, spread over the table.
_FALL_DUE = """
UPDATE companion_usagesession SET due_at = now() - random() * interval '10 seconds', started_at = now() - interval '2 hours',
    seen_at = now(), breaks = 0
WHERE id IN (SELECT id FROM companion_usagesession WHERE due_at > now() ORDER BY random() LIMIT %(due)s)
"""
# The least that a claim can be: one statement over the same rows.
_PLAIN = """
UPDATE companion_usagesession SET due_at = due_at + interval '2 hours', breaks = breaks + 1
WHERE id IN (SELECT id FROM companion_usagesession WHERE due_at <= now() ORDER BY due_at LIMIT %(due)s
    FOR UPDATE SKIP LOCKED) RETURNING user_id
"""


@dataclass(frozen=True)
class Figures:
    """Seconds."""

    idle: list[float]  # nobody is due
    tick: list[float]
    bells: list[float]
    plain: list[float]
    others: float  # cores that somebody else used meanwhile


def grow(scene: Stage, people: int) -> None:
    with psycopg.connect(scene.database_url, autocommit=True) as connection:
        row = connection.execute("SELECT count(*) FROM accounts_user").fetchone()
        have = int(row[0]) if row else 0
        with step(f"{people:,} people with open stretches"):
            while have < people:
                last = min(people, have + 100_000)
                connection.execute(_PEOPLE, {"first": have + 1, "last": last})
                have = last
            for statement in (_CONVERSATIONS, _STRETCHES, _COUNTERS):
                connection.execute(statement)
            for table in (
                "accounts_user",
                "companion_conversation",
                "companion_usagesession",
                "accounts_eventcounter",
            ):
                connection.execute(f"VACUUM ANALYZE {table}".encode())


def measure(scene: Stage, env: dict[str, str]) -> Figures:
    busy, ours = meters.machine_busy(), meters.cpu(scene.everything())
    began = time.monotonic()
    plain = []
    with psycopg.connect(scene.database_url, autocommit=True) as connection:
        for _ in range(ROUNDS):
            connection.execute(_FALL_DUE, {"due": DUE})
            start = time.perf_counter()
            claimed = connection.execute(_PLAIN, {"due": DUE}).fetchall()
            plain.append(time.perf_counter() - start)
            assert len(claimed) == DUE
    printed = json.loads(scene.run("benchmarks.usage", "--ticks", env={**env, **_SETTINGS}))
    foreign = meters.machine_busy() - busy - meters.spent(ours, meters.cpu(scene.everything()))
    return Figures(
        printed["idle"],
        printed["tick"],
        printed["bells"],
        plain,
        max(0.0, foreign / (time.monotonic() - began)),
    )


def ticks() -> None:
    """In a process of the application: looks as the celery task does them."""
    import django

    django.setup()
    from django.db import connection

    from accounts import realtime
    from companion import reminders

    found: dict[str, list[float]] = {"idle": [], "tick": [], "bells": []}
    ring = realtime.ring_many

    def timed(*args: object) -> None:
        start = time.perf_counter()
        ring(*args)  # type: ignore[arg-type]
        found["bells"].append(time.perf_counter() - start)

    realtime.ring_many = timed
    for _ in range(ROUNDS):
        start = time.perf_counter()
        ended, none = reminders.end_stretches(), reminders.raise_due()
        found["idle"].append(time.perf_counter() - start)
        assert (ended, none) == (0, 0)
        with connection.cursor() as cursor:
            cursor.execute(_FALL_DUE, {"due": DUE})
        start = time.perf_counter()
        reminders.end_stretches()
        count = reminders.raise_due()
        found["tick"].append(time.perf_counter() - start)
        assert count == DUE
    json.dump(found, sys.stdout)


def _ms(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.1f} / {max(seconds) * 1000:.1f}"


_COLUMNS: Sequence[Column[Figures]] = (
    ("nobody due", lambda f: _ms(f.idle)),
    ("tick", lambda f: _ms(f.tick)),
    ("of it bells", lambda f: _ms(f.bells)),
    ("plain claim", lambda f: _ms(f.plain)),
    ("tick ÷ plain", lambda f: f"{statistics.median(f.tick) / statistics.median(f.plain):.1f}"),
    ("others", lambda f: f"{f.others:.2f}"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a look for due reminders.")
    parser.add_argument("--quick", action="store_true", help="without the million, about a minute")
    parser.add_argument("--ticks", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.ticks:
        return ticks()
    figures: dict[tuple[str, ...], Figures] = {}
    with stage() as scene:
        env = scene.application_environment("http://127.0.0.1:1/v1")
        with step("Preparing the database"):
            for command in ("migrate", "load_personas"):
                scene.run("django", command, "--skip-checks", "--verbosity", "0", env={**env, **_SETTINGS})
        for people in (10_000, 100_000) if arguments.quick else (10_000, 100_000, 1_000_000):
            grow(scene, people)
            figures[(f"{people:,}",)] = measure(scene, env)
    print(f"\nms, median / longest of {ROUNDS}; {DUE:,} people due\n")
    show(("open stretches",), _COLUMNS, figures)


if __name__ == "__main__":
    main()
