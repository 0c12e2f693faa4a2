"""★ The panel: everything about a minor that the page of a guardian can hold, beside what guardians themselves set.

An edge, because it reads use, companions and cases; only the page, its mirror for the minor and its live socket call it.
Times, counts, names of companions that anybody could see, and what was done after a notice of danger: never what was
said, what it was about, how somebody felt, memories, companions that the minor wrote, or notes of the team. A test holds
the fields to a list, so that a new one is a decision.

How much it tells shrinks with age (DETAIL). Cases in which somebody near may be the danger do not exist here.
"""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from django.db.models import Count, Max, Q, QuerySet
from django.utils import translation
from django.utils.crypto import salted_hmac
from django.utils.translation import get_language

from accounts import local_days
from accounts.age import AgeBand
from accounts.models import Notice, User
from companion import portrayal, usage
from companion.models import Persona, UsageSession
from guardians.limits import EffectivePolicy, Quiet, effective_policy
from guardians.models import Guardianship, TimeRequest
from safety import alert_texts
from safety.models import CaseEvent, Delivery

DAYS: Final = 28
WEEK: Final = dt.timedelta(days=7)
ALERTS_FOR: Final = dt.timedelta(days=90)
ALERTS_AT_MOST: Final = 20  # the newest ones
# What happened after a notice, of everything in the record of a case.
_STEPS: Final[Mapping[str, str]] = {
    "contact_notice": "told",
    "claimed": "human",
    "handed_back": "handed_back",
    "closed": "closed",
}
_HANDED_OVER: Final = (Delivery.State.ACCEPTED, Delivery.State.CONFIRMED)


class OfAge(Exception):
    """There is no panel of an adult."""


class Share(StrEnum):
    """How much is told of something."""

    MINUTES = "minutes"
    NAMES = "names"  # or, of nights, whether there were any
    NOTHING = "nothing"


@dataclass(frozen=True)
class Detail:
    """What the panel tells at an age."""

    today: bool  # minutes of today; otherwise only whether the time is used up
    days: bool  # minutes of each day; otherwise of weeks
    companions: Share  # with their minutes, in order without minutes, or not at all
    night: Share  # minutes and nights, or whether it happened
    longest: bool  # the longest stretch


DETAIL: Final[Mapping[AgeBand, Detail]] = {
    AgeBand.UNDER_14: Detail(
        today=True, days=True, companions=Share.MINUTES, night=Share.MINUTES, longest=True
    ),
    AgeBand.FROM_14: Detail(today=True, days=True, companions=Share.NAMES, night=Share.NAMES, longest=True),
    AgeBand.FROM_16: Detail(
        today=False, days=False, companions=Share.NOTHING, night=Share.NAMES, longest=False
    ),
}


@dataclass(frozen=True)
class Today:
    minutes: int | None  # used; None where the age is not told so much
    limit: int | None
    given: int  # minutes of the limit that a guardian gave for today
    used_up: bool
    quiet_until: dt.datetime | None


@dataclass(frozen=True)
class Day:
    date: dt.date
    minutes: int
    night: int | None  # between 22:00 and 6:00


@dataclass(frozen=True)
class Week:
    """Seven days; the newest ends today."""

    first: dt.date
    last: dt.date
    minutes: int


@dataclass(frozen=True)
class Night:
    """Use between 22:00 and 6:00 in the four weeks."""

    happened: bool
    nights: int | None
    minutes: int | None


@dataclass(frozen=True)
class Sessions:
    """Stretches of use of the last seven days; a pause of half an hour ends one."""

    count: int
    longest: int | None  # minutes


@dataclass(frozen=True)
class Companion:
    """`name` is empty for the companions that have no name here: their own and those that are no more."""

    id: uuid.UUID | None
    name: str
    own: bool  # written by the minor: it can be closed as a whole, and its name is theirs
    minutes: int | None


@dataclass(frozen=True)
class Reminders:
    """Reminders of breaks and that this is AI, in four weeks, and how they were answered."""

    shown: int
    paused: int
    read: int  # understood or continued
    unanswered: int


@dataclass(frozen=True)
class Step:
    code: str  # one of the values of _STEPS
    at: dt.datetime


@dataclass(frozen=True)
class Alert:
    """A safety contact: that this guardian was told, what was done, and what can be said."""

    number: str
    at: dt.datetime
    level: int
    over: bool
    steps: tuple[Step, ...]
    say: tuple[str, ...]
    avoid: str


