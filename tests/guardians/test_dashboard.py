"""What a guardian can ever be told about a minor: a frozen list of fields, less of it with age, and never words."""

import dataclasses
import datetime as dt
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone, translation

from accounts.models import Notice, User
from companion.models import Persona, UsageMinute, UsageSession
from guardians import dashboard
from guardians.access import Right, link_of
from guardians.models import Guardianship, TimeRequest
from safety import cases, escalation, outbox
from safety.models import CrisisCase, Delivery
from tests.cast import born, make_user
from tests.live import companions
from tests.safety.test_cases import signal

__all__ = ["companions"]
pytestmark = pytest.mark.django_db
DAY = dt.timedelta(days=1)

# Every field of everything that reaches a page or a socket of a guardian. A longer list is a decision, taken here.
FIELDS = {
    "Panel": "name band zone today quiet weeks days night sessions companions reminders alerts",
    "Today": "minutes limit given used_up quiet_until",
    "Day": "date minutes night",
    "Week": "first last minutes",
    "Night": "happened nights minutes",
    "Sessions": "count longest",
    "Companion": "id name own minutes",
    "Reminders": "shown paused read unanswered",
    "Alert": "number at level over steps say avoid",
    "Step": "code at",
}
TOLD = {
    "under_14": "today days companions=minutes night=minutes longest",
    "14_15": "today days companions=names night=names longest",
    "16_17": "companions=nothing night=names",
}


def types_in(hint: Any) -> list[type]:
    """The dataclasses that a type is made of."""
    if isinstance(hint, types.UnionType) or typing.get_args(hint):
        return [found for part in typing.get_args(hint) for found in types_in(part)]
    return [hint] if dataclasses.is_dataclass(hint) and isinstance(hint, type) else []


def fields_of(kind: type, found: dict[str, str]) -> dict[str, str]:
    hints = typing.get_type_hints(kind)
    found[kind.__name__] = " ".join(field.name for field in dataclasses.fields(kind))
    for field in dataclasses.fields(kind):
        for part in types_in(hints[field.name]):
            if part.__name__ not in found:
                fields_of(part, found)
    return found


def used(user: User, minutes: int, persona: Persona | None = None, *, back: int = 0, hour: int = 12) -> None:
    """So many minutes from an hour of the person's clock on, some days ago."""
    now = timezone.now().replace(second=0, microsecond=0)
    start = now - back * DAY + dt.timedelta(hours=hour - 12)
    start -= dt.timedelta(minutes=start.minute)
    UsageMinute.objects.bulk_create(
        UsageMinute(user=user, minute=start + dt.timedelta(minutes=i), persona=persona)
        for i in range(minutes)
    )


def at_age(minor: User, years: int) -> Guardianship:
    User.objects.filter(pk=minor.pk).update(birth_date=born(years))
    link = Guardianship.objects.select_related("minor").get(minor=minor)
    return link


def told(minor: User, level: int = 4, **more: Any) -> CrisisCase:
    """A case whose notice went to the guardian."""
    case = signal(minor, level, **more)
    due = case.contact_due_at
    if due is not None:
        escalation.sweep(due)
        outbox.dispatch("a", due)
    case.refresh_from_db()
    return case


@pytest.fixture(autouse=True)
def english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture
def link(minor: User, guardian: User) -> Guardianship:
    return link_of(guardian, minor.pk, Right.VIEW)


def test_the_fields_that_a_guardian_can_receive_are_these_and_no_others() -> None:
    assert fields_of(dashboard.Panel, {}) == FIELDS
    for kind in (value for value in vars(dashboard).values() if dataclasses.is_dataclass(value)):
        assert kind.__dataclass_params__.frozen, kind  # type: ignore[attr-defined]


def test_how_much_is_told_shrinks_with_age() -> None:
    def words(detail: dashboard.Detail) -> str:
        values = dataclasses.asdict(detail)
        return " ".join(
            name if value is True else f"{name}={value}"
            for name, value in values.items()
            if value is not False
        )

    assert {band.value: words(detail) for band, detail in dashboard.DETAIL.items()} == TOLD


