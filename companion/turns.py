"""One turn of a conversation, end to end.

hear() → access, window → what the words mean (companion/hearing.py, outside the database) → say(): gates, verdict → one
transaction: message, assessment, placeholder of the reply, events → frames.
The reply itself is a job of the server (companion/replies.py): sockets may come and go. Whatever must not be lost is
committed before anybody sees it; if the engine fails, the turn fails closed with the help card.

These steps run in database threads and raise access.SessionEnded and personas.NotFound.
"""

import datetime as dt
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from accounts import realtime
from accounts.realtime import NewEvent
from companion import access, danger, departures, orders, personas, portrayal, statements, steps, usage, youth
from companion.access import Actor, Refusal
from companion.events import frames_of
from companion.models import Conversation, Departure, Message
from companion.orders import Mood, Order, Said
from companion.replies import Job, placeholder, running, stop_streaming
from companion.steps import Outcome
from safety import cases, engine
from safety.dependence import speaks_of
from safety.engine import Meaning, Verdict
from safety.models import Assessment

_SPOKEN: tuple[str, ...] = (Message.Author.USER, Message.Author.AI, Message.Author.STAFF)
_UNSAID: tuple[str, ...] = (Message.State.REPLACED, Message.State.STREAMING)


class Closed(Exception):
    """No conversation is begun now."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


@dataclass(frozen=True)
class Heard:
    """A message before it is judged."""

    conversation: Conversation
    text: str
    history: list[Said]
    wanted: tuple[str, ...]  # the texts whose meaning the verdict rests on
    within_rate: bool


def hear(actor: Actor, conversation_id: uuid.UUID, text: str) -> Heard:
    """The first step of a message: whose conversation it is, what was said before, and what to understand of it."""
    conversation = access.access_conversation(actor.user_id, conversation_id)
    text = steps.tidy(text)
    if not text:
        return Heard(conversation, text, [], (), within_rate=True)
    history = orders.window(conversation, actor.user_id)
    within_rate = steps.within_rate(actor)
    # Nobody can make the embedding model work for messages that will not be taken; the rules read those too.
    worth = within_rate and len(text) <= settings.MESSAGE_MAX_CHARACTERS
    return Heard(
        conversation, text, history, tuple(orders.wanted(text, history)) if worth else (), within_rate
    )


def say(
    actor: Actor,
    heard: Heard,
    client_id: uuid.UUID | None,
    meaning: Meaning | None = None,
    late: bool = False,
) -> Outcome:
    """Take a message. Sent again with the same client id, it is answered with the same frame and starts nothing.

    MESSAGES_PER_MINUTE refuses ordinary messages only, never one in which somebody is at risk or wants to leave. No gate
    refuses to let somebody go. Whoever is at risk is shown the help card, whatever else refuses the message. `late`: the
    meaning did not come in time.
    """
    now = timezone.now()
    actor = access.refresh(actor, now)
    conversation, text = heard.conversation, heard.text
    outcome = Outcome(actor, conversation.public_id)
    if not text:
        outcome.refusal = Refusal("empty")
        return outcome
    verdict = orders.assess(text, actor, heard.history, meaning, late=late)
    leaves = verdict.action == "exit" and conversation.ended_at is None
    outcome.refusal = None if leaves else access.gate(actor, conversation, now)
    if outcome.refusal is None and len(text) > settings.MESSAGE_MAX_CHARACTERS:
        outcome.refusal = Refusal("too_long")
    if outcome.refusal is None and verdict.action == "answer" and not heard.within_rate:
        outcome.refusal = Refusal("too_fast")
    if outcome.refusal:
        if not _repeat(outcome, conversation, client_id) and danger.at_risk(verdict):
            _hear_all_the_same(outcome, conversation, text, client_id, verdict, now)
        return outcome
    wants_reply = verdict.action == "answer" and not access.silent(actor, conversation)
    mood = Mood.of(verdict.level, verdict.reasons)
    order = orders.order(actor, conversation, heard.history, text, now, mood) if wants_reply else None
    with _reserved(order, outcome):
        _record(outcome, conversation.pk, text, client_id, verdict, order, now)
    if outcome.refusal is None and not outcome.echo:
        usage.touch(actor.user_id, actor.policy, conversation.persona_id, conversation.public_id)
    return outcome


def again(actor: Actor, conversation_id: uuid.UUID, message_id: uuid.UUID) -> Outcome:
    """Write the latest reply anew (regenerate), or the one that a fault prevented (retry).

    The verdict on the person's message stands: what was not answered the first time is not answered now.
    """
    now = timezone.now()
    actor = access.refresh(actor, now)
    conversation = access.access_conversation(actor.user_id, conversation_id)
    outcome = Outcome(actor, conversation.public_id, refusal=access.gate(actor, conversation, now))
    if outcome.refusal is None and not steps.within_rate(actor):
        outcome.refusal = Refusal("too_fast")
    if outcome.refusal:
        return outcome
    question, old = _question(conversation, message_id)
    if question is None:
        outcome.refusal = Refusal("not_latest")
    mood = _mood(question) if question else None
    if question and (access.silent(actor, conversation) or mood is None):
        outcome.refusal = Refusal("not_answerable")
    if outcome.refusal or question is None or mood is None:
        return outcome
    before = orders.window(conversation, actor.user_id, before=question.pk)
    order = orders.order(actor, conversation, before, question.open(actor.user_id), now, mood)
    if order.empty_budget:
        outcome.refusal = Refusal(order.empty_budget)
        return outcome
    with _reserved(order, outcome), transaction.atomic(durable=True):
        conversation = statements.lock_conversation(conversation.pk)
        newest = conversation.messages.exclude(state=Message.State.REPLACED).order_by("-pk").first()
        if running(conversation, now):
            outcome.refusal = Refusal("reply_running")
            return outcome
        if newest is None or newest.pk not in (question.pk, old and old.pk) or conversation.ended_at:
            outcome.refusal = Refusal("not_latest")
            return outcome
        happened: list[NewEvent] = []
        if old is not None:
            Message.objects.filter(pk=old.pk).update(state=Message.State.REPLACED)
            happened.append(NewEvent("reply.replaced", conversation.public_id, old.public_id))
        reply = placeholder(conversation, question, happened, now)
        outcome.job = order.job(reply)
        steps.emit(outcome, happened, [reply])
    usage.touch(actor.user_id, actor.policy, conversation.persona_id, conversation.public_id)
    return outcome


def stop(actor: Actor, conversation_id: uuid.UUID) -> Outcome:
    """Ask the reply being written to end, wherever it is written; what was shown is kept."""
    actor = access.refresh(actor, timezone.now())
    conversation = access.access_conversation(actor.user_id, conversation_id)
    conversation.messages.filter(state=Message.State.STREAMING).update(stop_requested=True)
    return Outcome(actor, conversation.public_id)


def here(actor: Actor, conversation_id: uuid.UUID) -> usage.Standing:
    """The person reads or writes in this minute; where they stand. A conversation that they left costs no time."""
    conversation = access.access_conversation(actor.user_id, conversation_id)
    standing = usage.standing(actor.user_id, actor.policy)
    if conversation.ended_at is None and not standing.refusal:
        usage.touch(actor.user_id, actor.policy, conversation.persona_id, conversation.public_id)
    return standing


def stop_all(user_id: uuid.UUID) -> None:
    """In the caller's transaction: whatever is being written for a person ends at its next checkpoint, wherever it is."""
    Message.objects.filter(conversation__user=user_id, state=Message.State.STREAMING).update(
        stop_requested=True
    )


