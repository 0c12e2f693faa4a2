"""Time a day and hours of rest: by the local day of the registered zone, and no way around them."""

import datetime as dt
import itertools
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from accounts import local_days, preferences
from accounts.models import User
from companion import access, departures, steps, turns, usage
from companion.models import Message
from guardians.limits import EffectivePolicy, Quiet, limit_zone
from guardians.models import Limits
from safety import clock
from tests.companion.conftest import say
from tests.companion.presence import HOUR, MINUTE, SECOND, Person
from tests.live import companions, sign_in

__all__ = ["companions"]
pytestmark = pytest.mark.django_db(transaction=True)
NIGHT: Quiet = (dt.time(22), dt.time(6))


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[misc, arg-type]


@pytest.fixture
def person(companions: None, adult: User) -> Person:
    return Person(adult, "botanist", "lighthouse")


def limited(person: Person, minutes: int | None = 60, zone: str = "UTC", *quiet: Quiet) -> EffectivePolicy:
    return replace(person.policy, daily_minutes=minutes, quiet=quiet, zone=zone)


def left(person: Person, policy: EffectivePolicy, now: dt.datetime) -> int | None:
    return usage.standing(person.user.pk, policy, now).minutes_left


# --- the day ---------------------------------------------------------------------------------------------------


def test_nobody_without_limits_pays_for_the_question(person: Person, django_assert_num_queries: Any) -> None:
    policy = person.policy
    with django_assert_num_queries(0):
        assert usage.standing(person.user.pk, policy) == usage.FREE


def test_the_last_minute_may_be_used_to_its_end(person: Person) -> None:
    policy, begin = limited(person), utc(2026, 11, 2, 9)
    person.was_there(begin, 59)
    assert left(person, policy, begin + 59 * MINUTE) == 1
    person.was_there(begin + 59 * MINUTE, 1)
    found = usage.standing(person.user.pk, policy, begin + HOUR - SECOND)
    assert (found.minutes_used, found.minutes_left, found.refusal) == (60, 1, "")
    found = usage.standing(person.user.pk, policy, begin + HOUR)
    assert (found.minutes_used, found.minutes_left, found.refusal) == (60, 0, "limit")


@pytest.mark.parametrize(
    ("zone", "date"),
    [
        ("America/New_York", dt.date(2026, 3, 8)),
        ("America/New_York", dt.date(2026, 11, 1)),
        ("Europe/Berlin", dt.date(2026, 3, 29)),
        ("Europe/Berlin", dt.date(2026, 10, 25)),
        ("Australia/Lord_Howe", dt.date(2026, 4, 5)),
        ("Australia/Lord_Howe", dt.date(2026, 10, 4)),
        ("Pacific/Apia", dt.date(2011, 12, 31)),
        ("Asia/Shanghai", dt.date(2026, 11, 22)),
    ],
)
def test_every_day_has_its_quota_once_also_when_clocks_change(
    person: Person, zone: str, date: dt.date
) -> None:
    """All minutes around the change were used: each local day counts those that are its own."""
    policy = limited(person, 1440, zone)
    before, after = (
        local_days.start(date - local_days.DAY, zone),
        local_days.start(date + 2 * local_days.DAY, zone),
    )
    begin = before - 6 * HOUR
    person.was_there(begin, int((after - begin) / MINUTE) + 360)
    for day in (date - local_days.DAY, date, date + local_days.DAY):
        begun, end = local_days.start(day, zone), local_days.start(day + local_days.DAY, zone)
        if begun == end:
            continue  # the date that never was
        assert usage.standing(person.user.pk, policy, begun).minutes_used == 1
        length = int((end - begun) / MINUTE)
        assert usage.standing(person.user.pk, policy, end - SECOND).minutes_used == length
        assert length in (1380, 1410, 1440, 1470, 1500)


def test_a_new_day_brings_new_time(person: Person) -> None:
    policy = limited(person, 60, "Asia/Shanghai")
    person.was_there(utc(2026, 11, 2, 14, 30), 90)  # 22:30 to midnight
    assert left(person, policy, utc(2026, 11, 2, 15, 59)) == 0
    assert left(person, policy, utc(2026, 11, 2, 16)) == 60