@pytest.mark.parametrize(
    ("years", "days", "names", "companion_minutes", "nights", "today", "longest"),
    [(12, 28, 1, 40, 1, 20, 25), (15, 28, 1, None, None, 20, 25), (17, 0, 0, None, None, None, None)],
)
def test_the_panel_of_each_age(
    companions: None,
    minor: User,
    link: Guardianship,
    years: int,
    days: int,
    names: int,
    companion_minutes: int | None,
    nights: int | None,
    today: int | None,
    longest: int | None,
) -> None:
    persona = Persona.objects.get(slug="botanist")
    used(minor, 20, persona)
    used(minor, 20, persona, back=8, hour=23)
    now = timezone.now()
    UsageSession.objects.create(
        user=minor, started_at=now - DAY, seen_at=now - DAY + dt.timedelta(minutes=25), break_every=60
    )
    panel = dashboard.panel(at_age(minor, years), now + dt.timedelta(hours=1))
    assert [week.minutes for week in panel.weeks] == [0, 0, 20, 20]
    assert len(panel.days) == days and len(panel.companions) == names
    assert [each.minutes for each in panel.companions] == [companion_minutes] * names
    assert (panel.night.happened, panel.night.nights) == (True, nights)
    assert panel.today.minutes == today and panel.sessions == dashboard.Sessions(1, longest)
    assert all((day.night is None) == (nights is None) for day in panel.days)


def test_today_is_what_the_clock_says(minor: User, link: Guardianship) -> None:
    used(minor, 60, hour=11)
    panel = dashboard.panel(link, timezone.now() + dt.timedelta(minutes=30))
    assert panel.today == dashboard.Today(60, 60, 0, True, None)


def test_companions_that_are_the_minors_own_have_no_name(
    companions: None, minor: User, guardian: User
) -> None:
    own = Persona(author=minor, slug="own", relationship="friend", age_rating="minor", state="draft")
    own.seal_card({"name": "My dear Lu", "tagline": "", "greeting": ""})
    own.save()
    theirs = Persona(author=guardian, slug="theirs", relationship="friend", age_rating="minor", state="draft")
    theirs.seal_card({"name": "Not published", "tagline": "", "greeting": ""})
    theirs.save()
    used(minor, 10, own)
    used(minor, 5, theirs, back=1)
    used(minor, 3, None, back=2)
    panel = dashboard.panel(at_age(minor, 12), timezone.now() + dt.timedelta(hours=1))
    assert [(each.id, each.name, each.own, each.minutes) for each in panel.companions] == [
        (None, "", True, 10),
        (None, "", False, 8),
    ]


def test_reminders_are_counted_by_their_answers(minor: User, link: Guardianship) -> None:
    now = timezone.now()
    answers = [
        ("break", "pause"),
        ("break", "continue"),
        ("reality", "understood"),
        ("reality", ""),
        ("ai", ""),
    ]
    for number, (kind, answer) in enumerate(answers):
        Notice.objects.create(
            user=minor, kind=kind, version="1", occasion=str(number), answer=answer, shown_at=now
        )
    Notice.objects.create(user=minor, kind="break", version="1", occasion="unseen")
    Notice.objects.create(
        user=minor, kind="break", version="1", occasion="old", shown_at=now, raised_at=now - 29 * DAY
    )
    assert dashboard.panel(link, now).reminders == dashboard.Reminders(4, 1, 2, 1)


