"""What staff see of a conversation: what led to the first signal and what followed, and nothing without the right."""

import datetime as dt
import uuid

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from companion import case_window
from companion.models import Conversation, Message, Persona
from safety import cases, readings
from safety.engine import Verdict
from safety.models import CrisisCase
from safety.readings import Refused
from tests.companion.conftest import write

pytestmark = pytest.mark.django_db(transaction=True)
DANGER = Verdict(3, "hold", {}, ("crisis.explicit.wish_to_die",))


@pytest.fixture
def conversation(companions: None, adult: User) -> Conversation:
    persona = Persona.objects.filter(author=None).order_by("slug").first()
    return Conversation.objects.create(user=adult, persona=persona)


def say(conversation: Conversation, text: str, author: str = "user", **fields: object) -> Message:
    row = Message(conversation=conversation, author=author, **fields)
    row.seal(conversation.user_id, text)
    row.save(force_insert=True)
    return row


def signal(conversation: Conversation, message: uuid.UUID, text: str = "…") -> CrisisCase:
    with transaction.atomic():
        return cases.raise_signal(
            conversation.user,
            message=message,
            conversation=conversation.public_id,
            verdict=DANGER,
            category=CrisisCase.Category.SELF_HARM,
            text=text,
        )


def texts(found: list[case_window.Line]) -> list[str]:
    return [line.text for line in found]


def test_a_case_shows_what_led_to_its_first_signal_and_what_followed(
    conversation: Conversation, moderator: User
) -> None:
    now = timezone.now()
    write(conversation, 30)
    danger = say(conversation, "danger")
    case = signal(conversation, danger.public_id)
    say(conversation, "a human writes", "staff", staff=moderator)
    say(conversation, "half a", "ai", state="streaming")
    say(conversation, "replaced", "ai", state="replaced")
    session = readings.open_for_case(case, moderator, now)
    found = case_window.lines(session, now)
    assert texts(found) == ["一句话"] * 20 + ["danger", "a human writes"]
    assert [line.level for line in found[-2:]] == [3, 0]
    assert (found[-2].name, found[-1].name) == (conversation.user.nickname, moderator.nickname)
    session.refresh_from_db()
    assert session.messages_read == 22
    case_window.lines(session, now)
    session.refresh_from_db()
    assert session.messages_read == 22  # the same ones again


def test_no_more_than_two_hundred_and_the_signal_above_them_stays(
    conversation: Conversation, moderator: User
) -> None:
    now = timezone.now()
    case = signal(conversation, say(conversation, "danger").public_id, "kept")
    write(conversation, 230)
    found = case_window.lines(readings.open_for_case(case, moderator, now), now)
    assert len(found) == case_window.MOST + 1
    assert (found[0].text, found[0].excerpt, found[0].level) == ("kept", True, 3)


def test_what_was_erased_or_refused_is_shown_as_kept_for_the_case_and_in_its_place(
    conversation: Conversation, moderator: User
) -> None:
    now = timezone.now()
    first = say(conversation, "first")
    signal(conversation, first.public_id, "kept of the first")
    say(conversation, "between")
    case = signal(conversation, uuid.uuid4(), "refused")
    say(conversation, "after")
    first.delete()
    found = case_window.lines(readings.open_for_case(case, moderator, now), now)
    assert texts(found) == ["kept of the first", "between", "refused", "after"]
    assert [line.excerpt for line in found] == [True, False, True, False]


def test_a_damaged_row_hides_no_other(conversation: Conversation, moderator: User) -> None:
    now = timezone.now()
    danger = say(conversation, "danger")
    case = signal(conversation, danger.public_id)
    say(conversation, "after")
    Message.objects.filter(pk=danger.pk).update(body=b"\x01damaged")
    found = case_window.lines(readings.open_for_case(case, moderator, now), now)
    assert texts(found) == [case_window.UNREADABLE, "after"]


def test_a_broken_glass_shows_the_last_fifty_and_only_of_the_person_it_names(
    conversation: Conversation, adult: User, outsider: User, moderator: User, supervisor: User
) -> None:
    now = timezone.now()
    write(conversation, 70)
    reason = "a complaint names this conversation"
    session = readings.break_glass(moderator, adult, conversation.public_id, reason, now)
    with pytest.raises(Refused, match="not_approved"):
        case_window.lines(session, now)
    approved = readings.approve(session, supervisor, now)
    assert len(case_window.lines(approved, now)) == case_window.LAST
    other = readings.break_glass(moderator, outsider, conversation.public_id, reason, now)
    assert case_window.lines(readings.approve(other, supervisor, now), now) == []


def test_nothing_is_shown_when_the_right_is_over(conversation: Conversation, moderator: User) -> None:
    now = timezone.now()
    case = signal(conversation, say(conversation, "danger").public_id)
    session = readings.open_for_case(case, moderator, now)
    with pytest.raises(Refused, match="expired"):
        case_window.lines(session, now + readings.LASTS)
    case_window.lines(session, now + readings.LASTS - dt.timedelta(seconds=1))
