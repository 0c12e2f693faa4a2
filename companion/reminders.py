"""Reminders of continuous use: claimed by a conditional update, so that each is raised once, whoever looks first.

The celery beat looks each ten seconds (companion/tasks.py), and so does a sign of life of somebody whose reminder is due
(companion/usage.py). A look costs by the people due, not by all who are here: a handful of statements for a thousand.

Somebody is there with a sign within PRESENT, in a conversation that they have not left. Others are reminded with their next
sign, unless they were away for so long that the stretch is over. Who is in danger, with the companion silent, is left in
peace: the reminder waits until care is over.
"""

import datetime as dt
import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from django.db import connection, transaction

from accounts import generation, realtime
from accounts.models import Notice
from accounts.realtime import NewEvent
from companion import notices
from safety import clock

PAUSE: Final = dt.timedelta(
    minutes=30
)  # a longer one ends a stretch; counted between minutes, as their rows have them
PRESENT: Final = dt.timedelta(
    minutes=2
)  # pages say `here` once a minute, and of a minute the first sign is kept
BATCH: Final = 1_000
LINE: Final = "break.due"  # the sentence in the conversation

# A conversation that is busy in this moment is passed over: nobody waits, and the next look comes soon.
_CLAIM: Final = """
WITH due AS MATERIALIZED (
    SELECT s.id, s.breaks AS before, c.id AS place, past / s.break_every AS breaks,
           COALESCE(past / s.reality_every, 0) AS realities
    FROM companion_usagesession s JOIN companion_conversation c ON c.public_id = s.conversation,
         LATERAL (SELECT floor(extract(epoch FROM %(now)s::timestamptz - s.started_at) / 60)::int AS past) AS time
    WHERE s.due_at <= %(now)s AND s.seen_at > %(present)s AND NOT s.ended AND c.ended_at IS NULL AND {who}
      AND NOT EXISTS (SELECT 1 FROM safety_crisiscase k WHERE k.user_id = s.user_id AND k.state <> 'closed' AND k.ai_muted)
    ORDER BY s.due_at LIMIT %(limit)s FOR UPDATE OF s, c SKIP LOCKED
)
UPDATE companion_usagesession s SET breaks = due.breaks, realities = due.realities,
    due_at = s.started_at + LEAST(make_interval(mins => (due.breaks + 1) * s.break_every),
                                  make_interval(mins => (due.realities + 1) * s.reality_every))
FROM due WHERE s.id = due.id
RETURNING s.user_id, s.id, due.breaks > due.before, due.breaks, due.realities, due.place, s.conversation
"""
_END: Final = """
UPDATE companion_usagesession SET ended = true, due_at = NULL WHERE id IN (
    SELECT id FROM companion_usagesession
    WHERE due_at <= %(now)s AND seen_at < date_trunc('minute', %(now)s::timestamptz) - %(pause)s
    ORDER BY due_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""
# What waits when the next one comes asks no more. A break says all that a reality notice says, and more.
_LAPSE: Final = """
UPDATE accounts_notice n SET answer = 'lapsed'
FROM unnest(%(users)s::uuid[], %(kinds)s::text[]) AS new (user_id, kind)
WHERE n.user_id = new.user_id AND n.answer = '' AND (n.kind = new.kind OR n.kind = 'reality')
RETURNING n.user_id, n.public_id
"""
_RAISE: Final = """
INSERT INTO accounts_notice (public_id, user_id, kind, version, occasion, raised_at, answer)
SELECT gen_random_uuid(), new.user_id, new.kind, %(version)s, new.occasion, %(now)s, ''
FROM unnest(%(users)s::uuid[], %(kinds)s::text[], %(occasions)s::text[]) AS new (user_id, kind, occasion)
WHERE new.kind = 'break' OR NOT EXISTS (
    SELECT 1 FROM accounts_notice n WHERE n.user_id = new.user_id AND n.answer = '' AND n.kind = 'break')
ON CONFLICT DO NOTHING
RETURNING user_id, public_id, kind
"""
_SAY: Final = """
INSERT INTO companion_message (public_id, conversation_id, author, state, code, model, prompt_version, verdict,
    stop_requested, owner, created_at)
SELECT gen_random_uuid(), place.id, 'system', 'complete', %(line)s, '', '', '[]', false, '', %(now)s
FROM unnest(%(places)s::bigint[]) AS place (id)
RETURNING conversation_id, public_id
"""


def raise_due(
    now: dt.datetime | None = None, limit: int | None = None, user_id: uuid.UUID | None = None
) -> int:
    """Remind everybody who is due and there, or this person if they are; how many. `now` is for tests."""
    now = now or clock.now()
    values: dict[str, Any] = {
        "now": now,
        "present": now - PRESENT,
        "pause": PAUSE,
        "limit": limit,
        "user": user_id,
    }
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(_CLAIM.format(who="true" if user_id is None else "s.user_id = %(user)s"), values)
        claimed: list[tuple[Any, ...]] = cursor.fetchall()
        if claimed:
            _remind(cursor, claimed, now)
    return len(claimed)


def end_stretches(now: dt.datetime | None = None, limit: int = 10 * BATCH) -> int:
    """Close stretches whose reminder fell due while nobody was there, so that looks stay short; how many."""
    with connection.cursor() as cursor:
        values: dict[str, Any] = {"now": now or clock.now(), "pause": PAUSE, "limit": limit}
        cursor.execute(_END, values)
        return int(cursor.rowcount)


def _remind(cursor: Any, claimed: Sequence[tuple[Any, ...]], now: dt.datetime) -> None:
    events: defaultdict[uuid.UUID, list[NewEvent]] = defaultdict(list)
    whose = {place: (user, conversation) for user, _id, _is, _n, _m, place, conversation in claimed}
    values = {
        "users": [row[0] for row in claimed],
        "kinds": [Notice.Kind.BREAK.value if row[2] else Notice.Kind.REALITY.value for row in claimed],
        "occasions": [f"{row[1]}:{row[3] if row[2] else row[4]}" for row in claimed],
        "places": [row[5] for row in claimed if row[2]],
        "line": LINE,
        "version": notices.VERSION,
        "now": now,
    }
    cursor.execute(_SAY, values)
    for place, message in cursor.fetchall():
        user, conversation = whose[place]
        events[user].append(NewEvent("message.created", conversation, message))
    cursor.execute(_LAPSE, values)
    for user, notice in cursor.fetchall():
        events[user].append(notices.answered(notice))
    cursor.execute(_RAISE, values)
    for user, notice, kind in cursor.fetchall():
        events[user].append(notices.raised(notice, kind))
    generation.count_policies(events)
    realtime.emit_many(events)
