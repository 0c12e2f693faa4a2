"""N01, N02: processes die at any moment and at every named step. Nothing is lost, nothing is double.

Celery and beat run in no test of this directory (N05).
"""

import time
from pathlib import Path

import pytest

from safety import outbox
from safety.crash import POINTS
from tests.chaos import attacks
from tests.chaos.attacks import say
from tests.chaos.clients import percentile
from tests.chaos.conftest import Houses
from tests.chaos.crowd import crowd, staff
from tests.chaos.house import AT_ONCE, wait_for
from tests.chaos.ledgers import Books, settled, standing
from tests.chaos.weakened import STEPS

pytestmark = pytest.mark.django_db(transaction=True)

PEOPLE, KILLS, WEB_KILLS = 1000, 200, 15
RUNS = 20  # of each named step
# One death may leave a second copy of each notice that the dispatcher was sending: mails and text messages at once.
IN_FLIGHT = 2 * outbox.SENDERS_PER_CHANNEL


def test_n01_a_thousand_cases_while_everything_is_killed(houses: Houses, seed: int) -> None:
    staff()
    people = crowd(PEOPLE)
    house = houses(seed=seed).open(2)
    began = time.monotonic()
    sent = attacks.talk_under(
        house, people, attacks.kill_dispatchers(house, KILLS), attacks.kill_web(house, WEB_KILLS)
    )
    attacked = time.monotonic() - began
    wait_for(lambda: settled(PEOPLE), 600, said=standing)
    books = Books.close(house, sent)
    say(
        f"N01 seed {seed}: {KILLS} dispatchers and {WEB_KILLS} web processes killed within {attacked:.0f} s, all told "
        f"after {time.monotonic() - began:.0f} s; {sum(one.tries for one in sent)} tries, "
        f"sent p50 {percentile((one.waited for one in sent), 0.5):.1f} s; {books}"
    )
    assert books.faults == {}
    # A slow machine may be so late that the ladder tells moderators of more rungs; no notice is wrong all the same.
    assert books.cases == PEOPLE and books.in_app >= PEOPLE
    assert books.copies <= KILLS


def test_n01_notices_leave_once_while_dispatchers_are_killed(houses: Houses, seed: int) -> None:
    staff()
    books = attacks.dispatch_under_kills(houses(seed=seed), 100, 60)
    say(f"N01 seed {seed}: {books}")
    assert books.faults == {}
    assert books.copies <= 60


def test_n01_control_without_a_lease_both_dispatchers_send(houses: Houses, seed: int) -> None:
    staff()
    books = attacks.dispatch_under_kills(houses(seed=seed), 100, 60, without="claim")
    say(f"N01 control, no lease, seed {seed}: {books}")
    assert books.copies > 60


def test_n01_control_done_before_it_is_sent_loses_notices(houses: Houses, seed: int) -> None:
    staff()
    books = attacks.dispatch_under_kills(houses(seed=seed), 100, 60, without="order")
    say(f"N01 control, done before sent, seed {seed}: {books}")
    assert books.lost_notices > 0


@pytest.mark.parametrize("point", POINTS)
def test_n02_a_dispatcher_dies_at_each_step(houses: Houses, point: str) -> None:
    lease = 1.5
    staff()
    house = houses(ALERT_LADDER=AT_ONCE, ALERT_LEASE=str(lease), ALERT_TIMEOUT="1")
    figures = attacks.die_at(house, [point] * RUNS, lease)
    books = Books.close(house, [])
    say(f"N02 {point}: {figures['died']} died, last notice {figures['late']:+.1f} s after the lease; {books}")
    assert figures["died"] == RUNS
    assert books.faults == {}
    assert books.copies <= RUNS * IN_FLIGHT
    assert figures["late"] <= 2


@pytest.mark.parametrize("step", STEPS)
def test_n02_a_web_process_dies_at_each_step_of_a_message(houses: Houses, step: str, tmp_path: Path) -> None:
    staff()
    people = crowd(RUNS)
    tokens = tmp_path / "tokens"
    tokens.mkdir()
    program = ("-m", "tests.chaos.weakened", step)
    house = houses(program=program, CRASH_TOKENS=str(tokens)).open(1)
    sent = attacks.crash_the_web(house, people, tokens)
    wait_for(lambda: settled(RUNS), 180, said=standing)
    books = Books.close(house, sent)
    say(f"N02 web, {step}: {sum(one.tries for one in sent)} tries for {RUNS} messages; {books}")
    assert books.faults == {}
    assert books.cases == RUNS and books.in_app >= RUNS  # as above: a slow machine climbs meanwhile
