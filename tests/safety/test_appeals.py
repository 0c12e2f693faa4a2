"""Appeals: another person decides, and what they decide takes effect with the decision or not at all."""

import datetime as dt
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, User
from companion import authoring, rulings
from companion.models import Persona
from safety import appeals, moderation, sanctions
from safety.models import Appeal, Report, Sanction
from safety.moderation import NotPossible
from tests.cast import born
from tests.companion.written import client_of, second_reviewer, submitted
from tests.safety.test_sanctions import suspend

pytestmark = pytest.mark.django_db(transaction=True)

Subject, Decision, Reason = Appeal.Subject, Appeal.Decision, Appeal.Reason


def object_to(person: User, subject: Appeal.Subject, subject_id: uuid.UUID) -> Appeal:
    now = timezone.now()
    against = rulings.ground(person, subject, subject_id, now)
    assert against is not None
    return appeals.file(person, subject, subject_id, "why not", against, now)


def answer(staff: User, row: Appeal, decision: Appeal.Decision = Decision.UPHELD, **instead: Any) -> Appeal:
    return rulings.decide_appeal(
        staff, row.pk, decision, Reason.MISTAKE, "we looked again", timezone.now(), **instead
    )


def against_measure(adult: User, moderator: User) -> tuple[Sanction, Appeal]:
    measure = suspend(moderator, adult)
    return measure, object_to(adult, Subject.SANCTION, measure.pk)


def decided_report(adult: User, moderator: User) -> Report:
    row = moderation.report(
        adult,
        kind=Report.Kind.PERSONA,
        target=uuid.uuid4(),
        persona=uuid.uuid4(),
        conversation=None,
        reason=Report.Reason.OTHER,
        comment="",
        now=timezone.now(),
    )
    return rulings.decide_report(moderator, row.pk, Report.Decision.NO_BREACH, timezone.now())


# --- what takes effect --------------------------------------------------------------------------------------------


def test_a_measure_is_lifted_with_the_decision(adult: User, moderator: User, supervisor: User) -> None:
    measure, row = against_measure(adult, moderator)
    assert row.first_decider == moderator
    assert (row.due_at - row.created_at) == dt.timedelta(hours=moderation.hours("appeal"))
    answer(supervisor, row)
    assert sanctions.in_force(adult.pk, timezone.now()) is None
    measure.refresh_from_db()
    assert measure.lifted_by == supervisor
    acts = list(AuditEntry.objects.filter(subject=adult.pk).order_by("pk").values_list("action", flat=True))
    assert acts[-4:] == ["sanction.imposed", "appeal.filed", "appeal.decided", "sanction.lifted"]


def test_an_appeal_that_is_not_granted_changes_nothing(
    adult: User, moderator: User, supervisor: User
) -> None:
    measure, row = against_measure(adult, moderator)
    answer(supervisor, row, Decision.REJECTED)
    assert sanctions.in_force(adult.pk, timezone.now()) == measure
    page = client_of(adult).get(reverse("tickets")).content.decode()
    assert "we looked again" in page and str(Decision.REJECTED.label) in page
    with pytest.raises(NotPossible, match="already"):
        object_to(adult, Subject.SANCTION, measure.pk)


def test_what_cannot_take_effect_is_not_decided(adult: User, moderator: User, supervisor: User) -> None:
    ended = sanctions.impose(
        supervisor,
        adult,
        sanctions.Kind.END,
        reason=sanctions.Reason.FRAUD,
        evidence="R-1",
        now=timezone.now(),
    )
    row = object_to(adult, Subject.SANCTION, ended.pk)
    with pytest.raises(NotPossible, match="not_operator"):
        answer(moderator, row)
    row.refresh_from_db()
    assert (row.state, row.decision, row.decided_by) == ("open", "", None)
    assert not AuditEntry.objects.filter(action="appeal.decided").exists()


def test_a_refused_companion_goes_back_to_two_reviewers(
    adult: User, moderator: User, supervisor: User
) -> None:
    persona = submitted(adult)
    authoring.refuse(moderator, persona, reason=authoring.Reason.UNCLEAR)
    page = client_of(adult).get(reverse("persona", args=[persona.slug])).content.decode()
    assert f"about=persona&amp;id={persona.public_id}" in page
    row = object_to(adult, Subject.PERSONA, persona.public_id)
    with pytest.raises(NotPossible, match="same_person"):
        answer(moderator, row)
    answer(supervisor, row)
    persona.refresh_from_db()
    assert (persona.state, persona.review_reason, persona.approved_by, persona.reviewed_by) == (
        Persona.State.IN_REVIEW,
        "",
        None,
        None,
    )


def test_a_corrected_age_changes_rights_at_once_and_the_log_holds_no_date(
    adult: User, moderator: User
) -> None:
    row = object_to(adult, Subject.AGE, adult.pk)
    with pytest.raises(NotPossible, match="bad_decision"):
        answer(moderator, row)
    adult.refresh_from_db()
    generation, date = adult.policy_generation, born(15)
    answer(moderator, row, birth_date=date)
    adult.refresh_from_db()
    assert (adult.birth_date, adult.policy_generation) == (date, generation + 1)
    entry = AuditEntry.objects.get(action="account.age_corrected")
    assert date.isoformat() not in str(entry.data)
    with pytest.raises(NotPossible, match="already"):
        object_to(adult, Subject.AGE, adult.pk)


