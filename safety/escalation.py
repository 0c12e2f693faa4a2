"""Climbing the ladder: what is due in a case is done in one short transaction, with the case locked.

The order of locks everywhere is: conversation, case, delivery, person, event counter. Nothing here waits for a network;
what is to be sent are rows for the outbox.
"""

import datetime as dt
import logging
from collections.abc import Iterable
from typing import Any, Final

from django.db import transaction

from accounts.models import User
from safety import clock, ladder, operations, recipients
from safety.models import CaseEvent, CrisisCase, Delivery
from safety.recipients import Channel

log = logging.getLogger(__name__)

State = CrisisCase.State
UNATTENDED = (State.OPEN, State.ESCALATING)
CONTACT_CHANNELS = 2  # at once; others follow when one of them fails
# What can be in the record of a case.
EVENTS: Final = frozenset(
    {
        "opened",
        "signal",
        "raised",
        "rung",
        "contact_notice",
        "contact_without_channel",
        "contact_withheld",
        "contact_answered",
        "contact_unsafe",
        "contact_refused",
        "safeguarding_told",
        "recipient_unreachable",
        "acknowledged",
        "acknowledgement_expired",
        "claimed",
        "holder_silent",
        "transferred",
        "handed_back",
        "noted",
        "checklist",
        "closed",
        "second_look",
        "follow_up",
        "canary_home",
        "canary_lost",
    }
)
# Of them what the person reads in their conversation, as a line of safety/replies.py.
NEWS: Final = {
    "contact_notice": "care.contact_told",
    "contact_without_channel": "care.contact_none",
    "holder_silent": "care.human_silent",
}


def sweep(now: dt.datetime | None = None, *, limit: int = 500) -> int:
    """Do what is due, the gravest first; the number of cases looked at. Other sweepers take other cases."""
    failed: set[int] = set()
    done = 0
    while done < limit:
        with transaction.atomic(durable=True):
            at = now or clock.now()
            case = (
                CrisisCase.objects.select_for_update(skip_locked=True, of=("self",))
                .filter(next_due_at__lte=at)
                .exclude(state=State.CLOSED)
                .exclude(pk__in=failed)
                .order_by("-level", "next_due_at")
                .first()
            )
            if case is None:
                break
            try:
                with transaction.atomic():
                    climb(case, at)
            except Exception as error:  # one broken case must not keep help from the others
                log.error("case %s not climbed: %s", case.number, type(error).__name__)
                failed.add(case.pk)
                operations.raise_alert("case.stuck", case.number, now=at)
            done += 1
    return done


def climb(case: CrisisCase, now: dt.datetime) -> None:
    """What is due now, at most one rung that anybody stands on. The case is locked by the caller."""
    if case.state == State.ACKNOWLEDGED and _past(case.acknowledged_until, now):
        record(case, "acknowledgement_expired", now)
        restart(case, now)
    if case.state == State.IN_CARE and case.active_at and _past(case.active_at + ladder.SILENT_FOR, now):
        record(case, "holder_silent", now, holder=str(case.holder_id))
        case.holder = None
        restart(case, now)
    if _past(case.contact_due_at, now):
        tell_near(case, now)
    while case.state in UNATTENDED and _past(case.climb_due_at, now):
        if _next_rung(case, now):
            break
    keep(case)


def start(case: CrisisCase, now: dt.datetime) -> None:
    """The first rung of a new case or a higher level, in the transaction of the message: rows only, nobody is asked."""
    steps = ladder.plan(case.level)
    after = steps.after(1)
    if after is not None and (told := tell(case, 1, case.ladder["1"], now, in_app=True)):
        case.rung, case.climb_due_at = 1, now + after[1]
        record(case, "rung", now, rung=1, round=case.round, told=told)
    else:  # left to the sweep: it may have to tell operations, and nobody's message waits for that
        case.rung, case.climb_due_at = 0, now


