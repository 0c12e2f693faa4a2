"""★ The usage clock: one per person over all devices, tabs, personas and logins (draft article 17, final article 18).

A sign of life (a message, a reply that ends, the frame `here`) marks its minute of the server's clock, once, and carries
on the person's stretch of use. A pause of up to half an hour does not end the stretch; a longer one does, and the next
sign begins a new one. Whoever keeps `here` back gains nothing: messages and replies count by themselves.

Time is the database's, also for what is remembered here: a process with a wrong clock counts true minutes.
"""

import datetime as dt
import logging
import math
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import Error, connection, transaction

from accounts import local_days
from accounts.models import Notice
from companion import notices, reminders
from companion.reminders import PAUSE
from guardians.limits import EffectivePolicy, Quiet
from safety import clock

log = logging.getLogger(__name__)

AHEAD: Final = dt.timedelta(hours=1)  # quiet hours are announced
KEPT: Final = dt.timedelta(days=190)  # half a year, for the person's own charts and for complaints
_BATCH: Final = 20_000  # rows
_REMEMBERED: Final = 20_000  # people whose minute is known to be marked

# One statement, so that minute and stretch agree. A pause is counted between minutes, as their rows have them.
_TOUCH: Final = """
WITH clock AS MATERIALIZED (SELECT COALESCE(%(now)s::timestamptz, clock_timestamp()) AS now),
minute AS (
    INSERT INTO companion_usageminute (user_id, minute, persona_id)
    SELECT %(user)s, date_trunc('minute', clock.now), %(persona)s FROM clock
    ON CONFLICT (user_id, minute) DO NOTHING
),
stretch AS (
    UPDATE companion_usagesession s SET seen_at = GREATEST(s.seen_at, clock.now), conversation = %(conversation)s
    FROM clock WHERE s.user_id = %(user)s AND NOT s.ended AND s.seen_at >= date_trunc('minute', clock.now) - %(pause)s
    RETURNING s.id, s.due_at, s.break_every, s.reality_every
)
SELECT clock.now, stretch.* FROM clock LEFT JOIN stretch ON true
"""
_END: Final = """
UPDATE companion_usagesession SET ended = true, due_at = NULL
WHERE user_id = %(user)s AND NOT ended AND seen_at < date_trunc('minute', %(now)s::timestamptz) - %(pause)s
"""
_BEGIN: Final = """
INSERT INTO companion_usagesession (user_id, started_at, seen_at, conversation, break_every, breaks, reality_every,
    realities, due_at, ended)
VALUES (%(user)s, %(now)s, %(now)s, %(conversation)s, %(break_every)s, 0, %(reality_every)s, 0, %(due)s, false)
ON CONFLICT (user_id) WHERE NOT ended DO NOTHING RETURNING id
"""
# Reminders on another grid, because age or settings are known differently now: what is past of it counts as done.
_REGRID: Final = """
UPDATE companion_usagesession s SET break_every = %(break_every)s, breaks = grid.breaks,
    reality_every = %(reality_every)s, realities = grid.realities,
    due_at = s.started_at + LEAST(make_interval(mins => (grid.breaks + 1) * %(break_every)s::int),
                                  make_interval(mins => (grid.realities + 1) * %(reality_every)s::int))
FROM (SELECT id, past / %(break_every)s::int AS breaks, COALESCE(past / %(reality_every)s::int, 0) AS realities
      FROM (SELECT id, floor(extract(epoch FROM %(now)s::timestamptz - started_at) / 60)::int AS past
            FROM companion_usagesession WHERE id = %(stretch)s) AS age) AS grid
WHERE s.id = grid.id AND NOT s.ended
"""


@dataclass(frozen=True)
class Standing:
    """Where a person stands today. `quiet_until` is None outside quiet hours."""

    minutes_used: int  # counted only where there is a daily limit
    minutes_left: (
        int | None
    )  # until the daily limit, or quiet hours that begin within the hour; None: neither
    quiet_until: dt.datetime | None
    daily_left: int | None = None  # until the daily limit alone

    @property
    def refusal(self) -> str:
        """Why the companion rests now: quiet, limit, or "" when it does not."""
        if self.quiet_until is not None:
            return "quiet"
        return "limit" if self.minutes_left == 0 else ""


