"""Suspected minors: several messages on several occasions, the mode first, a human within days, nothing kept after."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditEntry, User
from companion import rulings
from guardians import limits
from safety import age_reviews, appeals, complaints
from safety.age_reviews import Decision
from safety.models import AgeReview, AgeSign, Appeal, CareNotice, OperationsAlert
from safety.moderation import NotPossible
from tests.cast import PASSWORD, born, make_user, with_guardian

pytestmark = pytest.mark.django_db
Mode = User.MinorsMode
NOW = dt.datetime(2026, 11, 18, 12, tzinfo=dt.UTC)  # a Wednesday


def sign(user: User, code: str, hours: float) -> bool:
    """A message with this sign, so many hours before NOW."""
    return age_reviews.note(user.pk, uuid.uuid4(), [code], NOW - dt.timedelta(hours=hours))


def suspected(user: User, now: dt.datetime = NOW) -> AgeReview:
    for hours in (30, 20, 0):
        sign(user, "stated", hours)
    row = age_reviews.suspect(user.pk, now)
    assert row is not None
    user.refresh_from_db()
    limits.forget(user)
    return row


# --- what adds up ------------------------------------------------------------------------------------------


def test_one_message_never_decides_however_clear(adult: User) -> None:
    assert not age_reviews.note(adult.pk, uuid.uuid4(), ["stated", "grade", "school", "home"], NOW)


def test_one_evening_never_decides_however_much_is_said(adult: User) -> None:
    assert not any(sign(adult, "stated", hours) for hours in (5, 4, 3, 2, 1, 0.5, 0))


def test_two_messages_never_decide_however_clear_and_far_apart(adult: User) -> None:
    assert [sign(adult, "stated", hours) for hours in (20, 0)] == [False, False]


def test_three_clear_statements_on_two_occasions_add_up(adult: User) -> None:
    assert [sign(adult, "stated", hours) for hours in (30, 29, 0)] == [False, False, True]


def test_hints_need_more_than_statements_and_a_second_kind(adult: User) -> None:
    assert not any(sign(adult, "home", 200 - 10 * number) for number in range(12))
    assert sign(adult, "school", 1)


def test_the_trained_part_alone_never_decides(adult: User) -> None:
    assert not any(sign(adult, "meaning", 200 - 10 * number) for number in range(15))
    assert not sign(adult, "home", 1)


def test_what_is_long_ago_counts_less_and_then_not_at_all(adult: User) -> None:
    assert not any(sign(adult, "stated", 24 * days) for days in (59, 40, 0))
    other = make_user("other", 25)
    assert [sign(other, "stated", 24 * days) for days in (3, 2, 0)][-1]


def test_the_same_message_counts_once(adult: User) -> None:
    message = uuid.uuid4()
    for hours in (40, 20, 0):
        assert not age_reviews.note(adult.pk, message, ["stated"], NOW - dt.timedelta(hours=hours))


def test_signs_of_others_do_not_count(adult: User, outsider: User) -> None:
    sign(outsider, "stated", 30)
    sign(outsider, "stated", 20)
    assert not sign(adult, "stated", 0)


def test_keeping_and_reading_is_one_statement(adult: User) -> None:
    with CaptureQueriesContext(connection) as queries:
        sign(adult, "stated", 0)
    assert len(queries) == 1


def test_only_codes_and_times_are_kept() -> None:
    kept = {field.attname for field in AgeSign._meta.concrete_fields}
    assert kept == {"id", "user_id", "message", "code", "created_at"}


def test_signs_that_no_longer_count_are_forgotten_but_not_while_somebody_decides(
    adult: User, outsider: User
) -> None:
    sign(adult, "stated", 24 * 61)
    sign(adult, "home", 24 * 5)
    suspected(outsider)
    assert age_reviews.forget_old(NOW) == 1
    assert age_reviews.forget_old(NOW + dt.timedelta(days=90)) == 1
    assert AgeSign.objects.filter(user=outsider).count() == 3


# --- switched, with a deadline -------------------------------------------------------------------------------


def test_the_mode_is_on_first_and_a_human_is_asked_with_a_deadline(adult: User) -> None:
    adult.refresh_from_db()
    generation = adult.policy_generation
    row = suspected(adult)
    assert adult.minors_mode == Mode.SUSPECTED and adult.policy_generation == generation + 1
    assert limits.effective_policy(adult, NOW).is_minor
    assert (
        limits.effective_policy(adult, NOW).missing == ""
    )  # an adult's contact is enough until it is confirmed
    assert (row.lane, row.due_at) == (
        "minors",
        NOW + dt.timedelta(days=5),
    )  # the third working day is a Monday
    entry = AuditEntry.objects.get(action="age.suspected")
    assert (entry.actor, entry.subject, entry.data) == (None, adult.pk, {})


@pytest.mark.parametrize(
    ("begun", "days", "weekday"), [(16, 3, 3), (18, 3, 0), (20, 1, 0), (21, 1, 0), (22, 5, 4)]
)
def test_working_days_are_counted_without_weekends(
    settings: Any, begun: int, days: int, weekday: int
) -> None:
    settings.AGE_REVIEW_DAYS = days
    assert age_reviews.due(NOW.replace(day=begun)).weekday() == weekday


@pytest.mark.parametrize("wished", [0, -1, 6, 400])
def test_an_operator_cannot_take_longer(settings: Any, wished: int) -> None:
    settings.AGE_REVIEW_DAYS = wished
    assert age_reviews.days() == age_reviews.MOST_DAYS


def test_minors_and_people_in_the_mode_are_not_suspected(adult: User, minor: User) -> None:
    User.objects.filter(pk=adult.pk).update(minors_mode=Mode.CHOSEN)
    assert age_reviews.suspect(adult.pk, NOW) is None
    assert age_reviews.suspect(minor.pk, NOW) is None
    assert AgeReview.objects.count() == 0


def test_what_is_late_comes_before_the_people_on_call_once(adult: User) -> None:
    row = suspected(adult)
    assert complaints.escalate_overdue(row.due_at) == 0
    assert complaints.escalate_overdue(row.due_at + dt.timedelta(seconds=1)) == 1
    assert complaints.escalate_overdue(row.due_at + dt.timedelta(days=1)) == 0
    assert OperationsAlert.objects.filter(code="complaint.overdue", subject=row.number).count() == 1


# --- decided by a human ----------------------------------------------------------------------------------------


def test_an_adult_is_out_of_the_mode_and_nothing_is_kept(adult: User, moderator: User) -> None:
    row = suspected(adult)
    age_reviews.state(adult, "I teach at a school.")
    age_reviews.decide(moderator, row.pk, Decision.LIFTED, NOW)
    adult.refresh_from_db()
    row.refresh_from_db()
    assert adult.minors_mode == Mode.OFF
    assert row.statement is None and not AgeSign.objects.filter(user=adult).exists()
    assert (row.state, row.decided_by) == ("decided", moderator)


def test_an_adult_is_not_asked_again_for_a_while(adult: User, moderator: User) -> None:
    age_reviews.decide(moderator, suspected(adult).pk, Decision.LIFTED, NOW)
    for hours in (-24, -48, -72):  # the days after it
        assert not sign(adult, "stated", hours)
    assert not AgeSign.objects.exists()
    later = [-24 * days for days in (91, 92, 93)]
    assert [sign(adult, "stated", hours) for hours in later] == [False, False, True]


def test_a_minor_stays_in_the_mode_and_needs_a_guardian(adult: User, moderator: User) -> None:
    row = suspected(adult)
    age_reviews.decide(moderator, row.pk, Decision.CONFIRMED, NOW)
    adult.refresh_from_db()
    limits.forget(adult)
    assert adult.minors_mode == Mode.CONFIRMED
    assert limits.effective_policy(adult, NOW).missing == "guardian"
    assert not AgeSign.objects.exists()


def test_nobody_decides_about_themselves_and_people_without_the_role_not_at_all(
    adult: User, moderator: User, outsider: User
) -> None:
    row = suspected(adult)
    for staff in (adult, outsider):
        with pytest.raises(NotPossible):
            age_reviews.decide(staff, row.pk, Decision.LIFTED, NOW)
    own = suspected(moderator)
    with pytest.raises(NotPossible, match="oneself"):
        age_reviews.decide(moderator, own.pk, Decision.LIFTED, NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        AgeReview.objects.filter(pk=own.pk).update(
            state="decided", decision="lifted", decided_at=NOW, decided_by=moderator
        )
    adult.refresh_from_db()
    assert adult.minors_mode == Mode.SUSPECTED


def test_a_question_is_decided_once(adult: User, moderator: User, supervisor: User) -> None:
    row = suspected(adult)
    age_reviews.decide(moderator, row.pk, Decision.LIFTED, NOW)
    with pytest.raises(NotPossible, match="gone"):
        age_reviews.decide(supervisor, row.pk, Decision.CONFIRMED, NOW)


def test_what_the_person_says_is_sealed_and_cannot_outlive_the_decision(adult: User, moderator: User) -> None:
    row = suspected(adult)
    age_reviews.state(adult, "My class is in grade 9.")
    row.refresh_from_db()
    assert b"grade" not in bytes(row.statement or b"") and row.open() == "My class is in grade 9."
    with pytest.raises(IntegrityError), transaction.atomic():
        AgeReview.objects.filter(pk=row.pk).update(state="decided", decision="lifted", decided_at=NOW)


# --- objection ---------------------------------------------------------------------------------------------------


def appeal(person: User, now: dt.datetime) -> Appeal:
    against = appeals.ground(person, Appeal.Subject.AGE, person.pk, now)
    assert against is not None
    return rulings.file(person, Appeal.Subject.AGE, person.pk, "I am 31.", against, now)


def test_while_a_human_is_to_decide_there_is_nothing_to_appeal(adult: User) -> None:
    suspected(adult)
    assert appeals.ground(adult, Appeal.Subject.AGE, adult.pk, NOW) is None


def test_an_appeal_is_decided_by_another_human(adult: User, moderator: User, supervisor: User) -> None:
    age_reviews.decide(moderator, suspected(adult).pk, Decision.CONFIRMED, NOW)
    later = NOW + dt.timedelta(days=1)
    row = appeal(adult, later)
    upheld, reason = Appeal.Decision.UPHELD, Appeal.Reason.MISTAKE
    with pytest.raises(NotPossible, match="same_person"):
        rulings_decide(moderator, row, upheld, reason, later)
    rulings_decide(supervisor, row, upheld, reason, later)
    adult.refresh_from_db()
    assert adult.minors_mode == Mode.OFF and adult.birth_date == born(31, later)


def test_an_appeal_that_is_granted_with_a_young_birth_date_keeps_the_protection(
    adult: User, moderator: User, supervisor: User
) -> None:
    age_reviews.decide(moderator, suspected(adult).pk, Decision.CONFIRMED, NOW)
    row = appeal(adult, NOW)
    rulings_decide(supervisor, row, Appeal.Decision.UPHELD, Appeal.Reason.NEW_FACTS, NOW, years=16)
    adult.refresh_from_db()
    limits.forget(adult)
    assert limits.effective_policy(adult, NOW).is_minor


def test_a_guardian_is_told_that_the_mode_is_off(
    adult: User, guardian: User, moderator: User, supervisor: User
) -> None:
    age_reviews.decide(moderator, suspected(adult).pk, Decision.CONFIRMED, NOW)
    adult.refresh_from_db()
    with_guardian(adult, guardian)
    rulings_decide(supervisor, appeal(adult, NOW), Appeal.Decision.UPHELD, Appeal.Reason.MISTAKE, NOW)
    told = CareNotice.objects.get(kind="mode", user=adult)
    assert told.data == {"change": "off"}
    assert set(told.deliveries.values_list("recipient", flat=True)) == {f"guardian:{guardian.pk}"}


def test_one_appeal_for_each_decision(adult: User, moderator: User, supervisor: User) -> None:
    age_reviews.decide(moderator, suspected(adult).pk, Decision.CONFIRMED, NOW)
    later = NOW + dt.timedelta(days=1)
    row = appeal(adult, later)
    rulings_decide(supervisor, row, Appeal.Decision.REJECTED, Appeal.Reason.CONFIRMED, later)
    with pytest.raises(NotPossible, match="already"):
        appeal(adult, later + dt.timedelta(days=1))


def rulings_decide(
    staff: User,
    row: Appeal,
    decision: Appeal.Decision,
    reason: Appeal.Reason,
    now: dt.datetime,
    years: int = 31,
) -> None:
    with transaction.atomic():
        appeals.decide(
            staff,
            row.pk,
            decision,
            reason,
            "We looked at it again.",
            now,
            take_effect=lambda each: appeals.correct_age(each, staff, born(years, now), now),
        )


# --- pages of staff -----------------------------------------------------------------------------------------------


def browser(user: User) -> Client:
    client = Client()
    assert client.login(username=user.email, password=PASSWORD)
    return client


@pytest.mark.parametrize("who", ["adult", "outsider", "guardian"])
def test_the_pages_of_staff_are_closed_to_others(request: Any, who: str) -> None:
    row = suspected(make_user("asked", 30))
    client = browser(request.getfixturevalue(who))
    for url in ("/admin/safety/agereview/", f"/admin/safety/agereview/{row.pk}/decide/"):
        assert client.get(url).status_code in (302, 403, 404)
        assert client.post(url, {"decision": "lifted"}).status_code in (302, 403, 404)
    row.refresh_from_db()
    assert row.state == "open"
