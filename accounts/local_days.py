"""Calendar days of a time zone as stretches of real time: 23, 24 or 25 hours long, and on one date in Samoa none at all."""

import datetime as dt
from zoneinfo import ZoneInfo

DAY = dt.timedelta(days=1)


def start(date: dt.date, zone: str) -> dt.datetime:
    """The first moment of a local date, in UTC. A midnight that clocks skip is the moment of the change."""
    return at(date, dt.time(), zone)


def at(date: dt.date, time: dt.time, zone: str, *, last: bool = False) -> dt.datetime:
    """A local time in UTC. Clocks that are turned back show some times twice: the first one, or the `last`."""
    local = dt.datetime.combine(date, time, ZoneInfo(zone))
    first = local.astimezone(dt.UTC)
    return max(first, local.replace(fold=1).astimezone(dt.UTC)) if last else first


def date_of(now: dt.datetime, zone: str) -> dt.date:
    """The local date of a moment: the latest one that has begun."""
    date = now.astimezone(ZoneInfo(zone)).date()
    return date + DAY if start(date + DAY, zone) <= now else date


def bounds(now: dt.datetime, zone: str) -> tuple[dt.datetime, dt.datetime]:
    """The local day of a moment: its first moment and that of the next day, in UTC."""
    date = date_of(now, zone)
    return start(date, zone), start(date + DAY, zone)
