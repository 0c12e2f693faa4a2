"""A human takes over: the acts of safety/cases.py together with what they mean for the person's conversations.

Each is one transaction in the order of locks that everybody keeps: conversations, case, person, event counter.
"""

import datetime as dt
import uuid
from collections.abc import Sequence

from django.conf import settings
from django.db import transaction

from accounts import audit, realtime
from accounts.generation import policy_changed
from accounts.models import User
from accounts.realtime import NewEvent
from companion import steps
from companion.models import Conversation, Message
from companion.replies import stop_streaming
from safety import case_work, cases, clock
from safety.cases import CaseError
from safety.escalation import NEWS, record
from safety.models import CrisisCase

NOTE_LEAST = 10  # characters of the note at handing back and closing
CHECK_IN = dt.timedelta(days=1)
NEWS_AT_ONCE = 100  # cases of one look: notices wait for it
NEWS_FOR = dt.timedelta(hours=1)  # later nobody is told any more


def claim(case_pk: int, staff: User, now: dt.datetime) -> CrisisCase:
    """Claim, mute the companion everywhere, end running replies, tell the person: all or nothing."""
    with transaction.atomic(durable=True):
        conversations = _lock(case_pk)
        case = cases.claim(case_pk, staff, now)
        happened: list[NewEvent] = []
        for conversation in conversations:
            stop_streaming(conversation, happened, now)
        Conversation.objects.filter(user_id=case.user_id, ai_muted_at=None).update(ai_muted_at=now)
        _joined(case, staff, happened, now)
    return case


def say(case_pk: int, staff: User, text: str, client_id: uuid.UUID | None, now: dt.datetime) -> Message:
    """What the human writes, in the conversation of the case. The same client id again is the same message.

    Raises CaseError: "taken" for whoever does not hold the case, "empty", "too_long".
    """
    text = text.replace("\x00", "").strip()
    if not text:
        raise CaseError("empty")
    if len(text) > settings.MESSAGE_MAX_CHARACTERS:
        raise CaseError("too_long")
    with transaction.atomic(durable=True):
        _lock(case_pk)
        cases.touch(case_pk, staff, now)
        case = CrisisCase.objects.get(pk=case_pk)
        conversation = _conversation(case)
        known = client_id and conversation.messages.filter(client_id=client_id).first()
        if known:
            return known
        message = Message(
            conversation=conversation,
            author=Message.Author.STAFF,
            staff=staff,
            client_id=client_id,
            created_at=now,
        )
        message.seal(case.user_id, text)
        message.save(force_insert=True)
        event = NewEvent("message.created", conversation.public_id, message.public_id)
        realtime.emit(case.user_id, event)
    return message


def transfer(case_pk: int, staff: User, to: User, now: dt.datetime) -> CrisisCase:
    """A colleague goes on; the person reads the new name."""
    with transaction.atomic(durable=True):
        _lock(case_pk)
        case = case_work.transfer(case_pk, staff, to, now)
        _joined(case, to, [], now)
    return case


def hand_back(case_pk: int, staff: User, note: str, now: dt.datetime) -> CrisisCase:
    """The companion may speak again, gently. With a note for the next shift; raises CaseError("note") without one."""
    _worth_reading(note)
    with transaction.atomic(durable=True):
        _lock(case_pk)
        case = cases.hand_back(case_pk, staff, now)
        case_work.keep_note(case, staff, note.strip(), now)
        _unmute(case, now)
    return case


def close(
    case_pk: int,
    staff: User,
    now: dt.datetime,
    *,
    reason: CrisisCase.CloseReason,
    outcome: CrisisCase.Outcome,
    note: str,
) -> CrisisCase:
    """The end of a case, with a note. Whoever still was in charge hands back by it."""
    _worth_reading(note)
    with transaction.atomic(durable=True):
        _lock(case_pk)
        case = cases.close(case_pk, staff, now, reason=reason, outcome=outcome)
        case_work.keep_note(case, staff, note.strip(), now)
        if case.first_held_at is not None and outcome == CrisisCase.Outcome.FOLLOW_UP:
            happened: list[NewEvent] = []
            _line(case, "care.follow_up_offer", happened, now)
            realtime.emit(case.user_id, *happened)
        _unmute(case, now, "care.closed")
    return case


