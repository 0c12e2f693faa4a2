"""The automaton: every match, in one pass, and an honest answer to "can this still become one?"."""

import random
import re

import pytest

from safety.engine.patterns import Automaton, PatternError, Scanner, scan


def found(patterns: list[str], text: str) -> set[tuple[int, str]]:
    return {(number, text[start:end]) for number, start, end in scan(Automaton(patterns), text)}


def test_overlapping_patterns_are_all_found() -> None:
    assert found(["想死", "死了", "想死了"], "我想死了") == {(0, "想死"), (1, "死了"), (2, "想死了")}


def test_words_that_begin_alike_do_not_mix() -> None:
    assert found(["ab?c", "abd", "a(bc|d)?e"], "ac abd ae ade abce") == {
        (0, "ac"),
        (1, "abd"),
        (2, "ae"),
        (2, "ade"),
        (2, "abce"),
    }


def test_a_match_never_ends_inside_a_word() -> None:
    assert found(["human"], "humane human. inhuman") == {(0, "human")}
    assert found(["\\d{4,6}"], "12345678 1234") == {(0, "1234")}
    assert found(["不是ai"], "我不是ai助手") == {(0, "不是ai")}


def test_a_dot_stays_inside_its_clause() -> None:
    assert found(["想.{0,4}死"], "想马上死") == {(0, "想马上死")}
    assert found(["想.{0,4}死"], "想吃,死") == set()


def test_a_blank_may_be_missing() -> None:
    assert found(["i am human"], "iam human") == {(0, "iam human")}


@pytest.mark.parametrize("pattern", ["(a", "a)", "[a", "a{2}", "a{1,99}", "a*", "?a", "\\w", "a?", ""])
def test_a_pattern_that_cannot_be_read_is_an_error(pattern: str) -> None:
    with pytest.raises(PatternError):
        Automaton([pattern])


def test_it_finds_what_regular_expressions_find() -> None:
    source = ["甲(乙|丙)?丁", "乙{1,3}丙", "[甲丙]丁", "丁.{0,2}甲", "甲(乙(丙|丁)|丁)乙?"]
    automaton = Automaton(source)
    chance = random.Random(7)
    for _ in range(400):
        text = "".join(chance.choices("甲乙丙丁", k=12))
        for number, pattern in enumerate(source):
            expected = {
                (start, end)
                for start in range(len(text))
                for end in range(start + 1, len(text) + 1)
                if re.fullmatch(pattern, text[start:end])
            }
            assert {(s, e) for n, s, e in scan(automaton, text) if n == number} == expected, (pattern, text)


def test_the_earliest_possible_match_is_known_at_every_moment() -> None:
    scanner = Scanner(Automaton(["别告诉妈妈"]))
    earliest = []
    for char in "我别告诉你别告":
        scanner.read(char)
        earliest.append(scanner.earliest)
    assert earliest == [1, 1, 1, 1, 5, 5, 5]
