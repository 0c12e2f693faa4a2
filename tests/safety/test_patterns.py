"""The automaton: every match, in one pass, and an honest answer to "can this still become one?". And the matcher for
whole texts, which must find the same.
"""

import random
import re

import pytest

from safety.engine.lexicon import Side, lexicon
from safety.engine.matching import Matcher
from safety.engine.normalise import normalise
from safety.engine.patterns import (
    Anything,
    Automaton,
    Blank,
    Either,
    One,
    Part,
    PatternError,
    Row,
    Scanner,
    Times,
    parse,
    scan,
)


def found(patterns: list[str], text: str) -> set[tuple[int, str]]:
    streamed = set(scan(Automaton(patterns), text))
    assert set(Matcher(patterns).scan(text)) == streamed
    return {(number, text[start:end]) for number, start, end in streamed}


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
    for compiled in (Automaton, Matcher):
        with pytest.raises(PatternError):
            compiled([pattern])


def test_a_pattern_without_a_letter_of_its_own_cannot_be_looked_for() -> None:
    with pytest.raises(PatternError):
        Matcher([".{1,3}"])


def test_it_finds_what_regular_expressions_find() -> None:
    source = ["甲(乙|丙)?丁", "乙{1,3}丙", "[甲丙]丁", "丁.{0,2}甲", "甲(乙(丙|丁)|丁)乙?"]
    automaton, matcher = Automaton(source), Matcher(source)
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
            assert {(s, e) for n, s, e in matcher.scan(text) if n == number} == expected, (pattern, text)


def example(part: Part, chance: random.Random) -> str:
    """A text that the pattern matches."""
    match part:
        case One(chars):
            return chance.choice(chars)
        case Blank():
            return chance.choice([" ", " ", ""])
        case Anything():
            return chance.choice("的x ")
        case Either(choices):
            return example(chance.choice(choices), chance)
        case Times(inner, low, high):
            return "".join(example(inner, chance) for _ in range(chance.randint(low, high)))
        case Row(parts):
            return "".join(example(each, chance) for each in parts)


@pytest.mark.parametrize("side", ["user", "ai"])
def test_a_stream_and_a_whole_text_hold_the_same_matches(side: Side) -> None:
    chance = random.Random(3)
    rules = lexicon(side)
    texts = [example(parse(pattern), chance) for rule in rules.rules for pattern in rule.patterns]
    for own, first in enumerate(texts):
        joined = first + chance.choice(["", " ", ",", "了", "\n"]) + chance.choice(texts)
        for text in (first, normalise(joined).text, joined[: chance.randint(1, len(joined))]):
            streamed = set(scan(rules.automaton, text))
            assert set(rules.matcher.scan(text)) == streamed, text
            assert text is not first or (own, 0, len(text)) in streamed


def test_a_match_far_inside_a_long_text_is_found() -> None:
    text = "好的 " * 3000 + "我想死" + ",没事" * 3000
    assert set(Matcher(["想.{0,4}死"]).scan(text)) == {(0, 9001, 9003)}


def test_the_earliest_possible_match_is_known_at_every_moment() -> None:
    scanner = Scanner(Automaton(["别告诉妈妈"]))
    earliest = []
    for char in "我别告诉你别告":
        scanner.read(char)
        earliest.append(scanner.earliest)
    assert earliest == [1, 1, 1, 1, 5, 5, 5]