# --- hours of rest ---------------------------------------------------------------------------------------------


def rests(zone: str, now: dt.datetime, *ranges: Quiet) -> dt.datetime | None:
    until, _soon = usage.rest(ranges, zone, now)
    return until.astimezone(ZoneInfo(zone)) if until else None


@pytest.mark.parametrize(
    ("hour", "minute", "until"),
    [(21, 59, None), (22, 0, "06:00"), (23, 59, "06:00"), (0, 0, "06:00"), (5, 59, "06:00"), (6, 0, None)],
)
def test_a_night_goes_over_midnight(hour: int, minute: int, until: str | None) -> None:
    found = rests("UTC", utc(2026, 11, 2, hour, minute), NIGHT)
    assert (found and f"{found:%H:%M}") == until


def test_hours_that_follow_one_another_are_one_rest() -> None:
    more = (dt.time(5), dt.time(7, 30)), (dt.time(7, 30), dt.time(8)), (dt.time(13), dt.time(14))
    found = rests("UTC", utc(2026, 11, 2, 23), NIGHT, *more)
    assert found == utc(2026, 11, 3, 8)
    assert rests("UTC", utc(2026, 11, 2, 13, 30), NIGHT, *more) == utc(2026, 11, 2, 14)
    assert rests("UTC", utc(2026, 11, 2, 9), NIGHT, *more) is None


@pytest.mark.parametrize(
    ("zone", "date", "hours"),
    [
        ("America/New_York", (2026, 3, 8), 7),
        ("America/New_York", (2026, 11, 1), 9),
        ("Europe/Berlin", (2026, 3, 29), 7),
        ("Europe/Berlin", (2026, 10, 25), 9),
        ("Australia/Lord_Howe", (2026, 10, 4), 7.5),
        ("Pacific/Apia", (2011, 12, 31), 8),
        ("Asia/Shanghai", (2026, 11, 22), 8),
    ],
)
def test_a_night_ends_in_the_morning_also_when_clocks_change(
    zone: str, date: tuple[int, int, int], hours: float
) -> None:
    morning = local_days.at(dt.date(*date), dt.time(6), zone)
    evening = morning - dt.timedelta(hours=hours)
    assert usage.rest((NIGHT,), zone, evening)[0] == morning
    assert usage.rest((NIGHT,), zone, morning - SECOND)[0] == morning
    assert usage.rest((NIGHT,), zone, evening - SECOND)[0] is None
    assert usage.rest((NIGHT,), zone, morning)[0] is None


def test_rest_within_a_repeated_hour_lasts_until_it_is_over_for_good() -> None:
    found = usage.rest(((dt.time(1), dt.time(1, 30)),), "America/New_York", utc(2026, 11, 1, 5, 45))
    assert found[0] == utc(2026, 11, 1, 6, 30)


def test_rest_is_announced_an_hour_ahead(person: Person) -> None:
    policy = limited(person, None, "UTC", NIGHT)
    assert left(person, policy, utc(2026, 11, 2, 20, 59)) is None
    assert left(person, policy, utc(2026, 11, 2, 21, 50)) == 10
    assert left(person, policy, utc(2026, 11, 2, 21, 59, 30)) == 1
    found = usage.standing(person.user.pk, limited(person, 60, "UTC", NIGHT), utc(2026, 11, 2, 21, 58))
    assert (found.minutes_left, found.refusal) == (2, "")
    found = usage.standing(person.user.pk, policy, utc(2026, 11, 2, 22))
    assert (found.quiet_until, found.refusal) == (utc(2026, 11, 3, 6), "quiet")


# --- a zone that changes (threat T35) --------------------------------------------------------------------------


def travel(person: Person, monkeypatch: Any, now: dt.datetime, zone: str) -> None:
    monkeypatch.setattr(timezone, "now", lambda: now)
    preferences.change(User.objects.get(pk=person.user.pk), time_zone=zone)
    monkeypatch.undo()


def zone_at(person: Person, now: dt.datetime) -> str:
    return limit_zone(User.objects.get(pk=person.user.pk), now)[0]


