"""Whatever happens to cases in whatever order, nobody is forgotten and nobody is told who must not be.

Random acts of everybody concerned, in virtual time; after each of them the invariants are asked, and the record of every
case is read like a log. The seed is the name of the test.
"""

import datetime as dt
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Count

from accounts.care import ContactDetails
from accounts.models import User
from guardians import contacts
from guardians.models import EmergencyContact
from safety import cases, clock, escalation, invariants
from safety.cases import CaseError, State
from safety.models import CaseEvent, CrisisCase, Delivery, Shift
from tests.cast import make_user
from tests.safety.test_escalation import ABUSE, HOUR, MINUTE, SECOND, signal

pytestmark = pytest.mark.django_db(transaction=True)

SEEDS, STEPS = 3, 100
_ASKED = frozenset(
    {
        "case.overdue",
        "case.acknowledged_for_ever",
        "case.without_a_clock",
        "delivery.lease_over",
        "canary.lost",
    }
)
_REASON, _OUTCOME = CrisisCase.CloseReason.SAFE, CrisisCase.Outcome.NONE
CRISIS = "crisis.explicit.wish_to_die"


@dataclass
class World:
    chance: random.Random
    now: dt.datetime
    people: list[User]
    staff: list[User]

    def case(self) -> CrisisCase:
        """One that is open, or now and then one that is not."""
        rows = (
            CrisisCase.objects.exclude(state=State.CLOSED)
            if self.chance.random() < 0.9
            else CrisisCase.objects
        )
        found = list(rows.order_by("pk"))
        if not found:
            raise CaseError("gone")
        return self.chance.choice(found)

    def one(self) -> User:
        return self.chance.choice(self.staff)

    def holder(self, case: CrisisCase) -> User:
        return case.holder if case.holder is not None and self.chance.random() < 0.7 else self.one()

    # What can happen

    def time_passes(self) -> None:
        self.now += self.chance.choice(
            (SECOND, 30 * SECOND, MINUTE, 5 * MINUTE, 11 * MINUTE, 16 * MINUTE, HOUR)
        )

    def danger(self) -> None:
        reason = self.chance.choice((CRISIS, CRISIS, CRISIS, ABUSE))
        signal(self.chance.choice(self.people), self.now, self.chance.choice((2, 3, 3, 4)), reason)

    def acknowledge(self) -> None:
        cases.acknowledge(self.case().pk, self.one(), self.now)

    def claim(self) -> None:
        cases.claim(self.case().pk, self.one(), self.now)

    def touch(self) -> None:
        case = self.case()
        cases.touch(case.pk, self.holder(case), self.now)

    def transfer(self) -> None:
        case = self.case()
        cases.transfer(case.pk, self.holder(case), self.one(), self.now)

    def hand_back(self) -> None:
        case = self.case()
        cases.hand_back(case.pk, self.holder(case), self.now)

    def close(self) -> None:
        case = self.case()
        cases.close(case.pk, self.holder(case), self.now, reason=_REASON, outcome=_OUTCOME)

    def second_look(self) -> None:
        cases.second_look(self.case().pk, self.one(), self.now)

    def withhold(self) -> None:
        reason = self.chance.choice(("unsafe", "false_alarm"))
        cases.withhold_contact(self.case().pk, self.one(), self.now, reason=reason)

    def tell_now(self) -> None:
        case = self.case()
        near = case.ladder.get("4") or ["contact:none"]
        cases.tell_contact_now(case.pk, self.one(), self.chance.choice(near), self.now)

    def unsafe(self) -> None:
        """With one of the person's contacts; another one takes their place, for cases to come."""
        safe = EmergencyContact.objects.exclude(state=EmergencyContact.State.UNSAFE)
        contact = self.chance.choice(list(safe.order_by("user__email", "created_at")))
        with transaction.atomic():
            EmergencyContact.objects.filter(pk=contact.pk).update(state=EmergencyContact.State.UNSAFE)
            cases.contact_unsafe(f"contact:{contact.pk}", self.now)
        kin(contact.user, self.now)

    def roster(self) -> None:
        role, start = self.chance.choice(Shift.Role.values), self.now - self.chance.random() * HOUR
        if self.chance.random() < 0.3:
            Shift.objects.filter(role=role).delete()
        else:
            Shift.objects.create(user=self.one(), role=role, starts_at=start, ends_at=start + 2 * HOUR)

    def comes_or_goes(self) -> None:
        user = self.one()
        user.is_active = not user.is_active
        user.save(update_fields=["is_active"])

    def fails(self) -> None:
        """A provider refuses a notice for good."""
        sent = (
            Delivery.objects.filter(case__isnull=False).exclude(channel="in_app").exclude(state="cancelled")
        )
        if not (rows := list(sent.order_by("pk"))):
            return
        row = self.chance.choice(rows)
        with transaction.atomic():
            row.case = CrisisCase.objects.select_for_update().get(pk=row.case_id)
            Delivery.objects.filter(pk=row.pk).update(state="failed")
            escalation.unreachable(row, self.now)

    def is_sent(self) -> None:
        Delivery.objects.filter(state="pending").update(state="accepted")