FREE: Final = Standing(0, None, None)  # nothing holds this person back


def standing(user_id: uuid.UUID, policy: EffectivePolicy, now: dt.datetime | None = None) -> Standing:
    """No query for somebody without limits. `now` is for tests; otherwise it is the database's.

    A minute that has begun may be used to its end, so it is among those used and not yet missing from those left.
    """
    if policy.daily_minutes is None and not policy.quiet:
        return FREE
    now = now or clock.now()
    until, begins = rest(policy.quiet, policy.zone, now)
    left = [] if begins is None else [math.ceil((begins - now).total_seconds() / 60)]
    if policy.daily_minutes is None:
        return Standing(0, left[0] if left else None, until)
    begun, daily = _today(policy, policy.daily_minutes, now)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), count(*) FILTER (WHERE minute < date_trunc('minute', %(now)s::timestamptz)) "
            "FROM companion_usageminute WHERE user_id = %(user)s AND minute >= %(begun)s AND minute <= %(now)s",
            {"user": user_id, "begun": begun, "now": now},
        )
        used, over = cursor.fetchone()
    daily_left = max(0, daily - over)
    return Standing(used, min([daily_left, *left]), until, daily_left)


def _today(policy: EffectivePolicy, daily: int, now: dt.datetime) -> tuple[dt.datetime, int]:
    """From when the minutes of this day count, and how many it has.

    A day that was under way when a new zone began to count has the share of time that is left of it: whoever changes zones
    gets no time twice, and no day without any. What a guardian gave for this day is not shared out.
    """
    begun, end = local_days.bounds(now, policy.zone)
    since = policy.zone_since
    if since is None or not begun < since <= now:
        return begun, daily
    given = policy.extra_minutes
    return since, math.ceil((daily - given) * ((end - since) / (end - begun))) + given


def rest(
    ranges: tuple[Quiet, ...], zone: str, now: dt.datetime
) -> tuple[dt.datetime | None, dt.datetime | None]:
    """The end of the quiet hours that this moment lies in, and the beginning of those that come within AHEAD."""
    today = local_days.date_of(now, zone)
    # From the day before yesterday on: where a date is missing, its night began then.
    spans = [
        (
            local_days.at(date, begins, zone),
            local_days.at(date if begins < ends else date + local_days.DAY, ends, zone, last=True),
        )
        for begins, ends in ranges
        if begins != ends
        for date in (today + ahead * local_days.DAY for ahead in (-2, -1, 0, 1))
    ]
    until = None
    for begun, end in sorted(spans):
        if begun <= (until or now) < end:  # also those that follow one another
            until = end
    if until is not None:
        return until, None
    soon = (begun for begun, end in spans if now < begun <= now + AHEAD and begun < end)
    return None, min(soon, default=None)


@dataclass(frozen=True)
class _Marked:
    """A minute that needs no second mark, by this process's steady clock."""

    until: float
    due: float  # a reminder falls due then: look again


_marked: dict[uuid.UUID, _Marked] = {}
_lock = threading.Lock()


def touch(
    user_id: uuid.UUID,
    policy: EffectivePolicy,
    persona: int,
    conversation: uuid.UUID,
    now: dt.datetime | None = None,
) -> None:
    """The person is there in this minute. Outside of transactions: it takes locks of its own and rings bells.

    A minute costs one statement per process. Never raises: a message is not lost because its minute could not be marked.
    """
    known = _marked.get(user_id)
    if now is None and known is not None and time.monotonic() < min(known.until, known.due):
        return
    try:
        marked = _touch(user_id, policy, persona, conversation, now)
    except Error as error:
        log.warning("minute not marked: %s", type(error).__name__)
        return
    if now is not None:
        return
    with _lock:
        if len(_marked) >= _REMEMBERED:
            _marked.clear()
        _marked[user_id] = marked


