"""What the heads learn from, and what is kept from them."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from safety.engine.training import rows as labelled
from safety.engine.training.fit import fit
from safety.engine.training.rows import HEADS, CorpusError, Head, Row, divided


@pytest.fixture(scope="module")
def lines() -> list[Row]:
    return divided(list(labelled.corpus()))


def row(task: str, label: str, text: str = "…", **more: object) -> Row:
    values = {"id": "a-1", "lang": "zh", "source": "corpus", "family": "f", **more}
    return Row(task=task, label=label, text=text, **values)  # type: ignore[arg-type]


class TestCorpus:
    def test_it_is_as_large_and_as_chinese_as_it_should_be(self, lines: list[Row]) -> None:
        assert len(lines) >= 4_000
        assert sum(line.lang == "zh" for line in lines) >= 0.6 * len(lines)

    def test_every_task_has_positive_and_harmless_lines_in_both_languages(self, lines: list[Row]) -> None:
        seen = {(line.task, line.lang, line.positive) for line in lines}
        for task in (*labelled.USER_TASKS, *labelled.AI_TASKS):
            for language in ("zh", "en"):
                assert {(task, language, True), (task, language, False)} <= seen, (task, language)

    def test_no_line_is_there_twice_with_different_labels(self, lines: list[Row]) -> None:
        said: dict[tuple[str, str, tuple[str, ...]], set[bool | None]] = defaultdict(set)
        for line in lines:
            said[line.task, line.text, line.history].add(line.positive)
        assert not [text for text, labels in said.items() if len(labels) > 1]

    def test_labels_are_those_of_their_task(self, lines: list[Row]) -> None:
        known = {
            "crisis": {"explicit", "indirect", "negative"},
            "dependence": {"strong", "seeking", "negative"},
            "fraud": {"positive", "request_to_defraud", "negative", "negative_ad"},
            "insult": {"insult", "negative"},
            "jailbreak": {"jailbreak", "benign"},
            "harmful_content": {*labelled.CATEGORIES, "benign"},
            "over_refusal": {"benign_chat"},
        }
        for line in lines:
            if line.task == "reply_safety":
                assert line.label.startswith(("safe:", "unsafe:")), line.id
            else:
                assert line.label in known.get(line.task, {"positive", "negative"}), line.id

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("negative\t没有标题", "x.tsv:1"),
            ("## crisis zh a\nnegative", "x.tsv:2"),
            ("## crisis zh a\nnegative\t好\tno_such_task", "unknown task no_such_task"),
        ],
    )
    def test_a_line_that_cannot_be_read_is_named(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "x.tsv").write_text(text, encoding="utf-8")
        with pytest.raises(CorpusError, match=message):
            list(labelled.corpus(tmp_path))

    def test_several_messages_and_replies(self, tmp_path: Path) -> None:
        (tmp_path / "x.tsv").write_text(
            "## crisis zh a\nindirect\t一 || 二 || 三\tminor\n## manipulation zh b\npositive\t拜 >> 别走\nnegative\t >> 好",
            encoding="utf-8",
        )
        first, second, third = labelled.corpus(tmp_path)
        assert (first.history, first.text, first.also) == (("一", "二"), "三", ("minor",))
        assert (second.history, second.text, second.by_ai) == (("拜",), "别走", True)
        assert (third.history, third.text) == ((), "好")


class TestParts:
    def test_families_with_many_beside_them_stay_together(self, lines: list[Row]) -> None:
        """But for a line that is there again elsewhere: it goes where it was learned."""
        times = Counter(line.text for line in lines)
        parts = defaultdict(set)
        for line in lines:
            if line.task == "crisis" and times[line.text] == 1:
                parts[line.lang, line.family].add(line.part)
        assert all(len(found) == 1 for found in parts.values())

    def test_sources_by_other_hands_are_only_for_the_test(self) -> None:
        rows = [
            row("jailbreak", "benign", f"text {n}", source="x NotInject_one", family="") for n in range(40)
        ]
        assert {one.part for one in divided(rows)} == {"test"}

    def test_equal_texts_are_never_on_both_sides(self) -> None:
        rows = [
            row("insult", "negative", f"text {n % 30}", source="s", family="", id=f"i{n}") for n in range(120)
        ]
        parts = defaultdict(set)
        for one in divided(rows):
            parts[one.text].add(one.part)
        assert all(len(found) == 1 for found in parts.values())
        assert {part for found in parts.values() for part in found} == {"train", "tune", "test"}

    def test_it_is_the_same_every_time(self, lines: list[Row]) -> None:
        again = divided(list(labelled.corpus()))
        assert {line.id: line.part for line in lines} == {line.id: line.part for line in again}

    def test_half_a_harmless_reply_is_harmless(self, lines: list[Row]) -> None:
        added = [line for line in labelled.grown(lines) if line.unfinished]
        assert len(added) > 500
        assert all(line.by_ai and line.positive is False and line.part == "train" for line in added)
        whole = {line.id: line.text for line in lines if line.by_ai}
        assert all(whole[line.id].startswith(line.text) and line.text != whole[line.id] for line in added)


class TestAnswers:
    def test_a_label_says_nothing_about_what_nobody_looked_for(self) -> None:
        assert Head("minor").answer(row("crisis", "indirect")) is None
        assert Head("minor").answer(row("crisis", "indirect", also=("minor",))) is True
        assert Head("minor").answer(row("crisis", "negative")) is False
        assert Head("minor").answer(row("crisis", "negative", source="elsewhere")) is None

    def test_doubtful_labels_are_left_out(self) -> None:
        assert Head("crisis").answer(row("crisis", "ambiguous")) is None
        assert Head("dependence").answer(row("dependence", "seeking")) is None

    def test_kinds(self) -> None:
        assert Head("crisis.explicit").answer(row("crisis", "indirect")) is False
        assert Head("crisis.explicit").answer(row("crisis", "explicit")) is True
        assert Head("harmful_content.drugs").answer(row("harmful_content", "drugs")) is True

    def test_replies_and_messages_do_not_mix(self) -> None:
        assert Head("crisis").answer(row("manipulation", "negative")) is None
        assert Head("manipulation").answer(row("crisis", "negative")) is None


def test_the_heads_learn_and_keep_ordinary_chat_quiet() -> None:
    """On points that lie apart: what is plainly one or the other is told apart, whatever the numbers are."""
    chance = np.random.default_rng(7)
    rows: list[Row] = []
    for part in ("train", "tune", "test"):
        for number in range(60):
            task = (*labelled.USER_TASKS, *labelled.AI_TASKS)[number % 16]
            for label in ("positive", "negative"):
                rows.append(
                    row(
                        _label_of(task, label)[0], _label_of(task, label)[1], f"文 {part} {number}", part=part
                    )
                )
    tasks = (*labelled.USER_TASKS, *labelled.AI_TASKS)
    vectors = chance.normal(0, 0.3, (len(rows), 400)).astype(np.float32)
    for vector, one in zip(vectors, rows, strict=True):
        vector[tasks.index(one.task)] += 3 if one.positive else 0
    trained = fit(rows, vectors, [one.text for one in rows], {"version": "x", "embeddings": {"model": "x"}})
    assert trained.names == tuple(head.name for head in HEADS)
    scores = trained.score(vectors, [one.text for one in rows])
    column = trained.names.index("crisis")
    for one, found in zip(rows, scores[:, column], strict=True):
        if one.task == "crisis" and one.part == "test":
            assert (found >= 0.5) == one.positive


def _label_of(task: str, label: str) -> tuple[str, str]:
    if task == "reply_safety":
        return task, "unsafe:x" if label == "positive" else "safe:x"
    if task == "harmful_content":
        return task, "drugs" if label == "positive" else "benign"
    if task == "crisis":
        return task, "explicit" if label == "positive" else "negative"
    if task == "fraud" and label == "positive":
        return task, "request_to_defraud"
    return task, label
