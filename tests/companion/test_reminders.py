"""Reminders for many people at once: each claimed once, in a few statements, and pushed to every open page."""

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import realtime
from accounts.models import Event, Notice, User
from companion import access, departures, notices, reminders, statements, tasks
from companion.models import Message, UsageSession
from safety import cases
from safety.models import CrisisCase
from tests.cast import make_user, with_contact
from tests.companion.conftest import say
from tests.companion.presence import BEGIN, HOUR, MINUTE, SECOND, Person
from tests.live import companions

__all__ = ["companions"]
pytestmark = pytest.mark.django_db(transaction=True)
DUE = BEGIN + 2 * HOUR


@pytest.fixture
def person(companions: None, adult: User) -> Person:
    return Person(adult, "botanist", "lighthouse")


def there(person: Person, seen: dt.datetime = DUE - MINUTE) -> Person:
    """Has been here since BEGIN, with a last sign of life then."""
    person.touch(BEGIN)
    UsageSession.objects.filter(user=person.user).update(seen_at=seen)
    return person


def crowd(count: int, name: str = "p") -> list[Person]:
    return [there(Person(with_contact(make_user(f"{name}{i}", 30)))) for i in range(count)]


def kinds(person: Person) -> list[str]:
    return [event.kind for event in realtime.replay(person.user.pk, 0)][-2:]


def test_who_is_there_is_reminded_without_a_sign_of_their_own(person: Person) -> None:
    there(person)
    assert reminders.raise_due(DUE - SECOND) == 0
    before = User.objects.get(pk=person.user.pk).policy_generation
    assert reminders.raise_due(DUE) == 1
    assert reminders.raise_due(DUE) == 0
    assert person.reminded() == (1, 1)
    assert kinds(person) == ["message.created", "notice.raised"]
    assert User.objects.get(pk=person.user.pk).policy_generation == before + 1
    assert [waiting.kind for waiting in notices.pending(person.user.pk, person.session)] == ["break"]
    session = UsageSession.objects.get(user=person.user)
    assert (session.breaks, session.due_at) == (1, BEGIN + 4 * HOUR)


def test_the_line_stands_where_the_person_is(person: Person) -> None:
    person.use(BEGIN, DUE - MINUTE)
    person.touch(DUE - 30 * SECOND, 1)
    reminders.raise_due(DUE)
    line = Message.objects.get(code=reminders.LINE)
    assert line.conversation_id == person.conversations[1].pk
    event = Event.objects.get(user=person.user, kind="message.created", message=line.public_id)
    assert event.conversation == person.conversations[1].public_id


def test_rows_are_as_the_models_would_write_them(person: Person) -> None:
    """The statements name every column themselves: a default that changes must be changed there as well."""
    there(person)
    reminders.raise_due(DUE)
    line, notice = Message.objects.get(code=reminders.LINE), person.notices()[0]
    for row, own in (
        (line, {"id", "public_id", "conversation", "author", "code", "created_at"}),
        (notice, {"id", "public_id", "user", "kind", "version", "occasion", "raised_at"}),
    ):
        fresh = type(row)()
        for field in row._meta.concrete_fields:
            if field.name not in own:
                assert getattr(row, field.attname) == getattr(fresh, field.attname), field.name
    assert (notice.version, notice.raised_at, line.created_at) == (notices.VERSION, DUE, DUE)


def test_who_went_or_left_is_not_reminded_until_they_are_back(person: Person) -> None:
    there(person, seen=DUE - 2 * MINUTE)
    assert reminders.raise_due(DUE) == 0
    person.touch(DUE + 5 * MINUTE)
    assert person.reminded() == (1, 1)


def test_who_left_the_conversation_is_left_in_peace(person: Person) -> None:
    there(person)
    departures.leave(
        access.load_actor(person.user.pk, person.session, timezone.now()), person.conversations[0].public_id
    )
    assert reminders.raise_due(DUE) == 0
    person.touch(DUE, 1)  # and talks with another
    assert person.reminded() == (1, 1)


