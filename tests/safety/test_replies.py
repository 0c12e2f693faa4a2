"""The reviewed sentences keep to the rules of safe messaging, in both languages."""

import re

import pytest

from safety import replies, wording

ALL = sorted(replies.codes())
BOTH = ("zh-hans", "en")


@pytest.mark.parametrize("code", ALL)
@pytest.mark.parametrize("language", BOTH)
def test_a_sentence_is_careful(code: str, language: str) -> None:
    text = replies.sentence(code, language=language)
    assert wording.lint(text, language) == []
    assert text == text.strip()
    assert len(text) <= (170 if language == "zh-hans" else 520)
    assert text.endswith(("。", "？") if language == "zh-hans" else (".", "?"))


@pytest.mark.parametrize("code", ALL)
def test_both_languages_are_there_and_differ(code: str) -> None:
    chinese, english = (replies.sentence(code, language=language) for language in BOTH)
    assert re.search(r"[\u4e00-\u9fff]", chinese)
    assert not re.search(r"[\u4e00-\u9fff]", english)


def test_the_question_is_asked_directly_and_a_next_step_is_named() -> None:
    assert "结束自己的生命" in replies.sentence("comfort.l2", language="zh-hans")
    assert "ending your life" in replies.sentence("comfort.l2", language="en")
    assert "12356" in replies.sentence("crisis.l3", language="zh-hans")
    for code in ("crisis.l4", "health.l3"):
        chinese = replies.sentence(code, language="zh-hans")
        assert "120" in chinese[:40], "the emergency number comes first"
        assert "call" in replies.sentence(code, language="en")[:110]


def test_an_ai_says_that_it_is_one() -> None:
    for code in ("crisis.l3", "health.l3", "refuse.identity", "refuse.relative_roleplay", "cut.human_claim"):
        assert "AI" in replies.sentence(code, language="zh-hans")
        assert "an AI" in replies.sentence(code, language="en")


def test_the_exit_is_one_neutral_line() -> None:
    assert replies.sentence("exit.done", language="zh-hans") == "对话已结束。"
    assert replies.sentence("exit.done", language="en") == "The conversation has ended."


def test_language_is_found_by_its_beginning() -> None:
    assert replies.sentence("exit.done", language="zh-cn") == replies.sentence(
        "exit.done", language="zh-hans"
    )
    assert replies.sentence("exit.done", language="fr") == replies.sentence("exit.done", language="en")


def test_a_code_of_an_older_version_still_reads_as_something() -> None:
    assert replies.sentence("cut.retired_long_ago", language="en") == replies.sentence(
        "withheld", language="en"
    )


def test_the_wording_has_a_version() -> None:
    assert re.fullmatch(r"\d{4}\.\d{1,2}\.\d+", replies.version())
