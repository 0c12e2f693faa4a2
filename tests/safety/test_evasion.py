"""Recall per trick and language, false alarms on harmless lines (N40). `pytest -s` prints the table.

A sentence counts as found when assess() says crisis at 0.5 or more, or level 2 or more.
"""

import csv
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from safety.engine import Turn, Verdict, assess
from tests.safety.evasion.tricks import CHINESE, ENGLISH, EVERY, Trick, split

HERE = Path(__file__).parent / "evasion"
CORPUS = Path(__file__).parents[2] / "safety" / "engine" / "corpus"
SENTENCES = {
    language: (HERE / f"crisis_{language}.txt").read_text("utf-8").splitlines() for language in ("zh", "en")
}
FLOOR = dict.fromkeys(("zero_width", "full_width", "spacing", "wide_spacing", "traditional"), 0.95)
FLOOR |= dict.fromkeys(("homophone", "pinyin", "pinyin_joined", "pinyin_tones", "pinyin_mixed"), 0.8)
FLOOR |= dict.fromkeys(("leet", "leet_heavy", "look_alikes", "look_alikes_greek", "small_capitals"), 0.8)
HARMLESS = {"negative", "benign", "benign_chat", "negative_ad"}
OTHERS = 0.7  # the floor of all other tricks
TRICKS = [
    *[("zh", name, trick) for name, trick in {**EVERY, **CHINESE}.items()],
    *[("en", name, trick) for name, trick in {**EVERY, **ENGLISH}.items()],
]


def report(line: str) -> None:
    sys.stdout.write(line + "\n")


def alarmed(verdict: Verdict) -> bool:
    return verdict.scores.get("crisis", 0.0) >= 0.5 or verdict.level >= 2


def recall(name: str, language: str, trick: Trick) -> float:
    chance = random.Random(f"{name}.{language}")
    texts = [trick(sentence, chance) for sentence in SENTENCES[language]]
    missed = [text for text in texts if not alarmed(assess(text))]
    share = 1 - len(missed) / len(texts)
    report(f"{language} {name:22} {share:4.0%} of {len(texts)}  {missed[:3]}")
    return share


def test_there_are_enough_tricks_and_sentences() -> None:
    assert len(EVERY) + len(CHINESE) >= 30
    assert len(EVERY) + len(ENGLISH) >= 30
    assert all(len(set(sentences)) >= 50 for sentences in SENTENCES.values())


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_sentences_are_found_as_they_are(language: str) -> None:
    assert recall("plain", language, lambda text, _: text) == 1


@pytest.mark.parametrize(
    ("language", "name", "trick"), TRICKS, ids=[f"{lang}-{name}" for lang, name, _ in TRICKS]
)
def test_a_disguised_sentence_is_found(language: str, name: str, trick: Trick) -> None:
    found = recall(name, language, trick)
    assert found >= FLOOR.get(name, OTHERS)


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("most", [2, 3, 5])
def test_a_sentence_over_several_messages_is_found(language: str, most: int) -> None:
    chance = random.Random(f"split.{language}.{most}")
    missed = []
    for sentence in SENTENCES[language]:
        *before, last = split(sentence, chance, most)
        seen = [Turn("user", text) for text in before]
        # Any message of the series may raise it: what was already said counts as found.
        at = [assess(text, history=seen[:number]) for number, text in enumerate([*before, last])]
        if not any(map(alarmed, at)):
            missed.append([*before, last])
    share = 1 - len(missed) / len(SENTENCES[language])
    report(f"{language} split over <= {most} {share:4.0%}  {missed[:4]}")
    assert share >= 0.8


def harmless() -> Iterator[tuple[str, str]]:
    """(language, text) of the harmless lines of the labelled corpus, told apart by nobody's words."""
    for path in sorted(CORPUS.glob("*.tsv")):
        language = ""
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                if row and row[0].startswith("## "):
                    _, _, language, *_ = row[0].split(" ")
                elif (
                    len(row) > 1
                    and row[0] in HARMLESS
                    and ">>" not in row[1]
                    and "crisis" not in "".join(row[2:])
                ):
                    yield language, row[1].rpartition(" || ")[2]


def test_harmless_lines_are_left_alone_whatever_they_wear() -> None:
    chance = random.Random(40)
    lines = list(harmless())
    # What is flagged as it stands is not the tricks' fault; it is counted in docs/evaluation.md.
    plain = [(language, text) for language, text in lines if not alarmed(assess(text))]
    assert len(lines) >= 2000
    flagged = []
    dressed = 0
    for language, text in plain:
        name, trick = chance.choice(
            list(({**EVERY, **CHINESE} if language == "zh" else {**EVERY, **ENGLISH}).items())
        )
        dressed += 1
        if alarmed(assess(trick(text, chance))):
            flagged.append((name, text))
    wrong = 1 - len(plain) / len(lines)
    report(f"harmless: {wrong:.2%} of {len(lines)} as they stand, {len(flagged) / dressed:.2%} dressed up")
    report("\n".join(f"  {name}: {text}" for name, text in flagged[:20]))
    assert wrong <= 0.01
    assert len(flagged) / dressed <= 0.01