def test_a_message_is_enough_where_no_celery_runs(person: Person) -> None:
    """It is answered all the same; the next one has to wait for the answer to the notice."""
    now = timezone.now()
    person.touch(now - 2 * HOUR)
    UsageSession.objects.filter(user=person.user).update(seen_at=now - MINUTE)
    actor = access.load_actor(person.user.pk, person.session, now)
    assert say(actor, person.conversations[0], "你好").job is not None
    assert person.reminded() == (1, 1)
    refused = say(actor, person.conversations[1], "你好").refusal
    assert refused is not None and refused.code == "notice"


def case(person: Person, **fields: Any) -> CrisisCase:
    now = timezone.now()
    return CrisisCase.objects.create(
        user=person.user,
        conversation=person.conversations[0].public_id,
        level=3,
        category="self_harm",
        next_due_at=now,
        ladder={},
        **fields,
    )


def test_nobody_in_danger_is_reminded_before_care_is_over(person: Person) -> None:
    there(person)
    row = case(person, ai_muted=True)
    assert cases.care_of(person.user.pk, timezone.now()).muted
    assert reminders.raise_due(DUE) == 0
    person.touch(DUE + MINUTE)
    assert person.reminded() == (0, 0)
    CrisisCase.objects.filter(pk=row.pk).update(state="closed", closed_at=timezone.now(), next_due_at=None)
    assert reminders.raise_due(DUE + MINUTE) == 1
    assert person.reminded() == (1, 1)


def test_a_case_that_does_not_silence_the_companion_changes_nothing(person: Person) -> None:
    there(person)
    case(person, ai_muted=False)
    assert reminders.raise_due(DUE) == 1


def test_many_claimers_at_once_remind_each_person_once(companions: None) -> None:
    people, start = crowd(12), threading.Barrier(6)

    def look(number: int) -> int:
        try:
            start.wait()
            if number % 2:
                return reminders.raise_due(DUE, limit=5) + reminders.raise_due(DUE)
            people[number].touch(DUE)
            return 0
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(look, range(6)))
    reminders.raise_due(DUE)  # whoever was passed over because somebody else was about to
    assert [person.reminded() for person in people] == [(1, 1)] * 12
    for person in people:
        seqs = list(Event.objects.filter(user=person.user).order_by("seq").values_list("seq", flat=True))
        assert seqs == list(range(1, len(seqs) + 1))
        assert seqs[-1] == realtime.last_event(person.user.pk)


def test_a_conversation_that_is_busy_is_passed_over_and_nobody_waits(companions: None) -> None:
    busy, free = crowd(2)

    def look() -> int:
        try:
            return reminders.raise_due(DUE)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            statements.lock_conversation(busy.conversations[0].pk)
            assert pool.submit(look).result(10) == 1
        assert (busy.reminded(), free.reminded()) == ((0, 0), (1, 1))
        assert pool.submit(look).result(10) == 1


def test_a_look_costs_the_same_for_one_and_for_many(companions: None) -> None:
    costs = []
    for count in (1, 10):
        there_now = crowd(count, f"of{count}-")
        with CaptureQueriesContext(connection) as queries:
            assert reminders.raise_due(DUE) == len(there_now)
        costs.append(len(queries))
    assert costs[0] == costs[1] <= 10


def test_a_batch_is_bounded_and_the_task_takes_all(companions: None, monkeypatch: Any) -> None:
    people = crowd(3)
    assert reminders.raise_due(DUE, limit=2) == 2
    now = timezone.now()
    UsageSession.objects.update(started_at=now - 2 * HOUR, seen_at=now, due_at=now, breaks=0)
    Notice.objects.all().delete()
    monkeypatch.setattr(reminders, "BATCH", 1)
    assert tasks.remind_of_breaks() == 3
    assert all(len(person.notices()) == 1 for person in people)


def test_stretches_of_those_who_went_are_closed_when_they_fall_due(person: Person) -> None:
    there(person, seen=DUE - HOUR)
    assert reminders.end_stretches(DUE - SECOND) == 0
    assert reminders.end_stretches(DUE) == 1
    session = UsageSession.objects.get(user=person.user)
    assert (session.ended, session.due_at) == (True, None)
    person.touch(DUE)
    assert (person.reminded(), len(person.stretches())) == ((0, 0), 2)


def test_who_is_away_for_less_than_the_pause_is_not_closed(person: Person) -> None:
    there(person, seen=DUE - 30 * MINUTE)
    assert reminders.end_stretches(DUE) == 0
