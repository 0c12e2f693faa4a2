"""Measures against an account: who may, why, never against somebody in danger; and what stays open meanwhile."""

import datetime as dt
import uuid

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, User
from companion.models import Conversation, Persona
from safety import authorities, cases, sanctions
from safety.models import AuthorityReport, CrisisCase, Sanction
from safety.moderation import NotPossible
from safety.sanctions import Function, Kind, NotAllowed, Reason
from tests.cast import make_user
from tests.companion.written import client_of
from tests.safety.test_cases import signal

pytestmark = pytest.mark.django_db(transaction=True)

WEEK = dt.timedelta(days=7)
ALL = [Function.PERSONAS, Function.PUBLISHING, Function.CHAT]


def suspend(staff: User, user: User) -> Sanction:
    now = timezone.now()
    return sanctions.impose(
        staff, user, Kind.SUSPEND, reason=Reason.ABUSE, evidence="R-1", now=now, until=now + WEEK
    )


def restrict(staff: User, user: User, *functions: Function) -> Sanction:
    return sanctions.impose(
        staff,
        user,
        Kind.RESTRICT,
        reason=Reason.ABUSE,
        evidence="R-1",
        now=timezone.now(),
        functions=functions,
    )


def refusal(staff: User, user: User, kind: Kind, **more: object) -> str:
    values = {"reason": Reason.ABUSE, "evidence": "R-1", "now": timezone.now(), **more}
    with pytest.raises(NotAllowed) as refused:
        sanctions.impose(staff, user, kind, **values)  # type: ignore[arg-type]
    return refused.value.code


# --- imposing and ending --------------------------------------------------------------------------------------


def test_a_measure_is_recorded_with_reason_and_evidence_and_read_by_open_pages(
    adult: User, moderator: User
) -> None:
    adult.refresh_from_db()
    generation = adult.policy_generation
    measure = suspend(moderator, adult)
    adult.refresh_from_db()
    assert adult.policy_generation == generation + 1
    entry = AuditEntry.objects.get(action="sanction.imposed")
    assert (entry.actor, entry.subject, entry.target) == (moderator.pk, adult.pk, f"sanction:{measure.pk}")
    assert (entry.data["kind"], entry.data["reason"], entry.data["evidence"]) == ("suspend", "abuse", "R-1")


def test_a_measure_ends_by_its_time_and_by_lifting_once(adult: User, moderator: User) -> None:
    measure = suspend(moderator, adult)
    now = timezone.now()
    assert sanctions.in_force(adult.pk, now) == measure
    assert sanctions.in_force(adult.pk, now + WEEK) is None
    sanctions.lift(moderator, measure.pk, now)
    assert sanctions.in_force(adult.pk, now) is None
    with pytest.raises(NotAllowed, match="gone"):
        sanctions.lift(moderator, measure.pk, now)
    assert AuditEntry.objects.filter(action="sanction.lifted").count() == 1


def test_the_gravest_measure_stands_first_and_publishing_alone_does_not_stop_chat(
    adult: User, moderator: User
) -> None:
    publishing = restrict(moderator, adult, Function.PUBLISHING)
    now = timezone.now()
    assert not sanctions.blocks_chat(publishing)
    assert sanctions.closed(adult.pk, Function.PUBLISHING, now)
    assert not sanctions.closed(adult.pk, Function.PERSONAS, now)
    chat = restrict(moderator, adult, Function.CHAT)
    restrict(moderator, adult, Function.PERSONAS)
    assert sanctions.in_force(adult.pk, now + dt.timedelta(seconds=9)) == chat
    suspended = suspend(moderator, adult)
    restrict(moderator, adult, Function.CHAT)
    assert sanctions.in_force(adult.pk, now + dt.timedelta(seconds=9)) == suspended
    assert all(sanctions.closes(suspended, function) for function in Function)


def test_who_may_not(adult: User, outsider: User, moderator: User, supervisor: User) -> None:
    later = timezone.now() + WEEK
    User.objects.filter(pk=outsider.pk).update(role=User.Role.MODERATOR)  # the role without being staff
    outsider.refresh_from_db()
    assert refusal(outsider, adult, Kind.SUSPEND, until=later) == "not_staff"
    assert refusal(adult, outsider, Kind.SUSPEND, until=later) == "not_staff"
    assert refusal(moderator, moderator, Kind.SUSPEND, until=later) == "oneself"
    assert refusal(supervisor, moderator, Kind.SUSPEND, until=later) == "staff"
    assert refusal(moderator, adult, Kind.END) == "not_operator"
    moderator.is_active = False
    assert refusal(moderator, adult, Kind.SUSPEND, until=later) == "not_staff"
    measure = suspend(supervisor, adult)
    with pytest.raises(NotAllowed, match="not_staff"):
        sanctions.lift(adult, measure.pk, timezone.now())


