"""A case from the first sign to its end: one per person, always due, closed by humans only."""

import datetime as dt
import uuid

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from safety import cases, escalation
from safety.cases import CaseError, Category, State
from safety.engine import Verdict
from safety.models import CrisisCase, Delivery

pytestmark = pytest.mark.django_db(transaction=True)

CRISIS = "crisis.explicit.wish_to_die"


def verdict(level: int, reason: str = CRISIS) -> Verdict:
    return Verdict(level, "hold" if level > 2 else "help_card", {}, (reason,))


def signal(user: User, level: int = 3, reason: str = CRISIS) -> CrisisCase:
    said = verdict(level, reason)
    category = cases.category_of(said)
    assert category is not None
    with transaction.atomic():
        return cases.raise_signal(
            user, message=uuid.uuid4(), conversation=uuid.uuid4(), verdict=said, category=category, text="…"
        )


def acts(case: CrisisCase) -> list[str]:
    return list(case.events.order_by("pk").values_list("kind", flat=True))


def test_a_sign_of_danger_opens_one_case_and_tells_who_is_on_duty(adult: User, moderator: User) -> None:
    case = signal(adult)
    assert signal(adult).pk == case.pk
    case.refresh_from_db()
    assert (case.level, case.category, case.state, case.ai_muted) == (3, Category.SELF_HARM, State.OPEN, True)
    assert acts(case) == ["opened", "rung", "signal"]
    told = Delivery.objects.get()
    assert (told.channel, told.recipient, told.rung) == ("in_app", f"staff:{moderator.pk}", 1)
    assert case.signals.count() == 2


def test_a_higher_level_restarts_the_ladder(adult: User, moderator: User) -> None:
    case = signal(adult, 2)
    assert not case.ai_muted and case.contact_due_at is None
    case = signal(adult, 4)
    assert case.ai_muted and case.contact_due_at is not None
    assert list(Delivery.objects.order_by("pk").values_list("level", "rung")) == [(2, 1), (4, 1)]


def test_seen_then_taken_then_handed_back_then_closed(adult: User, moderator: User, supervisor: User) -> None:
    case, now = signal(adult, 4), timezone.now()
    cases.acknowledge(case.pk, moderator, now)
    cases.claim(case.pk, moderator, now)
    with pytest.raises(CaseError, match="taken"):
        cases.claim(case.pk, supervisor, now)
    cases.hand_back(case.pk, moderator, now)
    closed = cases.close(
        case.pk, moderator, now, reason=CrisisCase.CloseReason.SAFE, outcome=CrisisCase.Outcome.NONE
    )
    assert closed.next_due_at is None and not closed.ai_muted
    with pytest.raises(CaseError, match="same_person"):
        cases.second_look(case.pk, moderator, now)
    cases.second_look(case.pk, supervisor, now)
    with pytest.raises(CaseError, match="gone"):
        cases.claim(case.pk, moderator, now)
    assert signal(adult).earlier_id == case.pk


def test_the_database_refuses_a_closed_case_that_opens_again_and_an_open_one_without_a_time(
    adult: User, moderator: User
) -> None:
    case = signal(adult)
    with pytest.raises(IntegrityError), transaction.atomic():
        CrisisCase.objects.filter(pk=case.pk).update(next_due_at=None)
    cases.close(
        case.pk,
        moderator,
        timezone.now(),
        reason=CrisisCase.CloseReason.SAFE,
        outcome=CrisisCase.Outcome.NONE,
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        CrisisCase.objects.filter(pk=case.pk).update(
            state=State.OPEN, closed_at=None, next_due_at=timezone.now()
        )


def test_nobody_handles_their_own_case(moderator: User, supervisor: User, outsider: User) -> None:
    case = signal(moderator)
    assert case.ladder["1"] == []
    for staff, code in ((moderator, "oneself"), (outsider, "not_staff")):
        with pytest.raises(CaseError, match=code):
            cases.claim(case.pk, staff, timezone.now())


def test_the_contact_is_told_in_time_also_when_a_moderator_has_the_case(adult: User, moderator: User) -> None:
    case = signal(adult, 4)
    cases.claim(case.pk, moderator, timezone.now())
    case.refresh_from_db()
    assert case.contact_due_at is not None
    escalation.sweep(case.contact_due_at - dt.timedelta(seconds=1))
    assert not Delivery.objects.filter(template="near").exists()
    escalation.sweep(case.contact_due_at)
    assert Delivery.objects.get(template="near").channel == "email"
    case.refresh_from_db()
    assert case.state == State.IN_CARE and case.contact_due_at is None


@pytest.mark.parametrize(
    ("level", "reasons", "category"),
    [
        (1, (CRISIS,), None),
        (2, ("engine.unassessed", CRISIS), None),
        (2, ("engine.unavailable",), None),
        (2, (CRISIS, "engine.unassessed"), Category.SELF_HARM),
        (3, ("guard.quoted", "fraud.loss"), Category.PROPERTY_LOSS),
        (2, ("harmful_content.weapons",), Category.OTHER),
    ],
)
def test_what_a_case_is_about(level: int, reasons: tuple[str, ...], category: Category | None) -> None:
    assert cases.category_of(Verdict(level, "help_card", {}, reasons)) == category
