"""Reviewed replies for humans: they fit the case, they are lint-free, and their blanks are seen."""

import pytest

from safety import canned, wording
from safety.cases import Category
from safety.views.console_words import FINDINGS, PHASES


@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_every_reply_passes_the_lint_and_has_a_place(language: str) -> None:
    replies = canned.replies(language)
    assert len(replies) > 20
    for reply in replies:
        assert wording.lint(reply.text, language) == [], reply.code
        assert reply.phase in PHASES
        assert set(canned.unfilled(reply.text)) <= {"{line}", "{emergency}"}, reply.code
    assert len({reply.code for reply in replies}) == len(replies)


def test_they_are_in_the_order_of_a_conversation() -> None:
    phases = [canned.PHASES.index(reply.phase) for reply in canned.replies("en")]
    assert phases == sorted(phases) and len(set(phases)) == len(canned.PHASES)


@pytest.mark.parametrize("category", [*Category])
@pytest.mark.parametrize("age", ["minor", "adult", "elder"])
def test_every_case_finds_a_beginning_and_an_end(category: str, age: str) -> None:
    phases = {reply.phase for reply in canned.replies("zh-hans", category=category, age=age)}
    assert {"opening", "closing"} <= phases


def test_a_reply_for_others_is_not_offered() -> None:
    codes = {reply.code for reply in canned.replies("en", category="property_loss", age="adult")}
    assert "opening.minor" not in codes and "opening.thanks" not in codes and "opening.human" in codes


def test_blanks_are_found_and_other_braces_are_not() -> None:
    assert canned.unfilled("Call {line}, {line} or {emergency}.") == ("{line}", "{emergency}")
    assert canned.unfilled("A smile :} and {Nothing here}") == ()


def test_whatever_the_lint_finds_has_a_sentence() -> None:
    assert FINDINGS.keys() == wording.CODES


def test_the_wording_has_a_version() -> None:
    assert canned.version()