def open_conversation(actor: Actor, slug: str) -> Conversation:
    """The person's thread with a companion: begun with its greeting, or opened again after they had left."""
    persona = personas.access_persona(actor.policy, slug)
    if not personas.may_talk(actor.policy, persona):
        raise personas.NotFound
    now = timezone.now()
    # What was begun can be read and left; nothing is begun while a switch is off.
    off = access.switch_gate(actor.policy) or access.persona_gate(actor.policy, persona)
    if off and not Conversation.objects.filter(user_id=actor.user_id, persona=persona).exists():
        raise Closed(off)
    with transaction.atomic(durable=True):
        conversation, created = Conversation.objects.get_or_create(user_id=actor.user_id, persona=persona)
        if created:
            greeting = Message(
                conversation=conversation,
                author=Message.Author.AI,
                model="card",  # written and reviewed with the persona, not generated now
                created_at=now,
            )
            greeting.seal(actor.user_id, portrayal.greeting(persona, actor.policy.language))
            greeting.save(force_insert=True)
        elif Conversation.objects.filter(pk=conversation.pk, ended_at__isnull=False).update(ended_at=None):
            Departure.objects.filter(
                user_id=actor.user_id, conversation=conversation.public_id, returned_at=None
            ).update(returned_at=now)
            realtime.emit(actor.user_id, NewEvent("conversation.returned", conversation.public_id))
    return conversation


