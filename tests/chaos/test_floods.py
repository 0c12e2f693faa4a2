"""N15, N16: many signs of danger at once. Each is recorded; moderators are told of people, not of messages."""

import asyncio
import os
import time

import pytest
from django.db import connection
from django.db.models import F

from safety.models import CaseSignal, CrisisCase, Delivery
from tests.chaos.attacks import say
from tests.chaos.clients import Sent, percentile, repeat
from tests.chaos.conftest import Houses
from tests.chaos.crowd import CRISIS, Person, crowd, staff
from tests.chaos.house import House, wait_for
from tests.chaos.ledgers import Books, settled, standing

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE, EACH = (int(part) for part in os.environ.get("CHAOS_FLOOD", "200x50").split("x"))
OTHERS = 20
MINUTE = 60.0  # seconds
CALM = "今天的天气不错"


def tabs(house: House, person: Person, count: int, each: int) -> list[Sent]:
    async def all_of_them() -> list[Sent]:
        pages = (repeat(house.site, person, CRISIS, times=each) for _ in range(count))
        return [sent for page in await asyncio.gather(*pages) for sent in page]

    return asyncio.run(all_of_them())


def test_n15_five_hundred_sentences_of_one_person(houses: Houses) -> None:
    staff()
    [person] = crowd(1)
    house = houses().open(2)
    began = time.monotonic()
    sent = tabs(house, person, 5, 100)
    seconds = time.monotonic() - began
    wait_for(lambda: settled(1), 180, said=standing)
    books = Books.close(house, sent)
    signals, notices = CaseSignal.objects.count(), Delivery.objects.filter(channel="in_app").count()
    say(f"N15: 500 messages from 5 pages in {seconds:.0f} s: {signals} signals, {notices} notices; {books}")
    assert books.faults == {}
    assert (signals, books.cases) == (500, 1)
    assert notices <= 3


def test_n15_control_without_one_case_per_person_there_are_many(houses: Houses) -> None:
    staff()
    [person] = crowd(1)
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX case_one_open")
    try:
        house = houses(program=("-m", "tests.chaos.weakened", "a_case_each")).open(1)
        tabs(house, person, 2, 5)
        made = CrisisCase.objects.count()
        say(f"N15 control, nobody looks for the open case: {made} cases of one person")
        assert made > 1
    finally:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE safety_crisiscase CASCADE")
            cursor.execute(
                "CREATE UNIQUE INDEX case_one_open ON safety_crisiscase (user_id) WHERE NOT state = 'closed'"
            )


def test_n16_a_wave_of_people_and_messages(houses: Houses) -> None:
    """Each of them writes for a minute, or for as long as this machine takes; figures of time are its own."""
    staff()
    people, others = crowd(PEOPLE), crowd(OTHERS, "other")
    _write_history()
    house = houses().open(2)

    async def flood() -> tuple[list[Sent], list[Sent], list[Sent], float, int]:
        calm = await _chat(house, others, asyncio.create_task(asyncio.sleep(15)))
        scans, began = await asyncio.to_thread(_sequential_scans), time.monotonic()
        wave = asyncio.gather(
            *(repeat(house.site, one, CRISIS, times=EACH, every=MINUTE / EACH) for one in people)
        )
        meanwhile = await _chat(house, others, wave)
        seconds = time.monotonic() - began
        scans = await asyncio.to_thread(_sequential_scans) - scans
        return [sent for page in await wave for sent in page], calm, meanwhile, seconds, scans

    sent, calm, meanwhile, seconds, scans = asyncio.run(flood())
    wait_for(lambda: settled(PEOPLE), 600, said=standing)
    books = Books.close(house, sent)
    waits = CrisisCase.objects.annotate(wait=F("first_notice_at") - F("opened_at"))
    first = percentile((wait.total_seconds() for wait in waits.values_list("wait", flat=True)), 0.99)
    normal, busy = (percentile((one.seconds for one in some), 0.95) for some in (calm, meanwhile))
    own = percentile((one.seconds for one in sent), 0.95)
    say(
        f"N16: {len(sent)} messages of {PEOPLE} people in {seconds:.0f} s, {len(sent) / seconds:.0f} a second, "
        f"sent p95 {own:.1f} s; first notice p99 {first:.1f} s; {len(meanwhile)} messages of others p95 "
        f"{normal * 1000:.0f} ms before, {busy * 1000:.0f} ms meanwhile; {scans} sequential scans of messages; {books}"
    )
    assert books.faults == {}
    assert books.cases == PEOPLE and CaseSignal.objects.count() == PEOPLE * EACH
    assert first < 10
    assert scans == 0


async def _chat(house: House, others: list[Person], until: "asyncio.Future") -> list[Sent]:
    """People who write, read the reply and think."""
    over = asyncio.Event()
    pages = [asyncio.create_task(repeat(house.site, one, CALM, over, every=3)) for one in others]
    await asyncio.wait([until])
    over.set()
    return [sent for page in await asyncio.gather(*pages) for sent in page]


def _write_history() -> None:
    """What was said before, so that a sequential scan would be a fault and not the quickest way."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO companion_message (public_id, conversation_id, author, state, code, model, prompt_version, "
            "verdict, stop_requested, owner, created_at) SELECT gen_random_uuid(), c.id, 'ai', 'replaced', '', '', '', "
            "'[]', false, '', now() FROM companion_conversation c, generate_series(1, 100)"
        )
        cursor.execute("ANALYZE")


def _sequential_scans() -> int:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(1.1)")  # backends hand their counts over at most once a second
            cursor.execute("SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'companion_message'")
            return int(cursor.fetchone()[0])
    finally:
        connection.close()
