"""A human takes over: what the person reads, who may speak, and that nothing is half done."""

import datetime as dt
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.care import ContactDetails
from accounts.models import Event, User
from companion import access, steps, takeover
from companion.access import Actor
from companion.models import Conversation, Message
from guardians import contacts
from guardians.models import EmergencyContact
from safety import case_work, cases, escalation, recipients
from safety.cases import CaseError
from safety.models import CaseNote, CrisisCase
from tests.companion.conftest import say
from tests.live import companions, open_conversation, sign_in

__all__ = ["companions"]
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("companions")]
WISH = "我不想活了"
NOTE = "calm again, sister is there"


class Room:
    """A person in danger with two conversations."""

    def __init__(self, user: User) -> None:
        self.user, self.session = user, sign_in(user)
        self.first = open_conversation(user, self.session)
        self.second = open_conversation(user, self.session, "lighthouse")

    @property
    def actor(self) -> Actor:
        return access.load_actor(self.user.pk, self.session, timezone.now())

    def say(self, text: str, conversation: Conversation | None = None) -> steps.Outcome:
        return say(self.actor, conversation or self.first, text, uuid.uuid4())

    def lines(self, conversation: Conversation | None = None) -> list[str]:
        rows = Message.objects.filter(conversation=conversation or self.first, author="system").order_by("pk")
        return list(rows.values_list("code", flat=True))

    @property
    def case(self) -> CrisisCase:
        return CrisisCase.objects.get()


@pytest.fixture
def room(adult: User, moderator: User) -> Room:
    room = Room(adult)
    room.say(WISH)
    return room


def test_the_companion_is_silent_everywhere_and_the_script_goes_on(room: Room) -> None:
    assert room.lines() == ["care.told_team", "crisis.l3"]
    outcome = room.say("今天天气不错", room.second)
    assert outcome.job is None and room.lines(room.second) == ["care.safe_question"]
    Message.objects.filter(author="system").update(created_at=timezone.now() - dt.timedelta(minutes=1))
    room.say("安全", room.second)
    assert room.lines(room.second)[1:] == ["care.answer_safe"]
    room.say("还在吗", room.second)
    assert len(room.lines(room.second)) == 2, "somebody who writes fast is not talked down"


def test_without_anybody_on_duty_the_line_says_so(adult: User) -> None:
    room = Room(adult)
    room.say(WISH)
    assert room.lines() == ["care.nobody_on_duty", "crisis.l3"]


def test_what_humans_hear_is_not_refused_by_gates(room: Room) -> None:
    EmergencyContact.objects.all().delete()
    User.objects.filter(pk=room.user.pk).update(agreement_version="")
    assert room.say("有人吗").refusal is None


def test_only_the_holder_speaks_and_the_same_id_is_the_same_message(
    room: Room, moderator: User, supervisor: User
) -> None:
    now, again = timezone.now(), uuid.uuid4()
    with pytest.raises(CaseError, match="taken"):
        takeover.say(room.case.pk, moderator, "hello", None, now)
    takeover.claim(room.case.pk, moderator, now)
    said = takeover.say(room.case.pk, moderator, "我在。", again, now)
    assert takeover.say(room.case.pk, moderator, "我在。", again, now).pk == said.pk
    with pytest.raises(CaseError, match="taken"):
        takeover.say(room.case.pk, supervisor, "hello", None, now)
    for wrong, code in ((" ", "empty"), ("a" * 5000, "too_long")):
        with pytest.raises(CaseError, match=code):
            takeover.say(room.case.pk, moderator, wrong, None, now)
    room.say("谢谢")
    assert room.lines()[-1] == "care.human_joined", "no machine speaks between two humans"


def test_handing_back_and_closing_want_a_note_and_free_every_conversation(
    room: Room, moderator: User
) -> None:
    now = timezone.now()
    takeover.claim(room.case.pk, moderator, now)
    assert not Conversation.objects.filter(ai_muted_at=None).exists()
    with pytest.raises(CaseError, match="note"):
        takeover.hand_back(room.case.pk, moderator, "ok", now)
    takeover.hand_back(room.case.pk, moderator, NOTE, now)
    assert not Conversation.objects.exclude(ai_muted_at=None).exists()
    assert CaseNote.objects.get().open(room.user.pk) == NOTE
    assert room.lines()[-1] == "care.human_left"
    takeover.close(
        room.case.pk,
        moderator,
        now,
        reason=CrisisCase.CloseReason.SAFE,
        outcome=CrisisCase.Outcome.FOLLOW_UP,
        note=NOTE,
    )
    assert room.lines()[-2:] == ["care.human_left", "care.follow_up_offer"]
    assert room.actor.care.gentle and not room.actor.care.muted


def test_a_colleague_goes_on_and_the_person_reads_the_new_name(
    room: Room, moderator: User, supervisor: User
) -> None:
    now = timezone.now()
    takeover.claim(room.case.pk, moderator, now)
    with pytest.raises(CaseError, match="away"):
        takeover.transfer(room.case.pk, moderator, supervisor, now)
    case_work.present(supervisor, now)
    takeover.transfer(room.case.pk, moderator, supervisor, now)
    event = Event.objects.filter(user=room.user, kind="conversation.human").latest("seq")
    assert event.data == {"in_charge": True, "staff": str(supervisor.pk)}
    assert room.case.holder_id == supervisor.pk


