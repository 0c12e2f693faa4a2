"""What a person learns afterwards: who of the team read their words, why, and what was done.

Readings are shown when the case is closed, when a human took over (the person saw that at once), or after a day: while
somebody may be in danger, a notice about it could do harm on a screen that others see. Nothing stays hidden after that.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from safety import case_card, readings
from safety.cases import State
from safety.models import CaseEvent, CrisisCase, StaffSession

HIDDEN_FOR: Final = dt.timedelta(hours=24)
# What happened in a case, as far as it is about the person and not about the team's own order. The values go into the texts.
_STEPS: Final[dict[str, Promise]] = {
    "opened": gettext_lazy(
        "The safety engine saw signs that you might be in danger. The team on duty was told."
    ),
    "acknowledged": gettext_lazy("Somebody of the team saw it."),
    "claimed": gettext_lazy("%(name)s joined the conversation."),
    "transferred": gettext_lazy("%(name)s took over from a colleague."),
    "contact_notice": gettext_lazy("A notice that you might need help went to: %(near)s. It quoted nothing."),
    "contact_answered": gettext_lazy("An answer to the notice came from: %(near)s."),
    "contact_withheld": gettext_lazy("The team decided not to tell anybody near you."),
    "contact_unsafe": gettext_lazy("You marked somebody as unsafe. They are not told."),
    "contact_refused": gettext_lazy("Your contact told us that they do not want to be told."),
    "safeguarding_told": gettext_lazy("The person of the team who is responsible for protection was told."),
    "handed_back": gettext_lazy("The human left, and the companion could answer again."),
    "follow_up": gettext_lazy("The team wrote again to ask how you are."),
    "closed": gettext_lazy("A human closed the case."),
    "second_look": gettext_lazy("A second human checked that this was right."),
}


@dataclass(frozen=True)
class Read:
    """One reading. `who` is a role, or the name under which they had joined the conversation."""

    at: dt.datetime
    who: str
    messages: int
    reason: str = ""  # what they wrote when there was no case


@dataclass(frozen=True)
class Step:
    at: dt.datetime
    text: str


@dataclass(frozen=True)
class Story:
    """A case as the person may know it."""

    number: str
    at: dt.datetime
    steps: Sequence[Step]
    read: Sequence[Read]


@dataclass(frozen=True)
class History:
    stories: Sequence[Story]  # the newest first
    others: Sequence[Read]  # without a case


def of(user: User, now: dt.datetime) -> History:
    """Everything that may be shown now, in the active language."""
    rows = list(CrisisCase.objects.filter(user=user, is_canary=False).order_by("-pk"))
    current = next((case for case in rows if case.state != State.CLOSED), None)
    stories = [_story(case) for case in rows if _shown(case, case.opened_at, now)]
    others = StaffSession.objects.filter(subject=user, case=None, messages_read__gt=0)
    return History(
        stories,
        [
            _read(session, {})
            for session in others.select_related("staff").order_by("-created_at")
            if _shown(current, session.created_at, now)
        ],
    )


def _shown(case: CrisisCase | None, at: dt.datetime, now: dt.datetime) -> bool:
    """May the person know by now, as far as this case is concerned?"""
    if case is None or case.state == State.CLOSED or case.first_held_at is not None:
        return True
    return at <= now - HIDDEN_FOR


def _story(case: CrisisCase) -> Story:
    # A notice that a human ordered is recorded twice: that it was ordered, and that it went out.
    happened = case.events.filter(kind__in=_STEPS).exclude(kind="contact_notice", actor__isnull=False)
    events = list(happened.order_by("pk"))
    names = _duty_names(events)
    near = {one.recipient: one.relation for one in case_card.near(case)}
    sessions = case.readings.filter(messages_read__gt=0).select_related("staff").order_by("created_at")
    return Story(
        case.number,
        case.opened_at,
        [Step(event.at, _told(event, names, near)) for event in events],
        [_read(session, names) for session in sessions],
    )


def _told(event: CaseEvent, names: dict[str, str], near: dict[str, str]) -> str:
    actor = str(event.data.get("to") or event.actor)
    recipient = str(event.data.get("recipient", ""))
    values = {
        "name": names.get(actor) or _("Somebody of the team"),
        "near": near.get(recipient) or _("somebody near you"),
    }
    return str(_STEPS[event.kind]) % values


def _duty_names(events: Sequence[CaseEvent]) -> dict[str, str]:
    """The names under which humans joined: the person has read them in the conversation."""
    joined = {
        str(event.data.get("to") or event.actor)
        for event in events
        if event.kind in ("claimed", "transferred")
    }
    people = User.objects.filter(pk__in=[uuid.UUID(one) for one in joined if one != "None"])
    return {str(pk): name for pk, name in people.values_list("pk", "nickname")}


def _read(session: StaffSession, names: dict[str, str]) -> Read:
    operator = session.staff.role == User.Role.OPERATOR
    role = _("An operator") if operator else _("A moderator")
    who = names.get(str(session.staff_id)) or role
    return Read(session.created_at, who, session.messages_read, readings.open_reason(session))
