"""Emergency contacts are asked, may say no at any time, can be tested, and nobody can be flooded through them."""

import datetime as dt
import uuid
from dataclasses import replace
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.core.exceptions import ValidationError
from django.core.signing import TimestampSigner
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import ratelimit
from accounts.care import ContactDetails
from accounts.models import AuditEntry, Event, User
from guardians import contacts
from guardians.limits import effective_policy
from guardians.models import EmergencyContact
from safety import cases, contact_agreement, contact_answers, escalation, outbox, recipients
from safety.care_notices import Kind
from safety.models import CareNotice, CaseEvent, CrisisCase, Delivery
from tests.cast import CONTACT, make_user
from tests.providers import MailHost, mail_host
from tests.safety.test_cases import signal

__all__ = ["mail_host"]
pytestmark = pytest.mark.django_db(transaction=True)

State = EmergencyContact.State
FRIEND = ContactDetails("Wu Min", "friend", email="friend@example.org")
MINUTE, DAY = dt.timedelta(minutes=1), dt.timedelta(days=1)


@pytest.fixture
def person(db: None) -> User:
    return make_user("person", 67)


@pytest.fixture(autouse=True)
def _buckets() -> None:
    ratelimit.reset()


def give(person: User, details: ContactDetails = FRIEND, **more: Any) -> EmergencyContact:
    return contact_agreement.give(person, details, now=timezone.now(), **more)


def link_to(contact: EmergencyContact, kind: Kind = Kind.CONTACT_ASK) -> str:
    row = Delivery.objects.filter(care__kind=kind, recipient=f"contact:{contact.pk}").latest("pk")
    return contact_agreement.link(row).removeprefix("http://127.0.0.1:8000")


def state_of(contact: EmergencyContact) -> str:
    return EmergencyContact.objects.get(pk=contact.pk).state


def missing(person: User) -> str:
    return effective_policy(User.objects.get(pk=person.pk), timezone.now()).missing


def test_whoever_is_named_is_asked_once_by_mail_with_why_and_when(person: User, client: Client) -> None:
    contact = give(person)
    outbox.dispatch("a")
    (message,) = mail.outbox
    assert message.to == [FRIEND.email]
    for words in ("(Person)", "When we reach you", "never pass on", "yes or no", "emergency-contact/"):
        assert words in message.body
    assert state_of(contact) == State.GIVEN and recipients.near(person) == [f"contact:{contact.pk}"]
    assert missing(person) == ""
    assert AuditEntry.objects.filter(action="account.contact_asked", subject=person.pk).count() == 1


def test_opening_the_link_answers_nothing(person: User, client: Client) -> None:
    contact = give(person)
    url = link_to(contact)
    for _ in range(2):
        page = client.get(url)
        assert page.status_code == 200 and "no-store" in page["Cache-Control"]
        client.head(url)
    text = page.content.decode()
    assert "Person named you as emergency contact" in text and person.email not in text
    assert FRIEND.email not in text
    assert state_of(contact) == State.GIVEN
    assert client.put(url).status_code == client.delete(url).status_code == 405
    assert client.post(url, {"answer": "perhaps"}).status_code == 400
    assert state_of(contact) == State.GIVEN


def test_an_answer_needs_the_token_of_the_form(person: User) -> None:
    contact = give(person)
    strict = Client(enforce_csrf_checks=True)
    url = link_to(contact)
    assert strict.post(url, {"answer": "no"}).status_code == 403
    strict.get(url)
    token = strict.cookies[settings.CSRF_COOKIE_NAME].value
    assert strict.post(url, {"answer": "no", "csrfmiddlewaretoken": token}).status_code == 302
    assert state_of(contact) == State.REFUSED


