"""Dependence end to end: figures from rows, steps one a day, notices, prompts, a human, and what a human decides."""

import asyncio
import datetime as dt
import json
import uuid
from collections.abc import Iterable

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import AuditEntry, Event, Notice, User
from companion import access, dependence, orders, rulings
from companion.models import Conversation, Departure, DependenceScore, UsageMinute
from companion.orders import Mood
from safety import appeals, cases, complaints, moderation
from safety.dependence import Step, signal_set
from safety.engine import Verdict
from safety.models import Appeal, Assessment, CrisisCase, OperationsAlert, UseReview
from safety.moderation import NotPossible
from tests.companion.conftest import Talk, say
from tests.live import companions, open_conversation, sign_in

__all__ = ["companions"]
pytestmark = pytest.mark.django_db(transaction=True)

NOON = dt.datetime(2026, 11, 20, 4, 0, tzinfo=dt.UTC)  # 12:00 in Shanghai
DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
SECRET = "那只蓝色的水壶"


def minutes(user: User, begin: dt.datetime, count: int) -> None:
    UsageMinute.objects.bulk_create(
        [UsageMinute(user=user, minute=begin + MINUTE * i) for i in range(count)], ignore_conflicts=True
    )


def long_days(user: User, now: dt.datetime, count: int, length: int = 190) -> None:
    for back in range(count):
        minutes(user, now - DAY * back - dt.timedelta(hours=4), length)


def nights(user: User, now: dt.datetime, count: int) -> None:
    """Half past midnight to a quarter past one."""
    for back in range(count):
        minutes(user, (now - DAY * back).replace(hour=16, minute=30) - DAY, 45)


def spoke(user: User, days: Iterable[dt.datetime], *codes: str) -> None:
    for at in days:
        Assessment.objects.create(
            message=uuid.uuid4(),
            user=user,
            level=0,
            action="answer",
            reasons=list(codes),
            rules_version="rules",
            created_at=at,
        )


def left(user: User, at: dt.datetime, back_after: dt.timedelta | None, how: str = "button") -> None:
    Departure.objects.create(
        user=user,
        conversation=uuid.uuid4(),
        how=how,
        left_at=at,
        returned_at=at + back_after if back_after is not None else None,
    )


def at_worst(user: User, now: dt.datetime) -> None:
    long_days(user, now, 7)
    nights(user, now, 7)
    for i in range(10):
        left(user, now - dt.timedelta(hours=i + 1), 5 * MINUTE)
    spoke(
        user,
        [now - DAY * i for i in range(8)],
        "dependence.withdrawal.from_people",
        "dependence.strong.meaning",
    )


def reasons(row: DependenceScore | None) -> dict[str, int]:
    assert row is not None
    return {code: figure for code, _points, figure in row.reasons}


def step_of(row: DependenceScore | None) -> str:
    assert row is not None
    return row.step


# --- figures ------------------------------------------------------------------------------------------------


def test_days_are_the_persons_and_a_long_one_is_long_by_age(adult: User, minor: User) -> None:
    for user in (adult, minor):
        long_days(user, NOON, 4, length=100)
    assert "time.long_days" not in reasons(dependence.look(adult.pk, NOON))
    assert reasons(dependence.look(minor.pk, NOON))["time.long_days"] == 4


def test_nights_are_counted_in_the_persons_own_zone(adult: User) -> None:
    nights(adult, NOON, 3)
    assert reasons(dependence.look(adult.pk, NOON)) == {"time.nights": 3}
    DependenceScore.objects.all().delete()
    User.objects.filter(pk=adult.pk).update(time_zone="America/New_York")  # it was noon there
    assert reasons(dependence.look(adult.pk, NOON)) == {}


def test_what_is_older_than_the_window_counts_no_more(adult: User) -> None:
    long_days(adult, NOON, 7)
    spoke(adult, [NOON - DAY * i for i in range(4)], "dependence.control.cannot_stop")
    assert reasons(dependence.look(adult.pk, NOON)) == {"time.long_days": 7, "words.control": 4}
    assert reasons(dependence.look(adult.pk, NOON + 7 * DAY)) == {"words.control": 4}
    assert reasons(dependence.look(adult.pk, NOON + 18 * DAY)) == {}


