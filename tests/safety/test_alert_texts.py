"""Notices: every one composes, names no topic where a phone shows it, and never holds what somebody wrote."""

import itertools
import re
import uuid

import pytest
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from safety import alert_texts, cases, clock, operations
from safety.alert_texts import SHORT_AT_MOST, TEMPLATES, Notice, compose
from safety.engine import Verdict
from safety.models import CrisisCase, Delivery, OperationsAlert
from safety.recipients import Reach

pytestmark = pytest.mark.django_db(transaction=True)

CANARY = "canary-7f3a-words"
LINK = "https://anban.example/case/answer/abc"
LANGUAGES = ("zh-hans", "en")
CATEGORIES = tuple(CrisisCase.Category)
LEVELS = (2, 3, 4)
TOPIC = r"suicid|kill|\bdie\b|dead|harm|scam|fraud|abuse|depress|死|自杀|自残|自伤|轻生|诈骗|家暴|抑郁|病"
PROMISES = r"on (?:its|their|the) way|will be with|马上就到|正在赶来"


def opened(user: User, level: int, category: CrisisCase.Category) -> CrisisCase:
    with transaction.atomic():
        return cases.raise_signal(
            user,
            message=uuid.uuid4(),
            conversation=uuid.uuid4(),
            verdict=Verdict(level, "hold", {}, ("crisis.explicit.wish_to_die",)),
            category=category,
            text=CANARY,
        )


def row(case: CrisisCase, template: str, recipient: str) -> Delivery:
    return Delivery.objects.create(
        case=case, template=template, level=case.level, channel="email", recipient=recipient
    )


def near(
    user: User, level: int, category: CrisisCase.Category, language: str, kind: str = "contact"
) -> Notice:
    case = CrisisCase.objects.exclude(state="closed").filter(user=user).first() or opened(
        user, level, category
    )
    CrisisCase.objects.filter(pk=case.pk).update(level=level, category=category)
    case.refresh_from_db()
    place, _made = Delivery.objects.get_or_create(
        case=case, template="near", level=level, channel="email", recipient=f"{kind}:{uuid.uuid4()}"
    )
    return compose(place, Reach("Lin", "contact@example.org", language=language), link=LINK)


def everything(notice: Notice) -> str:
    return "\n".join((notice.subject, notice.text, notice.html, notice.short))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_notice_composes_and_holds_nothing_of_the_person(
    adult: User, moderator: User, language: str
) -> None:
    case = opened(adult, 3, CrisisCase.Category.SELF_HARM)
    for template, category, level in itertools.product(
        TEMPLATES - {"operations", "care"}, CATEGORIES, LEVELS
    ):
        CrisisCase.objects.filter(pk=case.pk).update(level=level, category=category)
        case.refresh_from_db()
        notice = compose(
            row(case, template, f"staff:{uuid.uuid4()}"),
            Reach("Lin", "someone@example.org", language=language),
            link=LINK,
        )
        whole = everything(notice)
        assert case.number in notice.subject and case.number in notice.short
        assert CANARY not in whole and adult.email not in whole and "someone@example.org" not in whole
        assert "{" not in notice.subject + notice.text + notice.short
        assert not re.search(
            TOPIC if template == "near" else r"\bdie\b|自杀", notice.subject + notice.short, re.I
        )
        assert not re.search(PROMISES, whole, re.I)
        assert len(notice.short) <= SHORT_AT_MOST[language[:2]]
        assert bool(re.search(r"[\u4e00-\u9fff]", notice.text)) == (language != "en")
        if template != "canary":
            assert LINK in notice.text and f'href="{LINK}"' in notice.html


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_body_for_people_near_names_no_topic_and_no_illness(
    adult: User, moderator: User, language: str, settings: object
) -> None:
    for category, level in itertools.product(CATEGORIES, LEVELS):
        notice = near(adult, level, category, language)
        kept = re.sub(r"96110 .*|.*反诈专线.*", "", notice.text)  # the line that fits says what it is for
        assert not re.search(TOPIC, kept, re.I), (category, level)


