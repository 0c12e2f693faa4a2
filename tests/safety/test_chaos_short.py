"""`make chaos` in small: the crisis path under kills, in seconds. tests/chaos has the full sizes and more kinds of harm.

Every promise is tested with the same set-up once more without its guard, and has to fail there.
"""

import pytest

from safety.crash import POINTS
from tests.chaos import attacks
from tests.chaos.conftest import Houses, companions, fake_llm, houses, seed
from tests.chaos.crowd import crowd, staff
from tests.chaos.house import AT_ONCE, wait_for
from tests.chaos.ledgers import Books, settled, standing

__all__ = ["companions", "fake_llm", "houses", "seed"]

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
CASES, KILLS = 12, 8
LEASE = 1.0
SHORT = {"ALERT_LEASE": str(LEASE), "ALERT_TIMEOUT": "0.8", "ALERT_LADDER": AT_ONCE}


def test_dangers_are_recorded_and_told_while_processes_are_killed(houses: Houses, seed: int) -> None:
    staff()
    people = crowd(CASES)
    house = houses(seed=seed, **SHORT).open(2)
    sent = attacks.talk_under(
        house, people, attacks.kill_dispatchers(house, KILLS), attacks.kill_web(house, 1), at_once=5
    )
    wait_for(lambda: settled(CASES), 30, said=standing)
    books = Books.close(house, sent)
    assert books.faults == {}, f"seed {seed}"
    assert (books.cases, books.in_app) == (CASES, CASES)


@pytest.mark.parametrize("without", ["", "claim"])
def test_two_dispatchers_send_each_notice_once(houses: Houses, without: str) -> None:
    staff()
    house = houses(**SHORT | {"ALERT_LEASE": "30"})  # no mail takes so long, on the slowest machine
    books = attacks.dispatch_under_kills(house, CASES, 0, without=without)
    assert bool(books.copies) == bool(without)  # without a lease both send


@pytest.mark.parametrize("without", ["", "order"])
def test_no_notice_is_lost_while_dispatchers_are_killed(houses: Houses, seed: int, without: str) -> None:
    staff()
    books = attacks.dispatch_under_kills(houses(seed=seed, **SHORT), CASES, KILLS, without=without)
    if without:  # done before it is sent
        assert books.lost_notices > 0, f"seed {seed}"
    else:
        assert books.faults == {}, f"seed {seed}"


def test_a_dispatcher_may_die_at_every_step(houses: Houses) -> None:
    staff()
    house = houses(**SHORT)
    assert attacks.die_at(house, POINTS, LEASE)["died"] == len(POINTS)
    assert Books.close(house, []).faults == {}


@pytest.mark.parametrize("without", ["", "fence"])
def test_who_wakes_up_late_changes_nothing(houses: Houses, without: str) -> None:
    staff()
    house = houses(**SHORT | {"ALERT_TIMEOUT": "10"})
    pair = [house.dispatch(f"d{number}", without=without) for number in range(2)]
    overwritten = attacks.freeze_in_the_middle(house, *pair, "frozen", LEASE)
    assert overwritten == bool(without)
