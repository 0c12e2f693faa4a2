"""The page on which a person sees who read what they said, and the pages on which staff ask, agree and review."""

import datetime as dt
import uuid
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import AuditEntry, User
from companion.models import Conversation, Message, Persona
from safety import cases, escalation, reading_history, readings
from safety.models import CrisisCase, StaffSession
from tests.cast import PASSWORD
from tests.live import companions
from tests.safety.test_cases import signal

__all__ = ["companions"]

pytestmark = pytest.mark.django_db(transaction=True)

REASON = "a complaint about this conversation"
DAY = dt.timedelta(hours=24)


def signed_in(user: User, *, fresh: bool = True) -> Client:
    client = Client()
    client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    if fresh:
        client.post("/accounts/reauthenticate/", {"password": PASSWORD})
    return client


def read(session: StaffSession, messages: int = 12) -> StaffSession:
    """As companion/case_window.py notes it."""
    StaffSession.objects.filter(pk=session.pk).update(messages_read=messages)
    return session


def page(user: User) -> str:
    return signed_in(user, fresh=False).get("/accounts/readings/").content.decode()


def test_whoever_was_not_read_is_told_so(adult: User, outsider: User, moderator: User) -> None:
    read(readings.open_for_case(signal(outsider), moderator, timezone.now()))
    assert "Nobody has read your conversations." in page(adult)
    anonymous = Client().get("/accounts/readings/")
    assert anonymous.status_code == 302 and "/accounts/login/" in anonymous["Location"]
    assert signed_in(adult).post("/accounts/readings/").status_code == 405


def test_a_person_sees_who_read_why_and_what_was_done(adult: User, moderator: User, supervisor: User) -> None:
    case, now = signal(adult, 4), timezone.now()
    read(readings.open_for_case(case, supervisor, now))
    cases.claim(case.pk, moderator, now)
    read(readings.open_for_case(case, moderator, now), 1)
    case.refresh_from_db()
    assert case.contact_due_at is not None
    escalation.sweep(case.contact_due_at)
    cases.hand_back(case.pk, moderator, now)
    cases.close(case.pk, moderator, now, reason=CrisisCase.CloseReason.SAFE, outcome=CrisisCase.Outcome.NONE)
    shown = page(adult)
    assert "An operator read 12 messages" in shown and "Moderator read 1 message " in shown
    assert "because the safety engine saw signs that you might be in danger" in shown
    order = [
        "The team on duty was told",
        "Moderator joined the conversation",
        "went to: Brother or sister",
        "The human left",
        "A human closed the case",
    ]
    assert sorted(order, key=shown.index) == order
    for secret in (supervisor.nickname, "contact@example.org", "Lin Qiu", str(moderator.pk)):
        assert secret not in shown


def test_a_reading_appears_when_the_case_is_closed_or_after_a_day(adult: User, moderator: User) -> None:
    case, now = signal(adult), timezone.now()
    read(readings.open_for_case(case, moderator, now))
    assert reading_history.of(adult, now).stories == []
    after = reading_history.of(adult, now + DAY)
    assert [one.who for one in after.stories[0].read] == ["A moderator"]
    cases.close(case.pk, moderator, now, reason=CrisisCase.CloseReason.STORY, outcome=CrisisCase.Outcome.NONE)
    assert len(reading_history.of(adult, now).stories) == 1


def test_a_takeover_is_shown_at_once_also_when_somebody_near_may_be_the_danger(
    adult: User, moderator: User
) -> None:
    case, now = signal(adult, 3, "abuse.disclosed.partner"), timezone.now()
    assert case.safeguarding
    cases.claim(case.pk, moderator, now)
    (story,) = reading_history.of(adult, now).stories
    assert "Moderator joined the conversation." in [step.text for step in story.steps]


def test_a_broken_glass_is_shown_with_its_reason_and_only_when_it_was_used(
    adult: User, moderator: User, supervisor: User
) -> None:
    now = timezone.now()
    glass = readings.break_glass(moderator, adult, uuid.uuid4(), REASON, now)
    assert REASON not in page(adult)
    readings.approve(glass, supervisor, now)
    read(glass)
    assert REASON in page(adult)
    signal(adult)  # in danger now: not on a screen that others may see
    assert reading_history.of(adult, now).others == []
    assert [one.reason for one in reading_history.of(adult, now + DAY).others] == [REASON]


def test_the_settings_lead_there(adult: User) -> None:
    assert 'href="/accounts/readings/"' in signed_in(adult).get("/accounts/settings/").content.decode()


# --- staff ----------------------------------------------------------------------------------------------------

STAFF_PAGE = "/admin/readings/"


