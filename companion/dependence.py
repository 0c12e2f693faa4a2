"""What a person's use says about dependence, and what follows: gather figures, judge, act. Draft articles 9, 11, 16.

Judged each hour for people who were here since (companion/tasks.py), and soon after a message whose verdict speaks of it
(companion/consumers.py), never on the way of a message. The figures are minutes, returns and reason codes; no text is
opened. While somebody is in danger, and for three days after, nothing is judged: then other things count.

Scores are never used to sell anything or to bring anybody back. Who may see one: the person, and moderators when it
has come before a human.
"""

import asyncio
import datetime as dt
import logging
import uuid
from collections import Counter
from itertools import islice
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import BooleanField, F, Func, Max, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from accounts import audit, generation, ratelimit
from accounts.models import Notice, User
from companion import notices, offload, usage
from companion.models import Departure, DependenceScore, UsageMinute
from guardians.limits import effective_policy
from safety import cases, use_reviews
from safety.dependence import Day as Minutes
from safety.dependence import Figures, Step, judge, signal_set
from safety.models import Appeal, Assessment, UseReview

log = logging.getLogger(__name__)

BATCH = 500  # people of one query
LOOK_BACK = dt.timedelta(hours=25)  # whom the hourly look asks about, should some looks have been missed
BOUNDARIES_LAST = dt.timedelta(days=7)  # a step of longer ago says nothing about today
_WINDOW_CLOSED = Departure.How.WINDOW  # may be a page that was reloaded: no sign of anything
# By the database, so that a thousand quiet verdicts are not carried here.
_SPEAKS_OF_IT = Func(
    F("reasons"),
    template="jsonb_path_exists(%(expressions)s, '$[*] ? (@ starts with \"dependence.\")')",
    output_field=BooleanField(),
)
_SOON = dt.timedelta(minutes=10)  # between two looks that messages ask for

_looking: set[asyncio.Task[None]] = set()


def soon(user_id: uuid.UUID) -> None:
    """After a turn whose verdict speaks of dependence: look in the background. Returns at once."""
    task = asyncio.create_task(_soon(user_id))
    _looking.add(task)  # the loop keeps only weak references
    task.add_done_callback(_looking.discard)


async def _soon(user_id: uuid.UUID) -> None:
    try:
        await offload.run(_look_unless_just_done, user_id)
    except Exception as error:  # the hourly look comes anyway
        log.error("dependence not judged: %s", type(error).__name__)


def _look_unless_just_done(user_id: uuid.UUID) -> None:
    if ratelimit.allow(f"dependence:{user_id}", rate=1 / _SOON.total_seconds(), burst=1):
        look(user_id, timezone.now())


def look_at_active(now: dt.datetime) -> int:
    """Judge everybody who was here since they were judged last; how many. One that fails holds up no other."""
    count = 0
    people = _active(now).iterator(chunk_size=BATCH)
    while batch := list(islice(people, BATCH)):
        for user_id in batch:
            try:
                count += look(user_id, now) is not None
            except Exception as error:
                log.error("dependence of %s not judged: %s", user_id, type(error).__name__)
    return count


def _active(now: dt.datetime) -> QuerySet[UsageMinute, uuid.UUID]:
    """By an index over time, so the cost is that of the minutes of a day and not of all people."""
    judged = DependenceScore.objects.filter(user=OuterRef("user")).order_by("-day").values("created_at")[:1]
    return (
        UsageMinute.objects.filter(minute__gt=now - LOOK_BACK, minute__lte=now)
        .values("user")
        .annotate(newest=Max("minute"), judged=Subquery(judged))
        .filter(Q(judged=None) | Q(newest__gt=F("judged")))
        .order_by()
        .values_list("user", flat=True)
    )


def look(user_id: uuid.UUID, now: dt.datetime) -> DependenceScore | None:
    """Judge one person's use and do what follows. None: not now (danger), or the account is gone."""
    with transaction.atomic(durable=True):
        # Two looks at once, by the hour and after a message, are one after the other.
        user = User.objects.select_for_update(no_key=True).filter(pk=user_id, is_active=True).first()
        if user is None or cases.care_of(user_id, now).gentle:
            return None
        policy = effective_policy(user, now)
        day = now.astimezone(ZoneInfo(policy.zone)).date()
        before = step_before(user_id, day)
        judged = judge(
            figures(user_id, policy.engine_band, policy.zone, now), band=policy.engine_band, before=before
        )
        step = _as_decided(user_id, judged.step, now)
        row = DependenceScore.objects.filter(user=user, day=day).first()
        known = row.step if row else before.code
        row = row or DependenceScore(user=user, day=day)
        row.version, row.score, row.step = signal_set().version, judged.score, step.code
        row.reasons = [reason.stored() for reason in judged.reasons]
        row.created_at = now
        row.save()
        if step.code != known:
            audit.record(
                "dependence.step",
                actor=None,
                subject=user_id,
                step=step.code,
                score=row.score,
                version=row.version,
            )
        if step is Step.HUMAN:
            _ask_a_human(row, young=policy.engine_band not in ("adult", "elder"), now=now)
        if step.code != known:
            generation.policy_changed(user_id)
        if min(step, judged.step) >= Step.NOTICE and _notice_is_due(user_id, step > before, now):
            notices.raise_one(user_id, Notice.Kind.DEPENDENCE, str(day))  # one a day at most
    return row


