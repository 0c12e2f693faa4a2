"""The lint of words to people in danger finds what it must, and nothing in the project's own reviewed texts."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from safety import alert_texts, replies, wording
from safety.models import CrisisCase

DATA = Path(wording.__file__).parent / "data"
CANNED = tomllib.loads((DATA / "canned.toml").read_text("utf-8"))["reply"]
CATEGORIES = set(CrisisCase.Category)
PHASES = {"opening", "ask", "listen", "plan", "help", "contact", "closing"}


def reviewed() -> Iterator[tuple[str, str, str]]:
    """Every reviewed text: where it stands, language, text."""
    for language in ("zh", "en"):
        yield from ((code, language, replies.sentence(code, language=language)) for code in replies.codes())
        yield from ((code, language, alert_texts.raw(code, language)) for code in alert_texts.codes())
        yield from ((entry["code"], language, entry[language]) for entry in CANNED)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_reviewed_text_is_clean(language: str) -> None:
    found = {code: wording.lint(text, tongue) for code, tongue, text in reviewed() if tongue == language}
    assert len(found) > 150
    assert {code: what for code, what in found.items() if what} == {}


@pytest.mark.parametrize(
    ("text", "language", "code"),
    [
        ("别去跳楼", "zh", "method"),
        ("do not take all those pills", "en", "method"),
        ("离开天台", "zh", "place"),
        ("come down from the bridge", "en", "place"),
        ("你写遗书了吗", "zh", "note"),
        ("did you write a goodbye note?", "en", "note"),
        ("死了就解脱", "zh", "drama"),
        ("what a tragedy that would be", "en", "drama"),
        ("这样太自私", "zh", "blame"),
        ("想想你的父母", "zh", "blame"),
        ("this is your fault", "en", "blame"),
        ("他去年自杀未遂", "zh", "success_words"),
        ("he committed suicide", "en", "success_words"),
        ("救护车马上就到", "zh", "promise"),
        ("我会替你保密", "zh", "promise"),
        ("help is on its way", "en", "promise"),
        ("I promise you will feel better", "en", "promise"),
        ("千万不要！", "zh-hans", "exclamation"),
        ("Please wait 😢", "en", "exclamation"),
        ("你这是抑郁症", "zh", "diagnosis"),
        ("You have depression", "en", "diagnosis"),
    ],
)
def test_what_it_finds(text: str, language: str, code: str) -> None:
    assert wording.lint(text, language) == [code]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("你是不是想结束自己的生命？", "zh"),
        ("你是不是在想自杀？", "zh"),
        ("这不是你的错，也不都是你的错。", "zh"),
        ("我不能保证多久能到。", "zh"),
        ("药按时吃，服药时间问医生。", "zh"),
        ("我在想你刚才说的话。", "zh"),
        ("Are you thinking about suicide?", "en"),
        ("It isn't your fault, and it is not your fault.", "en"),
        ("I cannot promise that, but I can listen.", "en"),
        ("Please hang up and call again.", "en"),
        ("If you feel weak, sit down.", "en"),
        ("There is no shame in asking.", "en"),
    ],
)
def test_what_it_leaves_alone(text: str, language: str) -> None:
    assert wording.lint(text, language) == []


def test_every_rule_has_an_example() -> None:
    marks = test_what_it_finds.pytestmark  # type: ignore[attr-defined]
    assert {row[2] for row in marks[0].args[1]} == wording.CODES


def test_replies_to_choose_from_cover_all_that_happens() -> None:
    codes = [entry["code"] for entry in CANNED]
    assert len(codes) == len(set(codes)) >= 30
    for entry in CANNED:
        assert entry["phase"] in PHASES and entry["code"].startswith(f"{entry['phase']}.")
        assert set(entry["categories"]) <= CATEGORIES
        assert set(entry.get("ages", [])) <= {"minor", "adult", "elder"}
        for language, most in (("zh", 120), ("en", 400)):
            filled = entry[language].format(line="12356", emergency="120")
            assert "{" not in filled and len(filled) <= most
            assert filled == filled.strip()
        assert entry["zh"].count("{") == entry["en"].count("{")
    for category in CATEGORIES:
        phases = {
            entry["phase"] for entry in CANNED if not entry["categories"] or category in entry["categories"]
        }
        assert phases == PHASES, category
    assert {age for entry in CANNED for age in entry.get("ages", [])} >= {"minor", "elder"}