def test_a_yes_a_no_and_a_change_of_mind(person: User, client: Client) -> None:
    contact = give(person)
    url = link_to(contact)
    for said, state, near in (
        ("yes", State.CONFIRMED, 1),
        ("no", State.REFUSED, 0),
        ("yes", State.CONFIRMED, 1),
    ):
        assert client.post(url, {"answer": said}).status_code == 302
        assert state_of(contact) == state and len(recipients.near(person)) == near
        assert missing(person) == ("" if near else "contact")
    entries = AuditEntry.objects.filter(action="account.contact_answered").order_by("pk")
    assert [entry.data["answer"] for entry in entries] == ["yes", "no", "yes"]
    assert "policy.changed" in Event.objects.filter(user_id=person.pk).values_list("kind", flat=True)
    assert {entry.actor for entry in entries} == {None}


def test_a_refusal_is_told_kindly_and_somebody_else_is_asked_for(person: User, client: Client) -> None:
    contact = give(person)
    contact_agreement.answer(contact, yes=False, now=timezone.now())
    client.force_login(person)
    for page in ("care", "contacts", "settings"):
        text = client.get(reverse(page)).content.decode()
        assert "Wu Min" in text and "somebody else you trust" in text, page
    assert client.get(reverse("account_next"))["Location"] == reverse("care")
    again = client.post(reverse("contact_new"), vars(replace(FRIEND, phone="")))
    assert "do not want to be your contact" in again.content.decode()
    assert client.post(reverse("contact_new"), vars(CONTACT)).status_code == 302
    assert missing(person) == "" and state_of(contact) == State.REFUSED


@pytest.mark.parametrize("token", ["", "1:2:3", "x" * 300])
def test_a_forged_link_says_nothing(person: User, client: Client, token: str) -> None:
    contact = give(person)
    row = Delivery.objects.get(recipient=f"contact:{contact.pk}")
    forged = [token or str(row.pk), TimestampSigner(salt="safety.contact_answers").sign(str(row.pk))]
    for one in forged:
        url = reverse("contact_agreement", args=[one])
        assert client.get(url).status_code == client.post(url, {"answer": "no"}).status_code == 404
    assert state_of(contact) == State.GIVEN


def test_a_link_to_the_notices_of_a_case_is_not_made_from_it(person: User, client: Client) -> None:
    contact = give(person)
    token = link_to(contact).rstrip("/").rpartition("/")[2]
    assert client.get(reverse("alert_contact", args=[token])).status_code == 404