def test_words_count_by_days_and_not_by_messages(adult: User) -> None:
    spoke(adult, [NOON - MINUTE * i for i in range(30)], "dependence.exclusive.only_you")
    assert reasons(dependence.look(adult.pk, NOON)) == {}
    spoke(adult, [NOON - DAY], "dependence.exclusive.only_you", "guard.quoted")
    assert reasons(dependence.look(adult.pk, NOON)) == {"words.exclusive": 2}


def test_other_codes_are_none_of_its_business(adult: User) -> None:
    spoke(
        adult, [NOON - DAY * i for i in range(9)], "extreme_emotion.sad.low", "warm", "insult.person.meaning"
    )
    assert reasons(dependence.look(adult.pk, NOON)) == {}


def test_a_failed_exit_is_a_return_within_minutes_and_no_closed_window(adult: User) -> None:
    for i in range(3):
        left(adult, NOON - dt.timedelta(hours=2 * i + 1), 15 * MINUTE, how=["button", "words", "pause"][i])
        left(adult, NOON - dt.timedelta(hours=2 * i + 2), 16 * MINUTE)
        left(adult, NOON - dt.timedelta(hours=2 * i + 2), None)
        left(adult, NOON - dt.timedelta(hours=2 * i + 2), MINUTE, how="window")
    assert reasons(dependence.look(adult.pk, NOON)) == {"exit.returns": 3}


def test_nobody_elses_rows_count(adult: User, outsider: User) -> None:
    at_worst(outsider, NOON)
    row = dependence.look(adult.pk, NOON)
    assert row is not None and (row.score, row.step) == (0, "")


def test_a_look_costs_the_same_for_a_full_history(adult: User) -> None:
    counts = []
    for fill in (False, True):
        if fill:
            long_days(adult, NOON, 7, length=600)
            spoke(adult, [NOON - MINUTE * i for i in range(300)], "extreme_emotion.sad.low")
        with CaptureQueriesContext(connection) as queries:
            dependence.figures(adult.pk, "adult", "Asia/Shanghai", NOON)
        counts.append(len(queries))
    assert counts == [3, 3]


# --- steps --------------------------------------------------------------------------------------------------


def look_for(user: User, days: int, begin: dt.datetime = NOON) -> list[str]:
    return [step_of(dependence.look(user.pk, begin + DAY * i)) for i in range(days)]


def test_it_takes_four_days_to_come_before_a_human_and_each_step_is_recorded(adult: User) -> None:
    at_worst(adult, NOON)
    at_worst(adult, NOON + 3 * DAY)
    assert look_for(adult, 4) == ["notice", "guidance", "cool_down", "human"]
    noted = AuditEntry.objects.filter(action="dependence.step", subject=adult.pk).order_by("pk")
    assert [(entry.actor, entry.data["step"]) for entry in noted] == [
        (None, step) for step in ("notice", "guidance", "cool_down", "human")
    ]


def test_many_looks_on_one_day_are_one_step_and_one_row(adult: User) -> None:
    at_worst(adult, NOON)
    assert [step_of(dependence.look(adult.pk, NOON + MINUTE * i)) for i in range(5)] == ["notice"] * 5
    assert DependenceScore.objects.filter(user=adult).count() == 1
    assert AuditEntry.objects.filter(action="dependence.step").count() == 1


def test_it_decays_by_itself(adult: User) -> None:
    at_worst(adult, NOON)
    look_for(adult, 2)
    row = dependence.look(adult.pk, NOON + 20 * DAY)
    assert row is not None and (row.score, row.step, row.reasons) == (0, "", [])


def test_a_step_of_long_ago_is_no_head_start(adult: User) -> None:
    DependenceScore.objects.create(
        user=adult, day=(NOON - 8 * DAY).date(), version="v", score=90, step="human"
    )
    at_worst(adult, NOON)
    assert step_of(dependence.look(adult.pk, NOON)) == "notice"


# --- notices ------------------------------------------------------------------------------------------------


def raised(user: User) -> int:
    return Notice.objects.filter(user=user, kind=Notice.Kind.DEPENDENCE).count()


