"""Reports of replies and companions: who can report what, who reads how much of it, who decides."""

import uuid

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry, User
from companion import personas, rulings
from companion.models import Conversation, Message
from safety import moderation, readings
from safety.models import Lane, Report, StaffSession
from safety.moderation import NotPossible
from tests.companion.written import client_of, policy_of, published, second_reviewer

pytestmark = pytest.mark.django_db(transaction=True)


def said(user: User, moderator: User, author: User) -> list[Message]:
    """Three messages of a conversation with a companion that `author` wrote; the last one is a reply."""
    conversation = Conversation.objects.create(user=user, persona=published(author, moderator))
    rows = []
    for who, text in (("user", "long ago"), ("user", "just before"), ("ai", "a bad reply")):
        row = Message(conversation=conversation, author=who)
        row.seal(user.pk, text)
        row.save()
        rows.append(row)
    return rows


@pytest.fixture
def reply(adult: User, guardian: User, moderator: User) -> Message:
    return said(adult, moderator, guardian)[-1]


def address(message: Message) -> str:
    return f"{reverse('report_new')}?message={message.public_id}"


def filed(adult: User, reply: Message, reason: str = "danger", comment: str = "") -> Report:
    client_of(adult).post(address(reply), {"reason": reason, "comment": comment})
    return Report.objects.get(reporter=adult, target=reply.public_id, state="open")


def test_every_reply_and_every_companion_has_its_button(adult: User, reply: Message) -> None:
    client = client_of(adult)
    page = client.get(reverse("chat", args=[reply.conversation.public_id])).content.decode()
    assert f'href="{reverse("report_new")}?message={reply.public_id}"' in page
    persona = reply.conversation.persona
    page = client.get(reverse("persona", args=[persona.slug])).content.decode()
    assert f"{reverse('report_new')}?companion={persona.public_id}" in page


def test_a_report_has_a_number_a_lane_and_a_deadline_and_its_comment_is_sealed(
    adult: User, reply: Message
) -> None:
    client = client_of(adult)
    assert "a bad reply" in client.get(address(reply)).content.decode()
    page = client.post(address(reply), {"reason": "danger", "comment": "it frightened me"}, follow=True)
    row = Report.objects.get()
    assert row.number in page.content.decode()
    assert (row.lane, row.target, row.persona) == (
        Lane.SAFETY,
        reply.public_id,
        reply.conversation.persona.public_id,
    )
    assert (row.due_at - row.created_at).total_seconds() == moderation.hours("safety") * 3600
    assert b"frightened" not in bytes(row.comment or b"") and row.open_comment() == "it frightened me"
    assert "frightened" not in str(AuditEntry.objects.filter(action="report.filed").values())


def test_a_minors_report_waits_in_the_minors_lane(minor: User, guardian: User, moderator: User) -> None:
    row = filed(minor, said(minor, moderator, guardian)[-1], "other")
    assert row.lane == Lane.MINORS


def test_the_same_person_twice_is_one_report_until_it_is_decided(
    adult: User, moderator: User, reply: Message
) -> None:
    first = filed(adult, reply)
    assert filed(adult, reply, "hate").pk == first.pk
    rulings.decide_report(moderator, first.pk, Report.Decision.NO_BREACH, timezone.now())
    assert filed(adult, reply).pk != first.pk


def test_nobody_reports_what_they_cannot_see(adult: User, outsider: User, reply: Message) -> None:
    for target in (
        f"message={reply.public_id}",
        f"message={uuid.uuid4()}",
        f"companion={uuid.uuid4()}",
        "message=x",
        "",
    ):
        url = f"{reverse('report_new')}?{target}"
        assert client_of(outsider).get(url).status_code == 404
        assert client_of(outsider).post(url, {"reason": "other"}).status_code == 404
        assert Client().get(url).status_code == 302
    own = reply.conversation.messages.filter(author="user").first()
    assert own is not None
    assert client_of(adult).get(address(own)).status_code == 404  # a report is about what the AI wrote
    assert client_of(adult).put(address(reply)).status_code == 405
    assert not Report.objects.exists()


# --- the decision -----------------------------------------------------------------------------------------------


