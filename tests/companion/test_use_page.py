"""The page "Your use": honest figures, reasons in words, limits for oneself, a pause, an objection; for its person only."""

import datetime as dt
import re
import uuid

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import Notice, User
from companion import charts
from companion.models import DependenceScore, Persona, UsageMinute, UsageSession
from companion.views.use_words import reasons
from guardians.models import Limits
from safety.dependence import signal_set
from safety.models import Appeal, Assessment, UseReview
from tests.live import companions

__all__ = ["companions"]
pytestmark = pytest.mark.django_db(transaction=True)

DAY = dt.timedelta(days=1)
# One of each, at a figure that counts.
EVERY_REASON = [
    [signal.code, points, least] for signal in signal_set().signals for least, points in signal.points
]


def page(client: Client, user: User) -> str:
    client.force_login(user)
    response = client.get(reverse("use"))
    assert response.status_code == 200 and response["Cache-Control"] == "no-store"
    return response.content.decode()


def used(user: User, count: int, persona: Persona | None = None, back: int = 1, hour: int = 4) -> None:
    """So many minutes before noon (hour 4 in UTC) of the person's day, some days back."""
    noon = timezone.now().replace(hour=hour, minute=0, second=0, microsecond=0) - DAY * back
    UsageMinute.objects.bulk_create(
        [UsageMinute(user=user, persona=persona, minute=noon - dt.timedelta(minutes=i)) for i in range(count)]
    )


def judged(user: User, step: str = "guidance", score: int = 47) -> DependenceScore:
    stored = [["time.long_days", 22, 5], ["words.control", 12, 2]]
    return DependenceScore.objects.create(
        user=user, day=timezone.now().date(), version="v", score=score, step=step, reasons=stored
    )


def test_it_asks_who_is_there(client: Client) -> None:
    for name in ("use", "use_limits", "use_pause"):
        method = client.get if name == "use" else client.post
        assert method(reverse(name)).status_code == 302


@pytest.mark.parametrize(("name", "verb"), [("use", "post"), ("use_limits", "get"), ("use_pause", "get")])
def test_other_verbs_do_nothing(client: Client, adult: User, name: str, verb: str) -> None:
    client.force_login(adult)
    assert getattr(client, verb)(reverse(name), {"daily_minutes": 5, "pause": "evening"}).status_code == 405
    assert not Limits.objects.exists()


