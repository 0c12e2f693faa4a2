"""People whose signs of life come when a test says so."""

import datetime as dt
from typing import NamedTuple

from django.db import connection
from django.utils import timezone

from accounts.models import Notice, User
from companion import usage
from companion.models import Conversation, Message, UsageMinute, UsageSession
from guardians.limits import EffectivePolicy, effective_policy
from tests.live import open_conversation, sign_in

BEGIN = dt.datetime(2026, 11, 2, 9, 0, tzinfo=dt.UTC)
SECOND, MINUTE, HOUR = dt.timedelta(seconds=1), dt.timedelta(minutes=1), dt.timedelta(hours=1)


class Stretch(NamedTuple):
    first: dt.datetime  # minutes
    last: dt.datetime


class Person:
    """Somebody with a conversation for each companion named."""

    def __init__(self, user: User, *slugs: str) -> None:
        self.user = user
        self.session = sign_in(user)
        self._policy: EffectivePolicy | None = None
        self.conversations: list[Conversation] = [
            open_conversation(user, self.session, slug) for slug in slugs or ("botanist",)
        ]

    @property
    def policy(self) -> EffectivePolicy:
        """As read before, until `changed`."""
        if self._policy is None:
            self._policy = effective_policy(User.objects.get(pk=self.user.pk), timezone.now())
        return self._policy

    def changed(self) -> None:
        self._policy = None

    def touch(self, now: dt.datetime | None, place: int = 0) -> None:
        conversation = self.conversations[place]
        usage.touch(self.user.pk, self.policy, conversation.persona_id, conversation.public_id, now)

    def use(self, begin: dt.datetime, end: dt.datetime) -> None:
        """A sign each minute from `begin` on, the last one at `end`."""
        policy, conversation = self.policy, self.conversations[0]
        while begin < end:
            usage.touch(self.user.pk, policy, conversation.persona_id, conversation.public_id, begin)
            begin += MINUTE
        self.touch(end)

    def was_there(self, begin: dt.datetime, count: int) -> None:
        """So many minutes, as rows."""
        begin = begin.replace(second=0, microsecond=0)
        UsageMinute.objects.bulk_create(
            UsageMinute(
                user=self.user, minute=begin + i * MINUTE, persona_id=self.conversations[0].persona_id
            )
            for i in range(count)
        )

    def notices(self, kind: str = "break") -> list[Notice]:
        return list(Notice.objects.filter(user=self.user, kind=kind).order_by("pk"))

    def reminded(self) -> tuple[int, int]:
        """Notices of a break, and lines about it in conversations."""
        lines = Message.objects.filter(conversation__user=self.user, code="break.due")
        return len(self.notices()), lines.count()

    def minutes(self) -> int:
        return UsageMinute.objects.filter(user=self.user).count()

    def stretches(self) -> list[Stretch]:
        rows = UsageSession.objects.filter(user=self.user).order_by("started_at")
        return [
            Stretch(*(time.replace(second=0, microsecond=0) for time in (row.started_at, row.seen_at)))
            for row in rows
        ]

    def islands(self) -> list[Stretch]:
        """The same from the minutes alone: a pause of more than thirty minutes begins a new one."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT min(minute), max(minute) FROM (SELECT minute, sum(fresh) OVER (ORDER BY minute) AS island FROM ("
                "SELECT minute, (minute - lag(minute) OVER (ORDER BY minute) > interval '30 min')::int AS fresh "
                "FROM companion_usageminute WHERE user_id = %s) AS gaps) AS islands GROUP BY COALESCE(island, 0) ORDER BY 1",
                [self.user.pk],
            )
            return [Stretch(*row) for row in cursor.fetchall()]
