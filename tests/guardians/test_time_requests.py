"""More time today: asked with one tap, given with one, by the first who answers, and for that day only."""

import datetime as dt
import threading
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.test import Client, override_settings
from django.urls import reverse
from django.utils import timezone

from accounts import preferences
from accounts.models import AuditEntry, User
from companion import tasks, usage
from guardians import access, limits, requests
from guardians.access import Right, Role
from guardians.models import Guardianship, Limits, TimeRequest
from guardians.requests import NotPossible, Over
from safety import clock
from safety.models import CareNotice, Delivery
from tests.cast import make_user, with_guardian
from tests.companion.presence import MINUTE, SECOND, Person
from tests.live import companions
from tests.safety.test_cases import signal

__all__ = ["companions"]
pytestmark = pytest.mark.django_db(transaction=True)

NOON = dt.datetime(2026, 11, 5, 4, tzinfo=dt.UTC)  # in Shanghai
MIDNIGHT = dt.datetime(2026, 11, 5, 16, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def child(minor: User) -> User:
    User.objects.filter(pk=minor.pk).update(time_zone="Asia/Shanghai")
    return User.objects.get(pk=minor.pk)


def fresh(user: User) -> User:
    return User.objects.get(pk=user.pk)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client


def link_of(guardian: User, minor: User) -> Guardianship:
    return access.link_of(guardian, minor.pk, Right.EDIT)


def second(minor: User, role: Role = Role.MANAGE, name: str = "second") -> User:
    user = make_user(name, 46)
    link = Guardianship.objects.create(
        minor=minor, guardian=user, state="active", details=b"", consented_at=timezone.now()
    )
    access.give(link, role)
    return user


def ask(minor: User, minutes: int = 30, now: dt.datetime = NOON) -> TimeRequest:
    return requests.ask(fresh(minor), minutes, now)


def give(guardian: User, asked: TimeRequest, minutes: int = 30, now: dt.datetime = NOON) -> TimeRequest:
    return requests.answer(link_of(guardian, asked.minor), guardian, asked.pk, minutes, now)


def why(minor: User, minutes: int = 30, now: dt.datetime = NOON) -> str:
    try:
        with transaction.atomic():
            ask(minor, minutes, now)
            transaction.set_rollback(True)
    except NotPossible as error:
        return error.why
    return ""


def daily(minor: User, now: dt.datetime) -> int | None:
    return limits.effective_policy(fresh(minor), now).daily_minutes


# --- asking and answering --------------------------------------------------------------------------------------


def test_what_is_given_counts_today_and_not_tomorrow(child: User, guardian: User) -> None:
    asked = ask(child, 30)
    assert (asked.day, asked.state, requests.open_of(child, NOON)) == (dt.date(2026, 11, 5), "open", asked)
    assert daily(child, NOON) == 60
    before = fresh(child).policy_generation
    given = give(guardian, asked, 15, NOON + MINUTE)
    assert (given.state, given.granted, given.answered_by) == ("granted", 15, guardian)
    assert daily(child, NOON + MINUTE) == daily(child, MIDNIGHT - SECOND) == 75
    assert daily(child, MIDNIGHT) == 60
    assert fresh(child).policy_generation == before + 1
    entries = {e.action: (e.actor, e.data) for e in AuditEntry.objects.filter(action__startswith="time.")}
    assert entries == {
        "time.asked": (child.pk, {"minutes": 30}),
        "time.answered": (guardian.pk, {"asked": 30, "minutes": 15}),
    }


def test_a_no_is_an_answer_and_holds_for_the_day(child: User, guardian: User) -> None:
    assert give(guardian, ask(child), 0).state == "declined"
    assert daily(child, NOON) == 60
    assert why(child) == "declined"
    assert why(child, now=MIDNIGHT) == ""


def test_one_waits_at_a_time_and_there_are_few_a_day(child: User, guardian: User) -> None:
    with override_settings(MINORS_EXTRA_MINUTES=120):
        for _ in range(requests.A_DAY):
            asked = ask(child, 15)
            assert why(child) == "waiting"
            give(guardian, asked, 15)
        assert why(child, 15) == "often"


def test_all_guardians_together_give_no_more_than_the_operator_says(child: User, guardian: User) -> None:
    other = second(child)
    give(guardian, ask(child, 60), 45)
    assert requests.today(fresh(child), NOON).choices == (15,)
    assert why(child, 30) == "spent"
    asked = ask(child, 15)
    with pytest.raises(NotPossible):
        give(other, asked, 16)
    give(other, asked, 15)
    assert why(child, 15) == "spent"
    assert daily(child, NOON) == 120


@pytest.mark.parametrize("minutes", [0, -15, 7, 61, 240])
def test_only_the_offered_minutes_can_be_asked_for(child: User, minutes: int) -> None:
    assert why(child, minutes) == "spent"


def test_asking_is_for_whom_it_can_help(child: User, adult: User, guardian: User) -> None:
    assert why(adult) == "none"
    with override_settings(MINORS_EXTRA_MINUTES=0):
        assert why(child) == "none"
    own = Limits.objects.create(user=child, setter="self", daily_minutes=60, valid_from=NOON)
    assert why(child) == "own"
    own.delete()
    access.give(Guardianship.objects.get(minor=child), Role.VIEW)
    assert why(child) in ("guardian", "none")  # nobody could answer


def test_less_than_a_quarter_of_an_hour_can_be_asked_for_when_no_more_is_left(
    child: User, guardian: User
) -> None:
    give(guardian, ask(child, 60), 50)
    assert requests.today(fresh(child), NOON).choices == (10,)
    assert why(child, 10) == ""


# --- who answers -----------------------------------------------------------------------------------------------


def test_the_first_answer_counts_also_when_two_press_at_once(child: User, guardian: User) -> None:
    other, asked = second(child), ask(child)
    start, outcomes = threading.Barrier(2), []

    def press(user: User, minutes: int) -> None:
        try:
            link = link_of(user, child)
            start.wait()
            with transaction.atomic(durable=True):
                requests.answer(link, user, asked.pk, minutes, NOON)
            outcomes.append(minutes)
        except Over:
            outcomes.append("over")
        finally:
            connection.close()

    threads = [threading.Thread(target=press, args=each) for each in ((guardian, 30), (other, 15))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("over") == 1
    [minutes] = [each for each in outcomes if each != "over"]
    asked.refresh_from_db()
    assert asked.granted == minutes
    assert daily(child, NOON) == 60 + int(minutes)
    assert AuditEntry.objects.filter(action="time.answered").count() == 1


def test_two_taps_at_once_are_one_request(child: User) -> None:
    start, outcomes = threading.Barrier(2), []

    def tap() -> None:
        try:
            start.wait()
            requests.ask(fresh(child), 30, NOON)
            outcomes.append("asked")
        except NotPossible as error:
            outcomes.append(error.why)
        finally:
            connection.close()

    threads = [threading.Thread(target=tap) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["asked", "waiting"]


def test_nobody_without_the_right_answers(child: User, guardian: User, outsider: User) -> None:
    asked = ask(child)
    mine = link_of(guardian, child)
    looking = second(child, Role.VIEW)
    foreign = make_user("foreign", 40)
    with_guardian(make_user("foreignminor", 14), foreign)
    for user in (outsider, looking, foreign, child):
        with pytest.raises(access.NotFound):
            requests.answer(mine, user, asked.pk, 30, NOON)
    theirs = Guardianship.objects.get(guardian=foreign)
    with pytest.raises(access.NotFound):  # another child's request through one's own link
        requests.answer(theirs, foreign, asked.pk, 30, NOON)
    assert requests.open_of(child, NOON) == asked


# --- the day ---------------------------------------------------------------------------------------------------


def test_yesterday_s_request_cannot_be_answered_and_does_not_stand_in_the_way(
    child: User, guardian: User
) -> None:
    asked = ask(child, now=MIDNIGHT - SECOND)
    assert requests.open_of(fresh(child), MIDNIGHT - SECOND) == asked
    assert requests.open_of(fresh(child), MIDNIGHT) is None
    with pytest.raises(Over):
        give(guardian, asked, now=MIDNIGHT)
    morning = MIDNIGHT + 8 * HOUR
    assert ask(child, now=morning).day == dt.date(2026, 11, 6)
    asked.refresh_from_db()
    assert (asked.state, asked.granted) == ("lapsed", 0)


def test_a_minute_before_the_day_ends_is_given_for_that_day(child: User, guardian: User) -> None:
    asked = ask(child, now=MIDNIGHT - MINUTE)
    give(guardian, asked, 30, MIDNIGHT - SECOND)
    assert daily(child, MIDNIGHT - SECOND) == 90
    assert daily(child, MIDNIGHT) == 60


@pytest.mark.parametrize(
    ("zone", "date"),
    [
        ("America/New_York", dt.date(2026, 3, 8)),
        ("America/New_York", dt.date(2026, 11, 1)),
        ("Europe/Berlin", dt.date(2026, 3, 29)),
        ("Europe/Berlin", dt.date(2026, 10, 25)),
        ("Australia/Lord_Howe", dt.date(2026, 10, 4)),
    ],
)
def test_given_minutes_last_a_local_day_also_when_clocks_change(
    companions: None, child: User, guardian: User, zone: str, date: dt.date
) -> None:
    User.objects.filter(pk=child.pk).update(time_zone=zone)
    noon = dt.datetime.combine(date, dt.time(12), ZoneInfo(zone)).astimezone(dt.UTC)
    give(guardian, ask(child, now=noon), 30, noon)
    begin, end = (
        dt.datetime.combine(day, dt.time(), ZoneInfo(zone)).astimezone(dt.UTC)
        for day in (date, date + dt.timedelta(days=1))
    )
    assert daily(child, begin - SECOND) == 60
    assert daily(child, end - SECOND) == 90
    assert daily(child, end) == 60
    person = Person(fresh(child), "botanist")
    person.was_there(noon, 60)
    policy = limits.effective_policy(fresh(child), end - SECOND)
    assert usage.standing(child.pk, policy, end - SECOND).minutes_left == 30


def travel(minor: User, monkeypatch: Any, now: dt.datetime, zone: str) -> None:
    monkeypatch.setattr(timezone, "now", lambda: now)
    preferences.change(fresh(minor), time_zone=zone)
    monkeypatch.undo()


@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Honolulu", "Pacific/Auckland"])
def test_a_journey_brings_given_minutes_neither_twice_nor_less(
    companions: None, child: User, guardian: User, monkeypatch: Any, zone: str
) -> None:
    """West of the old zone the same date begins once more when the old day ends: another day, without what was given."""
    give(guardian, ask(child), 30)
    travel(child, monkeypatch, NOON + HOUR, zone)
    assert daily(child, MIDNIGHT - SECOND) == 90
    for hours in range(0, 30, 3):
        assert daily(child, MIDNIGHT + hours * HOUR) == 60
    later = MIDNIGHT + HOUR
    plain = usage.standing(child.pk, limits.effective_policy(fresh(child), later), later)
    give(guardian, ask(child, now=later), 30, later)
    policy = limits.effective_policy(fresh(child), later)
    found = usage.standing(child.pk, policy, later)
    assert plain.daily_left is not None and plain.daily_left < 60  # the share of the day's own minutes
    assert found.daily_left == plain.daily_left + 30  # and all that was given


def test_the_hours_of_rest_stay(child: User, guardian: User) -> None:
    late = dt.datetime(2026, 11, 5, 13, 50, tzinfo=dt.UTC)  # 21:50
    give(guardian, ask(child, now=late), 60, late)
    policy = limits.effective_policy(fresh(child), late)
    assert policy.quiet == ((dt.time(22), dt.time(6)),)
    assert usage.standing(child.pk, policy, late).minutes_left == 10
    assert usage.standing(child.pk, policy, late + 10 * MINUTE).refusal == "quiet"


# --- pages -----------------------------------------------------------------------------------------------------


@pytest.fixture
def person(companions: None, minor: User) -> Person:
    return Person(minor, "botanist")


def near_the_end(person: Person, minutes: int = 55) -> None:
    person.was_there(clock.now() - (minutes + 1) * MINUTE, minutes)


def fragment(user: User, **data: str) -> str:
    client, headers = signed_in(user), {"X-Requested-With": "fetch"}
    path = reverse("time_ask")
    response = client.post(path, data, headers=headers) if data else client.get(path, headers=headers)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_asking_tells_every_guardian_who_can_answer_and_nobody_else(person: Person, guardian: User) -> None:
    minor = person.user
    both = {guardian, second(minor)}
    second(minor, Role.VIEW, "looking")
    assert fragment(minor) == ""  # there is enough time left
    near_the_end(person)
    assert 'value="30"' in fragment(minor)
    assert "You asked for 30 minutes more" in fragment(minor, minutes="30")
    notice = CareNotice.objects.get()
    asked = TimeRequest.objects.get()
    assert (notice.kind, notice.about, notice.data) == (
        "time_request",
        f"request:{asked.pk}",
        {"minutes": 30},
    )
    told = set(notice.deliveries.values_list("recipient", flat=True))
    assert told == {f"guardian:{user.pk}" for user in both}
    fragment(minor, minutes="30")
    assert CareNotice.objects.count() == 1


def test_the_answer_withdraws_the_others_notices_and_is_told_kindly(person: Person, guardian: User) -> None:
    minor, other = person.user, second(person.user)
    near_the_end(person)
    fragment(minor, minutes="30")
    path = reverse("time_request", args=[TimeRequest.objects.get().pk])
    assert "Give 30 minutes" in signed_in(other).get(path).content.decode()
    assert TimeRequest.objects.get().state == "open"  # looking answers nothing
    assert signed_in(guardian).post(path, {"minutes": "15"}).status_code == 302
    assert CareNotice.objects.get().over_at is not None
    assert not Delivery.objects.filter(care__isnull=False, state="pending").exists()
    assert "You have 15 minutes more today" in fragment(minor)
    late = signed_in(other).post(path, {"minutes": "60"}, follow=True).content.decode()
    assert "answered already" in late and "15 minutes given (Guardian)" in late
    assert TimeRequest.objects.get().granted == 15


def test_a_no_is_told_kindly_and_nothing_more_is_offered(person: Person, guardian: User) -> None:
    near_the_end(person)
    fragment(person.user, minutes="30")
    path = reverse("time_request", args=[TimeRequest.objects.get().pk])
    signed_in(guardian).post(path, {"minutes": "0"})
    said = fragment(person.user)
    assert "no more time today" in said and "<form" not in said


def test_the_form_works_without_a_script(person: Person, guardian: User) -> None:
    minor = person.user
    near_the_end(person)
    talk = person.conversations[0].public_id
    client = signed_in(minor)
    page = client.get(reverse("chat", args=[talk])).content.decode()
    assert 'name="minutes" value="30"' in page and f'value="{talk}"' in page
    response = client.post(reverse("time_ask"), {"minutes": "30", "conversation": str(talk)})
    assert (response.status_code, response["Location"]) == (302, reverse("chat", args=[talk]))
    assert "You asked for 30 minutes more" in " ".join(
        client.get(reverse("chat", args=[talk])).content.decode().split()
    )
    response = client.post(reverse("time_ask"), {"minutes": "30", "conversation": "//evil.example"})
    assert response["Location"] == reverse("use")


@pytest.mark.parametrize("minutes", ["", "x", "-5", "٣٠", "99999", "7"])
def test_nonsense_asks_nobody(person: Person, minutes: str) -> None:
    near_the_end(person)
    fragment(person.user, minutes=minutes)
    assert not TimeRequest.objects.exists()
    assert not CareNotice.objects.exists()


def test_in_the_hours_of_rest_nothing_can_be_asked_for(person: Person) -> None:
    near_the_end(person, 60)
    local = timezone.localtime(clock.now(), ZoneInfo(person.user.time_zone)).time().replace(second=0)
    until = (dt.datetime.combine(dt.date.min, local) + HOUR).time()
    Limits.objects.create(
        user=person.user, setter="guardian", quiet_from=local, quiet_until=until, valid_from=timezone.now()
    )
    assert fragment(person.user) == ""
    fragment(person.user, minutes="30")
    assert not TimeRequest.objects.exists()


def test_whoever_is_in_danger_is_told_nothing_of_the_clock(person: Person) -> None:
    near_the_end(person)
    assert fragment(person.user) != ""
    signal(person.user)
    assert fragment(person.user) == ""


def test_nobody_else_asks_or_answers_over_the_pages(
    person: Person, guardian: User, outsider: User, adult: User
) -> None:
    near_the_end(person)
    for user in (outsider, adult, guardian):
        assert fragment(user, minutes="30") == ""
    assert not TimeRequest.objects.exists()
    fragment(person.user, minutes="30")
    path = reverse("time_request", args=[TimeRequest.objects.get().pk])
    for user in (
        outsider,
        person.user,
        second(person.user, Role.VIEW),
        second(person.user, Role.ALERTS, "a"),
    ):
        assert signed_in(user).get(path).status_code == 404
        assert signed_in(user).post(path, {"minutes": "30"}).status_code == 404
    assert Client().post(path, {"minutes": "30"}).status_code == 302
    assert signed_in(guardian).put(path, {"minutes": "30"}).status_code == 405
    for minutes in ("", "x", "61", "-1"):
        assert signed_in(guardian).post(path, {"minutes": minutes}).status_code == 422
    assert signed_in(guardian).post(path, {"minutes": "30", "granted": "600", "state": "granted"}).status_code
    assert TimeRequest.objects.get().granted == 30


def test_when_the_day_is_over_the_notices_are_withdrawn(person: Person) -> None:
    near_the_end(person)
    fragment(person.user, minutes="30")
    assert tasks.lapse_time_requests() == 0
    yesterday = timezone.now() - dt.timedelta(days=1)
    TimeRequest.objects.update(asked_at=yesterday, day=yesterday.date())
    assert tasks.lapse_time_requests() == 1
    assert TimeRequest.objects.get().state == "lapsed"
    assert CareNotice.objects.get().over_at is not None


def test_both_see_what_was_asked_and_given(person: Person, guardian: User) -> None:
    near_the_end(person)
    fragment(person.user, minutes="30")
    panel, mine = reverse("panel", args=[person.user.pk]), reverse("panel_mine")
    waiting = signed_in(guardian).get(panel).content.decode()
    assert 'id="requests"' in waiting and "Give 30 minutes" in waiting
    assert "Give 30 minutes" not in signed_in(person.user).get(mine).content.decode()
    asked = TimeRequest.objects.get()
    signed_in(guardian).post(reverse("time_request", args=[asked.pk]), {"minutes": "15"})
    for user, path in ((guardian, panel), (person.user, mine)):
        text = " ".join(signed_in(user).get(path).content.decode().split())
        assert "30 minutes asked · 15 minutes given (Guardian)" in text
        assert "15 minutes more, given by a guardian" in text