def test_a_form_from_elsewhere_is_refused(adult: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(adult)
    assert client.post(reverse("use_pause"), {"pause": "week"}).status_code == 403
    assert not Limits.objects.exists()


def test_nobody_sees_anybody_elses_use(client: Client, companions: None, adult: User, outsider: User) -> None:
    used(adult, 77, Persona.objects.get(slug="botanist"))
    judged(adult, score=83)
    text = page(client, outsider)
    assert "77" not in text and "83" not in text and "words sounded" not in text
    # Staff neither: there is no page on which to name somebody else.
    assert "77 minutes" in page(client, adult)


def test_without_any_use_it_says_so(client: Client, adult: User) -> None:
    text = page(client, adult)
    assert "0 minutes on 0 days" in text and "Nothing stands out at present." in text
    assert "I object" not in text


def test_minutes_by_day_and_companion_stand_in_words_table_and_chart(
    client: Client, companions: None, adult: User
) -> None:
    persona = Persona.objects.get(slug="botanist")
    used(adult, 50, persona, back=1)
    used(adult, 25, persona, back=3)
    used(adult, 10, None, back=3, hour=6)
    text = page(client, adult)
    assert "85 minutes on 2 days" in text
    assert re.search(r"<td>50</td><td>0</td>", text) and re.search(r"<td>35</td><td>0</td>", text)
    assert ": 75 minutes" in text and "Companions that are no more: 10 minutes" in text
    heights = [float(found) for found in re.findall(r'class="use-bar"[^>]* height="([\d.]+)"', text)]
    assert len(heights) == 2 and heights[1] / heights[0] == pytest.approx(50 / 35, rel=0.02)


def test_the_axis_begins_at_zero_and_holds_the_limit(adult: User) -> None:
    from companion.usage import days

    used(adult, 20)
    today = timezone.now().date()
    values = [(day.date, day.minutes) for day in days(adult.pk, "Asia/Shanghai", today - 29 * DAY, today)]
    chart = charts.bars(values, 240)
    assert chart["lines"][0] == (chart["floor"], 0)
    assert chart["lines"][-1][1] >= 240 and chart["limit"] >= charts.TOP
    bar = max(chart["bars"], key=lambda each: each["height"])
    assert bar["y"] + bar["height"] == pytest.approx(chart["floor"])
    assert bar["height"] / (chart["floor"] - chart["limit"]) == pytest.approx(20 / 240, rel=0.05)
    assert charts.bars(values)["limit"] is None


def test_breaks_and_the_present_stretch_are_shown(client: Client, adult: User) -> None:
    now = timezone.now()
    for n, answer in enumerate(["pause", "continue", ""]):
        Notice.objects.create(
            user=adult, kind="break", version="v", occasion=str(n), answer=answer, shown_at=now
        )
    assert "shown 3, taken 1" in page(client, adult)
    assert "not here at the moment" in page(client, adult)
    UsageSession.objects.create(user=adult, started_at=now - DAY / 24, seen_at=now, break_every=120)
    assert "since " in page(client, adult)


def test_the_score_comes_with_its_reasons_and_what_follows(client: Client, adult: User) -> None:
    judged(adult)
    text = page(client, adult)
    assert "add up to 47 of 100" in text
    assert "On 5 of the last seven days you were here for 180 minutes or more." in text
    assert "words sounded as if stopping was hard" in text
    assert "companions keep clearer boundaries" in text
    assert "never used to sell you anything" in text


@pytest.mark.parametrize("language", ["en", "zh-hans"])
@pytest.mark.parametrize("band", ["teen", "adult"])
def test_every_reason_has_its_sentence(language: str, band: str) -> None:
    from django.utils import translation

    with translation.override(language):
        sentences = reasons(EVERY_REASON, band)
    assert len(sentences) == len(EVERY_REASON)
    assert not any("%" in sentence for sentence in sentences)
    assert reasons([["words.of_an_old_set", 9, 9]], band) == []


def test_an_objection_becomes_an_appeal_and_is_noted(client: Client, adult: User) -> None:
    row = judged(adult)
    assert f"{reverse('appeal_new')}?about=dependence" in page(client, adult)
    address = reverse("appeal_new") + "?about=dependence"
    assert client.get(address).status_code == 200
    assert client.post(address, {"text": "I was on leave."}).status_code == 302
    appeal = Appeal.objects.get(person=adult, subject="dependence")
    row.refresh_from_db()
    assert row.objected_at is not None
    text = page(client, adult)
    assert appeal.number in text and "I object" not in text


def test_nobody_objects_for_somebody_else(client: Client, adult: User, outsider: User) -> None:
    judged(adult)
    client.force_login(outsider)
    assert client.get(reverse("appeal_new") + f"?about=dependence&id={adult.pk}").status_code == 404


def test_limits_for_oneself(client: Client, adult: User) -> None:
    client.force_login(adult)
    client.post(reverse("use_limits"), {"daily_minutes": "45", "quiet_from": "22:30", "quiet_until": "06:30"})
    row = Limits.objects.get(user=adult)
    assert (row.setter, row.set_by, row.daily_minutes) == ("self", adult, 45)
    text = page(client, adult)
    assert "45 minutes a day · quiet from 22:30 to 06:30" in text and "Yourself" in text
    client.post(reverse("use_limits"), {})
    assert "Your own limits change on" in page(client, adult)


@pytest.mark.parametrize(
    "wrong",
    [
        {"daily_minutes": "0"},
        {"daily_minutes": "1441"},
        {"daily_minutes": "many"},
        {"quiet_from": "22:00"},
        {"quiet_from": "22:00", "quiet_until": "22:00"},
    ],
)
def test_limits_that_make_no_sense_are_explained(client: Client, adult: User, wrong: dict[str, str]) -> None:
    client.force_login(adult)
    response = client.post(reverse("use_limits"), wrong)
    assert response.status_code == 422 and "field-error" in response.content.decode()
    assert not Limits.objects.exists()


def test_a_minor_sees_whose_limits_hold(client: Client, minor: User, guardian: User) -> None:
    Limits.objects.create(
        user=minor, setter="guardian", set_by=guardian, daily_minutes=40, valid_from=timezone.now()
    )
    text = page(client, minor)
    assert "For your age" in text and "Your guardian" in text
    assert "limit that holds today: 40 minutes" in text


@pytest.mark.parametrize("pause", ["evening", "week"])
def test_one_tap_is_a_pause(client: Client, adult: User, pause: str) -> None:
    client.force_login(adult)
    text = client.post(reverse("use_pause"), {"pause": pause}, follow=True).content.decode()
    assert Limits.objects.filter(user=adult).count() == 2  # the pause, and what was before
    assert "companions rest" in text if pause == "evening" else "at most 45 minutes" in text


def test_an_unknown_pause_is_none(client: Client, adult: User) -> None:
    client.force_login(adult)
    assert client.post(reverse("use_pause"), {"pause": "for ever"}).status_code == 302
    assert not Limits.objects.exists()


def test_from_cool_down_on_the_pause_is_the_first_button(client: Client, adult: User) -> None:
    row = judged(adult)
    button = '<button class="button primary" name="pause"'
    assert button not in page(client, adult)
    DependenceScore.objects.filter(pk=row.pk).update(step="cool_down")
    assert button in page(client, adult)


def test_the_team_decides_on_figures(client: Client, adult: User, moderator: User, outsider: User) -> None:
    now = timezone.now()
    Assessment.objects.create(
        message=uuid.uuid4(), user=adult, level=0, action="answer", reasons=[], rules_version="r"
    )
    row = UseReview.objects.create(
        number="N-2345-6789-ABCD",
        lane="ordinary",
        due_at=now,
        person=adult,
        score=80,
        version="v",
        reasons=EVERY_REASON,
    )
    address = reverse("admin:safety_usereview_decide", args=[row.pk])
    client.force_login(outsider)
    assert client.get(address).status_code == 302
    client.force_login(moderator)
    text = client.get(address).content.decode()
    assert "words sounded as if stopping was hard" in text
    client.post(address, {"decision": "nothing"})
    row.refresh_from_db()
    assert (row.state, row.decision, row.decided_by) == ("decided", "nothing", moderator)