def kin(user: User, now: dt.datetime) -> None:
    details = ContactDetails("Kin", "sibling", email=f"kin{user.emergency_contacts.count()}@example.org")
    contacts.add(user, details, actor=user.pk, now=now)


WHAT_HAPPENS: list[tuple[Callable[[World], None], int]] = [
    (World.time_passes, 8),
    (World.danger, 6),
    (World.acknowledge, 3),
    (World.claim, 4),
    (World.touch, 1),
    (World.transfer, 2),
    (World.hand_back, 2),
    (World.close, 2),
    (World.second_look, 1),
    (World.withhold, 1),
    (World.tell_now, 1),
    (World.unsafe, 1),
    (World.roster, 2),
    (World.comes_or_goes, 1),
    (World.fails, 2),
    (World.is_sent, 2),
]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_in_any_order(settings: Any, seed: int) -> None:
    settings.ALERT_ON_CALL = ["oncall@example.org"]
    now = clock.now()
    people = [make_user(f"person{number}", 30) for number in range(4)]
    staff = [make_user(f"staff{n}", 40, role=User.Role.MODERATOR, is_staff=True) for n in range(2)]
    staff.append(make_user("operator", 40, role=User.Role.OPERATOR, is_staff=True))
    people.append(staff[0])  # a moderator can be in danger as well
    for user in people:
        kin(user, now)
        kin(user, now)
    world = World(random.Random(seed), now, people, staff)
    acts, weights = zip(*WHAT_HAPPENS, strict=True)
    happened: Counter[str] = Counter()
    for _ in range(STEPS):
        (act,) = world.chance.choices(acts, weights)
        try:
            act(world)
        except CaseError as refused:
            happened[f"{act.__name__}: {refused.code}"] += 1
        else:
            happened[act.__name__] += 1
        while escalation.sweep(world.now):
            pass
        all_is_well(world)
    assert happened["danger"], happened


def all_is_well(world: World) -> None:
    assert _ASKED.isdisjoint(invariants.violations(world.now))
    open_cases = CrisisCase.objects.exclude(state=State.CLOSED)
    for many in open_cases.values("user").annotate(n=Count("pk")):
        assert many["n"] == 1
    held = Counter(open_cases.filter(state=State.IN_CARE, level__gte=3).values_list("holder", flat=True))
    assert all(count <= cases.MOST_SEVERE for count in held.values())
    for case in CrisisCase.objects.all():
        notices_are_right(case)
        record_is_right(case)


def notices_are_right(case: CrisisCase) -> None:
    rows = case.deliveries.all()
    assert not rows.filter(recipient=f"staff:{case.user_id}").exists()  # nobody is alarmed about themselves
    waiting = rows.filter(state="pending")
    unsafe = case.user.emergency_contacts.filter(state=EmergencyContact.State.UNSAFE)
    for contact in unsafe:
        assert not waiting.filter(recipient=f"contact:{contact.pk}").exists()
        assert case.state == State.CLOSED or f"contact:{contact.pk}" not in case.ladder["4"]
    if case.safeguarding or case.state == State.CLOSED:
        assert not waiting.filter(template="near").exists()
    if case.state == State.CLOSED:
        assert not waiting.exists()


def record_is_right(case: CrisisCase) -> None:
    """The record alone says what state the case is in, and no rung is climbed while a human has it or twice."""
    has_it, handed_back, raised, muted = False, False, 0, False
    climbed: set[tuple[int, int, int]] = set()
    for event in case.events.order_by("pk"):
        assert event.kind in escalation.EVENTS
        match event.kind:
            case "opened" | "signal":
                muted = muted or event.data["level"] >= 3
                if event.kind == "signal" and handed_back:
                    has_it = handed_back = False
            case "raised":
                raised += 1
                has_it = has_it and holds(case, event)
            case "acknowledged":
                has_it, handed_back = True, False
            case "claimed" | "transferred":
                has_it, handed_back, muted = True, False, True
            case "handed_back":
                has_it, handed_back, muted = True, True, False
            case "acknowledgement_expired" | "holder_silent":
                has_it = handed_back = False
            case "closed":
                has_it, muted = True, False
            case "rung":
                assert not has_it, (case.number, event.pk)
                rung = (raised, event.data["round"], event.data["rung"])
                assert rung not in climbed, (case.number, rung)
                climbed.add(rung)
    assert case.ai_muted == muted
    assert (case.state in escalation.UNATTENDED) == (not has_it)


def holds(case: CrisisCase, raised: CaseEvent) -> bool:
    """Was the case with a human, who keeps it when it gets graver, other than one who had only seen it?"""
    before = case.events.filter(pk__lt=raised.pk).filter(
        kind__in=(
            "acknowledged",
            "claimed",
            "transferred",
            "handed_back",
            "holder_silent",
            "acknowledgement_expired",
        )
    )
    last = before.order_by("-pk").first()
    return last is not None and last.kind in ("claimed", "transferred")
