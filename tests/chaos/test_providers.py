"""N08: a mail provider refuses, defers, hangs or hangs up. Nothing is lost; who cannot be reached is reached otherwise."""

import os
import time

import pytest
from django.db.models import F, Max

from safety.models import CrisisCase, Delivery, DeliveryAttempt
from tests.chaos.attacks import say
from tests.chaos.conftest import Houses
from tests.chaos.crowd import at_risk, staff
from tests.chaos.house import AT_ONCE, SECRET, House, wait_for
from tests.chaos.ledgers import DONE, Books, standing

pytestmark = pytest.mark.django_db(transaction=True)

SECONDS = float(os.environ.get("CHAOS_FAULT_SECONDS", "60"))
CASES, TIMEOUT = 5, 2.0
AGAIN = 75.0  # seconds: the longest pause between two tries, and some more


def outage(house: House, fault: str) -> None:
    """The provider behaves like that for a while, in which people are in danger; then all is well again."""
    if fault == "refuse":
        house.mailbox.wire.cut()
    else:
        house.mailbox.mode = fault  # type: ignore[assignment]
    for number in range(2):
        house.dispatch(f"d{number}")
    at_risk(CASES)
    time.sleep(SECONDS)
    house.mailbox.wire.heal()
    house.mailbox.mode = "ok"


def ill(houses: Houses) -> House:
    staff()
    house: House = houses(ALERT_LADDER=AT_ONCE, ALERT_TIMEOUT=str(TIMEOUT), ALERT_LEASE="4")
    return house


def mails_handed_over() -> bool:
    mails = Delivery.objects.filter(channel="email")
    return mails.count() >= 2 * CASES and not mails.exclude(state__in=DONE).exists()


@pytest.mark.parametrize("fault", ["refuse", "421", "hang", "drop"])
def test_n08_what_passes_is_tried_again_until_it_succeeds(houses: Houses, fault: str) -> None:
    house = ill(houses)
    outage(house, fault)
    recovered = wait_for(mails_handed_over, AGAIN, said=standing)
    books = Books.close(house, [])
    tries = Delivery.objects.filter(channel="email").aggregate(most=Max("attempt_no"))["most"]
    attempts = DeliveryAttempt.objects.filter(finished_at__isnull=False).annotate(
        took=F("finished_at") - F("started_at")
    )
    longest = attempts.aggregate(longest=Max("took"))["longest"].total_seconds()
    say(
        f"N08 {fault} for {SECONDS:.0f} s: all handed over {recovered:.0f} s later, {tries} tries at most, "
        f"longest {longest:.1f} s; {books}"
    )
    assert books.faults == {}
    assert longest <= 10
    assert not CrisisCase.objects.filter(next_due_at=None).exists()


def test_n08_who_has_no_such_mailbox_is_called_instead(houses: Houses) -> None:
    staff()
    house = houses(ALERT_LADDER=AT_ONCE, ALERT_VOICE_URL="", ALERT_VOICE_SECRET=SECRET)
    house.site.environment["ALERT_VOICE_URL"] = house.telephone.url
    outage(house, "550")
    calls = Delivery.objects.filter(channel="voice", recipient__startswith="contact:", state__in=DONE)
    wait_for(lambda: calls.count() >= CASES, 30, said=standing)
    failed = dict(
        Delivery.objects.filter(state="failed", template="near").values_list("case", "attempts__finished_at")
    )
    waits = [(call.accepted_at - failed[call.case_id]).total_seconds() for call in calls if call.accepted_at]
    say(f"N08 550: called {max(waits):.1f} s after the refusal at most, {len(waits)} of {CASES} contacts")
    assert len(waits) == CASES and max(waits) <= 5
    assert not CrisisCase.objects.filter(next_due_at=None).exists()


def test_n08_control_without_a_second_try_mails_are_lost(houses: Houses) -> None:
    house = ill(houses)
    house.mailbox.mode = "421"
    house.dispatch("d0", without="retry")
    at_risk(CASES)
    wait_for(lambda: Delivery.objects.filter(channel="email", state="failed").exists(), 30, said=standing)
    house.mailbox.mode = "ok"
    with pytest.raises(TimeoutError):
        wait_for(mails_handed_over, 10)
    say(f"N08 control, no second try: {standing()}")
