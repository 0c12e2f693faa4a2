"""The end of a companion: announced and carried out when its notice is due, or at once when it harms people.

`retire` and `remove` are the only ways to Persona.State.RETIRED (with the deletion by an author, which is a removal for
everybody else); for built-in companions the database asks for the notice as well. Conversations stay readable.
"""

import datetime as dt

from django.db import transaction

from accounts import audit
from accounts.models import User
from accounts.switches import may_change as is_operator
from companion.models import Message, Persona
from companion.service_models import FLOORS, READING_FLOOR, ServiceNotice

Why = ServiceNotice.Why


class NotAnnounced(Exception):
    """There is no notice that was published in time and is due now."""


class NotPossible(Exception):
    """No operator, or nothing that could be taken away."""


def retire(notice: ServiceNotice, now: dt.datetime) -> None:
    """End a companion, in the caller's transaction. Raises NotAnnounced."""
    announced = (
        notice.kind == ServiceNotice.Kind.PERSONA_RETIREMENT
        and notice.published_at is not None
        and notice.withdrawn_at is None
        and notice.published_at + dt.timedelta(days=FLOORS[notice.kind]) <= notice.takes_effect_at <= now
    )
    if not announced or notice.persona_id is None:
        raise NotAnnounced
    persona = Persona.objects.select_for_update(of=("self",)).get(pk=notice.persona_id)
    _end(persona, notice, now)
    _record("persona.retired", None, persona, notice)


def remove(operator: User, persona_pk: int, why: str, now: dt.datetime) -> ServiceNotice:
    """Take a companion away at once because it harms people; everybody who talked with it is told at once.

    Final article 24 does not let people wait for a date. An operator's act, with a reason, in the log.
    """
    if not is_operator(operator) or why not in Why.values or why == Why.AUTHOR:
        raise NotPossible
    with transaction.atomic(durable=True):
        persona = Persona.objects.select_for_update(of=("self",)).filter(pk=persona_pk).first()
        if persona is None or persona.state == Persona.State.RETIRED:
            raise NotPossible
        notice = told_at_once(persona, why, operator, now)
        _end(persona, notice, now)
        _record("persona.removed", operator, persona, notice)
    return notice


def told_at_once(persona: Persona, why: str, operator: User | None, now: dt.datetime) -> ServiceNotice:
    """The notice to those who talked with a companion that is gone already, in the caller's transaction."""
    return ServiceNotice.objects.create(
        kind=ServiceNotice.Kind.PERSONA_REMOVAL,
        persona=persona,
        why=why,
        takes_effect_at=now,
        created_by=operator,
        published_by=operator,
        published_at=now,
        carried_out_at=now,
        readable_until=now + dt.timedelta(days=READING_FLOOR),
    )


def _end(persona: Persona, notice: ServiceNotice, now: dt.datetime) -> None:
    if persona.state == Persona.State.RETIRED:
        return
    persona.state, persona.retired_by = Persona.State.RETIRED, notice
    persona.save(update_fields=["state", "retired_by", "updated_at"])
    # Whoever writes a reply learns it at the next checkpoint.
    Message.objects.filter(conversation__persona=persona, state=Message.State.STREAMING).update(
        stop_requested=True
    )


def _record(action: str, operator: User | None, persona: Persona, notice: ServiceNotice) -> None:
    audit.record(
        action,
        actor=operator.pk if operator else None,
        subject=persona.author_id,
        target=f"persona:{persona.public_id}",
        notice=str(notice.public_id),
        why=notice.why,
    )
