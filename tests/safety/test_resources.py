"""Help lines: the right ones, in the reader's language, and a check that notices when they grow old."""

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.utils import translation

from safety.checks import help_lines_are_there_and_fresh
from safety.resources import every_line, help_lines

OWN = """
[[line]]
country = "CN"
number = "10000"
kinds = ["crisis"]
last_verified = 2026-11-01
name = {zh = "本地热线", en = "Local line"}
hours = {zh = "", en = ""}
note = {zh = "", en = ""}
"""


def ids() -> list[str]:
    return [str(message.id) for message in help_lines_are_there_and_fresh(None)]


def test_the_first_lines_in_china_are_for_the_mind_the_body_and_danger() -> None:
    assert [line.number for line in help_lines("CN")][:3] == ["12356", "120", "110"]
    assert {"12355", "96110", "12338", "12345", "119"} <= {line.number for line in help_lines("CN")}


def test_lines_are_found_by_kind() -> None:
    assert [line.number for line in help_lines("CN", kind="fraud")] == ["110", "96110"]
    assert [line.number for line in help_lines("US", kind="crisis")] == ["988", "911", ""]
    assert [line.text for line in help_lines("US")] == ["988", "911", "741741"]


def test_a_country_without_lines_gets_those_for_anywhere() -> None:
    assert [line.country for line in help_lines("ZZ")] == ["", ""]
    assert help_lines("ZZ")[0].number == "112"


def test_a_line_speaks_the_readers_language() -> None:
    line = help_lines("CN")[0]
    with translation.override("zh-hans"):
        assert (line.name, "24" in line.hours) == ("全国统一心理援助热线", True)
    with translation.override("en"):
        assert line.name == "National psychological help line"
        assert line.note.startswith("If it is busy")


def test_every_line_can_be_reached_and_is_written_in_both_languages() -> None:
    for line in every_line():
        assert line.number.isdigit() or line.text or "." in line.names["en"]
        assert line.kinds
        for texts in (line.names, line.opening, line.notes):
            assert set(texts) == {"zh", "en"}
            assert bool(texts["zh"]) == bool(texts["en"])


@time_machine.travel(dt.datetime(2026, 12, 1, tzinfo=dt.UTC))
def test_fresh_lines_pass_the_check() -> None:
    assert ids() == []


@time_machine.travel(dt.datetime(2027, 12, 1, tzinfo=dt.UTC))
def test_old_lines_are_a_warning_that_names_them() -> None:
    messages = help_lines_are_there_and_fresh(None)
    assert [message.id for message in messages] == ["safety.W001"]
    assert "12356" in messages[0].msg


@time_machine.travel(dt.datetime(2026, 12, 1, tzinfo=dt.UTC))
def test_the_age_is_the_operators_choice(settings: Any) -> None:
    settings.HELP_LINES_MAX_AGE_DAYS = 3
    assert ids() == ["safety.W001"]


def test_a_country_without_a_crisis_line_is_an_error(settings: Any) -> None:
    settings.HELP_LINES_COUNTRIES = ["CN", "FR"]
    settings.HELP_LINES_MAX_AGE_DAYS = 100_000
    assert ids() == ["safety.E001"]


def test_an_operators_own_file_takes_the_place_of_ours(settings: Any, tmp_path: Path) -> None:
    own = tmp_path / "lines.toml"
    own.write_text(OWN, encoding="utf-8")
    settings.HELP_LINES_FILE = str(own)
    assert [line.number for line in help_lines("CN")] == ["10000"]


@pytest.mark.parametrize("content", ["[[line]]\ncountry = 1", "not toml", OWN.replace('"crisis"', '"magic"')])
def test_a_broken_file_is_an_error_at_start_up(settings: Any, tmp_path: Path, content: str) -> None:
    own = tmp_path / "lines.toml"
    own.write_text(content, encoding="utf-8")
    settings.HELP_LINES_FILE = str(own)
    assert ids() == ["safety.E002"]
