"""The usage clock: minutes once, stretches by gaps and islands, reminders once each, and nothing a client does shortens it."""

import datetime as dt
import uuid
from collections.abc import Callable

import pytest
from django.utils import timezone

from accounts.models import Event, Notice, User
from companion import reminders, usage
from companion.models import Conversation, Message, Persona, UsageMinute, UsageSession
from guardians.limits import EffectivePolicy, effective_policy
from tests.cast import make_user
from tests.live import companions, open_conversation, sign_in

__all__ = ["companions"]
pytestmark = pytest.mark.django_db(transaction=True)

BEGIN = dt.datetime(2026, 11, 2, 9, 0, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
HOUR = dt.timedelta(hours=1)


def policy_of(user: User) -> EffectivePolicy:
    return effective_policy(User.objects.get(pk=user.pk), timezone.now())


class Person:
    """Somebody with conversations, whose signs of life come when a test says so."""

    def __init__(self, user: User, *slugs: str) -> None:
        session = sign_in(user)
        self.user = user
        self.policy = policy_of(user)
        self.conversations = [open_conversation(user, session, slug) for slug in slugs or ("botanist",)]

    def touch(self, now: dt.datetime, conversation: int = 0) -> None:
        place = self.conversations[conversation]
        usage.touch(self.user.pk, self.policy, place.persona_id, place.public_id, now)

    def use(self, begin: dt.datetime, end: dt.datetime, every: dt.timedelta = MINUTE) -> None:
        """A sign each minute, the last one at `end`."""
        while begin < end:
            self.touch(begin)
            begin += every
        self.touch(end)

    def raised(self, kind: str = "break") -> list[Notice]:
        return list(Notice.objects.filter(user=self.user, kind=kind).order_by("pk"))

    def lines(self) -> int:
        return Message.objects.filter(conversation__user=self.user, code="break.due").count()


@pytest.fixture
def person(companions: None, adult: User) -> Person:
    return Person(adult, "botanist", "lighthouse")


def test_nothing_before_two_hours_and_a_reminder_at_two_hours(person: Person) -> None:
    person.use(BEGIN, BEGIN + 2 * HOUR - dt.timedelta(seconds=1))
    assert (person.raised(), person.lines()) == ([], 0)
    person.touch(BEGIN + 2 * HOUR)
    assert (len(person.raised()), person.lines()) == (1, 1)
