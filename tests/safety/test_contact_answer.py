"""The page of a guardian or contact: opening it means nothing, its buttons are recorded, the moderators go on."""

import datetime as dt
import re
from typing import Any

import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from guardians import contacts
from guardians.models import EmergencyContact
from safety import cases, contact_answers, escalation, outbox
from safety.contact_answers import Answer
from safety.models import CrisisCase, Delivery
from tests.cast import CONTACT
from tests.safety.test_cases import signal

pytestmark = pytest.mark.django_db(transaction=True)

SECOND = {**CONTACT.__dict__, "name": "Wei Qiu", "email": "second@example.org"}


@pytest.fixture
def told(adult: User, moderator: User) -> Delivery:
    """The notice that the first of two contacts got."""
    contacts.add(adult, type(CONTACT)(**SECOND), actor=adult.pk, now=timezone.now())
    case = signal(adult, 4)
    assert case.contact_due_at is not None
    escalation.sweep(case.contact_due_at)
    outbox.dispatch("a", case.contact_due_at)
    return Delivery.objects.get(template="near")


def path_of(delivery: Delivery) -> str:
    return (
        contact_answers.link(delivery).partition("/alerts/")[1]
        + contact_answers.link(delivery).partition("/alerts/")[2]
    )


def case_of(delivery: Delivery) -> CrisisCase:
    return CrisisCase.objects.get(pk=delivery.case_id)


def answers(delivery: Delivery) -> list[Any]:
    return [event.data["answer"] for event in case_of(delivery).events.filter(kind="contact_answered")]


def test_the_mail_leads_to_the_page_which_says_what_to_do(told: Delivery, client: Client) -> None:
    sent = next(message for message in mail.outbox if message.to == [CONTACT.email])
    (token,) = re.findall(r"/alerts/([^/\s]+)/", sent.body)
    assert contact_answers.notice_of(token)[0] == told
    page = client.get(path_of(told))
    assert page.status_code == 200 and "no-cache" in page["Cache-Control"]
    text = page.content.decode()
    assert all(f'value="{answer}"' in text for answer in Answer)
    assert case_of(told).number in text


def test_opening_the_page_is_no_answer(told: Delivery, client: Client) -> None:
    before = CrisisCase.objects.values().get()
    for _ in range(3):
        client.get(path_of(told))
        client.head(path_of(told))
    assert answers(told) == [] and CrisisCase.objects.values().get() == before
    assert Delivery.objects.get(pk=told.pk).state == "accepted"


@pytest.mark.parametrize("said", [Answer.SEEN, Answer.WITH_THEM])
def test_an_answer_is_recorded_and_ends_the_wait_for_the_second_contact(
    said: Answer, told: Delivery, client: Client
) -> None:
    climb = case_of(told).climb_due_at
    assert case_of(told).contact_due_at is not None
    assert client.post(path_of(told), {"answer": said}, follow=True).status_code == 200
    case = case_of(told)
    assert answers(told) == [said] and case.contact_due_at is None
    assert Delivery.objects.get(pk=told.pk).state == "confirmed"
    entry = AuditEntry.objects.get(action="case.contact_answered")
    assert (entry.target, entry.data["answer"]) == (case.number, said)
    # The moderators' ladder is not touched.
    assert case.state in escalation.UNATTENDED and case.climb_due_at == climb


def test_who_cannot_reach_the_person_brings_the_next_contact_at_once(told: Delivery, client: Client) -> None:
    client.post(path_of(told), {"answer": "cannot_reach"})
    escalation.sweep(max(timezone.now(), case_of(told).contact_due_at or timezone.now()))
    second = EmergencyContact.objects.order_by("pk").last()
    recipients = list(Delivery.objects.filter(template="near").values_list("recipient", flat=True))
    assert len(recipients) == 2 and second is not None and len(set(recipients)) == 2


def test_an_answer_does_not_undo_what_a_moderator_decided(
    told: Delivery, moderator: User, client: Client
) -> None:
    cases.withhold_contact(
        told.case_id or 0, moderator, timezone.now() + dt.timedelta(hours=1), reason="safe"
    )
    client.post(path_of(told), {"answer": "cannot_reach"})
    assert answers(told) == ["cannot_reach"] and case_of(told).contact_due_at is None


def test_an_answer_to_a_closed_case_is_only_recorded(told: Delivery, moderator: User, client: Client) -> None:
    reason, outcome = CrisisCase.CloseReason.SAFE, CrisisCase.Outcome.NONE
    cases.close(told.case_id or 0, moderator, timezone.now(), reason=reason, outcome=outcome)
    assert client.post(path_of(told), {"answer": "cannot_reach"}).status_code == 302
    assert answers(told) == ["cannot_reach"] and case_of(told).state == "closed"


def test_forged_links_expired_links_and_wrong_answers_do_nothing(told: Delivery, client: Client) -> None:
    path = path_of(told)
    number, _, rest = path.removeprefix("/alerts/").partition(":")
    other = f"/alerts/{int(number) + 1}:{rest}"
    for forged in (other, path[:-3] + "AA/", "/alerts/nonsense/", f"/alerts/{number}/"):
        assert client.get(forged).status_code == 404
        assert client.post(forged, {"answer": "seen"}).status_code == 404
    assert client.post(path, {"answer": "close the case"}).status_code == 400
    assert client.post(path).status_code == 400
    for verb in (client.put, client.delete, client.patch):
        assert verb(path).status_code == 405
    with time_machine.travel(
        timezone.now() + contact_answers.VALID_FOR + dt.timedelta(minutes=1), tick=False
    ):
        assert client.post(path, {"answer": "seen"}).status_code == 410
    assert answers(told) == []
    assert client.post(path, {"answer": "seen"}).status_code == 302


def test_a_post_from_another_site_is_refused(told: Delivery) -> None:
    assert Client(enforce_csrf_checks=True).post(path_of(told), {"answer": "seen"}).status_code == 403
    assert answers(told) == []


def test_the_link_of_another_notice_or_of_somebody_no_longer_told_is_gone(
    told: Delivery, moderator: User, client: Client
) -> None:
    staff = Delivery.objects.filter(template="staff").first()
    assert staff is not None and contact_answers.link(staff) == ""
    forged = contact_answers._signer.sign(str(staff.pk))
    assert client.get(f"/alerts/{forged}/").status_code == 410
    cases.withhold_contact(told.case_id or 0, moderator, timezone.now(), reason="unsafe")
    assert client.get(path_of(told)).status_code == 410
    assert client.post(path_of(told), {"answer": "seen"}).status_code == 410


def test_the_page_is_asked_only_so_often(told: Delivery, client: Client) -> None:
    codes = {client.get("/alerts/nonsense/").status_code for _ in range(40)}
    assert codes == {404, 429}
