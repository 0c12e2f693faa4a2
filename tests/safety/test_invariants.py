"""Each invariant sees the one fault that it is there for, names the row, and is silent when all is well."""

import datetime as dt
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts import audit_chain
from accounts.models import User
from companion.models import Conversation, Message, Persona
from safety import cases, clock, escalation, invariants, roster
from safety.engine import unavailable
from safety.models import Assessment, CrisisCase, Delivery, Heartbeat, OperationsAlert, Sanction, Shift
from tests.cast import make_user
from tests.safety.test_escalation import HOUR, MINUTE, SECOND, signal

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def now() -> dt.datetime:
    """Two dispatchers live."""
    now = clock.now()
    for number in (1, 2):
        Heartbeat.objects.create(process=f"alerts-{number}", role="alerts", at=now)
    return now


@pytest.fixture
def case(adult: User, moderator: User, now: dt.datetime) -> CrisisCase:
    return signal(adult, now)


def alive_at(now: dt.datetime) -> None:
    Heartbeat.objects.update(at=now)


def broken(now: dt.datetime) -> dict[str, list[str]]:
    alive_at(now)
    return {name: list(rows) for name, rows in invariants.violations(now).items()}


def message(user: User, at: dt.datetime, author: str = "user") -> Message:
    persona, _ = Persona.objects.get_or_create(slug="somebody", defaults={"version": 1})
    conversation, _ = Conversation.objects.get_or_create(user=user, persona=persona)
    return Message.objects.create(conversation=conversation, author=author, created_at=at)


def assessment(user: User, at: dt.datetime, level: int, message_id: uuid.UUID | None = None) -> Assessment:
    return Assessment.objects.create(
        message=message_id or uuid.uuid4(),
        user=user,
        level=level,
        action="answer",
        rules_version="1",
        created_at=at,
    )


def test_a_quiet_service_holds_and_so_does_one_with_a_case(case: CrisisCase, now: dt.datetime) -> None:
    assert broken(now) == {}
    assert broken(now + 59 * SECOND) == {}


def test_a_case_that_nobody_sweeps_is_overdue_after_a_minute(case: CrisisCase, now: dt.datetime) -> None:
    assert case.next_due_at is not None
    assert broken(case.next_due_at + 60 * SECOND)  # its notice was never tried either
    Delivery.objects.all().delete()
    assert broken(case.next_due_at + 60 * SECOND) == {}
    assert broken(case.next_due_at + 61 * SECOND) == {"case.overdue": [str(case.pk)]}


def test_a_lease_that_nobody_takes_over(case: CrisisCase, now: dt.datetime) -> None:
    row = case.deliveries.get()
    Delivery.objects.update(state="leased", lease_until=now, attempt_no=1)
    assert "delivery.lease_over" not in broken(now + 60 * SECOND)
    assert broken(now + 61 * SECOND)["delivery.lease_over"] == [str(row.pk)]


def test_a_notice_that_nobody_tries(case: CrisisCase, now: dt.datetime) -> None:
    row = case.deliveries.get()
    assert broken(now + 62 * SECOND)["delivery.never_tried"] == [str(row.pk)]
    Delivery.objects.update(attempt_no=1)
    assert "delivery.never_tried" not in broken(now + 62 * SECOND)


def test_an_acknowledgement_that_lasts_for_ever(case: CrisisCase, moderator: User, now: dt.datetime) -> None:
    Delivery.objects.all().delete()
    cases.acknowledge(case.pk, moderator, now)
    CrisisCase.objects.update(next_due_at=now + HOUR)
    assert broken(now + 10 * MINUTE) == {}
    assert broken(now + 11 * MINUTE) == {"case.acknowledged_for_ever": [str(case.pk)]}


def test_a_case_that_nobody_has_and_that_does_not_climb(case: CrisisCase, now: dt.datetime) -> None:
    CrisisCase.objects.update(climb_due_at=None, next_due_at=now + HOUR)
    assert broken(now) == {"case.without_a_clock": [str(case.pk)]}


def test_a_message_that_nobody_judged(adult: User, now: dt.datetime) -> None:
    row = message(adult, now)
    message(adult, now, author="ai")
    assert broken(now + 29 * SECOND) == {}
    assert broken(now + 31 * SECOND) == {"message.not_assessed": [str(row.pk)]}
    assessment(adult, now, 0, row.public_id)
    assert broken(now + 31 * SECOND) == {}


def test_a_danger_without_a_case(adult: User, moderator: User, now: dt.datetime) -> None:
    assessment(adult, now, 2)
    row = assessment(adult, now, 3)
    assert broken(now) == {"assessment.without_case": [str(row.pk)]}
    case = signal(adult, now, 3)
    Assessment.objects.filter(pk=row.pk).update(message=case.signals.get().message)
    assert broken(now) == {}


def test_what_was_not_understood_is_never_taken_for_a_danger_without_a_case() -> None:
    assert unavailable().level < 3


