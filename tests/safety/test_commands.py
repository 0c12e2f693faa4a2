"""The commands that read messages from files: `assess` and `evaluate_engine`, and the figures of the latter."""

import io
import json
import os
import pty
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from safety.engine import VERSION, Verdict
from safety.engine.bulk import batches, embedder, verdicts
from safety.engine.training import report, targets
from safety.engine.training.measures import Outcome, Share, accuracy, f1, flagged, recall, wilson
from safety.engine.training.rows import AI_TASKS, USER_TASKS, Row
from safety.management.commands import evaluate_engine
from safety.management.commands.assess import BAD_ROW, LONGEST_LINE, BadRow, read
from tests.architecture.documents import REPOSITORY

CRISIS = "我不想活了"


def entry(text: str, **more: Any) -> dict[str, Any]:
    return {"id": "1", "text": text, "author": "user", "age_band": "adult"} | more


def lines(*entries: dict[str, Any]) -> str:
    return "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in entries)


def assessed(folder: Path, content: str | bytes) -> list[dict[str, Any]]:
    """What the command makes of a file, by rules only."""
    source, target = folder / "in.jsonl", folder / "out.jsonl"
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    call_command("assess", input=str(source), output=str(target), rules_only=True)
    return [json.loads(line) for line in target.read_text().splitlines()]