def figures(user_id: uuid.UUID, band: str, zone: str, now: dt.datetime) -> Figures:
    """Three queries by index: minutes, reason codes of messages, returns."""
    known, measure, local = signal_set(), signal_set().measure(band), ZoneInfo(zone)
    today = now.astimezone(local).date()
    first = today - dt.timedelta(days=known.time_days - 1)
    days = [
        Minutes(day.minutes, sum(count for hour, count in enumerate(day.hours) if measure.is_night(hour)))
        for day in usage.days(user_id, zone, first, today)
    ]
    return Figures(days=days, returns=_returns(user_id, now), said=_said(user_id, local, now))


def _returns(user_id: uuid.UUID, now: dt.datetime) -> int:
    """How often the person left and was back in the same conversation within minutes."""
    known = signal_set()
    return (
        Departure.objects.filter(user_id=user_id, left_at__gt=now - dt.timedelta(days=known.time_days))
        .exclude(how=_WINDOW_CLOSED)
        .filter(returned_at__lte=F("left_at") + dt.timedelta(minutes=known.quick_return))
        .count()
    )


def _said(user_id: uuid.UUID, local: ZoneInfo, now: dt.datetime) -> dict[str, int]:
    """On how many days the verdicts spoke of each signal."""
    known = signal_set()
    rows = Assessment.objects.filter(
        user_id=user_id, created_at__gt=now - dt.timedelta(days=known.words_days), created_at__lte=now
    ).filter(_SPEAKS_OF_IT)
    seen = {
        (signal, at.astimezone(local).date())
        for at, reasons in rows.values_list("created_at", "reasons")
        for signal in known.said(reasons)
    }
    return dict(Counter(signal for signal, _day in seen))


def step_before(user_id: uuid.UUID, day: dt.date) -> Step:
    """The step of the last day that was judged before this one."""
    rows = DependenceScore.objects.filter(user_id=user_id, day__lt=day, day__gte=day - BOUNDARIES_LAST)
    return Step.of(rows.order_by("-day").values_list("step", flat=True).first() or "")


def current_steps(now: dt.datetime) -> QuerySet[DependenceScore, str]:
    """The newest step of each person, for a subquery over people: what their prompts go by (companion/access.py)."""
    since = (now - BOUNDARIES_LAST).date()
    return (
        DependenceScore.objects.filter(user=OuterRef("pk"), day__gte=since)
        .order_by("-day")
        .values_list("step", flat=True)[:1]
    )


def keeps_boundaries(step: str | None) -> bool:
    return Step.of(step or "") >= Step.GUIDANCE


def rest(user_id: uuid.UUID) -> None:
    """A human found that nothing should follow: the steps of late are taken back, in the caller's transaction."""
    if DependenceScore.objects.filter(user_id=user_id).exclude(step="").update(step=""):
        audit.record("dependence.step", actor=None, subject=user_id, step="")
        generation.policy_changed(user_id)


def objectionable(user_id: uuid.UUID, now: dt.datetime) -> DependenceScore | None:
    """The newest judgement, if anything followed from it of late."""
    since = (now - BOUNDARIES_LAST).date()
    return (
        DependenceScore.objects.filter(user_id=user_id, day__gte=since)
        .exclude(step="")
        .order_by("-day")
        .first()
    )


def _as_decided(user_id: uuid.UUID, step: Step, now: dt.datetime) -> Step:
    """What a human decided of late outranks what was computed."""
    since = now - dt.timedelta(days=signal_set().rest_days)
    decided = [
        (row.decided_at, row.decision)
        for row in UseReview.objects.filter(person_id=user_id, decided_at__gt=since).exclude(
            decision=UseReview.Decision.NOTHING
        )
    ]
    decided += [
        (row.decided_at, UseReview.Decision.EXPLAINED)
        for row in Appeal.objects.filter(
            person_id=user_id,
            subject=Appeal.Subject.DEPENDENCE,
            decision=Appeal.Decision.UPHELD,
            decided_at__gt=since,
        )
    ]
    if not decided:
        return step
    newest = max(decided)[1]
    return Step.NONE if newest == UseReview.Decision.EXPLAINED else max(step, Step.GUIDANCE)


def _ask_a_human(row: DependenceScore, *, young: bool, now: dt.datetime) -> None:
    use_reviews.ask(
        row.user_id,
        young=young,
        score=row.score,
        version=row.version,
        reasons=row.reasons,
        again_after=dt.timedelta(days=signal_set().look_again_days),
        now=now,
    )


def _notice_is_due(user_id: uuid.UUID, risen: bool, now: dt.datetime) -> bool:
    """When it is worse than on the day before, or when the last one was days ago."""
    last = Notice.objects.filter(user_id=user_id, kind=Notice.Kind.DEPENDENCE).aggregate(at=Max("raised_at"))[
        "at"
    ]
    return risen or last is None or last <= now - dt.timedelta(days=signal_set().notice_again_days)