def follow_up(job: Job) -> Outcome:
    """After a reply: answer what the person said while it was being written, if the gates still allow it."""
    now = timezone.now()
    outcome = Outcome(job.actor, job.conversation)
    try:
        outcome.actor = actor = access.refresh(job.actor, now)
    except access.SessionEnded:
        return outcome
    conversation = access.access_conversation(actor.user_id, job.conversation)
    newest = (
        conversation.messages.filter(author__in=_SPOKEN).exclude(state__in=_UNSAID).order_by("-pk").first()
    )
    mood = _mood(newest) if newest is not None and newest.author == Message.Author.USER else None
    if newest is None or mood is None:
        return outcome
    if access.silent(actor, conversation) or access.gate(actor, conversation, now):
        return outcome
    history = orders.window(conversation, actor.user_id, before=newest.pk)
    order = orders.order(actor, conversation, history, newest.open(actor.user_id), now, mood)
    with _reserved(order, outcome), transaction.atomic(durable=True):
        conversation = statements.lock_conversation(conversation.pk)
        if conversation.ended_at is None and not running(conversation, now):
            happened: list[NewEvent] = []
            answer = _answer(outcome, conversation, newest, order, happened, now)
            steps.emit(outcome, happened, [answer])
    return outcome


def _record(
    outcome: Outcome,
    conversation_pk: int,
    text: str,
    client_id: uuid.UUID | None,
    verdict: Verdict,
    order: Order | None,
    now: dt.datetime,
) -> None:
    actor = outcome.actor
    with transaction.atomic(durable=True):
        conversation = statements.lock_conversation(conversation_pk)
        if _repeat(outcome, conversation, client_id):
            return
        if conversation.ended_at is not None:  # left in another tab a moment ago
            outcome.refusal = Refusal("left")
            return
        message = Message(
            conversation=conversation, author=Message.Author.USER, client_id=client_id, created_at=now
        )
        message.seal(actor.user_id, text)
        message.save(force_insert=True)
        _assessed(actor, message.public_id, verdict, now)
        outcome.leans = speaks_of(verdict.reasons)
        happened = [NewEvent("message.created", conversation.public_id, message.public_id)]
        changed = [message]
        if verdict.scores.get("pii", 0) >= 0.5:
            changed.append(steps.system_line(conversation, "tip.secrets", happened, now))
        # Muted by a moderator a moment ago counts as well: the conversation is locked now.
        silent = access.silent(actor, conversation)
        case, fresh = danger.note(conversation, actor.user_id, message.public_id, verdict, text)
        young = youth.adds_up(actor, message.public_id, verdict, text, now)
        if _asks_who_answers(verdict) and not _human_answers(conversation, actor):
            # Here and not in the reply: it holds for every model, for a reply written anew and for one that never comes.
            changed.append(steps.system_line(conversation, "identity.ai", happened, now))
        if verdict.action == "exit":
            changed += departures.end(conversation, actor, happened, now, Departure.How.WORDS)
        elif actor.care.human:
            pass  # a human answers
        elif silent and not fresh:
            case = case or cases.open_case(actor.user_id)
            if case and (code := danger.script_line(conversation, case, text, fresh=False, now=now)):
                changed.append(steps.system_line(conversation, code, happened, now))
        elif verdict.action != "answer":
            changed += stop_streaming(conversation, happened, now)
            if (
                case and fresh and case.ai_muted
            ):  # what was done, then what to do: the last line is seen first
                code = danger.script_line(conversation, case, text, fresh=True, now=now)
                changed.append(steps.system_line(conversation, code, happened, now))
            changed.append(steps.system_line(conversation, engine.reply_code(verdict), happened, now))
        elif order is not None and not young and not running(conversation, now):
            changed.append(_answer(outcome, conversation, message, order, happened, now))
        if young:
            stop_all(actor.user_id)
            changed += youth.switch(conversation, actor, happened, now)
        if danger.at_risk(verdict):  # also for somebody who leaves: the card stays
            happened.append(danger.help_card(conversation, verdict))
        steps.emit(outcome, happened, changed)


