"""The minutes that count are those that passed: with guardians' limits, over changes of clocks and zones, in many tabs.

N47 and N48; the days of the limits themselves are in test_limits.py, the stretches in test_usage.py.
"""

import asyncio
import datetime as dt
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone

from accounts import local_days, preferences
from accounts.models import User
from companion import usage
from companion.models import UsageMinute
from guardians.limits import effective_policy, limit_zone
from guardians.models import Limits, TimeRequest
from safety import clock
from tests.companion.presence import HOUR, MINUTE, SECOND, Person
from tests.companion.test_limits import noon
from tests.live import Site, companions, open_conversation, sign_in

__all__ = ["companions"]
pytestmark = pytest.mark.django_db(transaction=True)
DAY = dt.timedelta(days=1)
BY_GUARDIAN, GIVEN = 45, 15  # minutes a day, and for one day on top
CHANGES = [
    ("America/New_York", dt.date(2026, 3, 8)),
    ("America/New_York", dt.date(2026, 11, 1)),
    ("Europe/Berlin", dt.date(2026, 3, 29)),
    ("Europe/Berlin", dt.date(2026, 10, 25)),
    ("Australia/Lord_Howe", dt.date(2026, 4, 5)),
    ("Australia/Lord_Howe", dt.date(2026, 10, 4)),
    ("Pacific/Apia", dt.date(2011, 12, 31)),
]


@pytest.fixture
def young(companions: None, minor: User) -> Person:
    return Person(minor)


def with_limits(young: Person, zone: str, day: dt.date) -> None:
    """A guardian set minutes long ago and gave some more for one day."""
    User.objects.filter(pk=young.user.pk).update(time_zone=zone)
    long_ago = dt.datetime(2010, 1, 1, tzinfo=dt.UTC)
    Limits.objects.create(user=young.user, setter="guardian", daily_minutes=BY_GUARDIAN, valid_from=long_ago)
    TimeRequest.objects.create(
        minor=young.user,
        day=day,
        asked=GIVEN,
        granted=GIVEN,
        state="granted",
        asked_at=local_days.start(day, zone) + 9 * HOUR,
    )


def left(young: Person, now: dt.datetime) -> int:
    """As any process would see it at this moment."""
    policy = effective_policy(User.objects.get(pk=young.user.pk), now)
    standing = usage.standing(young.user.pk, policy, now)
    return 0 if standing.refusal else standing.minutes_left or 0


def used(young: Person, begin: dt.datetime, end: dt.datetime) -> int:
    return UsageMinute.objects.filter(user=young.user, minute__gte=begin, minute__lt=end).count()


def use_all_there_is(young: Person, begin: dt.datetime, end: dt.datetime) -> int:
    """Somebody who is there whenever they may be; how many minutes really passed so."""
    passed, now = 0, begin
    while now < end:
        minutes = min(left(young, now), 30)
        young.was_there(now, minutes)
        passed += minutes
        now += 30 * MINUTE
    return passed


@pytest.mark.parametrize(("zone", "day"), CHANGES, ids=[f"{zone}-{day}" for zone, day in CHANGES])
def test_a_guardian_s_minutes_and_those_given_hold_on_days_when_clocks_change(
    young: Person, zone: str, day: dt.date
) -> None:
    with_limits(young, zone, day)
    first, last = day - 2 * DAY, day + 2 * DAY
    passed = use_all_there_is(young, local_days.start(first, zone), local_days.start(last, zone))
    counted = {}
    for each in (first + i * DAY for i in range(4)):
        begun, end = local_days.start(each, zone), local_days.start(each + DAY, zone)
        if begun != end:  # the date that never was has no minutes
            counted[each] = used(young, begun, end)
    assert counted == {each: BY_GUARDIAN + (GIVEN if each == day else 0) for each in counted}
    assert passed == young.minutes() == sum(counted.values())


@pytest.mark.parametrize(("zone", "day"), CHANGES, ids=[f"{zone}-{day}" for zone, day in CHANGES])
def test_the_reminder_comes_after_two_hours_of_real_time(
    companions: None, adult: User, zone: str, day: dt.date
) -> None:
    """Two hours around the change of the clock, or around the midnight where a date is left out."""
    User.objects.filter(pk=adult.pk).update(time_zone=zone)
    person = Person(adult)
    begun, end = local_days.start(day, zone), local_days.start(day + DAY, zone)
    moments = [begun + i * MINUTE for i in range(int((end - begun) / MINUTE))]
    offset = [moment.astimezone(ZoneInfo(zone)).utcoffset() for moment in moments]
    change = next(
        (at for at, one, two in zip(moments, offset, offset[1:], strict=False) if one != two), begun
    )
    begin = change - HOUR
    person.use(begin, begin + 2 * HOUR - SECOND)
    assert person.reminded() == (0, 0)
    person.touch(begin + 2 * HOUR)
    assert person.reminded() == (1, 1)