def test_lines_to_call_fit_the_danger_and_the_country(adult: User, moderator: User) -> None:
    money = near(adult, 3, CrisisCase.Category.PROPERTY_LOSS, "zh-hans").text
    assert money.index("\n96110") < money.index("\n110") and "12356" in money
    health = near(adult, 3, CrisisCase.Category.MEDICAL, "zh-hans").text
    assert "120" in health and "96110" not in health
    User.objects.filter(pk=adult.pk).update(time_zone="America/New_York")
    abroad = near(adult, 3, CrisisCase.Category.SELF_HARM, "en").text
    assert "988 Help line" in abroad and "12356" not in abroad
    User.objects.filter(pk=adult.pk).update(time_zone="Europe/Berlin")
    assert "112" in near(adult, 3, CrisisCase.Category.SELF_HARM, "en").text
    User.objects.filter(pk=adult.pk).update(time_zone="UTC")
    assert "12356" in near(adult, 3, CrisisCase.Category.SELF_HARM, "en").text


def test_it_says_what_humans_have_done_by_now(adult: User, moderator: User, supervisor: User) -> None:
    def done() -> str:
        return near(adult, 4, CrisisCase.Category.SELF_HARM, "en").text

    assert "not been able to reach anybody on duty" in done()
    Delivery.objects.filter(template="staff").update(state=Delivery.State.ACCEPTED)
    assert "have been alerted" in done()
    case, now = CrisisCase.objects.get(), clock.now()
    cases.acknowledge(case.pk, moderator, now)
    assert "has seen it" in done()
    cases.claim(case.pk, moderator, now)
    assert "has taken over" in done()
    cases.hand_back(case.pk, moderator, now)
    assert "has been in the conversation" in done()


def test_who_is_meant_and_the_clock_are_those_of_the_person(
    adult: User, minor: User, moderator: User
) -> None:
    contact = near(adult, 3, CrisisCase.Category.SELF_HARM, "en")
    assert "the person who named you as contact (Adult)" in contact.text and "(Asia/Shanghai)" in contact.text
    assert "You do not want to be a contact" in contact.text
    guardian = near(minor, 3, CrisisCase.Category.SELF_HARM, "en", "guardian")
    assert "whose account you look after (Minor)" in guardian.text
    assert "You do not want to be a contact" not in guardian.text
    assert "您照看的账号" in near(minor, 3, CrisisCase.Category.SELF_HARM, "zh-hans", "link").text


@pytest.mark.parametrize(
    "nickname", ["", "see evil.example", "https://x.y", "call 13800138000", "想死", "a" * 21, "<b>Li</b>"]
)
def test_a_nickname_that_is_more_than_a_name_is_left_out(adult: User, moderator: User, nickname: str) -> None:
    User.objects.filter(pk=adult.pk).update(nickname=nickname)
    notice = near(adult, 3, CrisisCase.Category.SELF_HARM, "en")
    assert "the person who named you as contact\n" in notice.text
    assert not nickname or nickname not in everything(notice)


@pytest.mark.parametrize("nickname", ["小禾", "Anne-Marie", "D’Arcy Li", "李·安"])
def test_a_plain_name_is_kept(adult: User, moderator: User, nickname: str) -> None:
    User.objects.filter(pk=adult.pk).update(nickname=nickname)
    assert nickname in near(adult, 3, CrisisCase.Category.SELF_HARM, "zh-hans").short


def test_staff_read_number_level_category_and_clocks_and_the_way_to_the_console(
    adult: User, moderator: User, settings: object
) -> None:
    case = opened(adult, 4, CrisisCase.Category.ABUSE)
    notice = compose(row(case, "staff", f"staff:{moderator.pk}"), Reach(language="en"))
    text = notice.text
    assert notice.url.endswith(f"/admin/crisis/{case.pk}/")
    for part in (case.number, "level 4", "harm by others", "Climbs next", "are told", "http"):
        assert part in text
    assert adult.nickname not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_alert_of_the_machinery_has_its_words(db: None, language: str) -> None:
    for code in sorted(operations.CODES):
        alert = OperationsAlert.objects.create(code=code, subject="x" * 80, opened_at=timezone.now())
        place = Delivery.objects.create(
            alert=alert, template="operations", channel="email", recipient="oncall:0"
        )
        notice = compose(place, Reach(language=language))
        assert f"operations.code.{code}" in alert_texts.codes()
        assert notice.url.endswith("/admin/crisis/")
        assert code in notice.text and len(notice.short) <= SHORT_AT_MOST[language[:2]]
