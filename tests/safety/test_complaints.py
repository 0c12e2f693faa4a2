"""Complaints of anybody: without an account, with a number nobody guesses, and with a clock that cannot be hidden."""

import datetime as dt
import re
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, User
from companion.tasks import escalate_overdue
from safety import complaints, moderation
from safety.models import Complaint, Delivery, Lane, OperationsAlert
from safety.moderation import NotPossible
from tests.companion.written import client_of, second_reviewer

pytestmark = pytest.mark.django_db(transaction=True)

Category, Decision = Complaint.Category, Complaint.Decision


def visitor(**extra: Any) -> Client:
    """Somebody without an account, who reads English."""
    return Client(headers={"accept-language": "en"}, **extra)


def complain(person: User | None = None, category: Complaint.Category = Category.OTHER) -> Complaint:
    return complaints.file(
        category=category, text="what happened", email="", person=person, now=timezone.now()
    )


def decided(staff: User, row: Complaint, at: dt.datetime | None = None) -> Complaint:
    return complaints.decide(staff, row.pk, Decision.UPHELD, "the answer", at or timezone.now())


# --- complaining and looking --------------------------------------------------------------------------------------


def test_somebody_without_an_account_complains_and_looks_where_it_stands(moderator: User) -> None:
    client = visitor()
    data = {"category": "content", "text": "what happened", "email": "me@example.org"}
    page = client.post(reverse("complaint_new"), data, follow=True)
    row = Complaint.objects.get()
    assert re.fullmatch(r"K(-[2-9A-HJKMNP-Z]{4}){3}", row.number)
    assert page.redirect_chain[0][0] == reverse("complaint", args=[row.number])
    assert row.number in page.content.decode() and "what happened" not in page.content.decode()
    for stored in (row.text, row.email):
        assert "happened" not in stored and "example.org" not in stored
    assert "happened" not in str(AuditEntry.objects.values())
    decided(moderator, row)
    typed = row.number.lower().replace("-", " ")
    found = visitor().get(reverse("complaint_find"), {"number": typed}, follow=True).content.decode()
    assert "the answer" in found and str(Decision.UPHELD.label) in found
    assert "the answer" not in Complaint.objects.get().answer


def test_a_number_that_is_none_tells_nothing_and_numbers_do_not_repeat() -> None:
    row = complain()
    for wrong in ("K-2222-2222-2222", row.number[:-1], row.number + "2", "x", f"R{row.number[1:]}"):
        assert visitor().get(reverse("complaint", args=[wrong])).status_code == 404
    assert len({moderation.number("K") for _ in range(2000)}) == 2000


def test_guessing_and_filling_the_queue_are_bounded_and_help_is_not() -> None:
    client = visitor()
    looks = [client.get(reverse("complaint", args=["K-2222-2222-2222"])).status_code for _ in range(40)]
    assert looks[:30] == [404] * 30 and 429 in looks[30:]
    data = {"category": "other", "text": "what happened"}
    answers = [client.post(reverse("complaint_new"), data) for _ in range(8)]
    assert [answer.status_code for answer in answers].count(302) == 5
    assert "what happened" in answers[-1].content.decode()  # nothing written is lost
    for page in ("help", "complaints", "complaint_new", "home"):
        assert client.get(reverse(page)).status_code == 200
    other = visitor(REMOTE_ADDR="192.0.2.7")
    assert other.post(reverse("complaint_new"), data).status_code == 302


@pytest.mark.parametrize("name", ["home", "help", "gallery", "terms", "complaints"])
def test_every_page_leads_to_complaints(name: str) -> None:
    assert f'href="{reverse("complaints")}"' in visitor().get(reverse(name)).content.decode()


def test_wrong_verbs_and_empty_forms_change_nothing() -> None:
    client = visitor()
    assert client.put(reverse("complaint_new")).status_code == 405
    assert client.post(reverse("complaints")).status_code == 405
    assert client.post(reverse("complaint_new"), {"category": "nonsense", "text": ""}).status_code == 200
    assert not Complaint.objects.exists()


# --- lanes and deadlines ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("category", "lane"),
    [(Category.DANGER, Lane.SAFETY), (Category.MINORS, Lane.MINORS), (Category.PRIVACY, Lane.ORDINARY)],
)
def test_danger_and_minors_have_lanes_of_their_own(category: Complaint.Category, lane: Lane) -> None:
    row = complain(category=category)
    assert row.lane == lane
    assert row.due_at - row.created_at == dt.timedelta(hours=moderation.hours(lane))


