"""What the console shows, read in a few queries; nothing here changes a row or opens a text."""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max, OuterRef, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import User
from companion import takeover
from companion.models import Conversation, Message
from guardians.limits import effective_band
from safety import case_clocks, case_work, cases, ladder
from safety.case_clocks import Clock
from safety.cases import State
from safety.models import CaseEvent, CrisisCase, OperationsAlert
from safety.views import console_words as words

FLOOD: int = 30  # open cases; beyond, the queue is grouped
UNCLAIMED = (State.OPEN, State.ESCALATING)


@dataclass(frozen=True)
class Row:
    """One case of the queue, without anything that was said."""

    case: CrisisCase
    clocks: tuple[Clock, ...]
    breach: dt.datetime
    band: str  # minor, elder or ""
    signals: int
    mine: bool

    @property
    def unclaimed(self) -> bool:
        """It calls for somebody."""
        return self.case.state in UNCLAIMED

    @property
    def unattended(self) -> bool:
        """Everybody was told and nobody came."""
        return self.unclaimed and self.case.rung >= ladder.LAST_RUNG

    @property
    def level_word(self) -> Any:
        return words.LEVELS[self.case.level]

    @property
    def state_word(self) -> Any:
        return words.STATES[self.case.state]

    @property
    def first_clock(self) -> Clock | None:
        """The one to look at."""
        return min((c for c in self.clocks if c.open), key=lambda c: c.due or self.breach, default=None)

    def key(self) -> tuple[Any, ...]:
        """What a page shows of it, without the running of its clocks."""
        case = self.case
        return (
            case.pk,
            case.level,
            case.category,
            case.state,
            case.rung,
            case.round,
            case.holder_id,
            case.acknowledged_until,
            case.safeguarding,
            self.band,
            self.signals,
            tuple((clock.name, clock.status, clock.due, clock.at) for clock in self.clocks),
        )


@dataclass(frozen=True)
class Board:
    """Everything of the live part of the queue."""

    rows: Sequence[Row]
    team: Sequence[case_work.Load]
    alerts: Sequence[OperationsAlert]
    second_looks: Sequence[CrisisCase]
    follow_ups: Sequence[CrisisCase]
    now: dt.datetime

    @property
    def readiness(self) -> str:
        """ready: somebody on duty is at the page. here: somebody is, not on duty. away: on duty, not here. nobody."""
        if any(load.present and load.on_duty for load in self.team):
            return "ready"
        if any(load.present for load in self.team):
            return "here"
        return "away" if any(load.on_duty for load in self.team) else "nobody"

    @property
    def ringing(self) -> Sequence[Row]:
        return [row for row in self.rows if row.unclaimed]

    @property
    def flood(self) -> bool:
        return len(self.rows) > FLOOD

    @property
    def groups(self) -> list[tuple[int, Any, list[Row]]]:
        """By level, the gravest first."""
        found: dict[int, list[Row]] = defaultdict(list)
        for row in self.rows:
            found[row.case.level].append(row)
        return [(level, words.LEVELS[level], rows) for level, rows in found.items()]

    def etag(self, staff: User) -> str:
        key = (
            str(staff.pk),
            staff.language,
            [row.key() for row in self.rows],
            [(load.staff.pk, load.present, load.on_duty, load.cases, load.severe) for load in self.team],
            [(alert.pk, alert.count, alert.acknowledged_at) for alert in self.alerts],
            [case.pk for case in self.second_looks],
            [case.pk for case in self.follow_ups],
        )
        return etag(key)


def etag(key: object) -> str:
    return f'"{hashlib.sha256(repr(key).encode()).hexdigest()[:32]}"'


def board(staff: User, now: dt.datetime) -> Board:
    """The queue as this member of staff may see it: never their own case."""
    found = [case for case in cases.open_cases() if case.user_id != staff.pk]
    return Board(
        rows=sorted(
            rows(found, staff, now), key=lambda row: (-row.case.level, row.breach, row.case.opened_at)
        ),
        team=case_work.team(now),
        alerts=_alerts(staff),
        second_looks=[case for case in case_work.waiting_for_second_look() if case.user_id != staff.pk],
        follow_ups=[case for case in takeover.follow_ups_due(now) if case.user_id != staff.pk],
        now=now,
    )


def rows(found: Iterable[CrisisCase], staff: User, now: dt.datetime) -> list[Row]:
    found = list(found)
    happened: dict[int, list[tuple[str, dt.datetime]]] = defaultdict(list)
    signals: dict[int, int] = defaultdict(int)
    kinds = [*case_clocks.EVENTS, "opened", "signal"]
    events = CaseEvent.objects.filter(case__in=[case.pk for case in found], kind__in=kinds)
    for pk, kind, at in events.values_list("case", "kind", "at"):
        if kind in case_clocks.EVENTS:
            happened[pk].append((kind, at))
        else:
            signals[pk] += 1
    waiting = _waiting(found)
    made = []
    for case in found:
        clocks = case_clocks.clocks(case, happened[case.pk], waiting.get(case.pk), now)
        breach = case_clocks.next_breach(clocks, case.next_due_at or now)
        made.append(Row(case, clocks, breach, band(case.user), signals[case.pk], case.holder_id == staff.pk))
    return made


def band(user: User) -> str:
    """Who needs another tone, and others to be told."""
    known = effective_band(user, timezone.now())
    if known is None:
        return "unknown"
    if known.is_minor:
        return "minor"
    return "elder" if known.engine_band == "elder" else ""


def elsewhere(case: CrisisCase) -> Sequence[Mapping[str, object]]:
    """The person's other conversations that had a sign of this case, the latest first: times and numbers, no words."""
    others = case.signals.exclude(conversation=case.conversation).values("conversation")
    return list(others.annotate(level=Max("level"), signs=Count("pk"), at=Max("created_at")).order_by("-at"))


def _waiting(found: Iterable[CrisisCase]) -> dict[int, dt.datetime]:
    """Since when the people in care wait for an answer of a human: times of messages, not their text."""
    held = {case.conversation: case for case in found if case.state == State.IN_CARE}
    if not held:
        return {}
    newest = Message.objects.filter(conversation=OuterRef("conversation"), author=Message.Author.STAFF)
    answered = Coalesce(Subquery(newest.order_by("-pk").values("pk")[:1]), 0)
    said = Message.objects.filter(
        conversation=OuterRef("pk"), author=Message.Author.USER, pk__gt=answered
    ).order_by("pk")
    talks = Conversation.objects.filter(public_id__in=held).annotate(
        since=Subquery(said.values("created_at")[:1])
    )
    waits = {}
    for talk in talks.values("public_id", "since"):
        case = held[talk["public_id"]]
        if talk["since"] is not None:
            waits[case.pk] = max(talk["since"], case.first_held_at or case.opened_at)
    return waits


def _alerts(staff: User) -> Sequence[OperationsAlert]:
    """Operators see what is wrong with the service itself."""
    if staff.role != User.Role.OPERATOR:
        return ()
    return list(
        OperationsAlert.objects.filter(resolved_at=None).order_by("acknowledged_at", "-opened_at")[:20]
    )