def follow_up(case_pk: int, staff: User, now: dt.datetime) -> Message:
    """The check-in on the next day: a human asks, once. Raises CaseError("gone") when it was not agreed or is done."""
    with transaction.atomic(durable=True):
        _lock(case_pk)
        case = CrisisCase.objects.select_for_update(of=("self",)).get(pk=case_pk)
        if not cases.may_handle(staff, case):
            raise CaseError("not_staff")
        if case not in follow_ups_due(now, early=CHECK_IN):
            raise CaseError("gone")
        happened: list[NewEvent] = []
        line = _line(case, "care.follow_up", happened, now)
        record(case, "follow_up", now, actor=staff.pk)
        audit.record("case.follow_up", actor=staff.pk, subject=case.user_id, target=case.number)
        realtime.emit(case.user_id, *happened)
    return line


def follow_ups_due(now: dt.datetime, *, early: dt.timedelta = dt.timedelta()) -> Sequence[CrisisCase]:
    """Closed cases whose person agreed to be asked the next day, and nobody has yet."""
    agreed = CrisisCase.objects.filter(
        outcome=CrisisCase.Outcome.FOLLOW_UP,
        closed_at__lte=now - CHECK_IN + early,
        closed_at__gt=now - 3 * CHECK_IN,
    )
    return list(agreed.exclude(events__kind="follow_up").order_by("closed_at"))


def tell_people(now: dt.datetime | None = None) -> int:
    """Say in the conversation what happened without the person: a contact was told, a human fell silent.

    Called by every alert loop each second; the number of lines written. Cases with news are marked (news_from): without
    any this is one look into a small index.
    """
    now = now or clock.now()
    marked = CrisisCase.objects.filter(news_from__isnull=False).order_by("news_from")
    return sum(_tell(pk, now) for pk in list(marked.values_list("pk", flat=True)[:NEWS_AT_ONCE]))


def _tell(case_pk: int, now: dt.datetime) -> int:
    """The mark goes in the transaction of the lines, so that of two loops one tells."""
    with transaction.atomic(durable=True):
        conversations = _lock(case_pk)
        case = CrisisCase.objects.select_for_update(of=("self",)).filter(pk=case_pk).first()
        if case is None or case.news_from is None:
            return 0
        news = case.events.filter(pk__gte=case.news_from, kind__in=NEWS, at__gt=now - NEWS_FOR).order_by("pk")
        kinds = list(dict.fromkeys(news.values_list("kind", flat=True)))
        CrisisCase.objects.filter(pk=case_pk).update(news_from=None)
        if not any(conversation.public_id == case.conversation for conversation in conversations):
            return 0  # erased
        if "contact_without_channel" in kinds and case.events.filter(kind="contact_notice").exists():
            kinds.remove("contact_without_channel")  # somebody near was reached all the same
        happened: list[NewEvent] = []
        for kind in kinds:
            _line(case, NEWS[kind], happened, now)
        if "holder_silent" in kinds:
            happened.append(NewEvent("conversation.human", data={"in_charge": False}))
            policy_changed(case.user_id)  # open sockets still believe in the human
        if happened:
            realtime.emit(case.user_id, *happened)
    return len(kinds)


def _lock(case_pk: int) -> list[Conversation]:
    """All conversations of the person, before the case. Raises CaseError("gone") for no case."""
    user_id = CrisisCase.objects.filter(pk=case_pk).values_list("user_id", flat=True).first()
    if user_id is None:
        raise CaseError("gone")
    return list(Conversation.objects.select_for_update().filter(user_id=user_id).order_by("pk"))


def _conversation(case: CrisisCase) -> Conversation:
    """Where the newest sign was. A conversation that is gone ends what can be said there."""
    found = Conversation.objects.filter(public_id=case.conversation, user_id=case.user_id).first()
    if found is None:
        raise CaseError("gone")
    return found


def _line(case: CrisisCase, code: str, happened: list[NewEvent], now: dt.datetime) -> Message:
    return steps.system_line(_conversation(case), code, happened, now)


def _joined(case: CrisisCase, staff: User, happened: list[NewEvent], now: dt.datetime) -> None:
    """The person reads that a human is there, and who."""
    _line(case, "care.human_joined", happened, now)
    happened.append(NewEvent("conversation.human", data={"in_charge": True, "staff": str(staff.pk)}))
    realtime.emit(case.user_id, *happened)


def _unmute(case: CrisisCase, now: dt.datetime, code: str = "care.human_left") -> None:
    freed = (
        Conversation.objects.filter(user_id=case.user_id).exclude(ai_muted_at=None).update(ai_muted_at=None)
    )
    happened: list[NewEvent] = []
    if freed:  # otherwise the companion spoke already
        _line(case, code, happened, now)
    happened.append(NewEvent("conversation.human", data={"in_charge": False}))
    realtime.emit(case.user_id, *happened)


def _worth_reading(note: str) -> None:
    if len(note.strip()) < NOTE_LEAST:
        raise CaseError("note")