def test_a_minor_who_is_signed_in_waits_in_the_minors_lane(minor: User) -> None:
    assert complain(minor).lane == Lane.MINORS


def test_an_operator_may_only_be_quicker_and_the_page_says_what_holds(settings: Any) -> None:
    settings.COMPLAINT_DEADLINES = {"ordinary": 48, "safety": 500, "minors": 0}
    assert [moderation.hours(kind) for kind in ("ordinary", "safety", "minors")] == [48, 24, 24]
    page = visitor().get(reverse("complaints")).content.decode()
    assert "within 48 hours" in page and "within 500" not in page


def test_a_median_is_shown_from_five_answers_on_and_is_the_one_of_the_rows(moderator: User) -> None:
    now = timezone.now()
    for number, hours in enumerate((1, 2, 5, 30, 90), start=1):
        row = complain()
        Complaint.objects.filter(pk=row.pk).update(created_at=now - dt.timedelta(hours=hours))
        assert "half of them" not in visitor().get(reverse("complaints")).content.decode(), number
        decided(moderator, row, now)
    assert complaints.medians(timezone.now()) == {"ordinary": 5.0}
    assert "half of them within 5.0 hours" in visitor().get(reverse("complaints")).content.decode()
    assert complaints.medians(now + dt.timedelta(days=91)) == {}


def test_a_late_ticket_comes_before_the_people_on_call_once_and_stays_until_it_is_answered(
    settings: Any, moderator: User
) -> None:
    settings.ALERT_ON_CALL = ["duty@example.org"]
    row, early = complain(), complain(category=Category.DANGER)
    decided(moderator, early)
    assert complaints.escalate_overdue(row.due_at) == 0
    assert complaints.escalate_overdue(row.due_at + dt.timedelta(seconds=1)) == 1
    assert complaints.escalate_overdue(row.due_at + dt.timedelta(hours=9)) == 0
    alert = OperationsAlert.objects.get()
    assert (alert.code, alert.subject, alert.resolved_at) == ("complaint.overdue", row.number, None)
    assert Delivery.objects.filter(alert=alert).count() == 1
    assert "The answer is late" not in visitor().get(reverse("complaint", args=[row.number])).content.decode()
    decided(moderator, row)
    alert.refresh_from_db()
    assert alert.resolved_at is not None


def test_the_periodic_task_escalates(moderator: User) -> None:
    row = complain()
    Complaint.objects.filter(pk=row.pk).update(due_at=timezone.now() - dt.timedelta(hours=1))
    assert escalate_overdue() == 1
    assert "The answer is late" in visitor().get(reverse("complaint", args=[row.number])).content.decode()


# --- the answer ---------------------------------------------------------------------------------------------------


def test_nobody_answers_their_own_or_without_the_role_or_twice(
    adult: User, moderator: User, outsider: User
) -> None:
    own, row = complain(moderator), complain(adult)
    for staff, complaint, code in (
        (moderator, own, "oneself"),
        (outsider, row, "not_staff"),
        (adult, row, "not_staff"),
    ):
        with pytest.raises(NotPossible, match=code):
            decided(staff, complaint)
        url = reverse("admin:safety_complaint_decide", args=[complaint.pk])
        assert client_of(staff).post(url, {"decision": "upheld", "answer": "x"}).status_code in (302, 403)
    assert not Complaint.objects.exclude(state="open").exists()
    with pytest.raises(IntegrityError), transaction.atomic():
        Complaint.objects.filter(pk=own.pk).update(
            state="decided", decision="upheld", decided_at=timezone.now(), decided_by=moderator
        )
    decided(moderator, row)
    with pytest.raises(NotPossible, match="gone"):
        decided(second_reviewer(), row)


def test_a_moderator_answers_in_the_admin_and_the_mail_says_only_where(
    moderator: User, mailoutbox: list[Any]
) -> None:
    data = {"category": "content", "text": "what happened", "email": "me@example.org"}
    visitor().post(reverse("complaint_new"), data)
    row, staff = Complaint.objects.get(), client_of(moderator)
    listed = staff.get(reverse("admin:safety_complaint_changelist")).content.decode()
    assert row.number in listed and "what happened" not in listed
    url = reverse("admin:safety_complaint_decide", args=[row.pk])
    assert "what happened" in staff.get(url).content.decode()
    staff.post(url, {"decision": "upheld", "answer": "we changed it"})
    row.refresh_from_db()
    assert (row.state, row.decided_by) == ("decided", moderator)
    (mail,) = mailoutbox
    assert mail.to == ["me@example.org"] and row.number in mail.body
    assert "we changed it" not in mail.body and "what happened" not in mail.body