def test_a_failed_claim_leaves_everything_as_it_was(
    room: Room, moderator: User, supervisor: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(takeover, "_line", broken)
    before = room.lines()
    with pytest.raises(RuntimeError):
        takeover.claim(room.case.pk, moderator, timezone.now())
    assert room.case.holder is None and room.case.state == "open" and room.lines() == before
    assert Conversation.objects.filter(pk=room.second.pk, ai_muted_at=None).exists()


def test_the_person_is_told_that_a_contact_was_told_and_that_a_human_fell_silent(
    room: Room, moderator: User
) -> None:
    now = timezone.now()
    takeover.claim(room.case.pk, moderator, now)
    before = room.actor
    assert before.care.human
    later = now + dt.timedelta(minutes=16)
    escalation.sweep(later)
    assert takeover.tell_people(later) == 2
    assert set(room.lines()[-2:]) == {"care.contact_told", "care.human_silent"}
    assert takeover.tell_people(later) == 0
    since = access.refresh(before, timezone.now()).care
    assert not since.human and since.muted


def test_the_person_is_told_that_nobody_near_could_be_reached(room: Room) -> None:
    row = EmergencyContact.objects.get(user=room.user)
    details = contacts.open_details(row)
    by_phone = ContactDetails(details.name, details.relation, phone="+8613800138000")
    contacts.add(room.user, by_phone, actor=room.user.pk, now=timezone.now(), instead_of=row)
    CrisisCase.objects.update(ladder=recipients.by_rung(room.user, timezone.now()))
    later = timezone.now() + dt.timedelta(minutes=11)
    escalation.sweep(later)
    takeover.tell_people(later)
    assert room.lines()[-1] == "care.contact_none"


def test_in_a_flood_each_sign_is_kept_with_few_statements(room: Room) -> None:
    actor = room.actor
    room.say(WISH)
    with CaptureQueriesContext(connection) as asked:
        say(actor, room.first, WISH, uuid.uuid4())
    statements = [query["sql"] for query in asked.captured_queries]
    assert len(statements) <= 18
    assert not [sql for sql in statements if sql.startswith('UPDATE "safety_crisiscase"')]
    assert room.case.signals.count() == 3


def news(room: Room) -> dt.datetime:
    """A contact was told, and the person does not know of it yet."""
    later = timezone.now() + dt.timedelta(minutes=11)
    escalation.sweep(later)
    assert room.case.news_from is not None
    return later


def test_two_loops_tell_the_news_once(room: Room) -> None:
    later, gate = news(room), threading.Barrier(2)

    def loop(_: int) -> int:
        try:
            gate.wait(10)
            return takeover.tell_people(later)
        finally:
            connection.close()

    for number in range(1, 6):
        with ThreadPoolExecutor(2) as loops:
            assert sum(loops.map(loop, range(2))) == 1
        assert room.lines().count("care.contact_told") == number
        with transaction.atomic():  # and again
            case = CrisisCase.objects.select_for_update(of=("self",)).get()
            escalation.record(case, "contact_notice", later)
            escalation.keep(case)


def test_without_news_a_look_is_one_read_of_a_small_index(room: Room) -> None:
    later = news(room)
    assert takeover.tell_people(later) == 1
    with CaptureQueriesContext(connection) as asked:
        assert takeover.tell_people(later) == 0
    [query] = asked.captured_queries
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # which a handful of rows would prefer
        cursor.execute(f"EXPLAIN {query['sql']}")
        plan = " ".join(line for (line,) in cursor.fetchall())
    assert "case_news" in plan and "companion_message" not in plan


@pytest.mark.parametrize("end", ["closed", "erased", "too late"])
def test_nobody_is_told_of_what_is_over(room: Room, moderator: User, end: str) -> None:
    later = news(room)
    if end == "closed":
        reason, outcome = CrisisCase.CloseReason.SAFE, CrisisCase.Outcome.NONE
        takeover.close(room.case.pk, moderator, later, reason=reason, outcome=outcome, note=NOTE)
    elif end == "erased":
        Conversation.objects.filter(pk=room.first.pk).delete()
    else:
        later += takeover.NEWS_FOR
    assert takeover.tell_people(later) == 0
    assert room.case.news_from is None, "looked at once and not each second"
    assert not Message.objects.filter(code="care.contact_told").exists()


def test_a_contact_whom_no_notice_reaches_is_not_said_to_have_been_told(room: Room, moderator: User) -> None:
    now = timezone.now()
    [near] = room.case.ladder["4"]
    EmergencyContact.objects.filter(user=room.user).delete()
    assert cases.tell_contact_now(room.case.pk, moderator, near, now) == 0
    takeover.tell_people(now)
    assert "care.contact_told" not in room.lines() and room.lines()[-1] == "care.contact_none"


def test_a_check_in_is_made_once_by_a_human_and_only_when_it_was_agreed(room: Room, moderator: User) -> None:
    now = timezone.now()
    pk = room.case.pk
    with pytest.raises(CaseError, match="gone"):
        takeover.follow_up(pk, moderator, now)
    takeover.close(
        pk,
        moderator,
        now,
        reason=CrisisCase.CloseReason.SAFE,
        outcome=CrisisCase.Outcome.FOLLOW_UP,
        note=NOTE,
    )
    assert room.lines()[-1] == "care.closed"
    tomorrow = now + dt.timedelta(days=1, hours=1)
    assert [case.pk for case in takeover.follow_ups_due(tomorrow)] == [pk]
    takeover.follow_up(pk, moderator, tomorrow)
    assert room.lines()[-1] == "care.follow_up" and takeover.follow_ups_due(tomorrow) == []
    with pytest.raises(CaseError, match="gone"):
        takeover.follow_up(pk, moderator, tomorrow)
