"""The data itself: every rule can be read, can match, and names guards that exist."""

from pathlib import Path

import pytest

from safety.engine.lexicon import AI_FILES, USER_FILES, VERSION, Rule, lexicon
from safety.engine.normalise import DATA
from safety.engine.policy import Verdict, reply_code
from safety.replies import codes
from safety.replies import version as wording

RULES = [*lexicon("user").rules, *lexicon("ai").rules]


def test_every_file_of_rules_is_used() -> None:
    assert {path.stem for path in DATA.glob("*.toml")} == {*USER_FILES, *AI_FILES, "guards", "identity"}


def test_ids_name_task_category_and_family_and_are_unique() -> None:
    ids = [rule.id for rule in RULES]
    assert len(ids) == len(set(ids))
    assert all(len(rule_id.split(".")) == 3 for rule_id in ids)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_is_well_formed(rule: Rule) -> None:
    assert rule.patterns
    assert 0 <= rule.level <= 4
    assert 0 < rule.score < 1
    assert rule.bands <= {"child", "teen", "adult", "elder"}
    # Nothing that a rule asks for may be undone by a guard that raises it.
    assert all(guard.level <= max(rule.level, 2) for guard in rule.guards)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_every_rule_speaks_both_languages_where_both_are_spoken(rule: Rule) -> None:
    chinese_only = {"crisis.explicit.note"}
    languages = {
        any("a" <= char <= "z" for char in p) and not any(ord(char) > 0x3000 for char in p)
        for p in rule.patterns
    }
    assert rule.id in chinese_only or languages == {True, False}


def test_every_decision_has_its_sentence() -> None:
    for rule in lexicon("user").rules:
        for action in ("hold", "help_card", "refuse"):
            levels = {"hold": (3, 4), "help_card": (2,), "refuse": (0,)}[action]
            fits = rule.level in levels and (action != "refuse" or rule.task in REFUSED)
            if fits and rule.level:
                assert reply_code(Verdict(rule.level, action, {}, (rule.id,))) in codes(), rule.id
            if action == "refuse" and rule.task in REFUSED:
                assert reply_code(Verdict(0, "refuse", {}, (rule.id,))) in codes(), rule.id
    for rule in lexicon("ai").rules:
        assert f"cut.{rule.task}" in codes()


REFUSED = {"harmful_content", "jailbreak", "relative_roleplay", "intimacy"}


def test_the_version_fits_the_column() -> None:
    assert 0 < len(VERSION) <= 24


def test_the_policy_document_speaks_of_these_rules() -> None:
    policy = (Path(__file__).parents[2] / "docs" / "safety-policy.md").read_text(encoding="utf-8")
    assert f"`{VERSION}`" in policy
    assert f"`{wording()}`" in policy
