"""Work on a case: clocks, the checklist with two people, notes, colleagues, who is there."""

import datetime as dt

import pytest
from django.utils import timezone, translation

from accounts.models import AuditEntry, User
from safety import case_card, case_clocks, case_work, cases, clock
from safety.case_clocks import Clock
from safety.cases import CaseError, State
from safety.models import CaseNote, CrisisCase, Delivery, OperationsAlert, Presence, Shift
from tests.cast import make_user
from tests.safety.test_cases import signal

pytestmark = pytest.mark.django_db(transaction=True)

START = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)
CALL = "service"


def after(seconds: float) -> dt.datetime:
    return START + dt.timedelta(seconds=seconds)


def unsaved(level: int = 4, **fields: object) -> CrisisCase:
    values = {"opened_at": START, "ladder_at": START, "contact_due_at": after(120), **fields}
    return CrisisCase(level=level, **values)


def clocks(
    case: CrisisCase, now: dt.datetime, *events: tuple[str, dt.datetime], waits: dt.datetime | None = None
) -> dict[str, Clock]:
    return {one.name: one for one in case_clocks.clocks(case, events, waits, now)}


# --- clocks


def test_every_clock_runs_to_its_breach() -> None:
    soon = clocks(unsaved(), after(1))
    assert list(soon) == list(case_clocks.NAMES)
    assert [one.status for one in soon.values()] == ["running", "running", "none", "running", "running"]
    assert soon["claim"].due == after(180) and soon["contact"].due == after(120)
    later = clocks(unsaved(), after(181))
    assert [later[name].status for name in ("notice", "claim", "contact", "close")] == ["breached"] * 3 + [
        "running"
    ]
    assert case_clocks.next_breach(later.values(), after(0)) == after(5)


def test_a_clock_that_was_stopped_says_whether_in_time() -> None:
    assert clocks(unsaved(first_notice_at=after(2)), after(9))["notice"].status == "met"
    assert clocks(unsaved(first_notice_at=after(6)), after(9))["notice"].status == "late"
    assert clocks(unsaved(first_seen_at=after(6)), after(9))["notice"].at == after(6)


def test_a_case_that_got_graver_is_counted_from_then() -> None:
    graver = clocks(unsaved(), after(3601), ("raised", after(3600)))
    assert graver["claim"].due == after(3780)


def test_the_reply_is_due_only_while_a_human_has_it_and_the_person_waits() -> None:
    held = unsaved(state=State.IN_CARE, first_held_at=after(60), active_at=after(60))
    assert clocks(unsaved(), after(70), waits=after(50))["reply"].status == "none"
    assert clocks(held, after(70))["reply"].status == "met"
    assert clocks(held, after(70), waits=after(65))["reply"].due == after(125)
    assert clocks(held, after(126), waits=after(65))["reply"].status == "breached"


def test_whoever_lost_the_case_does_not_stop_its_clock() -> None:
    lost = unsaved(state=State.ESCALATING, first_held_at=after(60), ladder_at=after(1000))
    assert clocks(lost, after(1001))["claim"].due == after(1180)


def test_a_contact_that_was_told_or_is_not_to_be_is_not_due() -> None:
    done = unsaved(contact_due_at=None)
    assert clocks(done, after(9), ("contact_notice", after(5)))["contact"].at == after(5)
    assert clocks(done, after(9))["contact"].status == "none"


# --- the checklist


def test_a_second_human_confirms_what_the_first_did(adult: User, moderator: User, supervisor: User) -> None:
    case, now = signal(adult, 4), clock.now()
    with pytest.raises(CaseError, match="checked"):
        case_work.check(case.pk, supervisor, CALL, "confirmed", now)
    case_work.check(case.pk, moderator, CALL, "done", now)
    with pytest.raises(CaseError, match="checked"):
        case_work.check(case.pk, supervisor, CALL, "done", now)
    with pytest.raises(CaseError, match="same_person"):
        case_work.check(case.pk, moderator, CALL, "confirmed", now)
    case_work.check(case.pk, supervisor, CALL, "confirmed", now)
    with pytest.raises(CaseError, match="checked"):
        case_work.check(case.pk, supervisor, CALL, "confirmed", now)
    row = next(one for one in case_work.checks(case) if one.item == CALL)
    assert (row.done_by, row.confirmed_by) == (moderator.pk, supervisor.pk)
    assert AuditEntry.objects.filter(action="case.checklist").count() == 2


def test_what_was_taken_back_begins_anew(adult: User, moderator: User, supervisor: User) -> None:
    case, now = signal(adult, 4), clock.now()
    case_work.check(case.pk, moderator, CALL, "done", now)
    case_work.check(case.pk, supervisor, CALL, "withdrawn", now)
    case_work.check(case.pk, supervisor, CALL, "done", now)
    case_work.check(case.pk, moderator, CALL, "confirmed", now)
    row = next(one for one in case_work.checks(case) if one.item == CALL)
    assert (row.done_by, row.confirmed_by) == (supervisor.pk, moderator.pk)


@pytest.mark.parametrize(("item", "step"), [("dance", "done"), (CALL, "skipped")])
def test_the_checklist_has_only_its_own_lines(adult: User, moderator: User, item: str, step: str) -> None:
    with pytest.raises(CaseError, match="gone"):
        case_work.check(signal(adult, 4).pk, moderator, item, step, clock.now())


def test_the_person_themselves_and_outsiders_do_not_work_on_a_case(
    moderator: User, outsider: User, supervisor: User
) -> None:
    case, now = signal(moderator, 4), clock.now()
    for staff, code in ((moderator, "oneself"), (outsider, "not_staff")):
        with pytest.raises(CaseError, match=code):
            case_work.check(case.pk, staff, CALL, "done", now)
        with pytest.raises(CaseError, match=code):
            case_work.note(case.pk, staff, "x", now)
    case_work.note(case.pk, supervisor, "x", now)


