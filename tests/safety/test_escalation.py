"""The ladder climbs by itself, in order and in time, until a human takes over; nothing else stops it (N09-N11, N14, N15)."""

import datetime as dt
import random
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.care import ContactDetails
from accounts.models import User
from guardians import contacts
from guardians.models import EmergencyContact
from safety import cases, clock, escalation, ladder
from safety.cases import State
from safety.models import CrisisCase, Delivery, OperationsAlert, Sanction, Shift
from tests.cast import make_user
from tests.safety.test_cases import verdict

pytestmark = pytest.mark.django_db(transaction=True)

SECOND, MINUTE, HOUR = dt.timedelta(seconds=1), dt.timedelta(minutes=1), dt.timedelta(hours=1)
ABUSE = "abuse.partner.violence"


@pytest.fixture(autouse=True)
def _on_call(settings: Any) -> None:
    settings.ALERT_ON_CALL = ["oncall@example.org"]


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads that keep their connections, as those of a process do."""
    with ThreadPoolExecutor(5) as threads:
        yield threads
        gate = threading.Barrier(5)
        list(threads.map(lambda _: (gate.wait(), connection.close()), range(5)))


def signal(
    user: User, now: dt.datetime, level: int = 4, reason: str = "crisis.explicit.wish_to_die"
) -> CrisisCase:
    said = verdict(level, reason)
    category = cases.category_of(said)
    assert category is not None
    with transaction.atomic():
        return cases.raise_signal(
            user,
            message=uuid.uuid4(),
            conversation=uuid.uuid4(),
            verdict=said,
            category=category,
            text="…",
            now=now,
        )


def run(case: CrisisCase, until: dt.datetime, *, late: Callable[[], dt.timedelta] = lambda: SECOND) -> None:
    """Sweeps as a dispatcher makes them, each second; those that find nothing are left out."""
    while True:
        case.refresh_from_db()
        assert case.next_due_at is not None
        at = case.next_due_at + late()
        if at > until:
            return
        escalation.sweep(at)


def climbed(case: CrisisCase) -> list[tuple[dt.timedelta, int, int]]:
    """When, which round, which rung."""
    return [
        (at - case.opened_at, data["round"], data["rung"])
        for at, data in case.events.filter(kind="rung").order_by("pk").values_list("at", "data")
    ]


# N09


@pytest.mark.parametrize("level", [4, 3])
def test_while_nobody_answers_the_rungs_come_in_order_and_in_time_and_never_end(
    adult: User, moderator: User, supervisor: User, level: int
) -> None:
    start = clock.now()
    case = signal(adult, start, level)
    lateness = random.Random(f"late {level}")
    run(case, start + 2 * HOUR + SECOND, late=lambda: lateness.random() * SECOND)

    steps = ladder.plan(level)
    last = steps.rungs[ladder.LAST_RUNG]
    rounds = int((2 * HOUR - last) / steps.repeat)
    plan = [(at, 0, rung) for rung, at in steps.rungs.items()]
    plan += [(last + n * steps.repeat, n, ladder.LAST_RUNG) for n in range(1, rounds + 1)]
    happened = climbed(case)
    assert [entry[1:] for entry in happened] == [entry[1:] for entry in plan]
    for (at, *_), (planned, *_) in zip(happened, plan, strict=True):
        assert abs(at - planned) <= 2 * SECOND
    told = case.events.get(kind="contact_notice").at - start
    assert steps.contact is not None and abs(told - steps.contact) <= 2 * SECOND
    assert case.state == State.ESCALATING and case.next_due_at is not None
    assert set(case.deliveries.values_list("rung", flat=True)) == {1, 2, 3, 4, 5, 6}


def test_after_an_outage_the_ladder_goes_on_from_where_it_was_without_a_burst_of_rounds(
    adult: User, moderator: User
) -> None:
    case = signal(adult, start := clock.now())
    run(case, start + 11 * MINUTE)
    escalation.sweep(start + 3 * HOUR)
    escalation.sweep(start + 3 * HOUR + SECOND)
    assert [entry[1:] for entry in climbed(case)][-2:] == [(0, 6), (1, 6)]


def test_an_acknowledgement_without_an_act_is_over_after_ten_minutes(adult: User, moderator: User) -> None:
    case = signal(adult, start := clock.now())
    cases.acknowledge(case.pk, moderator, start + 5 * SECOND)
    run(case, start + 20 * MINUTE)
    kinds = list(case.events.order_by("pk").values_list("kind", flat=True))
    assert kinds[:5] == ["opened", "rung", "acknowledged", "contact_notice", "acknowledgement_expired"]
    assert climbed(case)[1][1:] == (1, 1)


def test_a_moderator_who_falls_silent_loses_the_case(adult: User, moderator: User) -> None:
    case = signal(adult, start := clock.now())
    cases.claim(case.pk, moderator, start)
    cases.touch(case.pk, moderator, start + 5 * MINUTE)
    run(case, start + 5 * MINUTE + ladder.SILENT_FOR - SECOND)
    assert case.state == State.IN_CARE
    run(case, start + 5 * MINUTE + ladder.SILENT_FOR + 2 * SECOND)
    assert (case.state, case.holder_id, case.ai_muted) == (State.ESCALATING, None, True)


def test_a_new_sign_after_handing_back_begins_anew_but_not_once_somebody_has_seen_it_again(
    adult: User, moderator: User
) -> None:
    case = signal(adult, start := clock.now())
    for act in (cases.claim, cases.hand_back, cases.acknowledge):
        act(case.pk, moderator, start)
    assert signal(adult, start).state == State.ACKNOWLEDGED
    for act in (cases.claim, cases.hand_back):
        act(case.pk, moderator, start)
    assert signal(adult, start).state == State.ESCALATING


# N10


def _nobody(moderator: User) -> None:
    moderator.delete()


def _inactive(moderator: User) -> None:
    User.objects.filter(pk=moderator.pk).update(is_active=False)


def _suspended(moderator: User) -> None:
    Sanction.objects.create(user=moderator, kind=Sanction.Kind.SUSPEND, reason="test", imposed_by=moderator)


def _no_moderator_any_more(moderator: User) -> None:
    User.objects.filter(pk=moderator.pk).update(role=User.Role.PERSON)


def _off_duty(moderator: User) -> None:
    now = timezone.now()
    Shift.objects.create(user=moderator, starts_at=now - 9 * HOUR, ends_at=now - HOUR)


@pytest.mark.parametrize("absence", [_nobody, _inactive, _suspended, _no_moderator_any_more, _off_duty])
@pytest.mark.parametrize("opened", ["before", "after"])
def test_a_rung_without_anybody_is_left_at_once_and_told(
    adult: User, moderator: User, absence: Callable[[User], None], opened: str
) -> None:
    EmergencyContact.objects.filter(user=adult).delete()
    contacts.add(
        adult, ContactDetails("Lin", "sibling", phone="+8613800138000"), actor=adult.pk, now=timezone.now()
    )
    start = clock.now()
    if opened == "after":
        absence(moderator)
        case = signal(adult, start)
    else:  # the ladder was frozen when they were still there; the acknowledgement runs out
        case = signal(adult, start)
        cases.acknowledge(case.pk, moderator, start)
        if absence is not _off_duty:  # a ladder once frozen keeps those who go home: they may still come
            absence(moderator)
        else:
            absence(moderator)
            CrisisCase.objects.filter(pk=case.pk).update(ladder={**case.ladder, "1": [], "2": [], "6": []})
        start += ladder.ACKNOWLEDGED_FOR
    run(case, start + 9 * MINUTE)
    reached = {rung: at for at, _round, rung in climbed(case)}
    offset = start - case.opened_at
    assert reached[5] - offset <= 2 * SECOND  # nobody on 1, 2 and 3: the people on call at once
    assert Delivery.objects.filter(case=case, recipient="oncall:0", rung=5).exists()
    assert {"1", "2", "3"} <= set(
        OperationsAlert.objects.filter(code="rung.empty").values_list("subject", flat=True)
    )
    # The contact has a telephone and there is no provider for it: nobody near can be told, and that is told.
    assert OperationsAlert.objects.filter(code="contact.none", subject=case.number).exists()
    assert OperationsAlert.objects.get(code="contact.none").deliveries.filter(recipient="oncall:0").exists()


def test_a_rung_that_has_somebody_again_is_no_longer_told(
    adult: User, outsider: User, moderator: User
) -> None:
    User.objects.filter(pk=moderator.pk).update(is_active=False)
    case = signal(adult, start := clock.now())
    run(case, start + MINUTE)
    assert OperationsAlert.objects.filter(code="rung.empty", subject="2", resolved_at=None).exists()
    User.objects.filter(pk=moderator.pk).update(is_active=True)
    run(signal(outsider, start), start + 2 * MINUTE)
    assert not OperationsAlert.objects.filter(code="rung.empty", subject="2", resolved_at=None).exists()


# N11

PEOPLE = 100  # for each of the two ways to learn that somebody near is the danger


def test_nobody_near_is_told_when_they_may_be_the_danger_but_the_safeguarding_lead_is(
    moderator: User,
) -> None:
    lead = make_user("lead", 50, role=User.Role.MODERATOR, is_staff=True)
    start = clock.now()
    Shift.objects.create(user=lead, role="safeguarding", starts_at=start - HOUR, ends_at=start + 9 * HOUR)
    delays = random.Random(11)
    kin = ContactDetails("Kin", "partner", email="kin@example.org")
    for number in range(2 * PEOPLE):
        user = make_user(f"person{number}", 30)
        contact = contacts.add(user, kin, actor=user.pk, now=start)
        if number < PEOPLE:
            case = signal(user, start, reason=ABUSE)
        else:
            case = signal(user, start)
            EmergencyContact.objects.filter(pk=contact.pk).update(state=EmergencyContact.State.UNSAFE)
            with transaction.atomic():
                cases.contact_unsafe(f"contact:{contact.pk}", start + delays.random() * MINUTE)
        assert case.category == (cases.Category.ABUSE if number < PEOPLE else cases.Category.SELF_HARM)
    while escalation.sweep(start + 2 * MINUTE):
        pass
    outside = Delivery.objects.exclude(recipient__startswith="staff:").exclude(
        recipient__startswith="oncall:"
    )
    assert outside.count() == 0
    for channel in ("in_app", "email"):
        told = Delivery.objects.filter(
            template="safeguarding", recipient=f"staff:{lead.pk}", channel=channel
        ).values("case")
        assert told.distinct().count() == 2 * PEOPLE


def test_the_same_two_ways_tell_the_contact_when_nobody_is_the_danger(adult: User, moderator: User) -> None:
    """The control of the test above."""
    case = signal(adult, start := clock.now(), 3)
    run(case, start + 11 * MINUTE)
    assert case.deliveries.get(template="near").channel == "email"


def test_what_is_learned_later_takes_back_what_was_on_its_way(adult: User, moderator: User) -> None:
    case = signal(adult, start := clock.now(), 4)
    escalation.sweep(start + 2 * MINUTE)
    near = case.deliveries.get(template="near")
    assert near.state == Delivery.State.PENDING
    case = signal(adult, start + 3 * MINUTE, 3, ABUSE)
    near.refresh_from_db()
    assert near.state == Delivery.State.CANCELLED
    run(case, start + 4 * MINUTE)
    assert case.safeguarding and case.events.filter(kind="safeguarding_told").exists()


def test_a_notice_that_fails_after_the_moderators_decision_reaches_nobody_else(
    adult: User, moderator: User
) -> None:
    contacts.add(
        adult, ContactDetails("B", "friend", email="b@example.org"), actor=adult.pk, now=timezone.now()
    )
    case = signal(adult, start := clock.now(), 4)
    escalation.sweep(start + 2 * MINUTE)
    near = case.deliveries.get(template="near")
    cases.withhold_contact(case.pk, moderator, start + 3 * MINUTE, reason="false_alarm")
    Delivery.objects.filter(pk=near.pk).update(state=Delivery.State.FAILED)  # it was being sent
    with transaction.atomic():
        near.case = CrisisCase.objects.select_for_update().get(pk=case.pk)
        escalation.unreachable(near, start + 3 * MINUTE)
    run(case, start + 20 * MINUTE)
    assert case.deliveries.filter(template="near").count() == 1


def test_a_contact_who_cannot_be_reached_hands_over_to_the_next(adult: User, moderator: User) -> None:
    contacts.add(
        adult, ContactDetails("B", "friend", email="b@example.org"), actor=adult.pk, now=timezone.now()
    )
    case = signal(adult, start := clock.now(), 4)
    escalation.sweep(start + 2 * MINUTE)
    near = case.deliveries.get(template="near")
    Delivery.objects.filter(pk=near.pk).update(state=Delivery.State.FAILED)
    with transaction.atomic():
        near.case = CrisisCase.objects.select_for_update().get(pk=case.pk)
        escalation.unreachable(near, start + 3 * MINUTE)
    escalation.sweep(start + 3 * MINUTE)
    assert case.deliveries.filter(template="near").values("recipient").distinct().count() == 2


# N14


def race(person: User, staff: User, pool: ThreadPoolExecutor, times: int) -> Counter[str]:
    """Two sweepers and a human at the same moment, so many times; what went wrong how often."""
    chance = random.Random(14)
    faults: Counter[str] = Counter()
    for _ in range(times):
        start = clock.now()
        case = signal(person, start, chance.choice((3, 4)))
        due = start + MINUTE
        CrisisCase.objects.filter(pk=case.pk).update(climb_due_at=due, next_due_at=due, contact_due_at=None)
        gate = threading.Barrier(3)
        ahead = chance.random() * 0.004  # seconds: what a click is before or behind the sweep

        def sweep(gate: threading.Barrier = gate, due: dt.datetime = due) -> None:
            gate.wait()
            escalation.sweep(due)

        def acknowledge(
            gate: threading.Barrier = gate, pk: int = case.pk, due: dt.datetime = due, ahead: float = ahead
        ) -> None:
            gate.wait()
            threading.Event().wait(ahead)
            cases.acknowledge(pk, staff, due)

        for work in [pool.submit(act) for act in (sweep, sweep, acknowledge)]:
            work.result(timeout=20)
        escalation.sweep(due + SECOND)
        kinds = list(case.events.order_by("pk").values_list("kind", flat=True))
        case.refresh_from_db()
        faults["climbed after the acknowledgement"] += "rung" in kinds[kinds.index("acknowledged") :]
        faults["two rungs for one due time"] += kinds.count("rung") > 2
        faults["acknowledgement lost"] += (case.state, case.climb_due_at) != (State.ACKNOWLEDGED, None)
        cases.close(case.pk, staff, due, reason=CrisisCase.CloseReason.SAFE, outcome=CrisisCase.Outcome.NONE)
    return +faults


def test_after_an_acknowledgement_no_rung_follows_and_two_sweepers_climb_a_rung_once(
    adult: User, moderator: User, pool: ThreadPoolExecutor
) -> None:
    assert race(adult, moderator, pool, 200) == {}


# N15


def test_a_person_who_writes_five_hundred_times_has_one_case_and_moderators_have_three_notices_at_most(
    adult: User, moderator: User, pool: ThreadPoolExecutor
) -> None:
    start = clock.now()
    chance = random.Random(15)
    levels = [chance.choice((2, 3, 4)) for _ in range(500)]
    list(pool.map(lambda pair: signal(adult, start + pair[0] * 0.12 * SECOND, pair[1]), enumerate(levels)))
    case = CrisisCase.objects.get()
    assert (case.signals.count(), case.level) == (500, 4)
    for second in range(60):
        escalation.sweep(start + second * SECOND)
    notices = Counter(Delivery.objects.values_list("recipient", flat=True))
    assert 1 <= notices[f"staff:{moderator.pk}"] <= 3