@pytest.mark.parametrize(
    "zones", [["Pacific/Honolulu"], ["Pacific/Auckland"], ["Europe/Berlin", "Asia/Tokyo"]]
)
def test_minutes_that_were_given_are_not_had_twice_by_moving(
    young: Person, monkeypatch: Any, zones: list[str]
) -> None:
    """In the middle of the day on which a guardian gave more, and again on the next one."""
    day = dt.date(2026, 11, 2)
    with_limits(young, "Asia/Shanghai", day)
    begin = local_days.start(day, "Asia/Shanghai")
    passed = use_all_there_is(young, begin, begin + 12 * HOUR)
    assert passed == BY_GUARDIAN + GIVEN
    for i, zone in enumerate(zones):
        now = begin + (12 + 24 * i) * HOUR
        monkeypatch.setattr(timezone, "now", lambda now=now: now)
        preferences.change(User.objects.get(pk=young.user.pk), time_zone=zone)
        monkeypatch.undo()
        passed += use_all_there_is(young, now, now + DAY)
    span = (12 * HOUR + len(zones) * DAY) / DAY
    # A day under way in the new zone has its share, rounded up.
    assert passed <= GIVEN + BY_GUARDIAN * (span + 1) + len(zones)
    assert passed == young.minutes()
    assert limit_zone(User.objects.get(pk=young.user.pk), now + 2 * DAY)[0] == zones[-1]


def test_five_tabs_two_devices_and_a_process_that_is_killed_are_sixty_minutes(young: Person) -> None:
    """Each tab says at its own second that somebody is here; those of one process are silent while it starts again.

    With real processes and their memory of what is marked: test_time_sockets.py.
    """
    chance = random.Random(47)
    with_limits(young, "UTC", dt.date(2026, 11, 3))
    begin = dt.datetime(2026, 11, 2, 9, tzinfo=dt.UTC)
    devices = [young, Person(young.user)]  # a login each
    tabs = [(device, tab) for device in range(2) for tab in range(5)]
    signs = sorted(
        (begin + minute * MINUTE + chance.randrange(60) * SECOND, device)
        for minute in range(60)
        for device, _tab in tabs
    )
    killed = begin + 33 * MINUTE + 20 * SECOND
    for moment, device in signs:
        if device == 1 or not killed <= moment < killed + 25 * SECOND:
            devices[device].touch(moment)
    assert 59 <= young.minutes() <= 61
    assert len(young.stretches()) == 1
    assert left(young, begin + HOUR) == 0
    assert left(young, begin + DAY) == BY_GUARDIAN + GIVEN


SKEW = """
import datetime, os, time_machine
shift = datetime.timedelta(seconds=int(os.environ["CLOCK_SKEW"]))
time_machine.travel(datetime.datetime.now(datetime.UTC) + shift, tick=True).start()
"""


def time_in(site: Site) -> float:
    """As a process with this one's environment sees it."""
    asked = [sys.executable, "-c", "import time; print(time.time())"]
    return float(subprocess.run(asked, env=site.environment, capture_output=True, check=True).stdout)


@pytest.mark.parametrize("skew", [3600, -3600])
async def test_a_process_whose_clock_is_wrong_counts_true_minutes_and_gives_no_time(
    site: Site, model: Any, minor: User, tmp_path: Path, skew: int
) -> None:
    """One of two web processes runs an hour ahead or behind from its start on, as everything in it sees the time."""
    (tmp_path / "sitecustomize.py").write_text(SKEW)
    wrong = Site(
        model.url, tmp_path / "log", ANBAN_INSTANCE="wrong", PYTHONPATH=str(tmp_path), CLOCK_SKEW=str(skew)
    )

    assert abs(await asyncio.to_thread(time_in, wrong) - time.time() - skew) < 60

    def prepare() -> tuple[str, Any]:
        noon(minor)
        Limits.objects.create(
            user=minor, setter="guardian", daily_minutes=30, valid_from=timezone.now() - 2 * DAY
        )
        session = sign_in(minor)
        return session, open_conversation(minor, session).public_id

    def spent(minutes: int) -> None:
        UsageMinute.objects.filter(user=minor).delete()
        now = clock.now().replace(second=0, microsecond=0)
        UsageMinute.objects.bulk_create(
            UsageMinute(user=minor, minute=now - (i + 1) * MINUTE) for i in range(minutes)
        )

    async def here(at: Site) -> dict[str, Any]:
        async with at.socket(session, conversation) as page:
            await page.until("ready")
            await page.send(type="here")
            frame: dict[str, Any] = await page.until("usage")
            return frame

    session, conversation = await asyncio.to_thread(prepare)
    await asyncio.to_thread(wrong.start)
    try:
        before = await asyncio.to_thread(clock.now)
        for _ in range(2):
            for each in (site, wrong):
                await here(each)
        after = await asyncio.to_thread(clock.now)
        minutes = [row.minute async for row in UsageMinute.objects.filter(user=minor)]
        # At most two minutes turned, and all of them are minutes in which somebody was there.
        assert before.replace(second=0, microsecond=0) <= min(minutes) <= max(minutes) <= after
        assert len(minutes) <= (after - before) / MINUTE + 2
        await asyncio.to_thread(spent, 20)
        shown = [(await here(each))["minutes_left"] for each in (site, wrong)]
        assert max(shown) <= 10 and max(shown) - min(shown) <= 1
        await asyncio.to_thread(spent, 30)
        for each in (site, wrong):
            async with each.socket(session, conversation) as page:
                await page.say("还能聊吗")
                assert (await page.until("refused"))["code"] == "limit"
    finally:
        await asyncio.to_thread(wrong.stop)
    assert not model.requests