def test_a_measure_says_what_and_until_when(adult: User, moderator: User, supervisor: User) -> None:
    now = timezone.now()
    assert refusal(moderator, adult, Kind.RESTRICT) == "no_function"
    assert refusal(moderator, adult, Kind.SUSPEND) == "until"
    assert refusal(moderator, adult, Kind.SUSPEND, until=now - WEEK) == "until"
    assert refusal(moderator, adult, Kind.SUSPEND, until=now + dt.timedelta(days=91)) == "until"
    ended = sanctions.impose(
        supervisor, adult, Kind.END, reason=Reason.FRAUD, evidence="R-1", now=timezone.now()
    )
    assert sanctions.in_force(adult.pk, timezone.now() + dt.timedelta(days=4000)) == ended


def test_nobody_in_danger_is_suspended(adult: User, moderator: User, supervisor: User) -> None:
    case, later = signal(adult), timezone.now() + WEEK
    refused = {"until": later}
    assert refusal(moderator, adult, Kind.SUSPEND, **refused) == "case"
    assert refusal(supervisor, adult, Kind.END) == "case"
    assert refusal(moderator, adult, Kind.RESTRICT, functions=ALL) == "case"
    restrict(moderator, adult, Function.PUBLISHING, Function.PERSONAS)
    closed = cases.close(
        case.pk,
        moderator,
        timezone.now(),
        reason=CrisisCase.CloseReason.SAFE,
        outcome=CrisisCase.Outcome.NONE,
    ).closed_at
    assert closed is not None
    almost, after = closed + dt.timedelta(hours=71), closed + dt.timedelta(hours=72, seconds=1)
    assert refusal(moderator, adult, Kind.SUSPEND, until=after + WEEK, now=almost) == "case"
    sanctions.impose(
        moderator, adult, Kind.SUSPEND, reason=Reason.ABUSE, evidence="R-1", now=after, until=after + WEEK
    )


# --- while suspended ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "page",
    ["help", "complaints", "complaint_new", "settings", "care", "measures", "tickets", "chats", "home"],
)
def test_a_suspended_person_reaches(adult: User, moderator: User, page: str) -> None:
    suspend(moderator, adult)
    assert client_of(adult).get(reverse(page)).status_code == 200


def test_a_suspended_person_can_leave_and_complain_and_appeal(adult: User, moderator: User) -> None:
    measure, client = suspend(moderator, adult), client_of(adult)
    talk = Conversation.objects.create(
        user=adult, persona=Persona.objects.create(slug="p", state="published")
    )
    assert client.post(reverse("chat_leave", args=[talk.public_id])).status_code == 302
    talk.refresh_from_db()
    assert talk.ended_at is not None
    filed = client.post(reverse("complaint_new"), {"category": "account", "text": "…"})
    assert filed.headers["Location"].startswith("/complaints/K-")
    filed = client.post(f"{reverse('appeal_new')}?about=sanction&id={measure.pk}", {"text": "…"})
    assert filed.headers["Location"] == reverse("tickets")


def test_the_page_of_measures_says_why_what_works_and_how_to_object(adult: User, moderator: User) -> None:
    page = client_of(adult).get(reverse("measures")).content.decode()
    assert "There are none." in page
    measure = suspend(moderator, adult)
    page = client_of(adult).get(reverse("measures")).content.decode()
    for words in (str(Reason.ABUSE.label), "What still works", reverse("help"), f"id={measure.pk}"):
        assert words in page
    assert str(moderator.pk) not in page and "R-1" not in page
    assert client_of(adult).post(reverse("measures")).status_code == 405
    assert Client().get(reverse("measures")).status_code == 302


# --- the staff's pages ----------------------------------------------------------------------------------------


def test_a_moderator_imposes_and_lifts_in_the_admin_and_others_find_no_way(
    adult: User, outsider: User, moderator: User
) -> None:
    begin = reverse("admin:safety_sanction_begin")
    data = {"person": str(adult.pk), "kind": "suspend", "reason": "fraud", "evidence": "R-1", "days": "7"}
    for client in (client_of(outsider), client_of(adult), Client()):
        assert client.post(begin, data).status_code in (302, 403)
    plain_staff = make_user("clerk", 30, is_staff=True)
    assert client_of(plain_staff).post(begin, data).status_code == 403
    assert not Sanction.objects.exists()
    staff = client_of(moderator)
    refused = staff.post(begin, {**data, "kind": "end"}).content.decode()
    assert "Only an operator may do this." in refused
    assert staff.post(begin, {**data, "person": str(uuid.uuid4())}).status_code == 200
    assert staff.post(begin, data).status_code == 302
    measure = Sanction.objects.get()
    listed = staff.get(reverse("admin:safety_sanction_changelist")).content.decode()
    act = reverse("admin:safety_sanction_act", args=[measure.pk])
    assert act in listed and begin in listed and adult.email not in listed
    assert staff.get(act).status_code == 200
    measure.refresh_from_db()
    assert measure.lifted_at is None  # looking lifts nothing
    staff.post(act, {"lift": "Lift it now"})
    measure.refresh_from_db()
    assert measure.lifted_by == moderator
    assert staff.get(reverse("admin:safety_sanction_act", args=["no-id"])).status_code == 404