def test_an_alert_says_what_was_done_and_what_can_be_said(
    minor: User, guardian: User, moderator: User, link: Guardianship
) -> None:
    case = told(minor, 4)
    now = timezone.now() + dt.timedelta(hours=1)
    cases.claim(case.pk, moderator, now)
    cases.hand_back(case.pk, moderator, now)
    [alert] = dashboard.panel(link, now).alerts
    assert (alert.number, alert.level, alert.over) == (case.number, 4, False)
    assert [step.code for step in alert.steps] == ["told", "human", "handed_back"]
    assert len(alert.say) == 3 and "worried about you" in alert.say[0]
    cases.claim(case.pk, moderator, now)
    cases.close(case.pk, moderator, now, reason=CrisisCase.CloseReason.SAFE, outcome=CrisisCase.Outcome.NONE)
    [alert] = dashboard.panel(link, now).alerts
    assert alert.over and alert.steps[-1].code == "closed"
    assert dashboard.panel(link, now + 91 * DAY).alerts == ()


def test_what_it_is_about_is_not_told_before_the_notice_tells_it(minor: User, link: Guardianship) -> None:
    case = signal(minor, 4)
    assert case.contact_due_at is not None
    escalation.sweep(case.contact_due_at)  # the rows are written, nothing was sent
    [alert] = dashboard.panel(link, timezone.now()).alerts
    assert alert.say[0] == '"I would like to hear how you are."'


def test_where_somebody_near_may_be_the_danger_the_guardian_sees_nothing(
    minor: User, guardian: User, moderator: User, link: Guardianship
) -> None:
    case = told(minor, 4)
    stamp = dashboard.stamps(link, timezone.now())["alerts"]
    cases.withhold_contact(case.pk, moderator, timezone.now(), reason="unsafe")
    assert dashboard.panel(link, timezone.now()).alerts == ()
    assert dashboard.stamps(link, timezone.now())["alerts"] != stamp


def test_a_case_that_was_about_somebody_near_from_the_start_leaves_no_trace(
    minor: User, link: Guardianship
) -> None:
    before = dashboard.stamps(link, timezone.now())
    told(minor, 4, reason="abuse.home")
    assert not Delivery.objects.filter(template="near").exists()
    assert dashboard.stamps(link, timezone.now())["alerts"] == before["alerts"]


def test_the_notice_to_another_guardian_is_theirs(minor: User, link: Guardianship) -> None:
    told(minor, 4)
    second = make_user("second", 50)
    other = Guardianship.objects.create(
        minor=minor, guardian=second, state="active", details=b"", consented_at=timezone.now()
    )
    assert dashboard.panel(other, timezone.now()).alerts == ()


def test_stamps_change_with_what_they_stand_for_and_tell_nothing(minor: User, guardian: User) -> None:
    def stamps() -> dict[str, str]:
        return dashboard.stamps(
            link_of(guardian, minor.pk, Right.VIEW), timezone.now() + dt.timedelta(minutes=30)
        )

    first = stamps()
    assert first == stamps()
    assert all(len(stamp) == 12 and int(stamp, 16) >= 0 for stamp in first.values())
    used(minor, 7)
    second = stamps()
    assert {part for part in first if first[part] != second[part]} == {"today"}
    TimeRequest.objects.create(minor=minor, day=timezone.now().date(), asked=15)
    assert {part for part, stamp in stamps().items() if second[part] != stamp} == {"requests"}


def test_from_16_on_a_minute_more_changes_nothing_on_the_page(minor: User) -> None:
    link = at_age(minor, 17)
    before = dashboard.stamps(link, timezone.now())
    used(minor, 7)
    assert dashboard.stamps(link, timezone.now() + dt.timedelta(minutes=30))["today"] == before["today"]


def test_there_is_no_panel_of_an_adult(minor: User) -> None:
    link = at_age(minor, 19)
    with pytest.raises(dashboard.OfAge):
        dashboard.panel(link, timezone.now())
    assert dashboard.stamps(link, timezone.now()) == {}


def test_the_queries_of_a_panel_are_few_whatever_happened(
    companions: None, minor: User, guardian: User, django_assert_max_num_queries: Any
) -> None:
    for back in range(28):
        used(minor, 5, Persona.objects.get(slug="botanist"), back=back)
    told(minor, 4)
    link = link_of(guardian, minor.pk, Right.VIEW)
    with django_assert_max_num_queries(16):
        dashboard.panel(link, timezone.now())