def run(
    *arguments: str,
    stdin: bytes = b"",
    stderr: int = subprocess.PIPE,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> subprocess.CompletedProcess[bytes]:
    """The command as a shell runs it."""
    return subprocess.run(
        [sys.executable, "manage.py", "assess", *arguments],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        timeout=600,
        check=False,
    )


class TestAssess:
    def test_every_row_has_its_line_in_the_same_order(self, tmp_path: Path) -> None:
        rows = [entry("今天天气不错", id="a"), entry(CRISIS, id=7), entry("", id="a"), entry("hi", id="b")]
        found = assessed(tmp_path, lines(*rows))
        assert [line["id"] for line in found] == ["a", 7, "a", "b"]
        assert [line["level"] for line in found] == [0, 3, 0, 0]
        assert [line["action"] for line in found] == ["answer", "hold", "answer", "answer"]
        assert list(found[0]) == ["id", "level", "action", "scores", "signals"]

    def test_every_task_of_the_side_has_a_score(self, tmp_path: Path) -> None:
        person, reply = assessed(tmp_path, lines(entry("嗯"), entry("嗯", author="ai")))
        assert set(person["scores"]) == set(USER_TASKS)
        assert set(reply["scores"]) == {*USER_TASKS, *AI_TASKS}

    def test_scores_and_signals_say_what_was_found_and_not_what_was_said(self, tmp_path: Path) -> None:
        (found,) = assessed(tmp_path, lines(entry(CRISIS)))
        assert 0.5 <= found["scores"].pop("crisis") <= 1
        assert all(0 <= score < 0.5 for score in found["scores"].values())
        assert found["signals"][0].startswith("crisis.explicit.")
        assert CRISIS not in (tmp_path / "out.jsonl").read_text()

    def test_what_was_said_before_counts(self, tmp_path: Path) -> None:
        before = [{"author": "user", "text": "我不想"}, {"author": "ai", "text": "嗯？"}]
        alone, together = assessed(tmp_path, lines(entry("活了"), entry("活了", history=before)))
        assert (alone["level"], together["level"]) == (0, 3)

    def test_the_age_counts(self, tmp_path: Path) -> None:
        adult, teen = assessed(
            tmp_path, lines(*(entry("做我女朋友吧", age_band=band) for band in ("adult", "teen")))
        )
        assert (adult["action"], teen["action"]) == ("answer", "refuse")

    def test_lines_as_other_programs_write_them_are_read(self, tmp_path: Path) -> None:
        row = json.dumps(entry(CRISIS, history=None, more=[1])).encode()
        found = assessed(
            tmp_path, b"\xef\xbb\xbf" + row + b"\r\n\n  \n" + row
        )  # byte order mark, no last line end
        assert [line["level"] for line in found] == [3, 3]

    def test_half_a_character_is_no_obstacle(self, tmp_path: Path) -> None:
        (found,) = assessed(tmp_path, json.dumps(entry(CRISIS + "\ud83d", id="\ud83d")))
        assert (found["id"], found["level"]) == ("\ud83d", 3)

    def test_an_empty_file_makes_an_empty_file(self, tmp_path: Path) -> None:
        assert assessed(tmp_path, "") == []

    BAD = {
        "not JSON": b"{",
        "not UTF-8": b'{"id": "\xff"}',
        "not a JSON object": b"[1]",
        "too deep": b"[" * 100_000,
        "no id": lines(entry("x") | {"id": None}).encode(),
        "id is true": lines(entry("x", id=True)).encode(),
        "no text": b'{"id": "1", "author": "user", "age_band": "adult"}',
        "text is a number": lines(entry("x") | {"text": 5}).encode(),
        "unknown author": lines(entry("x", author="system")).encode(),
        "no author": b'{"id": "1", "text": "x", "age_band": "adult"}',
        "unknown age band": lines(entry("x", age_band="grown-up")).encode(),
        "age band is a list": lines(entry("x", age_band=["adult"])).encode(),
        "history is a string": lines(entry("x", history="x")).encode(),
        "history of strings": lines(entry("x", history=["x"])).encode(),
        "history without text": lines(entry("x", history=[{"author": "user"}])).encode(),
        "history by nobody": lines(entry("x", history=[{"author": "me", "text": "x"}])).encode(),
    }

    @pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
    def test_a_bad_row_is_named_by_its_line_and_nothing_is_written(self, tmp_path: Path, bad: bytes) -> None:
        good = lines(entry(CRISIS)).encode()
        with pytest.raises(CommandError, match=r"^Line 3: ") as caught:
            assessed(tmp_path, good + b"\n" + bad.rstrip() + b"\n" + good)
        assert caught.value.returncode == BAD_ROW
        assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]

    def test_an_error_does_not_quote_what_was_said(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError) as caught:
            assessed(tmp_path, lines(entry(CRISIS, author=CRISIS, history=[{"author": CRISIS}])))
        assert CRISIS not in str(caught.value)

    def test_a_failed_run_leaves_the_earlier_output_alone(self, tmp_path: Path) -> None:
        (tmp_path / "out.jsonl").write_text("earlier")
        with pytest.raises(CommandError):
            assessed(tmp_path, "{")
        assert (tmp_path / "out.jsonl").read_text() == "earlier"

    def test_a_file_may_be_replaced_by_its_own_assessment(self, tmp_path: Path) -> None:
        file = tmp_path / "rows.jsonl"
        file.write_text(lines(entry(CRISIS)))
        call_command("assess", input=str(file), output=str(file), rules_only=True)
        assert json.loads(file.read_text())["level"] == 3

    def test_a_line_without_an_end_does_not_fill_the_memory(self) -> None:
        class Endless(io.RawIOBase):
            given = 0

            def readable(self) -> bool:
                return True

            def readinto(self, buffer: Any) -> int:
                self.given += len(buffer)
                buffer[:] = b"a" * len(buffer)
                return len(buffer)

        endless = Endless()
        with pytest.raises(BadRow, match=r"^Line 1: longer than 4 MiB"):
            next(read(io.BufferedReader(endless)))
        assert endless.given < 2 * LONGEST_LINE

    async def test_a_batch_is_assessed_before_the_next_is_read(self) -> None:
        taken = 0

        def source() -> Iterator[bytes]:
            nonlocal taken
            for taken in range(1, 100_001):
                yield lines(entry("嗯", id=taken)).encode()

        found = verdicts(read(Lines(source())), None, rows=50)
        for number in range(1, 201):
            message, _ = await anext(found)
            assert message.id == number
            assert taken <= -(-number // 50) * 50

    def test_batches_are_full_but_for_the_last(self, tmp_path: Path) -> None:
        messages = read(io.BytesIO(lines(*(entry("x", id=number) for number in range(7))).encode()))
        assert [[one.id for one in batch] for batch in batches(messages, 3)] == [[0, 1, 2], [3, 4, 5], [6]]

    def test_it_works_in_a_pipe(self) -> None:
        done = run("--input", "-", "--output", "-", "--rules-only", stdin=lines(entry(CRISIS)).encode())
        assert (done.returncode, done.stderr) == (0, b"")
        assert json.loads(done.stdout)["level"] == 3

    def test_a_terminal_shows_how_far_it_is(self, tmp_path: Path) -> None:
        (tmp_path / "in.jsonl").write_text(lines(entry(CRISIS)))
        ours, theirs = pty.openpty()
        tty.setraw(theirs)
        termios.tcsetwinsize(theirs, (24, 80))
        arguments = (
            "--input",
            str(tmp_path / "in.jsonl"),
            "--output",
            str(tmp_path / "out.jsonl"),
            "--rules-only",
        )
        assert run(*arguments, stderr=theirs).returncode == 0
        assert b"0%|" in os.read(ours, 4096)
        os.close(ours), os.close(theirs)

    def test_a_bad_row_ends_with_status_two_and_a_sentence(self) -> None:
        done = run("--input", "-", "--output", "-", "--rules-only", stdin=b"{}\n")
        assert (done.returncode, done.stdout) == (BAD_ROW, b"")
        assert done.stderr.decode().splitlines() == [
            'CommandError: Line 1: "id" must be a string or a whole number.'
        ]

    def test_a_file_that_is_not_there_ends_with_status_one(self, tmp_path: Path) -> None:
        done = run("--input", str(tmp_path / "none"), "--output", str(tmp_path / "out"), "--rules-only")
        assert done.returncode == 1
        assert done.stderr.decode().startswith("CommandError: ") and "Traceback" not in done.stderr.decode()
        assert list(tmp_path.iterdir()) == []

    def test_without_an_embedding_server_that_answers_nothing_is_written(
        self, tmp_path: Path, settings: Any
    ) -> None:
        settings.EMBEDDINGS_BASE_URL = "http://127.0.0.1:9/v1"
        (tmp_path / "in.jsonl").write_text(lines(entry(CRISIS)))
        with pytest.raises(CommandError, match="EMBEDDINGS_BASE_URL") as caught:
            call_command("assess", input=str(tmp_path / "in.jsonl"), output=str(tmp_path / "out.jsonl"))
        assert caught.value.returncode == 1
        assert [path.name for path in tmp_path.iterdir()] == ["in.jsonl"]

    def test_with_embeddings_the_server_and_the_encoder_of_the_process_say_the_same(
        self, tmp_path: Path, embedding_server: str
    ) -> None:
        rows = [
            entry(text, id=text) for text in (CRISIS, "", "今天天气不错", "好" * 50_000, "see you tomorrow")
        ]
        (tmp_path / "in.jsonl").write_text(lines(*rows))
        call_command("assess", input=str(tmp_path / "in.jsonl"), output=str(tmp_path / "server.jsonl"))
        process = run(
            "--input", str(tmp_path / "in.jsonl"), "--output", "-", environment={"EMBEDDINGS_BASE_URL": ""}
        )
        assert (process.returncode, process.stderr) == (0, b"")
        by_server = [json.loads(line) for line in (tmp_path / "server.jsonl").read_text().splitlines()]
        by_process = [json.loads(line) for line in process.stdout.splitlines()]
        for one, other in zip(by_server, by_process, strict=True):
            assert one["scores"] == pytest.approx(other["scores"], abs=0.05)
            assert {**one, "scores": 0} == {**other, "scores": 0}
        assert (
            assessed(tmp_path, lines(*rows))[2]["scores"] != by_server[2]["scores"]
        )  # that is by rules only


class Lines(io.RawIOBase, IO[bytes]):  # type: ignore[misc]
    """A file of lines that are made when they are read."""

    def __init__(self, source: Iterator[bytes]) -> None:
        self._source = source

    def readline(self, size: int | None = -1) -> bytes:
        return next(self._source, b"")


def outcome(
    label: str, yes: bool, *, task: str = "crisis", source: str = "corpus", lang: str = "zh", **more: Any
) -> Outcome:
    row = Row("1", task, label, "what was said", lang, source, more.pop("family", "file.burden"), **more)
    verdict = Verdict(2 if yes else 0, "help_card" if yes else "answer", {task: 0.9 if yes else 0.1}, ())
    return Outcome(row, whole=verdict, rules=Verdict(0, "answer", {}, ()), listed=False)


class TestMeasures:
    @pytest.mark.parametrize(
        ("hits", "of", "low", "high"),
        # Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
    )
    def test_intervals_are_those_of_the_literature(self, hits: int, of: int, low: float, high: float) -> None:
        assert wilson(hits, of) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
        assert wilson(of - hits, of) == (pytest.approx(1 - high, abs=5e-5), pytest.approx(1 - low, abs=5e-5))

    def test_nothing_measured_says_nothing(self) -> None:
        assert wilson(0, 0) == (0, 1)
        assert str(Share(0, 0)) == "–"

    def test_a_share_shows_its_interval_and_never_rounds_a_miss_away(self) -> None:
        assert str(Share(30, 32)) == "94 % (80–98), 30 of 32"
        assert str(Share(999, 1000)) == "99.9 % (99.4–100.0), 999 of 1000"
        assert Share(1, 300).short == "0.3 %"

    def test_recall_false_alarms_f1_and_accuracy(self) -> None:
        rows = [outcome("explicit", True)] * 6 + [outcome("indirect", False)] * 2
        rows += [outcome("negative", True)] * 3 + [outcome("negative", False)] * 9
        rows += [outcome("ambiguous", True)] * 5
        assert (recall(rows), flagged(rows)) == (Share(6, 8), Share(3, 12))
        assert accuracy(rows) == Share(15, 20)
        assert f1(rows) == pytest.approx(2 * (6 / 9) * (6 / 8) / (6 / 9 + 6 / 8))

    def test_on_harmless_lines_any_detector_and_any_step_counts(self) -> None:
        row = Row("1", "over_refusal", "benign_chat", "", "zh", "corpus", "")
        for verdict, counts in (
            (Verdict(0, "answer", {"crisis": 0.4}, ()), 0),
            (Verdict(0, "answer", {"minor": 0.5}, ()), 1),
            (Verdict(0, "exit", {}, ()), 1),
        ):
            assert flagged([Outcome(row, verdict, verdict, listed=False)]).hits == counts


MANIFEST = {"version": "heads-9", "made_on": "2026-11-22", "embeddings": {"model": "anban-safety-1"}}


def document(*outcomes: Outcome) -> str:
    return report.document(outcomes, rules=VERSION, manifest=MANIFEST, seen=frozenset({"COLD"}))


class TestReport:
    def test_versions_and_date_are_those_of_what_was_measured(self) -> None:
        head = document(outcome("explicit", True)).partition("## ")[0]
        assert all(word in head for word in (VERSION, "heads-9", "2026-11-22", "anban-safety-1"))

    def test_what_was_missed_stands_under_what_fails(self) -> None:
        found = document(*[outcome("indirect", False)] * 12, *[outcome("negative", False)] * 12)
        fails = found.partition("## What fails")[2].partition("\n## ")[0]
        assert (
            "Veiled ideation, Chinese, own lines never trained on: 0 % (0–24), 0 of 12; wanted at least 70 %"
            in fails
        )
        assert "Chinese, burden: 0 % (0–24), 0 of 12" in fails

    def test_false_alarms_stand_there_as_well(self) -> None:
        rows = [outcome("negative", True, source="LCCC figurative")] * 12
        fails = document(*rows).partition("## What fails")[2].partition("\n## ")[0]
        assert "Figurative speech, other hands: 100 % (76–100), 12 of 12; wanted at most 2.0 %" in fails

    def test_what_was_reached_does_not(self) -> None:
        rows = [outcome("indirect", True)] * 400
        fails = document(*rows).partition("## What fails")[2].partition("\n## ")[0]
        assert "Veiled" not in fails
        assert "| reached |" in document(*rows)

    def test_too_few_rows_are_not_called_a_result(self) -> None:
        target = next(one for one in targets.TARGETS if one.name.startswith("Veiled ideation, Chinese, own"))
        nine, fifteen = [outcome("indirect", True)] * 9, [outcome("indirect", True)] * 12
        fifteen += [outcome("indirect", False)] * 3
        assert target.verdict(target.measure(nine)) == "cannot be measured here"
        assert target.verdict(target.measure(fifteen)) == "reached, but the rows are too few to be sure"

    def test_no_message_is_quoted_and_the_same_figures_give_the_same_document(self) -> None:
        rows = [outcome("insult", True, task="insult", source="COLD"), outcome("explicit", False)]
        assert "what was said" not in document(*rows)
        assert document(*rows) == document(*reversed(rows))

    def test_a_source_that_was_also_trained_on_is_marked(self) -> None:
        rows = [outcome("insult", True, task="insult", source=source) for source in ("COLD", "DiaSafety")]
        assert "| COLD † |" in document(*rows) and "| DiaSafety |" in document(*rows)

    def test_tables_are_tables(self) -> None:
        tasks = (*USER_TASKS, *AI_TASKS, "over_refusal")
        rows = [outcome("positive", True, task=task, source="a|b") for task in tasks]
        for part in document(*rows).split("\n\n"):
            if part.startswith("|"):
                assert len({line.count("|") for line in part.splitlines()}) == 1


class TestEvaluation:
    def test_rows_are_asked_about_as_the_chat_would(self) -> None:
        def asked(task: str, also: tuple[str, ...] = ()) -> tuple[str, str, list[str]]:
            row = Row("1", task, "positive", "text", "zh", "corpus", "", history=("before",), also=also)
            message = evaluate_engine.message(row)
            return message.author, message.age_band, [turn.author for turn in message.history]

        assert asked("crisis") == ("user", "adult", ["user"])
        assert asked("elder_health") == ("user", "elder", ["user"])
        assert asked("relative_roleplay") == ("user", "elder", ["user"])
        assert asked("relative_roleplay", ("minor",)) == ("user", "teen", ["user"])
        assert asked("manipulation") == ("ai", "adult", ["user"])

    async def test_rows_are_measured_with_and_without_embeddings(self, embedding_server: str) -> None:
        texts = {"explicit": "我不想活了", "negative": "笑死我了哈哈哈", "indirect": "在吗"}
        rows = [Row(text, "crisis", label, text, "zh", "corpus", "") for label, text in texts.items()]
        found = await evaluate_engine.outcomes(rows, embedder())
        assert [one.row for one in found] == rows
        assert [one.rules.level for one in found] == [3, 0, 0]
        assert [one.listed for one in found] == [True, True, False]
        for one in found:
            assert one.whole.scores["crisis"] >= one.rules.scores.get("crisis", 0)
            assert 0 < one.whole.scores["minor"] < 1 and "minor" not in one.rules.scores

    def test_a_broken_set_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "crisis.jsonl").write_text('{"id": "1"}\n')
        with pytest.raises(CommandError, match=r"crisis\.jsonl:1: not a labelled row"):
            call_command("evaluate_engine", data=tmp_path, output=tmp_path / "out.md", stdout=StringIO())
        assert not (tmp_path / "out.md").exists()