@dataclass(frozen=True)
class Panel:
    name: str
    band: str
    zone: str  # of the days and nights
    today: Today
    quiet: tuple[Quiet, ...]
    weeks: tuple[Week, ...]  # four, the newest last
    days: tuple[Day, ...]  # twenty-eight, or none
    night: Night
    sessions: Sessions
    companions: tuple[Companion, ...]  # of four weeks, the most used first
    reminders: Reminders
    alerts: tuple[Alert, ...]  # the newest first

    @property
    def detail(self) -> Detail:
        return DETAIL[AgeBand(self.band)]


def panel(link: Guardianship, now: dt.datetime) -> Panel:
    """What the guardian of this link is told about its minor. The right to see it was asked before. Raises OfAge."""
    minor = link.minor
    policy = effective_policy(minor, now)
    band, detail = _detail(policy)
    last = local_days.date_of(now, policy.zone)
    days = usage.days(minor.pk, policy.zone, last - (DAYS - 1) * local_days.DAY, last)
    return Panel(
        name=minor.nickname,
        band=band,
        zone=policy.zone,
        today=_today(minor, policy, detail, now),
        quiet=policy.quiet,
        weeks=tuple(_weeks(days)),
        days=tuple(_days(days, detail)),
        night=_night(days, detail),
        sessions=_sessions(minor, detail, now),
        companions=tuple(_companions(minor, days, detail)),
        reminders=_reminders(minor, now),
        alerts=tuple(_alerts(link, now)),
    )


def stamps(link: Guardianship, now: dt.datetime) -> dict[str, str]:
    """A code for each part of the page that changes by itself: another code, other contents. Says nothing else."""
    minor = link.minor
    policy = effective_policy(minor, now)
    try:
        _band, detail = _detail(policy)
    except OfAge:
        return {}
    asked = TimeRequest.objects.filter(minor=minor, asked_at__gt=now - 2 * local_days.DAY)
    rights = User.objects.filter(pk=minor.pk).values_list("policy_generation", flat=True).get()
    with translation.override("en"):  # one code for readers of any language
        alerts = _alerts(link, now)
    parts: dict[str, object] = {
        "today": _today(minor, policy, detail, now),
        "alerts": alerts,
        "requests": list(asked.order_by("pk").values_list("pk", "state")),
        "settings": rights,
    }
    return {
        name: salted_hmac("guardians.dashboard", repr(part)).hexdigest()[:12] for name, part in parts.items()
    }


def _detail(policy: EffectivePolicy) -> tuple[AgeBand, Detail]:
    """Without a birth date, as little as at any age."""
    band = policy.age_band or AgeBand.FROM_16
    if band not in DETAIL:
        raise OfAge
    return band, DETAIL[band]


def _today(minor: User, policy: EffectivePolicy, detail: Detail, now: dt.datetime) -> Today:
    standing = usage.standing(minor.pk, policy, now)
    used_up = policy.daily_minutes is not None and standing.minutes_used >= policy.daily_minutes
    return Today(
        minutes=standing.minutes_used if detail.today else None,
        limit=policy.daily_minutes,
        given=policy.extra_minutes,
        used_up=used_up or standing.refusal == "limit",
        quiet_until=standing.quiet_until,
    )


def _weeks(days: Sequence[usage.Day]) -> list[Week]:
    parts = [days[i : i + 7] for i in range(0, len(days), 7)]
    return [Week(part[0].date, part[-1].date, sum(day.minutes for day in part)) for part in parts]


def _days(days: Sequence[usage.Day], detail: Detail) -> list[Day]:
    if not detail.days:
        return []
    told = detail.night is Share.MINUTES
    return [Day(day.date, day.minutes, day.night if told else None) for day in days]


def _night(days: Sequence[usage.Day], detail: Detail) -> Night:
    minutes, nights = sum(day.night for day in days), sum(day.night > 0 for day in days)
    told = detail.night is Share.MINUTES
    return Night(minutes > 0, nights if told else None, minutes if told else None)


def _sessions(minor: User, detail: Detail, now: dt.datetime) -> Sessions:
    rows = UsageSession.objects.filter(user=minor, started_at__gt=now - WEEK)
    spans = [(seen - begun) for begun, seen in rows.values_list("started_at", "seen_at")]
    longest = max((round(span.total_seconds() / 60) for span in spans), default=0)
    return Sessions(len(spans), longest if detail.longest else None)


