"""`manage.py evaluate_engine`: how well the safety engine does on labelled messages it was never trained on.

The whole engine, as `assess` runs it, against its rules alone. Writes docs/evaluation.md and prints the targets.
"""

import asyncio
import re
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from safety.engine import VERSION, Turn, client
from safety.engine.bulk import Embedder, Message, NotUnderstood, embedder, verdicts
from safety.engine.heads import heads
from safety.engine.training import report, targets
from safety.engine.training.measures import Outcome
from safety.engine.training.rows import CorpusError, Row, corpus, divided, labelled

_ELSEWHERE: Final = "## Asked whether it is an AI"
# What a service without an engine would have: the toy that the figures are put beside.
_LIST: Final = re.compile(
    r"死|自杀|不想活|割腕|跳楼|遗书|轻生|\b(?:suicid\w*|kill(?:ing)? myself|die|dying|dead|death|end my life|self.?harm)\b"
)


class Command(BaseCommand):
    help = "Measure the safety engine on the labelled messages that were kept out of its training."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--data", type=Path, metavar="DIR", help="further labelled sets, one file a task")
        parser.add_argument(
            "--output", type=Path, metavar="FILE", default=settings.BASE_DIR / "docs/evaluation.md"
        )

    def handle(self, *args: Any, data: Path | None, output: Path, **options: Any) -> None:
        try:
            rows = divided([*corpus(), *(labelled(data) if data else ())])
            kept = [row for row in rows if row.part == "test"]
            measured = asyncio.run(outcomes(kept, embedder()))
        except (CorpusError, NotUnderstood) as error:
            raise CommandError(str(error)) from error
        seen = frozenset(row.source for row in rows if row.part != "test")
        text = report.document(measured, rules=VERSION, manifest=heads().manifest, seen=seen)
        try:
            output.write_text(text + _measured_elsewhere(output), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{output}: {error.strerror}.") from error
        for name, wanted, found, rules, _, verdict in targets.lines(measured):
            self.stdout.write(f"{name:78}{wanted:17}{found:34}{rules:8}{verdict}")
        self.stdout.write(f"{len(measured)} messages; everything else is in {output}.")


def _measured_elsewhere(output: Path) -> str:
    """What other commands have put at the end (benchmarks/disclosure.py) stays there."""
    old = output.read_text(encoding="utf-8") if output.is_file() else ""
    _, heading, rest = old.partition(_ELSEWHERE)
    return f"\n{heading}{rest}" if heading else ""


async def outcomes(rows: Sequence[Row], embeddings: Embedder) -> list[Outcome]:
    messages = [message(row) for row in rows]
    try:
        with tqdm(total=2 * len(rows), unit=" messages", file=sys.stderr, disable=None, leave=False) as bar:
            found = []
            for source in (embeddings, None):
                made = []
                async for _, verdict in verdicts(messages, source):
                    made.append(verdict)
                    bar.update()
                found.append(made)
    finally:
        await client.close()
    return [
        Outcome(row, whole, rules, listed=bool(_LIST.search(" ".join((*row.history, row.text)).casefold())))
        for row, whole, rules in zip(rows, *found, strict=True)
    ]


def message(row: Row) -> Message:
    """A row as the chat would ask about it, from a person of the age the task is about."""
    return Message(
        id=row.id,
        text=row.text,
        author="ai" if row.by_ai else "user",
        age_band=_age_band(row),
        history=tuple(Turn("user", said) for said in row.history),
    )


def _age_band(row: Row) -> str:
    if row.task == "relative_roleplay":
        return "teen" if "minor" in row.also else "elder"
    return "elder" if row.task == "elder_health" else "adult"
