"""N03, N04, N06: Valkey and PostgreSQL die or hang."""

import asyncio
import json

import psycopg
import pytest

from tests.chaos import attacks, servers
from tests.chaos.attacks import say, sent_p99
from tests.chaos.clients import Sent, repeat
from tests.chaos.conftest import Houses
from tests.chaos.crowd import CRISIS, Person, crowd, staff
from tests.chaos.house import House, wait_for
from tests.chaos.ledgers import Books, settled, standing

pytestmark = pytest.mark.django_db(transaction=True)


def test_n03_valkey_dies_twenty_times_during_a_thousand_messages(houses: Houses, seed: int) -> None:
    staff()
    people = crowd(1000)
    with servers.valkey() as redis:
        house = houses(seed=seed, REDIS_URL=redis.url).open(2)
        sent = attacks.talk_under(house, people, attacks.kill_server(house, redis, 20), at_once=8)
        wait_for(lambda: settled(1000), 600, said=standing)
        books = Books.close(house, sent)
        say(
            f"N03 seed {seed}: Valkey killed {redis.deaths} times, refused {sum(one.refused for one in sent)}, "
            f"sent p99 {sent_p99(sent):.2f} s; {books}"
        )
    assert books.faults == {} and books.cases == 1000
    assert sum(one.refused for one in sent) == 0
    assert sent_p99(sent) < 1


def test_n04_valkey_hangs_for_a_minute_during_two_hundred_messages(houses: Houses) -> None:
    sent, books = _hang(houses, 200, 60)
    say(
        f"N04: sent p99 {sent_p99(sent):.2f} s, with connecting {max(one.waited for one in sent):.2f} s at most; {books}"
    )
    assert books.faults == {} and books.cases == 201  # one had opened the connections
    assert sent_p99(sent) < 1


def test_n04_control_without_time_limits_nobody_is_heard(houses: Houses) -> None:
    sent, _books = _hang(houses, 20, 6, program=("-m", "tests.chaos.weakened", "untimed_redis"))
    say(f"N04 control, no time limits: {sum(not one.message for one in sent)} of 20 were never told 'sent'")
    assert sent_p99(sent) >= 1


def _hang(houses: Houses, count: int, seconds: float, **options) -> tuple[list[Sent], Books]:
    staff()
    people = crowd(count + 1)
    with servers.valkey() as redis:
        house = houses(REDIS_URL=redis.url, **options).open(1)
        attacks.paced(house, people[count:], 0)  # connections are open when it begins to hang
        redis.freeze()
        sent = attacks.paced(house, people[:count], seconds, within=10 if options else 30)
        redis.thaw()
        if not options:
            wait_for(lambda: settled(count + 1), 60, said=standing)
        return sent, Books.close(house, sent)


@pytest.mark.parametrize("careless", [False, True], ids=["durable", "control"])
def test_n06_postgresql_dies_ten_times_while_three_people_write(
    houses: Houses, seed: int, careless: bool
) -> None:
    """The control commits without waiting for the disk (synchronous_commit off) and has to lose."""
    with servers.postgres(careless=careless) as database:
        servers.manage(database.url, "manage.py", "migrate", "--verbosity", "0")
        servers.manage(database.url, "manage.py", "load_personas", "--verbosity", "0")
        people = [
            Person(**one) for one in json.loads(servers.manage(database.url, "-m", "tests.chaos.crowd", "3"))
        ]
        house = houses(seed=seed, DATABASE_URL=database.url, DATABASE_POOL_SIZE="6").open(2)
        sent = _write(house, people, database, 10)
        told = [one.message for one in sent]
        with psycopg.connect(database.url) as connection:
            kept = _count(connection, "companion_message WHERE public_id = ANY(%s)", told)
            in_cases = _count(connection, "safety_casesignal WHERE message = ANY(%s)", told)
            cases = _count(connection, "safety_crisiscase")
    say(
        f"N06 {'control ' if careless else ''}seed {seed}: killed {database.deaths} times, {len(told)} messages were "
        f"'sent', lost {len(told) - kept}, without a signal {len(told) - in_cases}, {cases} cases"
    )
    if careless:
        assert kept < len(told)
    else:
        assert (kept, in_cases, cases) == (len(told), len(told), 3)


def _write(house: House, people: list[Person], database: servers.Mortal, deaths: int) -> list[Sent]:
    """Three people write as long as the database is being killed."""

    async def all_of_them() -> list[Sent]:
        over = asyncio.Event()
        writers = [asyncio.create_task(repeat(house.site, one, CRISIS, over)) for one in people]
        await attacks.kill_server(house, database, deaths, down=(0.0, 0.5))
        await asyncio.sleep(2)
        over.set()
        return [sent for done in await asyncio.gather(*writers) for sent in done]

    return asyncio.run(all_of_them())


def _count(connection: psycopg.Connection, rows: str, *values: list[str]) -> int:
    found = connection.execute(f"SELECT count(*) FROM {rows}", values).fetchone()
    assert found is not None
    return int(found[0])