def test_a_second_decision_about_a_report_replaces_the_first(
    adult: User, moderator: User, supervisor: User
) -> None:
    report = decided_report(adult, moderator)
    row = object_to(adult, Subject.REPORT, report.public_id)
    for same in (None, Report.Decision.NO_BREACH):
        with pytest.raises(NotPossible, match="bad_decision"):
            answer(supervisor, row, report_decision=same)
    answer(supervisor, row, report_decision=Report.Decision.BREACH)
    report.refresh_from_db()
    assert (report.decision, report.decided_by) == ("breach", supervisor)


# --- who ----------------------------------------------------------------------------------------------------------


def test_the_first_decider_the_subject_and_a_replay_are_refused(
    adult: User, outsider: User, moderator: User, supervisor: User
) -> None:
    _, row = against_measure(adult, moderator)
    other_session = User.objects.get(pk=moderator.pk)
    for staff, code in (
        (moderator, "same_person"),
        (other_session, "same_person"),
        (adult, "not_staff"),
        (outsider, "not_staff"),
    ):
        with pytest.raises(NotPossible, match=code):
            answer(staff, row)
        url = reverse("admin:safety_appeal_decide", args=[row.pk])
        data = {"decision": "upheld", "reason": "mistake", "answer": "x"}
        assert client_of(staff).get(url).status_code in (302, 403)
        assert client_of(staff).post(url, data).status_code in (302, 403)
    for person in (moderator, adult):
        with pytest.raises(IntegrityError), transaction.atomic():
            Appeal.objects.filter(pk=row.pk).update(
                state="decided", decision="upheld", decided_at=timezone.now(), decided_by=person
            )
    answer(supervisor, row)
    with pytest.raises(NotPossible, match="gone"):
        answer(second_reviewer(), row)


def test_of_two_who_decide_at_once_one_does(adult: User, moderator: User, supervisor: User) -> None:
    measure, row = against_measure(adult, moderator)
    meet = threading.Barrier(2)

    def try_it(staff: User) -> str:
        meet.wait()
        try:
            return answer(staff, row).decision
        except NotPossible as refused:
            return refused.code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(try_it, (supervisor, second_reviewer())))
    assert outcomes == ["gone", "upheld"]
    assert AuditEntry.objects.filter(action="sanction.lifted", target=f"sanction:{measure.pk}").count() == 1


def test_nobody_of_the_team_decides_their_own_appeal(moderator: User, supervisor: User) -> None:
    row = object_to(moderator, Subject.REPORT, decided_report(moderator, supervisor).public_id)
    with pytest.raises(NotPossible, match="oneself"):
        answer(moderator, row, report_decision=Report.Decision.BREACH)


def test_one_objects_only_to_what_was_decided_about_oneself(
    adult: User, outsider: User, moderator: User
) -> None:
    report, persona = decided_report(adult, moderator), submitted(adult)
    measure = suspend(moderator, adult)
    targets = [("sanction", measure.pk), ("report", report.public_id), ("persona", persona.public_id)]
    for about, subject_id in [*targets, ("nonsense", uuid.uuid4()), ("sanction", "x")]:
        url = f"{reverse('appeal_new')}?about={about}&id={subject_id}"
        assert client_of(outsider).get(url).status_code == 404
        assert client_of(outsider).post(url, {"text": "x"}).status_code == 404
        assert Client().post(url, {"text": "x"}).headers["Location"].startswith(reverse("account_login"))
    waiting = f"{reverse('appeal_new')}?about=persona&id={persona.public_id}"
    assert client_of(adult).get(waiting).status_code == 404  # nothing was refused yet
    assert not Appeal.objects.exists()


def test_twice_is_one_appeal_and_its_text_is_sealed(adult: User, moderator: User) -> None:
    measure = suspend(moderator, adult)
    url = f"{reverse('appeal_new')}?about=sanction&id={measure.pk}"
    client = client_of(adult)
    for _ in range(2):
        page = client.post(url, {"text": "why not"}, follow=True).content.decode()
    row = Appeal.objects.get()
    assert row.number in page
    assert b"why not" not in bytes(row.text) and row.open("text") == "why not"
    assert client.put(url).status_code == 405


def test_another_moderator_reads_and_decides_in_the_admin(
    adult: User, moderator: User, supervisor: User
) -> None:
    _, row = against_measure(adult, moderator)
    staff = client_of(supervisor)
    assert "why not" not in staff.get(reverse("admin:safety_appeal_changelist")).content.decode()
    url = reverse("admin:safety_appeal_decide", args=[row.pk])
    assert "why not" in staff.get(url).content.decode()
    staff.post(url, {"decision": "upheld", "reason": "mistake", "answer": "we looked again"})
    row.refresh_from_db()
    assert (row.decision, row.decided_by) == ("upheld", supervisor)
    assert sanctions.in_force(adult.pk, timezone.now()) is None


def test_the_admin_asks_what_holds_instead(adult: User, moderator: User) -> None:
    row = object_to(adult, Subject.AGE, adult.pk)
    url = reverse("admin:safety_appeal_decide", args=[row.pk])
    data = {"decision": "upheld", "reason": "mistake", "answer": "x"}
    page = client_of(moderator).post(url, data).content.decode()
    assert "Say what holds instead." in page
    later = timezone.localdate() + dt.timedelta(days=2)
    client_of(moderator).post(url, {**data, "birth_date": later.isoformat()})
    assert Appeal.objects.get().state == "open"
    client_of(moderator).post(url, {**data, "birth_date": "2010-01-01"})
    adult.refresh_from_db()
    assert adult.birth_date == dt.date(2010, 1, 1)
