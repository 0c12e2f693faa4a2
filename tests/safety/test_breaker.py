"""The circuit breaker opens, probes and closes as it says."""

from safety.engine.breaker import Breaker, State


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def admitted(breaker: Breaker) -> int:
    ticket = breaker.admit()
    assert ticket is not None
    return ticket


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        breaker.failure(admitted(breaker))


def state(breaker: Breaker) -> State:
    return breaker.state


def opened(clock: Clock, ago: float = 0) -> Breaker:
    """One that has been open for so many seconds."""
    breaker = Breaker(clock=clock)
    fail(breaker, 5)
    clock.now += ago
    return breaker


def test_it_opens_after_five_failures_in_a_row_and_not_before() -> None:
    breaker = Breaker(clock=Clock())
    fail(breaker, 4)
    assert state(breaker) is State.CLOSED
    fail(breaker, 1)
    assert state(breaker) is State.OPEN
    assert breaker.admit() is None


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = Breaker(clock=Clock())
    fail(breaker, 4)
    breaker.success(admitted(breaker))
    fail(breaker, 4)
    assert state(breaker) is State.CLOSED


def test_after_the_pause_exactly_one_probe_may_pass() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += 9.9
    assert breaker.admit() is None
    clock.now += 0.1
    assert state(breaker) is State.HALF_OPEN
    assert breaker.admit() is not None
    assert breaker.admit() is None


def test_a_good_probe_closes_it_and_the_next_pause_is_short_again() -> None:
    clock = Clock()
    breaker = opened(clock, ago=10)
    fail(breaker, 1)
    clock.now += 20
    breaker.success(admitted(breaker))
    assert state(breaker) is State.CLOSED
    fail(breaker, 5)
    clock.now += 10
    assert breaker.admit() is not None


def test_failed_probes_make_the_pause_longer_up_to_a_minute() -> None:
    clock = Clock()
    breaker = opened(clock)
    for pause in (10, 20, 40, 60, 60):
        clock.now += pause - 0.1
        assert breaker.admit() is None
        clock.now += 0.1
        fail(breaker, 1)


def test_a_probe_whose_reply_began_lets_others_in_but_on_trial() -> None:
    clock = Clock()
    breaker = opened(clock, ago=10)
    probe = admitted(breaker)
    breaker.answered(probe)
    assert state(breaker) is State.CLOSED
    assert breaker.admit() is not None
    breaker.failure(probe)
    assert state(breaker) is State.OPEN
    clock.now += 19.9
    assert breaker.admit() is None


def test_a_probe_that_was_stopped_by_the_person_leaves_room_for_the_next() -> None:
    breaker = opened(Clock(), ago=10)
    breaker.release(admitted(breaker))
    assert state(breaker) is State.HALF_OPEN
    assert breaker.admit() is not None


def test_calls_from_before_it_opened_do_not_disturb_the_probe() -> None:
    clock = Clock()
    breaker = Breaker(clock=clock)
    old = admitted(breaker)
    fail(breaker, 5)
    clock.now += 10
    assert breaker.admit() is not None
    for settle in (breaker.release, breaker.failure, breaker.success, breaker.answered):
        settle(old)
        assert state(breaker) is State.HALF_OPEN
        assert breaker.admit() is None