def _touch(
    user_id: uuid.UUID,
    policy: EffectivePolicy,
    persona: int,
    conversation: uuid.UUID,
    virtual: dt.datetime | None,
) -> _Marked:
    steady = time.monotonic()
    values: dict[str, Any] = {
        "user": user_id,
        "persona": persona,
        "conversation": conversation,
        "pause": PAUSE,
        "now": virtual,
        "break_every": policy.reminders.break_every,
        "reality_every": policy.reminders.reality_every,
    }
    with connection.cursor() as cursor:
        cursor.execute(_TOUCH, values)
        now, stretch, due, break_every, reality_every = cursor.fetchone()
    values["now"] = now
    if stretch is None:
        _begin(user_id, policy, values)
    elif (break_every, reality_every) != (policy.reminders.break_every, policy.reminders.reality_every):
        with connection.cursor() as cursor:
            cursor.execute(_REGRID, {**values, "stretch": stretch})
    elif due <= now:
        # Not possible in this moment (somebody in danger, another process about to): the next minute tries again.
        reminders.raise_due(now=virtual, user_id=user_id)
        due = None
    until = steady + 60 - (now.second + now.microsecond / 1e6)
    wait = (due - now).total_seconds() if due is not None else 60.0
    return _Marked(until, steady + wait)


def _begin(user_id: uuid.UUID, policy: EffectivePolicy, values: dict[str, Any]) -> None:
    """A new stretch. Of two processes at once, one begins it."""
    wait = min(policy.reminders.break_every, policy.reminders.reality_every or policy.reminders.break_every)
    due = values["now"] + dt.timedelta(minutes=wait)
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(_END, values)
        cursor.execute(_BEGIN, {**values, "due": due})
        begun = cursor.fetchone()
        if begun is None:
            return
        notices.lapse(user_id, (Notice.Kind.BREAK, Notice.Kind.REALITY, Notice.Kind.START))
        if policy.reminders.start:
            notices.raise_one(user_id, Notice.Kind.START, str(begun[0]))


@dataclass(frozen=True)
class Day:
    """A person's use on one of their days, in minutes."""

    date: dt.date
    hours: tuple[int, ...]  # 24 of them, by the local clock
    personas: Mapping[int | None, int]  # by primary key; None: companions that are no more

    @property
    def minutes(self) -> int:
        return sum(self.hours)

    @property
    def night(self) -> int:
        """Between 22 and 6, as the rules for minors count it: the first hours and the last two of the same date."""
        return sum(self.hours[:6]) + sum(self.hours[22:])


def days(user_id: uuid.UUID, zone: str, first: dt.date, last: dt.date) -> list[Day]:
    """Every day from `first` to `last`, also those without use; one query. Zone: the policy's."""
    with connection.cursor() as cursor:
        # The clocks of all zones differ by whole quarters of an hour.
        cursor.execute(
            "SELECT date_bin('15 minutes', minute, '2000-01-01Z'), persona_id, count(*) FROM companion_usageminute "
            "WHERE user_id = %s AND minute >= %s AND minute < %s GROUP BY 1, 2",
            [user_id, local_days.start(first, zone), local_days.start(last + local_days.DAY, zone)],
        )
        rows = cursor.fetchall()
    hours: dict[dt.date, list[int]] = {}
    personas: dict[dt.date, Counter[int | None]] = {}
    date = first
    while date <= last:
        hours[date], personas[date] = [0] * 24, Counter()
        date += local_days.DAY
    local = ZoneInfo(zone)
    for quarter, persona, count in rows:
        at = quarter.astimezone(local)
        hours[at.date()][at.hour] += count
        personas[at.date()][persona] += count
    return [Day(date, tuple(hours[date]), dict(personas[date])) for date in hours]


def forget(now: dt.datetime) -> int:
    """Minutes and stretches that are older than KEPT; how many. In batches from the oldest on: ids are in order of time."""
    count = 0
    for table, time_ in (("companion_usageminute", "minute"), ("companion_usagesession", "seen_at")):
        gone = _BATCH
        while gone == _BATCH:
            with connection.cursor() as cursor:
                cursor.execute(
                    f"DELETE FROM {table} WHERE {time_} < %s AND id <= (SELECT max(id) FROM "
                    f"(SELECT id FROM {table} ORDER BY id LIMIT %s) AS oldest)",
                    [now - KEPT, _BATCH],
                )
                gone = cursor.rowcount
            count += gone
    return count
