"""The lines of a case: there for every situation, and true in it."""

import itertools
import re

import pytest

from safety import replies, script
from safety.models import CrisisCase

BOTH = ("zh-hans", "en")
CATEGORIES = tuple(CrisisCase.Category)
CARE = sorted(code for code in replies.codes() if code.startswith("care."))
TOLD = [code for code in CARE if code.startswith("care.told_team")]
NOBODY = [code for code in CARE if code.startswith("care.nobody_on_duty")]


def line(code: str, language: str) -> str:
    assert code in replies.codes(), code
    return replies.sentence(code, language=language)


def test_whatever_the_script_asks_for_is_there() -> None:
    places = itertools.product(CATEGORIES, range(12), (True, False), (True, False), ("", "yes", "不安全"))
    asked = {
        script.next_line(script.Standing(category, step, alerted, fresh), text)
        for category, step, alerted, fresh, text in places
    }
    assert asked <= replies.codes()
    assert asked >= {"care.told_team", "care.told_team.abuse", "care.nobody_on_duty", "care.safe_question"}
    assert asked >= {"care.answer_safe", "care.answer_unsafe", *(f"care.still_here.{n}" for n in range(1, 6))}


@pytest.mark.parametrize("code", [*TOLD, *NOBODY])
def test_nobody_is_told_to_wait_and_what_to_do_stands_below(code: str) -> None:
    assert "请不要等" in line(code, "zh-hans") and "下面的事现在就可以做" in line(code, "zh-hans")
    assert "do not wait" in line(code, "en") and "what stands below can be done now" in line(code, "en")


@pytest.mark.parametrize("code", TOLD)
def test_that_the_team_was_alerted_is_all_that_is_said_of_it(code: str) -> None:
    assert "提醒" in line(code, "zh-hans") and "alerted" in line(code, "en")
    assert not re.search(r"同事.{0,6}(?:会来|来陪|来帮)|联系你", line(code, "zh-hans"))
    assert not re.search(r"will (?:come|help|answer|join|be)|someone will", line(code, "en"))


@pytest.mark.parametrize("code", NOBODY)
def test_an_empty_desk_is_said_to_be_empty_and_alerts_nobody(code: str) -> None:
    assert "没有人" in line(code, "zh-hans") and "nobody" in line(code, "en")
    assert "提醒了" not in line(code, "zh-hans") and "alerted" not in line(code, "en")


@pytest.mark.parametrize("code", ["care.answer_unsafe"])
def test_when_it_cannot_wait_the_emergency_number_comes_first(code: str) -> None:
    assert re.search(r"拨打 120", line(code, "zh-hans")) and re.search(
        r"call (?:the emergency number|an ambulance)", line(code, "en")
    )
    assert "12356" not in line(code, "zh-hans")


def test_a_human_is_called_a_human_and_the_ai_an_ai() -> None:
    for code in ("care.human_joined", "care.follow_up"):
        assert "真人，不是 AI" in line(code, "zh-hans") and re.search("human.*not an AI", line(code, "en"))
    assert "又是 AI" in line("care.human_left", "zh-hans") and "with an AI" in line("care.human_left", "en")


@pytest.mark.parametrize("language", BOTH)
def test_the_steps_while_waiting_differ(language: str) -> None:
    steps = [line(f"care.still_here.{number}", language) for number in range(1, 6)]
    assert len(set(steps)) == 5


def test_the_question_takes_the_answers_that_it_names() -> None:
    for said in re.findall(r"“(.+?)”", line("care.safe_question", "zh-hans")):
        assert script.answer(said)
    for said in re.findall(r'"(.+?)"', line("care.safe_question", "en")):
        assert script.answer(said)