@pytest.mark.parametrize("zone", ["Pacific/Honolulu", "Pacific/Auckland", "America/New_York"])
def test_a_new_zone_counts_from_the_end_of_the_day_of_its_registration(
    person: Person, monkeypatch: Any, zone: str
) -> None:
    now = utc(2026, 11, 2, 4)  # noon in Shanghai
    travel(person, monkeypatch, now, zone)
    midnight = utc(2026, 11, 2, 16)
    assert zone_at(person, now) == zone_at(person, midnight - SECOND) == "Asia/Shanghai"
    assert zone_at(person, midnight) == zone


def test_the_first_clock_of_a_day_stays_however_often_it_is_changed(person: Person, monkeypatch: Any) -> None:
    for hour, zone in enumerate(["Pacific/Honolulu", "Pacific/Auckland", "Asia/Shanghai", "Europe/Berlin"]):
        travel(person, monkeypatch, utc(2026, 11, 2, 4 + hour), zone)
    assert zone_at(person, utc(2026, 11, 2, 15, 59)) == "Asia/Shanghai"
    assert zone_at(person, utc(2026, 11, 2, 16)) == "Europe/Berlin"
    travel(person, monkeypatch, utc(2026, 11, 3, 4), "Pacific/Honolulu")
    assert zone_at(person, utc(2026, 11, 3, 22, 59)) == "Europe/Berlin"
    assert zone_at(person, utc(2026, 11, 3, 23)) == "Pacific/Honolulu"


TRIPS = [
    ["America/New_York", "Asia/Shanghai"],
    ["Pacific/Kiritimati", "Pacific/Pago_Pago"],
    ["Asia/Tokyo", "Asia/Shanghai"],
    ["Pacific/Honolulu", "Pacific/Auckland", "Europe/Berlin"],
    [
        "Etc/GMT+3",
        "Etc/GMT-8",
        "Etc/GMT+5",
        "Etc/GMT-6",
        "Etc/GMT+7",
        "Etc/GMT-4",
    ],  # a new day every 13 hours
]