def restart(case: CrisisCase, now: dt.datetime) -> None:
    """From the first rung again: whoever had the case does not act."""
    case.state = State.ESCALATING if case.rung else State.OPEN
    case.acknowledged_until = case.handed_back_at = None
    case.ladder_at, case.climb_due_at = now, now
    case.rung, case.round = 0, case.round + 1


def tell_near(case: CrisisCase, now: dt.datetime, *, only: str = "") -> int:
    """Tell the next guardian or contact; the safeguarding lead instead when somebody near may be the danger."""
    if case.safeguarding:
        case.contact_due_at = None
        team = _now_on(case, "safeguarding", now)
        told = tell(case, ladder.CONTACT_RUNG, team, now, in_app=True, outside=True, template="safeguarding")
        record(case, "safeguarding_told", now, told=told)
        if not told:
            if case.climb_due_at is not None:
                case.climb_due_at = now
            operations.raise_alert("roster.safeguarding", case.number, now=now)
        return told
    people = [only] if only else case.ladder.get("4", [])[case.contacts_told :]
    for recipient in people:
        if not only:
            case.contacts_told += 1
        told = tell(case, ladder.CONTACT_RUNG, [recipient], now, most=CONTACT_CHANNELS, template="near")
        if told:
            record(case, "contact_notice", now, recipient=recipient)
            more = len(case.ladder.get("4", [])) > case.contacts_told
            case.contact_due_at = now + ladder.SECOND_CONTACT if more and not only else None
            return told
        record(case, "contact_without_channel", now, recipient=recipient)
    case.contact_due_at = None
    if case.climb_due_at is not None:  # nobody near can be told: the next ones of the ladder, now
        case.climb_due_at = now
    operations.raise_alert("contact.none", case.number, now=now)
    return 0


def turn_from_near(case: CrisisCase, now: dt.datetime | None) -> None:
    """Somebody near may be the danger: nothing more goes to anybody near. The safeguarding lead is told at `now`."""
    case.safeguarding = True
    case.deliveries.filter(template="near", state=Delivery.State.PENDING).update(
        state=Delivery.State.CANCELLED
    )
    if now is not None and ladder.plan(case.level).contact is not None:
        case.contact_due_at = now


def tell(
    case: CrisisCase,
    rung: int,
    whom: Iterable[str],
    now: dt.datetime,
    *,
    in_app: bool = False,
    outside: bool | None = None,
    most: int | None = None,
    template: str = "staff",
) -> int:
    """Rows of the outbox for these people; how many people. What is there already is not written again."""
    outside = not in_app if outside is None else outside
    rows, people = [], 0
    for recipient in whom:
        channels: list[Channel] = [Channel.IN_APP] if in_app and recipient.startswith("staff:") else []
        if outside and (reach := recipients.reach(recipient)) is not None:
            ways = reach.channels()
            channels += ways[:most]
            if recipient.startswith("guardian:"):  # their devices ring, and an open panel shows it at once
                channels += [Channel.PUSH] if Channel.PUSH in ways[len(channels) :] else []
                channels.append(Channel.IN_APP)
        people += bool(channels)
        rows += [delivery(case, rung, channel, recipient, now, template) for channel in channels]
    Delivery.objects.bulk_create(rows, ignore_conflicts=True)
    return people


def delivery(
    case: CrisisCase, rung: int, channel: Channel, recipient: str, now: dt.datetime, template: str
) -> Delivery:
    return Delivery(
        case=case,
        template=template,
        level=case.level,
        rung=rung,
        round=case.round,
        channel=channel,
        recipient=recipient,
        next_at=now,
        created_at=now,
    )


