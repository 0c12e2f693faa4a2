"""The usage clock: minutes once, stretches by gaps and islands, reminders in time, and nothing a client does shortens it."""

import datetime as dt
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts import realtime
from accounts.models import Notice, User
from companion import usage
from companion.models import UsageMinute, UsageSession
from safety import clock
from tests.cast import born
from tests.companion.presence import BEGIN, HOUR, MINUTE, SECOND, Person
from tests.live import companions

__all__ = ["companions"]
pytestmark = pytest.mark.django_db(transaction=True)

# Signs of life of two hours, as (companion, minutes after the beginning).
WAYS = {
    "one page": [(0, i) for i in range(120)],
    "another companion": [(i // 40 % 2, i) for i in range(120)],
    "two devices": [(place, i) for i in range(120) for place in (0, 1)],
    "messages now and then": [(0, i) for i in range(0, 120, 29)] + [(0, 119)],
}
# On these days clocks change within the first hour.
DAYS = [BEGIN, dt.datetime(2026, 3, 8, 6, 30, tzinfo=dt.UTC), dt.datetime(2026, 11, 1, 5, 30, tzinfo=dt.UTC)]


@pytest.fixture
def person(companions: None, adult: User) -> Person:
    User.objects.filter(pk=adult.pk).update(time_zone="America/New_York")
    return Person(adult, "botanist", "lighthouse")


@pytest.mark.parametrize("begin", DAYS, ids=["ordinary", "spring", "autumn"])
@pytest.mark.parametrize("way", WAYS)
def test_a_reminder_after_two_hours_and_again_after_four(
    person: Person, way: str, begin: dt.datetime
) -> None:
    for place, minute in WAYS[way]:
        person.touch(begin + minute * MINUTE, place)
    person.touch(begin + 2 * HOUR - SECOND)
    assert person.reminded() == (0, 0)
    person.touch(begin + 2 * HOUR)
    assert person.reminded() == (1, 1)
    for place, minute in WAYS[way]:
        person.touch(begin + 2 * HOUR + minute * MINUTE, place)
    person.touch(begin + 4 * HOUR - SECOND)
    assert person.reminded() == (1, 1)
    person.touch(begin + 4 * HOUR)
    assert person.reminded() == (2, 2)
    assert len(person.stretches()) == 1


def test_a_new_login_begins_no_new_stretch(person: Person) -> None:
    person.use(BEGIN, BEGIN + HOUR)
    again = Person(person.user, "botanist")  # logs in
    again.use(BEGIN + HOUR + MINUTE, BEGIN + 2 * HOUR - SECOND)
    assert person.reminded() == (0, 0)
    again.touch(BEGIN + 2 * HOUR)
    assert person.reminded() == (1, 1)


def test_a_pause_of_half_an_hour_does_not_end_a_stretch_and_a_longer_one_does(person: Person) -> None:
    person.touch(BEGIN)
    person.touch(BEGIN + 30 * MINUTE)
    assert len(person.stretches()) == 1
    person.touch(BEGIN + 61 * MINUTE)
    assert len(person.stretches()) == 2
    assert UsageSession.objects.get(ended=False).started_at == BEGIN + 61 * MINUTE
    person.use(BEGIN + 62 * MINUTE, BEGIN + 3 * HOUR)
    assert person.reminded() == (0, 0)
    person.touch(BEGIN + 61 * MINUTE + 2 * HOUR)
    assert person.reminded() == (1, 1)


@pytest.mark.parametrize("seed", range(12))
def test_stretches_are_the_islands_of_the_minutes(person: Person, seed: int) -> None:
    chance = random.Random(seed)
    now = BEGIN
    for _ in range(60):
        now += dt.timedelta(
            seconds=chance.choice([1, 20, 59, 60, 61, 600, 1740, 1799, 1800, 1801, 1859, 1860, 1861, 4000])
        )
        person.touch(now, chance.randrange(2))
    assert person.stretches() == person.islands()
    assert UsageSession.objects.filter(user=person.user, ended=False).count() == 1


def test_an_hour_in_five_tabs_and_on_two_devices_is_an_hour(person: Person) -> None:
    for i in range(60):
        for tab in range(10):
            person.touch(BEGIN + i * MINUTE + tab * 5 * SECOND, tab % 2)
    assert person.minutes() == 60


def test_many_processes_at_once_mark_one_minute_and_begin_one_stretch(person: Person) -> None:
    def touch(place: int) -> None:
        try:
            person.touch(BEGIN, place % 2)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(touch, range(32)))
    assert (person.minutes(), len(person.stretches())) == (1, 1)


def test_frames_held_back_do_not_move_the_reminder(person: Person) -> None:
    """A page that says nothing for almost half an hour, again and again, is reminded at the same time."""
    for minute in range(0, 120, 29):
        person.touch(BEGIN + minute * MINUTE)
    person.touch(BEGIN + 2 * HOUR)
    assert person.reminded() == (1, 1)


def test_who_comes_back_after_the_time_is_reminded_at_once_and_only_once(person: Person) -> None:
    person.use(BEGIN, BEGIN + 2 * HOUR - MINUTE)
    person.touch(BEGIN + 2 * HOUR + 25 * MINUTE)
    person.touch(BEGIN + 2 * HOUR + 26 * MINUTE)
    assert person.reminded() == (1, 1)


def test_what_was_not_answered_lapses_with_the_stretch_and_frees_the_page(person: Person) -> None:
    person.use(BEGIN, BEGIN + 2 * HOUR)
    person.touch(BEGIN + 3 * HOUR)
    assert [notice.answer for notice in person.notices()] == [Notice.Answer.LAPSED]
    told = [event.data for event in realtime.replay(person.user.pk, 0) if event.kind == "notice.acknowledged"]
    assert told[-1] == {"notice": str(person.notices()[0].public_id)}


def test_an_unanswered_reminder_makes_room_for_the_next(person: Person) -> None:
    person.use(BEGIN, BEGIN + 4 * HOUR)
    assert [notice.answer for notice in person.notices()] == [Notice.Answer.LAPSED, ""]


def test_minors_hear_each_half_hour_that_this_is_no_person(companions: None, minor: User) -> None:
    person = Person(minor)
    person.use(BEGIN, BEGIN + 30 * MINUTE - SECOND)
    assert person.notices("reality") == []
    person.use(BEGIN + 30 * MINUTE, BEGIN + 2 * HOUR)
    # At two hours the break says it.
    assert [notice.answer for notice in person.notices("reality")] == [Notice.Answer.LAPSED] * 3
    assert person.reminded() == (1, 1)
    person.use(BEGIN + 2 * HOUR, BEGIN + 2 * HOUR + 30 * MINUTE)
    assert len(person.notices("reality")) == 3  # the break still waits
    Notice.objects.filter(user=minor, kind="break").update(answer="continue")
    person.use(BEGIN + 2 * HOUR + 31 * MINUTE, BEGIN + 3 * HOUR)
    assert len(person.notices("reality")) == 4
    assert person.reminded() == (1, 1)


def test_a_stretch_begins_with_a_notice_where_the_law_says_so(person: Person, settings: Any) -> None:
    settings.JURISDICTIONS = ["CN", "US-NY"]
    person.use(BEGIN, BEGIN + 5 * MINUTE)
    assert [notice.answer for notice in person.notices("start")] == [""]
    person.touch(BEGIN + HOUR)
    assert [notice.answer for notice in person.notices("start")] == [Notice.Answer.LAPSED, ""]


def test_a_birthday_or_a_setting_in_the_middle_goes_on_with_the_new_interval(
    person: Person, settings: Any
) -> None:
    person.use(BEGIN, BEGIN + 70 * MINUTE)
    settings.BREAK_EVERY_MINUTES = 50
    person.changed()
    person.use(BEGIN + 71 * MINUTE, BEGIN + 100 * MINUTE - SECOND)
    assert person.reminded() == (0, 0)
    person.touch(BEGIN + 100 * MINUTE)
    assert person.reminded() == (1, 1)
    settings.BREAK_EVERY_MINUTES = 120
    person.changed()
    person.use(BEGIN + 101 * MINUTE, BEGIN + 2 * HOUR)
    assert person.reminded() == (2, 2)
    User.objects.filter(pk=person.user.pk).update(birth_date=born(15))
    person.changed()
    person.use(BEGIN + 2 * HOUR + MINUTE, BEGIN + 2 * HOUR + 30 * MINUTE - SECOND)
    assert person.notices("reality") == []
    Notice.objects.filter(user=person.user, kind="break").update(answer="continue")
    person.touch(BEGIN + 2 * HOUR + 30 * MINUTE)
    assert len(person.notices("reality")) == 1


def test_the_time_is_the_database_s(person: Person, monkeypatch: Any) -> None:
    """A process whose clock is an hour off marks the minute that it is."""
    monkeypatch.setattr(timezone, "now", lambda: dt.datetime.now(dt.UTC) + HOUR)
    before = clock.now()
    person.touch(None)
    minute = UsageMinute.objects.get(user=person.user).minute
    assert before.replace(second=0, microsecond=0) <= minute <= clock.now()
    assert before <= UsageSession.objects.get(user=person.user).started_at <= clock.now()


def test_a_minute_that_is_marked_costs_nothing_more(person: Person, django_assert_num_queries: Any) -> None:
    policy, place = person.policy, person.conversations[0]

    def touch() -> None:
        usage.touch(person.user.pk, policy, place.persona_id, place.public_id)

    touch()
    if clock.now().second >= 58:  # the next minute is near
        while clock.now().second >= 58:
            pass
        touch()
    with django_assert_num_queries(0):
        touch()
        touch()


def test_what_is_remembered_is_bounded(person: Person, monkeypatch: Any) -> None:
    monkeypatch.setattr(usage, "_REMEMBERED", 3)
    for _ in range(5):
        usage._marked[person.user.pk.__class__(int=random.getrandbits(128))] = usage._Marked(0, 0)
    person.touch(None)
    assert len(usage._marked) == 1


def test_a_database_that_fails_costs_a_minute_and_no_message(person: Person) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE companion_usagesession RENAME TO away")
    try:
        person.touch(BEGIN)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO companion_usagesession")
    assert person.minutes() == 0
    person.touch(BEGIN)
    assert person.minutes() == 1


def test_days_hours_and_companions(person: Person) -> None:
    zone = "America/New_York"
    # 23:50 to 00:09 by this clock, and noon with another companion.
    person.was_there(dt.datetime(2026, 11, 3, 4, 50, tzinfo=dt.UTC), 20)
    other = person.conversations[1].persona_id
    UsageMinute.objects.create(
        user=person.user, minute=dt.datetime(2026, 11, 3, 17, 0, tzinfo=dt.UTC), persona_id=other
    )
    days = usage.days(person.user.pk, zone, dt.date(2026, 11, 1), dt.date(2026, 11, 4))
    assert [(day.date.day, day.minutes, day.night) for day in days] == [
        (1, 0, 0),
        (2, 10, 10),
        (3, 11, 10),
        (4, 0, 0),
    ]
    assert (days[1].hours[23], days[2].hours[0], days[2].hours[12]) == (10, 10, 1)
    assert days[2].personas == {person.conversations[0].persona_id: 10, other: 1}


def test_days_cost_one_statement(person: Person, django_assert_num_queries: Any) -> None:
    person.was_there(BEGIN, 500)
    with django_assert_num_queries(1):
        usage.days(person.user.pk, "Asia/Kathmandu", dt.date(2026, 10, 10), dt.date(2026, 11, 10))


def test_old_minutes_and_stretches_are_forgotten_in_batches(person: Person, monkeypatch: Any) -> None:
    monkeypatch.setattr(usage, "_BATCH", 3)
    for day in range(5):
        person.touch(BEGIN + day * 24 * HOUR)
    now = BEGIN + 3 * 24 * HOUR + usage.KEPT - SECOND
    assert usage.forget(now) == 6
    assert (person.minutes(), len(person.stretches())) == (2, 2)
    assert usage.forget(now) == 0