@pytest.mark.parametrize("every", [13, 5])
@pytest.mark.parametrize("zones", TRIPS)
def test_whoever_changes_zones_gets_no_time_twice_and_no_day_without(
    person: Person, monkeypatch: Any, zones: list[str], every: int
) -> None:
    """A minor uses whatever is allowed as soon as it is, and changes the zone as often as they like, for eight days."""
    quota, begin, days = 20, utc(2026, 11, 2), 8
    used: list[dt.datetime] = []
    for step in range(days * 24):
        now = begin + step * HOUR
        if step % every == every // 2:
            travel(person, monkeypatch, now, zones[step // every % len(zones)])
        zone, since = limit_zone(User.objects.get(pk=person.user.pk), now)
        policy = replace(limited(person, quota, zone), zone_since=since)
        if minutes := left(person, policy, now):
            person.was_there(now, minutes)
            used += [now] * minutes
    changes = days * 24 // every
    for index, moment in enumerate(
        used
    ):  # in no stretch of days more than a quota a day, and what rounding gives
        span = (used[-1] - moment) / dt.timedelta(days=1)
        assert len(used) - index <= quota * (span + 1) + min(changes, 2 * days)
    assert max(later - before for before, later in itertools.pairwise(used)) <= dt.timedelta(days=1)


def test_the_rest_of_a_day_under_way_has_its_share_of_time(person: Person, monkeypatch: Any) -> None:
    """From Shanghai to New York: at midnight there it is eleven in the morning here, and 13 of 24 hours are left."""
    travel(person, monkeypatch, utc(2026, 11, 3, 4), "America/New_York")
    midnight = utc(2026, 11, 3, 16)
    person.was_there(midnight - 2 * HOUR, 60)  # all of the day in Shanghai
    user = User.objects.get(pk=person.user.pk)

    def policy(now: dt.datetime) -> EffectivePolicy:
        zone, since = limit_zone(user, now)
        return replace(limited(person, 60, zone), zone_since=since)

    assert left(person, policy(midnight - SECOND), midnight - SECOND) == 0
    assert left(person, policy(midnight), midnight) == 33  # 60 × 13 / 24, rounded up
    tomorrow = utc(2026, 11, 4, 5)
    assert left(person, policy(tomorrow), tomorrow) == 60


# --- at the door -----------------------------------------------------------------------------------------------


def noon(user: User) -> None:
    """Give the person a clock by which the day is far from its ends."""
    offset = (clock.now().hour - 12) % 24
    zone = f"Etc/GMT+{offset}" if offset <= 12 else f"Etc/GMT-{24 - offset}"
    User.objects.filter(pk=user.pk).update(time_zone=zone)


def limit(person: Person, **fields: Any) -> access.Actor:
    noon(person.user)
    Limits.objects.create(user=person.user, setter="self", valid_from=timezone.now(), **fields)
    return actor(person)


def actor(person: Person, session: str = "") -> access.Actor:
    return access.load_actor(person.user.pk, session or person.session, timezone.now())


def used_up(person: Person, minutes: int) -> None:
    person.was_there(clock.now() - (minutes + 1) * MINUTE, minutes)


def code(outcome: steps.Outcome) -> str:
    return outcome.refusal.code if outcome.refusal else ""


def test_no_message_after_the_limit_in_whatever_tab_login_or_conversation(person: Person) -> None:
    one = limit(person, daily_minutes=30)
    assert code(say(one, person.conversations[0], "你好")) == ""
    used_up(person, 31)
    assert code(say(one, person.conversations[0], "还在吗")) == "limit"
    assert code(say(one, person.conversations[1], "那你呢")) == "limit"
    again = Person(person.user, "dragon")
    for conversation in (*person.conversations, *again.conversations):
        assert code(say(actor(again), conversation, "换个设备")) == "limit"
    reply = Message.objects.filter(author="ai", conversation=person.conversations[0]).latest("pk")
    Message.objects.filter(pk=reply.pk).update(state="complete")
    assert code(turns.again(one, person.conversations[0].public_id, reply.public_id)) == "limit"
    assert access.gate(one, person.conversations[0], timezone.now()) == access.Refusal("limit", "use")


def test_who_only_has_the_page_open_does_not_go_on_counting(person: Person) -> None:
    one = limit(person, daily_minutes=30)
    used_up(person, 30)
    before = person.minutes()
    assert turns.here(one, person.conversations[0].public_id).minutes_left == 0
    assert person.minutes() == before


def test_a_conversation_that_was_left_costs_no_time(person: Person) -> None:
    one = actor(person)
    departures.leave(one, person.conversations[0].public_id)
    turns.here(one, person.conversations[0].public_id)
    assert person.minutes() == 0
    turns.here(one, person.conversations[1].public_id)
    assert person.minutes() == 1


def test_a_message_marks_its_minute_and_a_refused_one_does_not(person: Person) -> None:
    assert code(say(actor(person), person.conversations[0], "x" * 5000)) == "too_long"
    assert person.minutes() == 0
    assert code(say(actor(person), person.conversations[0], "你好")) == ""
    assert person.minutes() == 1


def test_rest_at_the_door(person: Person) -> None:
    one = limit(person, quiet_from=dt.time(11), quiet_until=dt.time(14))
    outcome = say(one, person.conversations[0], "你好")
    assert outcome.refusal == access.Refusal("quiet", "use")
    assert turns.here(one, person.conversations[0].public_id).refusal == "quiet"
    assert person.minutes() == 0


def test_somebody_in_danger_is_heard_after_the_limit(person: Person) -> None:
    one = limit(person, daily_minutes=30)
    used_up(person, 31)
    outcome = say(one, person.conversations[0], "我不想活了")
    assert [frame["kind"] for frame in outcome.frames] == ["help.card"]
    assert (
        code(say(actor(person), person.conversations[0], "我好难过")) == ""
    )  # a case is open: humans listen


def test_a_login_of_its_own_is_the_same_person(person: Person) -> None:
    one = limit(person, daily_minutes=30)
    used_up(person, 31)
    other = access.load_actor(person.user.pk, sign_in(person.user), timezone.now())
    assert other.session_key != one.session_key
    assert code(say(other, person.conversations[0], "你好")) == "limit"