def _companions(minor: User, days: Sequence[usage.Day], detail: Detail) -> list[Companion]:
    """By time. A name only where a guardian could find and block it: what the minor writes is theirs."""
    if detail.companions is Share.NOTHING:
        return []
    minutes: Counter[int | None] = Counter()
    for day in days:
        minutes.update(day.personas)
    known = Persona.objects.in_bulk([key for key in minutes if key is not None])
    language = get_language() or "en"
    listed: Counter[tuple[uuid.UUID | None, str, bool]] = Counter()
    for key, count in minutes.items():
        persona = known.get(key) if key is not None else None
        if persona is not None and persona.author_id == minor.pk:
            listed[None, "", True] += count
        elif persona is None or not _public(persona):
            listed[None, "", False] += count
        else:
            listed[persona.public_id, portrayal.face(persona, language).name, False] += count
    told = detail.companions is Share.MINUTES
    return [
        Companion(public_id, name, own, count if told else None)
        for (public_id, name, own), count in listed.most_common()
        if count
    ]


def _public(persona: Persona) -> bool:
    return persona.author_id is None or persona.state == Persona.State.PUBLISHED


def _reminders(minor: User, now: dt.datetime) -> Reminders:
    kinds = (Notice.Kind.BREAK, Notice.Kind.REALITY)
    since = now - DAYS * local_days.DAY
    shown = Notice.objects.filter(user=minor, kind__in=kinds, raised_at__gt=since, shown_at__isnull=False)
    answers = Notice.Answer
    counts = shown.aggregate(
        shown=Count("pk"),
        paused=Count("pk", filter=Q(answer=answers.PAUSE)),
        read=Count("pk", filter=Q(answer__in=(answers.UNDERSTOOD, answers.CONTINUE))),
        unanswered=Count("pk", filter=Q(answer__in=("", answers.LAPSED))),
    )
    return Reminders(**counts)


def _notices(link: Guardianship, now: dt.datetime) -> QuerySet[Delivery]:
    """The notices of danger to this guardian about this minor, but for cases that are not for anybody near."""
    return Delivery.objects.filter(
        case__user=link.minor_id,
        case__safeguarding=False,
        case__is_canary=False,
        template="near",
        recipient=f"guardian:{link.guardian_id}",
        created_at__gt=now - ALERTS_FOR,
    ).exclude(state=Delivery.State.CANCELLED)


def _alerts(link: Guardianship, now: dt.datetime) -> list[Alert]:
    rows = (
        _notices(link, now)
        .values("case", "case__level", "case__category", "case__closed_at")
        .annotate(
            newest=Max("created_at"),
            told=Max("level"),
            # What it is about stands in the notice: it is told here once a notice of this level went out.
            about=Max("level", filter=Q(state__in=_HANDED_OVER)),
        )
        .order_by("-newest")[:ALERTS_AT_MOST]
    )
    steps = _steps([row["case"] for row in rows], f"guardian:{link.guardian_id}") if rows else {}
    language = "zh" if (get_language() or "en").startswith("zh") else "en"
    alerts = []
    for row in rows:
        about = row["case__category"] if row["about"] == row["case__level"] else "other"
        alerts.append(
            Alert(
                number=f"C-{row['case']}",
                at=row["newest"],
                level=row["told"],
                over=row["case__closed_at"] is not None,
                steps=tuple(steps.get(row["case"], ())),
                say=tuple(alert_texts.say(f"near.say.{about}", language).splitlines()),
                avoid=alert_texts.say(f"near.avoid.{about}", language),
            )
        )
    return alerts


def _steps(cases: Sequence[int], recipient: str) -> dict[int, list[Step]]:
    """What was done, the first time of each kind in a row. That others were told is theirs."""
    rows = CaseEvent.objects.filter(case__in=cases, kind__in=_STEPS).order_by("case", "pk")
    found: dict[int, list[Step]] = {}
    for case, kind, at, data in rows.values_list("case", "kind", "at", "data"):
        if kind == "contact_notice" and data.get("recipient") != recipient:
            continue
        steps = found.setdefault(case, [])
        if not steps or steps[-1].code != _STEPS[kind]:
            steps.append(Step(_STEPS[kind], at))
    return found
