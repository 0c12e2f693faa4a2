"""N07: a dispatcher is frozen while it sends, and wakes up when another one has done its work."""

import pytest

from tests.chaos import attacks
from tests.chaos.attacks import say
from tests.chaos.conftest import Houses
from tests.chaos.crowd import staff
from tests.chaos.house import AT_ONCE
from tests.chaos.ledgers import Books

pytestmark = pytest.mark.django_db(transaction=True)
LEASE = 0.6


def freeze(houses: Houses, times: int, *, without: str = "") -> tuple[int, Books]:
    staff()
    house = houses(ALERT_LADDER=AT_ONCE, ALERT_LEASE=str(LEASE), ALERT_TIMEOUT="10")
    pair = [house.dispatch(f"d{number}", without=without) for number in range(2)]
    overwritten = 0
    for number in range(times):
        frozen, other = pair if number % 2 else pair[::-1]
        overwritten += attacks.freeze_in_the_middle(house, frozen, other, f"frozen{number}", LEASE)
    return overwritten, Books.close(house, [])


def test_n07_who_wakes_up_late_changes_nothing(houses: Houses) -> None:
    overwritten, books = freeze(houses, 50)
    say(f"N07: frozen 50 times for three leases, overwritten {overwritten}; {books}")
    assert overwritten == 0
    assert books.faults == {}
    assert books.copies <= 50 * 3  # one for each of the three notices that it held


def test_n07_control_without_the_fence_results_are_overwritten(houses: Houses) -> None:
    overwritten, _books = freeze(houses, 3, without="fence")
    say(f"N07 control, no fence: frozen 3 times, overwritten {overwritten}")
    assert overwritten > 0
