"""The door to conversations, and the gates of a turn. One condition a line, default deny."""

import datetime as dt
import uuid
from dataclasses import dataclass

from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Subquery
from django.utils import timezone

from accounts import switches
from accounts.models import EventCounter, User
from companion import dependence, notices, personas, statements, usage
from companion.models import Conversation, Message, Persona
from companion.notices import Pending
from companion.personas import NotFound
from guardians.limits import EffectivePolicy, effective_policy
from safety import cases
from safety.cases import Care
from safety.sanctions import blocks_chat, in_force


class SessionEnded(Exception):
    """The login behind a socket is over: logged out, password changed, banned."""


RIGHTS_LAST = dt.timedelta(minutes=5)
Login = tuple[uuid.UUID, int, str]  # person, session generation, session key


@dataclass(frozen=True)
class Actor:
    """The person behind a socket and what they may do, as read at `read_at` and `policy_generation`."""

    user_id: uuid.UUID
    session_key: str
    session_generation: int
    policy_generation: int
    policy: EffectivePolicy
    sanction: str  # "" or the kind in force that closes conversations
    time_zone: str
    notices: tuple[Pending, ...]  # that wait for an answer
    care: Care  # what a crisis case means for the person's conversations
    boundaries: bool  # signs of dependence: companions keep their distance
    read_at: dt.datetime


@dataclass(frozen=True)
class Refusal:
    """Why a turn may not happen. `code` names the sentence; `link` the URL name of the next step."""

    code: str
    link: str = ""


def load_actor(user_id: uuid.UUID, session_key: str, now: dt.datetime) -> Actor:
    """Read a person's rights. Raises SessionEnded when the account or the login is gone."""
    people = User.objects.annotate(step=Subquery(dependence.current_steps(now)))
    user = people.filter(pk=user_id, is_active=True).first()
    if user is None or not _session_alive(session_key):
        raise SessionEnded
    sanction = in_force(user.pk, now)
    return Actor(
        user_id=user.pk,
        session_key=session_key,
        session_generation=user.session_generation,
        policy_generation=user.policy_generation,
        policy=effective_policy(user, now),
        sanction=sanction.kind if sanction and blocks_chat(sanction) else "",
        time_zone=user.time_zone,
        notices=notices.pending(user.pk, session_key),
        care=cases.care_of(user.pk, now),
        boundaries=dependence.keeps_boundaries(user.step),
        read_at=now,
    )


def refresh(actor: Actor, now: dt.datetime) -> Actor:
    """Check the login and the generations with one query (threat T19); read the rights again when they changed.

    They also change by the clock alone (a birthday, the end of a measure), so they are never older than RIGHTS_LAST.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT u.session_generation, u.policy_generation FROM accounts_user u WHERE u.id = %s AND u.is_active "
            "AND EXISTS (SELECT 1 FROM django_session s WHERE s.session_key = %s AND s.expire_date > %s)",
            [actor.user_id, actor.session_key, now],
        )
        row = cursor.fetchone()
    if row is None or row[0] != actor.session_generation:
        raise SessionEnded
    if row[1] == actor.policy_generation and now - actor.read_at < RIGHTS_LAST:
        return actor
    return load_actor(actor.user_id, actor.session_key, now)


def look_over(logins: set[Login]) -> tuple[set[Login], dict[uuid.UUID, int]]:
    """Which of these logins are over, and everybody's newest event; three queries for any number of sockets."""
    people = {login[0] for login in logins}
    users = dict(User.objects.filter(pk__in=people, is_active=True).values_list("pk", "session_generation"))
    keys = set(
        Session.objects.filter(
            session_key__in={login[2] for login in logins}, expire_date__gt=timezone.now()
        ).values_list("session_key", flat=True)
    )
    newest = dict(EventCounter.objects.filter(pk__in=people).values_list("pk", "last"))
    return {login for login in logins if users.get(login[0]) != login[1] or login[2] not in keys}, newest