def test_a_link_ends_after_seven_days_and_with_what_it_was_sent_to(
    person: User, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    contact = give(person)
    url = link_to(contact)
    with monkeypatch.context() as patch:
        patch.setattr(contact_agreement, "VALID_FOR", dt.timedelta(seconds=-1))
        assert client.post(url, {"answer": "no"}).status_code == 410
    changed = give(person, replace(FRIEND, email="other@example.org"), instead_of=contact)
    assert changed.pk == contact.pk
    assert client.post(url, {"answer": "no"}).status_code == 410
    assert state_of(contact) == State.GIVEN
    assert client.get(link_to(changed)).status_code == 200


def test_a_contact_marked_unsafe_learns_nothing_and_changes_nothing(person: User, client: Client) -> None:
    contact = give(person)
    url = link_to(contact)
    contacts.mark_unsafe(contact, actor=person.pk)
    page = client.get(url)
    assert page.status_code == 410 and "safe" not in page.content.decode().partition("<main")[2]
    assert client.post(url, {"answer": "yes"}).status_code == 410
    contact_agreement.answer(contact, yes=True, now=timezone.now())
    assert state_of(contact) == State.UNSAFE


def test_a_refusal_takes_them_out_of_open_cases_and_brings_the_next_one(
    person: User, moderator: User
) -> None:
    first, second = give(person), give(person, CONTACT)
    case = signal(person, 4)
    assert case.contact_due_at is not None
    escalation.sweep(case.contact_due_at)
    told = Delivery.objects.filter(template="near")
    assert set(told.values_list("recipient", flat=True)) == {f"contact:{first.pk}"}
    now = case.contact_due_at + MINUTE
    contact_agreement.answer(first, yes=False, now=now)
    case.refresh_from_db()
    assert case.ladder["4"] == [f"contact:{second.pk}"] and not case.safeguarding
    assert case.contact_due_at == case.next_due_at == now
    assert CaseEvent.objects.filter(case=case, kind="contact_refused").count() == 1
    escalation.sweep(now)
    assert f"contact:{second.pk}" in told.values_list("recipient", flat=True)
    outbox.dispatch("a", now)
    assert FRIEND.email not in [
        to for message in mail.outbox for to in message.to if "alerts/" in message.body
    ]


def test_a_refusal_before_anybody_was_told_leaves_the_clock_as_it_is(person: User, moderator: User) -> None:
    first, second = give(person), give(person, CONTACT)
    case = signal(person, 4)
    due = case.contact_due_at
    contact_agreement.answer(first, yes=False, now=timezone.now())
    case.refresh_from_db()
    assert (case.contact_due_at, case.contacts_told) == (due, 0)
    assert due is not None
    escalation.sweep(due)
    assert set(Delivery.objects.filter(template="near").values_list("recipient", flat=True)) == {
        f"contact:{second.pk}"
    }


def test_a_refusal_does_not_undo_what_a_human_decided(person: User, moderator: User) -> None:
    first, _second = give(person), give(person, CONTACT)
    case = signal(person, 4)
    assert case.contact_due_at is not None
    escalation.sweep(case.contact_due_at)
    cases.withhold_contact(case.pk, moderator, case.contact_due_at + MINUTE, reason="asked")
    contact_agreement.answer(first, yes=False, now=case.contact_due_at + 2 * MINUTE)
    assert CrisisCase.objects.get(pk=case.pk).contact_due_at is None


def test_a_changed_number_is_reached_in_the_case_that_is_open(person: User, moderator: User) -> None:
    contact = give(person)
    case = signal(person, 4)
    give(person, replace(FRIEND, email="right@example.org"), instead_of=contact)
    assert case.contact_due_at is not None
    escalation.sweep(case.contact_due_at)
    outbox.dispatch("a", case.contact_due_at)
    assert [message.to for message in mail.outbox if "alerts/" in message.body] == [["right@example.org"]]


def test_a_corrected_name_keeps_the_answer(person: User) -> None:
    contact = give(person)
    contact_agreement.answer(contact, yes=True, now=timezone.now())
    again = give(person, replace(FRIEND, name="Wu Ming"), instead_of=EmergencyContact.objects.get())
    assert again.state == State.CONFIRMED and CareNotice.objects.count() == 1


def test_a_question_on_its_way_to_an_old_address_is_not_sent(person: User) -> None:
    contact = give(person)
    give(person, replace(FRIEND, email="other@example.org"), instead_of=contact)
    outbox.dispatch("a")
    assert [message.to for message in mail.outbox] == [["other@example.org"]]


def test_a_test_notice_goes_out_once_and_shows_how_far_it_came(
    person: User, client: Client, mail_host: MailHost
) -> None:
    contact = give(person)
    client.force_login(person)
    url = reverse("contact_test", args=[contact.pk])
    assert client.get(url).status_code == 405
    assert client.post(url).status_code == client.post(url).status_code == 302
    assert CareNotice.objects.filter(kind=Kind.CONTACT_TEST).count() == 1
    page = reverse("contacts")
    assert "on its way" in client.get(page).content.decode()
    outbox.dispatch("a")
    assert "handed over to their provider" in client.get(page).content.decode()
    test = next(one for one in mail_host.taken if "test" in str(one["Subject"]))
    assert test["To"] == FRIEND.email
    row = Delivery.objects.get(care__kind=Kind.CONTACT_TEST)
    outbox.receipt(row.provider_id, arrived=True, now=timezone.now())
    assert "it has arrived" in client.get(page).content.decode()
    outbox.receipt(row.provider_id, arrived=False, now=timezone.now())
    assert "could not be delivered" in client.get(page).content.decode()


def test_the_contact_can_stop_from_a_test_notice_and_from_a_case(
    person: User, moderator: User, client: Client
) -> None:
    contact = give(person)
    assert contact_agreement.write(Kind.CONTACT_TEST, contact, timezone.now()) == ""
    assert client.get(link_to(contact, Kind.CONTACT_TEST)).status_code == 200
    case = signal(person, 4)
    assert case.contact_due_at is not None
    escalation.sweep(case.contact_due_at)
    near = Delivery.objects.get(template="near")
    page = client.get(contact_answers.link(near).removeprefix("http://127.0.0.1:8000")).content.decode()
    assert contact_agreement.link(near) in page
    assert client.post(contact_agreement.link(near), {"answer": "no"}).status_code == 302
    assert state_of(contact) == State.REFUSED


def test_pages_and_acts_are_the_persons_own(person: User, outsider: User, client: Client) -> None:
    contact = give(person)
    paths = [reverse(name, args=[contact.pk]) for name in ("contact_ask", "contact_test", "contact_change")]
    for path in [*paths, reverse("contacts"), reverse("contact_new")]:
        assert client.post(path).status_code in (302, 405)
        assert "login" in client.get(path).get("Location", "login")
    client.force_login(outsider)
    assert [client.post(path, vars(CONTACT)).status_code for path in paths] == [404] * 3
    assert "Wu Min" not in client.get(reverse("contacts")).content.decode()
    assert CareNotice.objects.count() == 1 and state_of(contact) == State.GIVEN
    assert client.post(reverse("contacts")).status_code == 405
    nobody = reverse("contact_test", args=[uuid.uuid4()])
    assert client.post(nobody).status_code == 404


def test_asking_again_waits_a_day(person: User, client: Client) -> None:
    contact = give(person)
    now = timezone.now()
    assert contact_agreement.write(Kind.CONTACT_ASK, contact, now) == "too_soon"
    contact.refresh_from_db()
    later = now + DAY + MINUTE
    assert contact_agreement.write(Kind.CONTACT_ASK, contact, later) == ""
    contact.refresh_from_db()
    contact_agreement.answer(contact, yes=True, now=later)
    contact.refresh_from_db()
    assert contact_agreement.write(Kind.CONTACT_ASK, contact, later + 2 * DAY) == "too_soon"


def test_nobody_is_flooded_by_many_accounts_nor_through_one(db: None) -> None:
    for number in range(contact_agreement.TO_AN_ADDRESS + 2):
        give(make_user(f"person{number}", 30))
    assert CareNotice.objects.count() == contact_agreement.TO_AN_ADDRESS
    assert EmergencyContact.objects.count() == contact_agreement.TO_AN_ADDRESS + 2
    somebody = make_user("busy", 30)
    before = CareNotice.objects.count()
    row: EmergencyContact | None = None
    for number in range(contact_agreement.OF_A_PERSON + 3):
        row = give(somebody, replace(FRIEND, email=f"f{number}@example.org"), instead_of=row)
    assert CareNotice.objects.count() - before == contact_agreement.OF_A_PERSON
    assert row is not None and row.asked_at is None


def test_the_same_person_is_named_once(person: User) -> None:
    first = give(person)
    assert give(person, replace(FRIEND, relation="sibling")).pk == first.pk
    assert EmergencyContact.objects.count() == CareNotice.objects.count() == 1


def test_no_more_than_a_few_people_are_named(person: User) -> None:
    for number in range(contacts.MOST):
        give(person, replace(FRIEND, email=f"f{number}@example.org"))
    with pytest.raises(ValidationError):
        give(person, CONTACT)


def test_a_number_without_a_gateway_is_said_plainly(person: User, client: Client) -> None:
    contact = give(person, ContactDetails("Wu Min", "friend", phone="+8613800138000"))
    client.force_login(person)
    text = client.get(reverse("contacts")).content.decode()
    assert "cannot send to a telephone number" in text and "Send a test notice" not in text
    assert "all the same" not in text and contact.asked_at is None and not CareNotice.objects.exists()
    assert contact_agreement.write(Kind.CONTACT_TEST, contact, timezone.now()) == "no_channel"
