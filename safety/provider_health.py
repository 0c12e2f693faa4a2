"""Which providers fail at the moment, as this process sees it, and who takes their place."""

import datetime as dt
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from django.conf import settings
from django.db import transaction

from safety import operations
from safety.models import Delivery

WINDOW: Final = dt.timedelta(minutes=15)
ENOUGH: Final = 10  # results before a share means something
TOO_MANY: Final = 0.15
_MOST: Final = 1000


@dataclass
class ProviderHealth:
    """A provider is in trouble after two failures in a row, or more than 15 % of a quarter of an hour's notices."""

    _results: dict[str, deque[tuple[dt.datetime, bool]]] = field(default_factory=dict)
    _reported: set[str] = field(default_factory=set)

    def route(self, channel: str, now: dt.datetime) -> str:
        """Which channel to use for a row of this one: the second mail provider while only the first is in trouble."""
        second = Delivery.Channel.EMAIL_2
        usable = bool(settings.ALERT_EMAIL_2_URL) and not self._troubled(second, now)
        return second if channel == "email" and usable and self._troubled(channel, now) else channel

    def note(self, channel: str, *, ok: bool, now: dt.datetime) -> None:
        """Operations hear of trouble once, and when it is over."""
        results = self._results.setdefault(channel, deque(maxlen=_MOST))
        results.append((now, ok))
        if self._troubled(channel, now) and channel not in self._reported:
            self._reported.add(channel)
            with transaction.atomic():
                operations.raise_alert("channel.failing", channel, now=now)
        elif ok and channel in self._reported and not self._troubled(channel, now):
            self._reported.remove(channel)
            operations.resolve("channel.failing", channel, now=now)

    def _troubled(self, channel: str, now: dt.datetime) -> bool:
        recent = [ok for at, ok in self._results.get(channel, ()) if at > now - WINDOW]
        if recent[-2:] == [False, False]:
            return True
        return len(recent) >= ENOUGH and recent.count(False) > TOO_MANY * len(recent)