def access_conversation(user_id: uuid.UUID, public_id: uuid.UUID) -> Conversation:
    """A person's own conversation with its persona. Raises NotFound."""
    conversation = statements.own_conversation(user_id, public_id)
    if conversation is None:
        raise NotFound
    return conversation


def switch_gate(policy: EffectivePolicy) -> Refusal | None:
    """Has an operator turned off what this person would do? From memory: nobody waits for it."""
    if switches.off(switches.Name.PERSONAS):
        return Refusal("switched_off", "help")
    if policy.is_minor and switches.off(switches.Name.MINORS):
        return Refusal("minors_off", "help")
    return None


def account_gate(actor: Actor) -> Refusal | None:
    """May this account talk at all? Sanction and switches, then age, agreement, guardian, consent or contact."""
    if actor.sanction:
        return Refusal("sanction", "measures")
    if refusal := switch_gate(actor.policy):
        return refusal
    if actor.policy.missing:
        return Refusal(actor.policy.missing, "care")
    return None


def gate(actor: Actor, conversation: Conversation, now: dt.datetime) -> Refusal | None:
    """May the next turn happen in this conversation?

    While the companion is silent for a person in danger, only their leaving closes the way to the humans.
    """
    if conversation.ended_at is not None:
        return Refusal("left")
    if actor.care.muted:
        return None
    refusal = account_gate(actor)
    if refusal:
        return refusal
    if actor.notices:
        return Refusal("notice")
    if refusal := time_gate(actor):
        return refusal
    return persona_gate(actor.policy, conversation.persona)


def persona_gate(policy: EffectivePolicy, persona: Persona) -> Refusal | None:
    """Can this companion be talked with? One that has ended stays readable, and its end was announced."""
    if persona.state == Persona.State.RETIRED:
        return Refusal("retired", "service_notices")
    if persona.author_id is not None and switches.off(switches.Name.WRITTEN_PERSONAS):
        return Refusal("persona", "gallery")
    if personas.for_adults(policy, persona):
        return Refusal("adults_only", "minors_mode")
    return None if personas.may_talk(policy, persona) else Refusal("persona", "gallery")


def hidden(actor: Actor, conversation: Conversation) -> bool:
    """What was said with a companion for adults is not read on in minors' mode, unless humans are called or speak there."""
    return not actor.care.muted and personas.for_adults(actor.policy, conversation.persona)


def stop_closed(user_id: uuid.UUID, policy: EffectivePolicy) -> None:
    """In the caller's transaction: replies of companions that this policy closes end at their next checkpoint."""
    streaming = Message.objects.filter(conversation__user=user_id, state=Message.State.STREAMING)
    rows = streaming.select_related("conversation__persona")
    closed = [row.pk for row in rows if not personas.may_talk(policy, row.conversation.persona)]
    streaming.filter(pk__in=closed).update(stop_requested=True)


def reread(actor: Actor, conversation_id: uuid.UUID, now: dt.datetime) -> tuple[Actor, Refusal | None]:
    """The rights of an open conversation once more, and why it is over; never while the person is in danger."""
    actor = refresh(actor, now)
    if actor.care.muted:
        return actor, None
    if refusal := account_gate(actor):
        return actor, refusal
    return actor, persona_gate(actor.policy, access_conversation(actor.user_id, conversation_id).persona)


def time_gate(actor: Actor) -> Refusal | None:
    """Is there time left today, and is it not the hour of rest? Nobody without limits pays for the question."""
    code = usage.standing(actor.user_id, actor.policy).refusal
    return Refusal(code, "use") if code else None


def silent(actor: Actor, conversation: Conversation) -> bool:
    """The companion says nothing: a human is in charge, or the person is in danger and one is called."""
    return actor.care.muted or conversation.ai_muted_at is not None


def state_of(conversation: Conversation, actor: Actor) -> str:
    """open, left (by the person) or human (somebody of the team is in charge)."""
    if conversation.ended_at is not None:
        return "left"
    return "human" if actor.care.human else "open"


def _session_alive(session_key: str) -> bool:
    return Session.objects.filter(session_key=session_key, expire_date__gt=timezone.now()).exists()