def test_the_reminder_comes_once_a_day_at_most_and_not_each_day(adult: User) -> None:
    long_days(adult, NOON + 3 * DAY, 10)  # enough for a notice and for nothing more
    for look in range(3):
        assert step_of(dependence.look(adult.pk, NOON + MINUTE * look)) == "notice"
    assert raised(adult) == 1
    Notice.objects.filter(user=adult).update(raised_at=NOON)
    for days in (1, 2):
        dependence.look(adult.pk, NOON + DAY * days)
    assert raised(adult) == 1
    dependence.look(adult.pk, NOON + 3 * DAY)
    assert raised(adult) == 2


def test_open_pages_show_it_and_nobody_is_mailed(adult: User) -> None:
    at_worst(adult, NOON)
    look_for(adult, 4)
    kinds = list(Event.objects.filter(user=adult).values_list("kind", flat=True))
    assert "notice.raised" in kinds
    assert mail.outbox == []
    assert "score" not in json.dumps(list(Event.objects.filter(user=adult).values_list("data", flat=True)))


def test_in_a_crisis_and_after_it_nothing_is_judged(companions: None, adult: User) -> None:
    conversation = open_conversation(adult, sign_in(adult))
    at_worst(adult, NOON)
    cases.raise_signal(
        adult,
        message=uuid.uuid4(),
        conversation=conversation.public_id,
        verdict=Verdict(3, "hold", {"crisis": 0.9}, ("crisis.explicit.wish_to_die",)),
        category=CrisisCase.Category.SELF_HARM,
        text="…",
    )
    assert dependence.look(adult.pk, NOON) is None
    assert (raised(adult), DependenceScore.objects.count(), UseReview.objects.count()) == (0, 0, 0)
    now = timezone.now()
    CrisisCase.objects.filter(user=adult).update(state="closed", closed_at=now, next_due_at=None)
    assert dependence.look(adult.pk, now + DAY) is None
    assert dependence.look(adult.pk, now + 4 * DAY) is not None


# --- what the model is told ---------------------------------------------------------------------------------


def prompt_of(user: User, conversation: Conversation, now: dt.datetime) -> str:
    actor = access.load_actor(user.pk, sign_in(user), now)
    order = orders.order(actor, conversation, [], "今天吃了面", now, Mood())
    return "\n".join(message["content"] for message in order.prompt)


def test_from_guidance_on_the_companion_keeps_boundaries_and_knows_no_score(
    companions: None, adult: User
) -> None:
    conversation = open_conversation(adult, sign_in(adult))
    now = timezone.now()
    line = "leaned on this chat"
    expected = {"": False, "notice": False, "guidance": True, "cool_down": True, "human": True}
    for step, told in expected.items():
        DependenceScore.objects.update_or_create(
            user=adult,
            day=now.date(),
            defaults={"version": "v", "score": 97, "step": step, "reasons": [["words.control", 22, 13]]},
        )
        prompt = prompt_of(adult, conversation, now)
        assert (line in prompt) == told
        assert "97" not in prompt and "words.control" not in prompt
    assert line not in prompt_of(adult, conversation, now + 9 * DAY)


def test_rights_are_read_with_no_statement_more(companions: None, adult: User) -> None:
    session = sign_in(adult)
    with CaptureQueriesContext(connection) as queries:
        access.load_actor(adult.pk, session, timezone.now())
    asked = [query["sql"] for query in queries if "dependencescore" in query["sql"]]
    assert len(asked) == 1 and "accounts_user" in asked[0]


# --- when ---------------------------------------------------------------------------------------------------


def test_the_hourly_look_takes_those_who_were_here_since(adult: User, outsider: User, minor: User) -> None:
    minutes(adult, NOON - dt.timedelta(hours=1), 5)
    minutes(outsider, NOON - dt.timedelta(hours=30), 5)
    assert dependence.look_at_active(NOON) == 1
    assert dependence.look_at_active(NOON + MINUTE) == 0
    minutes(adult, NOON + 2 * MINUTE, 1)
    minutes(minor, NOON + 2 * MINUTE, 1)
    assert dependence.look_at_active(NOON + 3 * MINUTE) == 2