def test_work_of_the_holder_ends_their_silence(adult: User, moderator: User, supervisor: User) -> None:
    case, now = signal(adult, 4), clock.now()
    cases.claim(case.pk, moderator, now)
    later = now + dt.timedelta(minutes=10)
    case_work.check(case.pk, supervisor, CALL, "done", later)
    assert CrisisCase.objects.get().active_at == now
    case_work.note(case.pk, moderator, "I called them.", later)
    assert CrisisCase.objects.get().active_at == later


# --- notes


def test_a_note_is_sealed_and_can_be_written_after_the_end(adult: User, moderator: User) -> None:
    case, now = signal(adult, 4), clock.now()
    cases.close(case.pk, moderator, now, reason=CrisisCase.CloseReason.SAFE, outcome=CrisisCase.Outcome.NONE)
    case_work.note(case.pk, moderator, "  The sister called back. ", now)
    row = CaseNote.objects.get()
    assert b"sister" not in bytes(row.body) and row.open(adult.pk) == "The sister called back."
    for text, code in (("  ", "empty"), ("x" * 4001, "too_long")):
        with pytest.raises(CaseError, match=code):
            case_work.note(case.pk, moderator, text, now)


# --- colleagues


def test_a_case_goes_only_to_a_colleague_who_is_there_and_can_carry_it(
    adult: User, moderator: User, supervisor: User
) -> None:
    case, now = signal(adult, 4), clock.now()
    cases.claim(case.pk, moderator, now)
    with pytest.raises(CaseError, match="away"):
        case_work.transfer(case.pk, moderator, supervisor, now)
    case_work.present(supervisor, now - dt.timedelta(seconds=61))
    with pytest.raises(CaseError, match="away"):
        case_work.transfer(case.pk, moderator, supervisor, now)
    case_work.present(supervisor, now)
    for number in range(cases.MOST_SEVERE):
        cases.claim(signal(make_user(f"other{number}", 30), 3).pk, supervisor, now)
    with pytest.raises(CaseError, match="colleague_full"):
        case_work.transfer(case.pk, moderator, supervisor, now)
    cases.hand_back(CrisisCase.objects.filter(holder=supervisor).latest("pk").pk, supervisor, now)
    assert case_work.transfer(case.pk, moderator, supervisor, now).holder == supervisor


def test_the_team_is_who_is_here_or_on_duty_or_has_a_case(
    adult: User, moderator: User, supervisor: User
) -> None:
    now = clock.now()
    assert [(load.staff, load.present, load.on_duty) for load in case_work.team(now)] == [
        (moderator, False, True)
    ]
    Shift.objects.create(user=supervisor, starts_at=now, ends_at=now + dt.timedelta(hours=8))
    assert [load.staff for load in case_work.team(now)] == [supervisor]
    cases.claim(signal(adult, 3).pk, moderator, now)
    loads = {load.staff: load for load in case_work.team(now)}
    assert (loads[moderator].present, loads[moderator].severe, loads[moderator].full) == (True, 1, False)
    assert not loads[supervisor].present


def test_presence_ends_with_the_last_movement(moderator: User) -> None:
    now = clock.now()
    case_work.present(moderator, now)
    case_work.present(moderator, now)
    assert Presence.objects.count() == 1
    assert not case_work.team(now + case_work.PRESENT_FOR)[0].present


def test_a_notice_has_arrived_when_a_page_shows_it(adult: User, moderator: User, supervisor: User) -> None:
    case, now = signal(adult, 4), clock.now()
    Delivery.objects.update(state=Delivery.State.ACCEPTED)
    case_work.noticed(supervisor, [case.pk], now)
    assert Delivery.objects.get().state == Delivery.State.ACCEPTED  # it was another one's
    case_work.noticed(moderator, [case.pk], now + dt.timedelta(seconds=9))
    assert Delivery.objects.get().state == Delivery.State.CONFIRMED
    assert CrisisCase.objects.get().first_notice_at == now


def test_a_page_that_shows_ones_own_case_is_no_notice(moderator: User) -> None:
    case = signal(moderator, 4)
    case_work.noticed(moderator, [case.pk], clock.now())
    assert CrisisCase.objects.get().first_notice_at is None


def test_only_operators_acknowledge_what_is_wrong_with_the_service(moderator: User, supervisor: User) -> None:
    alert = OperationsAlert.objects.create(code="rung.empty", subject="2")
    with pytest.raises(CaseError, match="not_operator"):
        case_work.acknowledge_alert(alert.pk, moderator, timezone.now())
    case_work.acknowledge_alert(alert.pk, supervisor, timezone.now())
    with pytest.raises(CaseError, match="gone"):
        case_work.acknowledge_alert(alert.pk, supervisor, timezone.now())


# --- the card


def test_the_card_shows_who_is_near_and_no_whole_address(adult: User, minor: User, moderator: User) -> None:
    with translation.override("en"):
        (contact,) = case_card.near(signal(adult, 4))
        assert (contact.name, contact.relation, contact.reachable) == ("Lin Qiu", "Brother or sister", True)
        assert contact.addresses == ("c***@example.org", "+86***00")
        guardian = case_card.near(signal(minor, 4))[0]
        assert (guardian.name, guardian.relation) == ("Guardian", "Mother")


@pytest.mark.parametrize(
    ("address", "shown"), [("a@b.org", "a***@b.org"), ("12345", "***"), ("+8613800138000", "+86***00")]
)
def test_masks(address: str, shown: str) -> None:
    assert case_card.masked(address) == shown