def _asks_who_answers(verdict: Verdict) -> bool:
    """Whether this is an AI, sincerely asked; demands to lie about it are refused in words that say it."""
    asked = any(reason.startswith("identity.") for reason in verdict.reasons)
    return asked and verdict.action not in ("exit", "refuse", "hold")


def _human_answers(conversation: Conversation, actor: Actor) -> bool:
    """Somebody of the team is in charge, perhaps since a moment ago. The conversation is locked."""
    if actor.care.human or conversation.ai_muted_at is None:
        return actor.care.human
    case = cases.open_case(actor.user_id)
    return case is not None and case.state == case.State.IN_CARE


def _hear_all_the_same(
    outcome: Outcome,
    conversation: Conversation,
    text: str,
    client_id: uuid.UUID | None,
    verdict: Verdict,
    now: dt.datetime,
) -> None:
    """A message that is refused is not kept, but the danger in it is: card, verdict and case."""
    actor = outcome.actor
    # The same id again for the same message, so that sending again is not a second sign.
    public_id = uuid.uuid5(conversation.public_id, str(client_id or uuid.uuid4()))
    with transaction.atomic(durable=True):
        conversation = statements.lock_conversation(conversation.pk)
        if not Assessment.objects.filter(message=public_id).exists():
            _assessed(actor, public_id, verdict, now)
            danger.note(conversation, actor.user_id, public_id, verdict, text)
        steps.emit(outcome, [danger.help_card(conversation, verdict)], [])


def _assessed(actor: Actor, message: uuid.UUID, verdict: Verdict, now: dt.datetime) -> None:
    Assessment.objects.create(
        message=message,
        user_id=actor.user_id,
        level=verdict.level,
        action=verdict.action,
        reasons=list(verdict.reasons),
        rules_version=verdict.version,
        pending=verdict.pending,
        created_at=now,
    )


def _repeat(outcome: Outcome, conversation: Conversation, client_id: uuid.UUID | None) -> bool:
    """A message that is here already is answered with the frame it had then, even if now it would be refused."""
    if client_id is None or not statements.sent_before(conversation.pk, client_id):
        return False
    known = Message.objects.get(conversation=conversation, client_id=client_id)
    actor, kind = outcome.actor, "message.created"
    seq = realtime.number(actor.user_id, kind, known.public_id)
    event = NewEvent(kind, conversation.public_id, known.public_id)
    outcome.echo = frames_of([event], [known], seq, actor.user_id, actor.policy.language)
    outcome.refusal = None
    return True


@contextmanager
def _reserved(order: Order | None, outcome: Outcome) -> Iterator[None]:
    """Tokens whose reply does not come about are given back, also when the transaction fails."""
    ordered = False
    try:
        yield
        ordered = outcome.job is not None
    finally:
        if order is not None and not ordered:
            order.give_back()


def _answer(
    outcome: Outcome,
    conversation: Conversation,
    question: Message,
    order: Order,
    happened: list[NewEvent],
    now: dt.datetime,
) -> Message:
    """The placeholder of the reply, or the line that says which budget is empty."""
    if order.empty_budget:
        return steps.system_line(conversation, order.empty_budget, happened, now)
    reply = placeholder(conversation, question, happened, now)
    outcome.job = order.job(reply)
    return reply


def _question(conversation: Conversation, message_id: uuid.UUID) -> tuple[Message | None, Message | None]:
    """The person's message to answer and the reply that would be replaced, if there is one."""
    message = Message.objects.filter(conversation=conversation, public_id=message_id).first()
    if message is None or message.state == Message.State.REPLACED:
        return None, None
    if message.author == Message.Author.AI and message.answers_id:
        return Message.objects.filter(pk=message.answers_id).first(), message
    return (message, None) if message.author == Message.Author.USER else (None, None)


def _mood(question: Message) -> Mood | None:
    """How a message is to be answered, by the verdict that was stored with it; None when it is not."""
    verdict = Assessment.objects.filter(message=question.public_id, action="answer").first()
    return Mood.of(verdict.level, verdict.reasons) if verdict else None