def unreachable(failed: Delivery, now: dt.datetime) -> None:
    """A channel failed for good: the next channel of the same person at once; without one, whoever comes next.

    In the caller's transaction, after the case was locked.
    """
    case = failed.case
    if case is None or case.state == State.CLOSED:
        return
    reach = recipients.reach(failed.recipient)
    same = case.deliveries.filter(
        recipient=failed.recipient, rung=failed.rung, round=failed.round, level=failed.level
    )
    used = set(same.values_list("channel", flat=True))
    rest = [channel for channel in (reach.channels() if reach else []) if channel not in used]
    if rest:
        row = delivery(case, failed.rung, rest[0], failed.recipient, now, failed.template)
        row.round, row.level = failed.round, failed.level
        Delivery.objects.bulk_create([row], ignore_conflicts=True)
        return
    works = same.exclude(
        state__in=(Delivery.State.FAILED, Delivery.State.QUARANTINED, Delivery.State.CANCELLED)
    )
    if works.exclude(channel=Channel.IN_APP).exists():
        return
    record(case, "recipient_unreachable", now, recipient=failed.recipient, rung=failed.rung)
    if failed.template == "near":
        # The next one, or nobody: tell_near says so. Not when a human has decided against it meanwhile.
        if not case.events.filter(kind="contact_withheld", at__gte=failed.created_at).exists():
            case.contact_due_at = now
    elif case.climb_due_at is not None:
        case.climb_due_at = now
    keep(case)


def due(case: CrisisCase) -> dt.datetime | None:
    """When the case must be looked at again; None only for a closed one."""
    if case.state == State.CLOSED:
        return None
    silent = case.active_at + ladder.SILENT_FOR if case.state == State.IN_CARE and case.active_at else None
    until = case.acknowledged_until if case.state == State.ACKNOWLEDGED else None
    return min(time for time in (case.climb_due_at, case.contact_due_at, until, silent) if time is not None)


def keep(case: CrisisCase) -> None:
    """Store the case with its next due time."""
    case.next_due_at = due(case)
    case.save()


def record(case: CrisisCase, kind: str, at: dt.datetime, *, actor: Any = None, **data: Any) -> None:
    """An entry in the record of a case. The caller stores the case, in which news for the person are marked."""
    event = CaseEvent.objects.create(case=case, kind=kind, at=at, actor=actor, data=data)
    if kind in NEWS and case.news_from is None:
        case.news_from = event.pk


def _next_rung(case: CrisisCase, now: dt.datetime) -> int:
    """Climb one rung; how many people were told."""
    steps = ladder.plan(case.level)
    above = steps.after(case.rung)
    if above is None:
        case.round += 1
    else:
        case.rung = above[0]
    case.state = State.ESCALATING
    whom = _now_on(case, str(case.rung), now)
    template = "canary" if case.is_canary else "staff"
    told = tell(
        case, case.rung, whom, now, in_app=case.rung in (1, 3, 6), outside=case.rung > 1, template=template
    )
    record(case, "rung", now, rung=case.rung, round=case.round, told=told)
    following = steps.after(case.rung)
    if following:
        case.climb_due_at = case.ladder_at + following[1] if told else now
    else:  # counted from when it was due, so that rounds keep their distance; after an outage from now
        again = (case.climb_due_at or now) + steps.repeat
        case.climb_due_at = again if again > now else now + steps.repeat
    if case.is_canary:
        return told
    if told:
        operations.resolve("rung.empty", str(case.rung), now=now)
    else:
        operations.raise_alert("rung.empty", str(case.rung), now=now)
    return told


def _now_on(case: CrisisCase, rung: str, now: dt.datetime) -> list[str]:
    """Who stood on the rung when the case was opened and still works here, and who has come on duty since."""
    subject: User = case.user
    frozen = case.ladder.get(rung, [])
    if case.is_canary:
        return list(frozen)
    added = recipients.now_on(rung, subject, now)
    return recipients.without([*recipients.still_here(frozen, now), *added], subject=subject.pk)


def _past(time: dt.datetime | None, now: dt.datetime) -> bool:
    return time is not None and time <= now