# --- reports to authorities: two operators --------------------------------------------------------------------


@pytest.fixture
def second_operator(db: None) -> User:
    return make_user("second", 50, role=User.Role.OPERATOR, is_staff=True, is_superuser=True)


def propose(staff: User, subject: User, case: CrisisCase | None = None) -> AuthorityReport:
    return authorities.propose(
        staff,
        subject,
        case=case,
        authority="Police station",
        basis=AuthorityReport.Basis.LIFE,
        note="why it is needed",
        now=timezone.now(),
    )


def test_two_operators_report_to_an_authority_and_the_record_holds_no_text(
    adult: User, supervisor: User, second_operator: User
) -> None:
    row = propose(supervisor, adult, signal(adult))
    authorities.approve(second_operator, row.pk, timezone.now())
    authorities.sent(supervisor, row.pk, "2026-17", timezone.now())
    row.refresh_from_db()
    assert (row.state, row.reference, row.approved_by) == ("sent", "2026-17", second_operator)
    assert row.open() == "why it is needed" and b"needed" not in bytes(row.note)
    entries = AuditEntry.objects.filter(action__startswith="authority.").order_by("pk")
    assert [(each.action, each.actor) for each in entries] == [
        ("authority.proposed", supervisor.pk),
        ("authority.approved", second_operator.pk),
        ("authority.sent", supervisor.pk),
    ]
    assert "needed" not in str([each.data for each in entries])


def test_the_same_person_the_subject_a_replay_and_a_late_approval_are_refused(
    adult: User, moderator: User, supervisor: User, second_operator: User
) -> None:
    row, now = propose(supervisor, adult), timezone.now()
    other_session = User.objects.get(pk=supervisor.pk)
    for staff, when, code in (
        (supervisor, now, "same_person"),
        (other_session, now, "same_person"),
        (moderator, now, "not_staff"),
        (second_operator, now + dt.timedelta(hours=24, seconds=5), "expired"),
    ):
        with pytest.raises(NotPossible, match=code):
            authorities.approve(staff, row.pk, when)
    with pytest.raises(NotPossible, match="gone"):
        authorities.sent(supervisor, row.pk, "1", now)
    authorities.approve(second_operator, row.pk, now)
    with pytest.raises(NotPossible, match="gone"):
        authorities.approve(second_operator, row.pk, now)
    with pytest.raises(NotPossible, match="oneself"):
        propose(supervisor, supervisor)
    about_operator = propose(supervisor, second_operator)
    with pytest.raises(NotPossible, match="oneself"):
        authorities.approve(second_operator, about_operator.pk, now)
    for bad in ({"approved_by": supervisor}, {"approved_by": second_operator, "subject": second_operator}):
        with pytest.raises(IntegrityError), transaction.atomic():
            AuthorityReport.objects.filter(pk=row.pk).update(**bad)


def test_a_withdrawn_one_is_over_and_a_case_belongs_to_the_person(
    adult: User, outsider: User, supervisor: User, second_operator: User
) -> None:
    row, now = propose(supervisor, adult), timezone.now()
    authorities.withdraw(supervisor, row.pk, now)
    with pytest.raises(NotPossible, match="gone"):
        authorities.approve(second_operator, row.pk, now)
    with pytest.raises(NotPossible, match="gone"):
        propose(supervisor, outsider, signal(adult))


def test_only_operators_find_the_pages_of_authorities(
    adult: User, moderator: User, supervisor: User, second_operator: User
) -> None:
    begin = reverse("admin:safety_authorityreport_begin")
    data = {"person": str(adult.pk), "authority": "Police station", "basis": "life", "note": "why"}
    assert client_of(moderator).get(begin).status_code == 403
    assert client_of(supervisor).post(begin, data).status_code == 302
    act = reverse("admin:safety_authorityreport_act", args=[AuthorityReport.objects.get().pk])
    assert client_of(moderator).post(act, {"approve": "1"}).status_code == 403
    client_of(supervisor).post(act, {"approve": "1"})
    assert AuthorityReport.objects.get().state == "proposed"
    client_of(second_operator).post(act, {"approve": "1"})
    page = client_of(supervisor).get(act).content.decode()
    assert "why" in page and 'name="sent"' in page
    client_of(supervisor).post(act, {"sent": "1", "reference": "2026-17"})
    assert AuthorityReport.objects.get().state == "sent"