def test_one_person_who_cannot_be_judged_holds_up_no_other(
    adult: User, outsider: User, caplog: pytest.LogCaptureFixture
) -> None:
    for user in (adult, outsider):
        minutes(user, NOON - MINUTE, 1)
    User.objects.filter(pk=adult.pk).update(time_zone="Nowhere/Land")
    assert dependence.look_at_active(NOON) == 1
    assert str(adult.pk) in caplog.text


def test_a_message_that_speaks_of_it_asks_for_a_look(companions: None, adult: User) -> None:
    conversation = open_conversation(adult, sign_in(adult))
    actor = access.load_actor(adult.pk, sign_in(adult), timezone.now())
    assert say(actor, conversation, "我真的离不开你", uuid.uuid4()).leans
    assert not say(actor, conversation, "今天吃了面", uuid.uuid4()).leans
    assert DependenceScore.objects.count() == 0  # not on the way of the message


@pytest.mark.usefixtures("model")
async def test_after_such_a_message_the_reminder_comes_by_itself(talk: Talk) -> None:
    await asyncio.to_thread(at_worst, talk.user, timezone.now())
    async with talk.socket() as socket:
        await socket.say("我真的离不开你")
        frame = await socket.until("notice.raised")
    assert frame["about"] == "dependence" and "AI" in frame["html"]
    assert (await DependenceScore.objects.aget(user=talk.user)).step == "notice"


def test_messages_in_a_row_ask_for_one_look(adult: User) -> None:
    for _message in range(3):
        dependence._look_unless_just_done(adult.pk)
    first = DependenceScore.objects.get(user=adult).created_at
    dependence._look_unless_just_done(adult.pk)
    assert DependenceScore.objects.get(user=adult).created_at == first


# --- a human ------------------------------------------------------------------------------------------------


def before_a_human(user: User) -> UseReview:
    at_worst(user, NOON)
    at_worst(user, NOON + 3 * DAY)
    look_for(user, 4)
    return UseReview.objects.get(person=user)


def test_a_human_gets_figures_and_no_words(adult: User, minor: User) -> None:
    row = before_a_human(adult)
    young = before_a_human(minor)
    assert (row.lane, young.lane, row.state) == ("ordinary", "minors", "open")
    assert row.due_at == row.created_at + dt.timedelta(hours=moderation.hours("ordinary"))
    codes = {signal.code for signal in signal_set().signals}
    for code, points, figure in row.reasons:
        assert code in codes and isinstance(points, int) and isinstance(figure, int)
    assert CrisisCase.objects.count() == 0


def test_one_look_at_a_time_and_none_soon_after(adult: User, moderator: User) -> None:
    row = before_a_human(adult)
    later = NOON + 4 * DAY
    at_worst(adult, later)
    dependence.look(adult.pk, later)
    assert UseReview.objects.count() == 1
    rulings.decide_use(moderator, row.pk, UseReview.Decision.NOTHING, later)
    at_worst(adult, later + 13 * DAY)
    look_for(adult, 6, later + 8 * DAY)
    assert UseReview.objects.count() == 1
    at_worst(adult, later + 15 * DAY)
    assert look_for(adult, 1, later + 15 * DAY) == ["human"]
    assert UseReview.objects.count() == 2


def test_what_another_reason_explains_has_no_steps_for_four_weeks(adult: User, moderator: User) -> None:
    row = before_a_human(adult)
    decided = NOON + 3 * DAY + MINUTE
    rulings.decide_use(moderator, row.pk, UseReview.Decision.EXPLAINED, decided)
    assert set(DependenceScore.objects.filter(user=adult).values_list("step", flat=True)) == {""}
    at_worst(adult, NOON + 20 * DAY)
    assert look_for(adult, 3, NOON + 20 * DAY) == ["", "", ""]
    at_worst(adult, NOON + 33 * DAY)
    assert look_for(adult, 1, NOON + 33 * DAY) == ["notice"]