def test_fewer_than_two_dispatchers(now: dt.datetime) -> None:
    Heartbeat.objects.filter(process="alerts-2").update(at=now - 11 * SECOND)
    assert invariants.violations(now) == {"dispatchers.too_few": ["alive-1"]}
    Heartbeat.objects.all().delete()
    assert invariants.violations(now) == {"dispatchers.too_few": ["alive-0"]}


def test_a_canary_that_did_not_come_home(adult: User, now: dt.datetime) -> None:
    OperationsAlert.objects.create(code="canary.lost", resolved_at=now)
    assert broken(now) == {}
    alert = OperationsAlert.objects.create(code="canary.lost")
    assert broken(now) == {"canary.lost": [str(alert.pk)]}


def test_a_head_of_the_audit_log_that_left_nothing(settings: Any, tmp_path: Path, now: dt.datetime) -> None:
    settings.AUDIT_HEADS_FILE = str(tmp_path / "heads")
    assert broken(now) == {"audit.head_late": ["head"]}
    audit_chain.write_head(now)
    assert broken(now + 119 * SECOND) == {}
    assert broken(now + 121 * SECOND) == {"audit.head_late": ["head"]}


def test_an_imminent_case_that_one_human_closed_alone(
    case: CrisisCase, moderator: User, supervisor: User, now: dt.datetime
) -> None:
    cases.close(case.pk, moderator, now, reason=CrisisCase.CloseReason.SAFE, outcome=CrisisCase.Outcome.NONE)
    assert list(invariants.without_second_look(now + 23 * HOUR)) == []
    assert list(invariants.without_second_look(now + 25 * HOUR)) == [case.number]
    cases.second_look(case.pk, supervisor, now + 25 * HOUR)
    assert list(invariants.without_second_look(now + 25 * HOUR)) == []


def test_a_question_that_cannot_be_answered_counts_as_broken(
    now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        invariants, "INVARIANTS", {"no.table": "SELECT id FROM nowhere", **invariants.INVARIANTS}
    )
    assert broken(now) == {"no.table": ["unanswered"]}


@pytest.mark.parametrize("name", ["message.not_assessed", "assessment.without_case"])
def test_large_tables_are_not_read_whole(adult: User, now: dt.datetime, name: str) -> None:
    """The window is found by primary key, whatever the table has grown to."""
    message(adult, now)
    assessment(adult, now, 3)
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off; SET enable_sort = off")  # as for a large table
        cursor.execute(f"EXPLAIN {invariants.INVARIANTS[name]}", {"now": now})
        plan = "\n".join(row[0] for row in cursor.fetchall())
        cursor.execute("RESET enable_seqscan; RESET enable_sort")
    table = "companion_message" if name.startswith("message") else "safety_assessment"
    assert f"Index Scan Backward using {table}_pkey" in plan and f"Seq Scan on {table}" not in plan


# The roster


def shift(user: User, start: dt.datetime, hours: float) -> None:
    Shift.objects.create(user=user, starts_at=start, ends_at=start + hours * HOUR)


def test_without_shifts_a_gap_is_that_there_is_no_moderator(adult: User, now: dt.datetime) -> None:
    assert roster.gap(now) == now
    make_user("m", 30, role=User.Role.MODERATOR, is_staff=True)
    assert roster.gap(now) is None


@pytest.mark.parametrize(
    ("shifts", "gap_after"),
    [
        ([(-1, 2)], None),
        ([(-1, 1.25)], 0.25),  # hours: nobody follows
        ([(-1, 1.25), (0.25, 3)], None),
        ([(-1, 1.25), (0.3, 3)], 0.25),
        ([(0.1, 3)], 0),
        ([(-3, 1)], 0),
        ([(-1, 1.5)], None),  # half an hour from now is soon enough to be told
    ],
)
def test_a_gap_within_half_an_hour_is_seen(
    moderator: User, now: dt.datetime, shifts: list[tuple[float, float]], gap_after: float | None
) -> None:
    for start, hours in shifts:
        shift(moderator, now + start * HOUR, hours)
    assert roster.gap(now) == (None if gap_after is None else now + gap_after * HOUR)


@pytest.mark.parametrize(
    "leave",
    [
        lambda user: User.objects.filter(pk=user.pk).update(is_active=False),
        lambda user: Sanction.objects.create(user=user, kind="suspend", reason="test", imposed_by=user),
    ],
)
def test_the_shift_of_somebody_who_left_covers_nothing(
    moderator: User, now: dt.datetime, leave: Callable[[User], object]
) -> None:
    shift(moderator, now - HOUR, 5)
    assert roster.gap(now) is None
    leave(moderator)
    assert roster.gap(now) == now


def test_the_sweep_makes_everything_hold_again(case: CrisisCase, now: dt.datetime) -> None:
    """The invariants see a sweep that was away, and nothing once it is back."""
    later = now + 2 * HOUR
    assert "case.overdue" in broken(later)
    while escalation.sweep(later):
        pass
    assert "case.overdue" not in broken(later)


def test_names_fit_their_column() -> None:
    assert all(len(name) <= 80 for name in invariants.INVARIANTS)
    assert timezone.is_aware(clock.now())