@pytest.fixture
def conversation(companions: None, adult: User) -> Conversation:
    persona = Persona.objects.filter(author=None).order_by("slug").first()
    conversation = Conversation.objects.create(user=adult, persona=persona)
    message = Message(conversation=conversation, author="user")
    message.seal(adult.pk, "words of the person")
    message.save(force_insert=True)
    return conversation


def asked(client: Client, conversation: Conversation, reason: str = REASON) -> Any:
    return client.post(f"{STAFF_PAGE}ask/", {"conversation": conversation.public_id, "reason": reason})


def test_one_asks_a_second_agrees_the_first_reads_and_a_third_reviews(
    conversation: Conversation, moderator: User, supervisor: User
) -> None:
    reader, colleague = signed_in(moderator), signed_in(supervisor)
    assert asked(reader, conversation).status_code == 302
    session = StaffSession.objects.get()
    own = f"{STAFF_PAGE}{session.pk}/"
    assert "words of the person" not in reader.get(own, follow=True).content.decode()
    for_colleague = colleague.get(STAFF_PAGE).content.decode()
    assert REASON in for_colleague and "words of the person" not in for_colleague
    assert REASON not in reader.get(STAFF_PAGE).content.decode()  # no button to agree with oneself
    reader.post(f"{own}approve/")
    session.refresh_from_db()
    assert session.approved_at is None
    colleague.post(f"{own}approve/")
    assert "words of the person" in reader.get(own).content.decode()
    assert "words of the person" not in colleague.get(own, follow=True).content.decode()
    StaffSession.objects.update(flagged=True)
    assert "Readings to review" not in reader.get(STAFF_PAGE).content.decode()
    assert f"{own}review/" in colleague.get(STAFF_PAGE).content.decode()
    colleague.post(f"{own}review/")
    session.refresh_from_db()
    assert session.reviewed_by == supervisor
    acts = AuditEntry.objects.filter(action__startswith="reading.").order_by("pk")
    assert [entry.action.removeprefix("reading.") for entry in acts] == [
        "requested",
        "refused",
        "refused",
        "approved",
        "refused",
        "reviewed",
    ]


def test_a_message_names_its_conversation_and_a_short_reason_names_none(
    conversation: Conversation, moderator: User
) -> None:
    reader = signed_in(moderator)
    assert asked(reader, conversation, "x" * 19).status_code == 422
    assert (
        reader.post(f"{STAFF_PAGE}ask/", {"conversation": uuid.uuid4(), "reason": REASON}).status_code == 422
    )
    assert not StaffSession.objects.exists()
    message = conversation.messages.get().public_id
    assert reader.post(f"{STAFF_PAGE}ask/", {"conversation": message, "reason": REASON}).status_code == 302
    assert StaffSession.objects.get().conversation == conversation.public_id


def test_asking_and_agreeing_need_a_fresh_proof_of_who_one_is(
    conversation: Conversation, moderator: User, supervisor: User
) -> None:
    session = readings.break_glass(
        moderator, conversation.user, conversation.public_id, REASON, timezone.now()
    )
    stale = signed_in(supervisor, fresh=False)
    answers = [
        stale.get(STAFF_PAGE),
        asked(stale, conversation, "a reason that must not be kept"),
        stale.post(f"{STAFF_PAGE}{session.pk}/approve/"),
    ]
    for answer in answers:
        assert answer.status_code == 302 and "/accounts/reauthenticate/" in answer["Location"]
    assert "must not be kept" not in str(dict(stale.session))
    session.refresh_from_db()
    assert session.approved_at is None and StaffSession.objects.count() == 1


def test_the_doors_of_the_staff_pages(conversation: Conversation, adult: User, moderator: User) -> None:
    session = readings.break_glass(
        moderator, conversation.user, conversation.public_id, REASON, timezone.now()
    )
    pages = {"": "get", "ask/": "post", f"{session.pk}/": "get", f"{session.pk}/approve/": "post"}
    pages[f"{session.pk}/review/"] = "post"
    reader = signed_in(moderator)
    for address, verb in pages.items():
        assert getattr(Client(), verb)(STAFF_PAGE + address).status_code == 302
        assert getattr(signed_in(adult), verb)(STAFF_PAGE + address).status_code in (302, 403)
        wrong = "post" if verb == "get" else "get"
        assert getattr(reader, wrong)(STAFF_PAGE + address).status_code == 405
    # Who is read, staff or not, learns of it on their own page and not here.
    adult.is_staff, adult.role = True, User.Role.OPERATOR
    adult.save()
    subject = signed_in(adult)
    assert REASON not in subject.get(STAFF_PAGE).content.decode()
    assert subject.post(f"{STAFF_PAGE}{session.pk}/approve/").status_code == 404