def test_boundaries_that_a_human_wants_are_kept_and_nobody_is_reminded_for_them(
    adult: User, moderator: User
) -> None:
    row = before_a_human(adult)
    rulings.decide_use(moderator, row.pk, UseReview.Decision.GUIDANCE, NOON + 3 * DAY + MINUTE)
    before = raised(adult)
    assert look_for(adult, 1, NOON + 25 * DAY) == ["guidance"]
    assert raised(adult) == before
    assert look_for(adult, 1, NOON + 40 * DAY) == [""]


def test_nobody_decides_about_themselves_and_only_staff_decide(
    moderator: User, adult: User, outsider: User
) -> None:
    own, other = before_a_human(moderator), before_a_human(adult)
    for staff, row, code in ((moderator, own, "oneself"), (outsider, other, "not_staff")):
        with pytest.raises(NotPossible) as refused:
            rulings.decide_use(staff, row.pk, UseReview.Decision.NOTHING, NOON)
        assert refused.value.code == code
    rulings.decide_use(moderator, other.pk, UseReview.Decision.NOTHING, NOON)
    with pytest.raises(NotPossible):
        rulings.decide_use(moderator, other.pk, UseReview.Decision.EXPLAINED, NOON)
    entry = AuditEntry.objects.get(action="dependence.reviewed")
    assert (entry.actor, entry.subject, entry.data) == (moderator.pk, adult.pk, {"decision": "nothing"})


def test_a_look_that_is_late_comes_before_the_people_on_call(adult: User) -> None:
    row = before_a_human(adult)
    assert complaints.escalate_overdue(row.due_at + MINUTE) == 1
    assert OperationsAlert.objects.get(code="complaint.overdue").subject == row.number


# --- an objection -------------------------------------------------------------------------------------------


def object_to(user: User, now: dt.datetime) -> Appeal:
    against = rulings.ground(user, Appeal.Subject.DEPENDENCE, user.pk, now)
    assert against is not None
    return rulings.file(user, Appeal.Subject.DEPENDENCE, user.pk, SECRET, against, now)


def test_only_what_follows_from_something_can_be_objected_to_and_only_ones_own(
    adult: User, outsider: User
) -> None:
    subject = Appeal.Subject.DEPENDENCE
    assert rulings.ground(adult, subject, adult.pk, NOON) is None
    at_worst(adult, NOON)
    dependence.look(adult.pk, NOON)
    assert rulings.ground(adult, subject, adult.pk, NOON) is not None
    assert rulings.ground(outsider, subject, adult.pk, NOON) is None


def test_an_objection_is_noted_and_decided_by_somebody_who_did_not_look_before(
    adult: User, moderator: User, supervisor: User
) -> None:
    row = before_a_human(adult)
    now = NOON + 3 * DAY + MINUTE
    rulings.decide_use(moderator, row.pk, UseReview.Decision.NOTHING, now)
    appeal = object_to(adult, now)
    assert DependenceScore.objects.get(user=adult, day=now.date()).objected_at == now
    assert appeal.first_decider_id == moderator.pk and not appeals.may_decide(moderator, appeal)
    rulings.decide_appeal(
        supervisor, appeal.pk, Appeal.Decision.UPHELD, Appeal.Reason.MISTAKE, "You are right.", now + MINUTE
    )
    assert set(DependenceScore.objects.filter(user=adult).values_list("step", flat=True)) == {""}
    assert look_for(adult, 2, now + DAY) == ["", ""]


def test_an_objection_that_is_not_granted_changes_nothing_and_comes_once(
    adult: User, moderator: User
) -> None:
    at_worst(adult, NOON)
    dependence.look(adult.pk, NOON)
    appeal = object_to(adult, NOON)
    rulings.decide_appeal(
        moderator, appeal.pk, Appeal.Decision.REJECTED, Appeal.Reason.CONFIRMED, "We looked.", NOON + MINUTE
    )
    assert step_of(dependence.look(adult.pk, NOON + 2 * MINUTE)) == "notice"
    with pytest.raises(NotPossible):
        object_to(adult, NOON + 3 * MINUTE)


def test_steps_are_read_back_as_they_were_written() -> None:
    assert [dependence.keeps_boundaries(step.code) for step in Step] == [False, False, True, True, True]
    assert not dependence.keeps_boundaries(None)