def test_a_moderator_sees_the_reply_and_the_message_before_it_and_nothing_else(
    adult: User, moderator: User, reply: Message
) -> None:
    row = filed(adult, reply, comment="it frightened me")
    staff = client_of(moderator)
    listed = staff.get(reverse("admin:safety_report_changelist")).content.decode()
    assert row.number in listed and "bad reply" not in listed and adult.email not in listed
    page = staff.get(reverse("admin:safety_report_decide", args=[row.pk])).content.decode()
    assert "a bad reply" in page and "just before" in page and "it frightened me" in page
    assert "long ago" not in page
    session = StaffSession.objects.get()
    assert (session.staff, session.subject, session.messages_read) == (moderator, adult, 2)
    assert readings.open_reason(session) == f"You reported a reply: {row.number}"
    assert AuditEntry.objects.filter(action="reading.opened", subject=adult.pk).count() == 1


def test_that_look_gives_no_right_to_read_on(adult: User, moderator: User, reply: Message) -> None:
    row, now = filed(adult, reply), timezone.now()
    rulings.reported(moderator, row, now)
    session = StaffSession.objects.get()
    with pytest.raises(readings.Refused, match="expired"):
        readings.check(session, moderator, now)
    with pytest.raises(readings.Refused, match="done"):
        readings.approve(session, second_reviewer(), now)


def test_a_decided_report_does_not_open_the_conversation_again(
    adult: User, moderator: User, reply: Message
) -> None:
    row = filed(adult, reply)
    url = reverse("admin:safety_report_decide", args=[row.pk])
    client_of(moderator).post(url, {"decision": "breach"})
    assert "a bad reply" not in client_of(moderator).get(url).content.decode()
    row.refresh_from_db()
    with pytest.raises(NotPossible, match="gone"):
        rulings.reported(moderator, row, timezone.now())
    assert not StaffSession.objects.exists()
    page = client_of(adult).get(reverse("tickets")).content.decode()
    assert str(Report.Decision.BREACH.label) in page and "about=report" in page


def test_who_may_not_decide(
    adult: User, outsider: User, guardian: User, moderator: User, reply: Message
) -> None:
    own = filed(moderator, said(moderator, moderator, guardian)[-1])
    row, now = filed(adult, reply), timezone.now()
    for staff, report, code in (
        (moderator, own, "oneself"),
        (outsider, row, "not_staff"),
        (adult, row, "not_staff"),
    ):
        url = reverse("admin:safety_report_decide", args=[report.pk])
        assert client_of(staff).get(url).status_code in (302, 403)
        assert client_of(staff).post(url, {"decision": "breach"}).status_code in (302, 403)
        with pytest.raises(NotPossible, match=code):
            rulings.decide_report(staff, report.pk, Report.Decision.BREACH, now)
        with pytest.raises(NotPossible):
            rulings.reported(staff, report, now)
    with pytest.raises(IntegrityError), transaction.atomic():
        Report.objects.filter(pk=own.pk).update(
            state="decided", decision="breach", decided_at=now, decided_by=moderator
        )
    rulings.decide_report(moderator, row.pk, Report.Decision.BREACH, now)
    with pytest.raises(NotPossible, match="gone"):
        rulings.decide_report(second_reviewer(), row.pk, Report.Decision.NO_BREACH, now)


def test_a_withdrawn_companion_closes_with_the_decision_or_nothing_is_decided(
    adult: User, outsider: User, moderator: User, reply: Message
) -> None:
    persona, row = reply.conversation.persona, filed(adult, reply)
    assert personas.may_see(policy_of(outsider), persona)
    rulings.decide_report(moderator, row.pk, Report.Decision.WITHDRAWN, timezone.now())
    persona.refresh_from_db()
    assert not personas.may_see(policy_of(outsider), persona)
    again = filed(adult, reply)
    with pytest.raises(NotPossible, match="bad_decision"):
        rulings.decide_report(moderator, again.pk, Report.Decision.WITHDRAWN, timezone.now())
    again.refresh_from_db()
    assert again.state == "open"


def test_danger_and_minors_come_first_then_what_is_due_first(
    adult: User, minor: User, guardian: User, moderator: User, reply: Message
) -> None:
    late = filed(adult, reply, "other")
    Report.objects.filter(pk=late.pk).update(due_at=timezone.now())
    young = filed(minor, said(minor, moderator, guardian)[-1], "other")
    danger = filed(guardian, said(guardian, moderator, adult)[-1], "danger")
    page = client_of(moderator).get(reverse("admin:safety_report_changelist")).content.decode()
    places = [page.index(row.number) for row in (danger, young, late)]
    assert places == sorted(places)
