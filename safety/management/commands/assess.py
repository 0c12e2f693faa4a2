"""`manage.py assess`: what the safety engine makes of messages in a file, one JSON object a line.

In:   {"id", "text", "author": "user"|"ai", "age_band": "child"|"teen"|"adult"|"elder",
       "history": [{"author", "text"}, …]}            history: oldest first, may be missing
Out:  {"id", "level": 0-4, "action", "scores": {task: 0..1}, "signals": [rule ids and markers]}

0.5 is the decision for each task. The output holds no text of a message.
"""

import asyncio
import json
import math
import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final, cast

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from safety.engine import Turn, Verdict, client
from safety.engine.bulk import Embedder, Message, NotUnderstood, embedder, verdicts
from safety.engine.training.rows import AI_TASKS, USER_TASKS

BAD_ROW: Final = 2  # exit status
LONGEST_LINE: Final = 4 * 1024 * 1024  # bytes; a file without line ends must not fill the memory
_AUTHORS: Final = ("user", "ai")
_BANDS: Final = ("child", "teen", "adult", "elder")


class BadRow(Exception):
    """A line that is not a message; the text says which and why, never what it says."""


class Command(BaseCommand):
    help = "Assess the messages of a JSON Lines file with the safety engine."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--input", required=True, metavar="FILE", help="JSON Lines; - is standard input")
        parser.add_argument(
            "--output", required=True, metavar="FILE", help="JSON Lines; - is standard output"
        )
        parser.add_argument("--rules-only", action="store_true", help="leave the embeddings out")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with _source(options["input"]) as source, self._target(options["output"]) as target:
                embeddings = None if options["rules_only"] else embedder()
                asyncio.run(_assess(source, target, embeddings))
        except BadRow as error:
            raise CommandError(str(error), returncode=BAD_ROW) from error
        except NotUnderstood as error:
            raise CommandError(str(error)) from error
        except BrokenPipeError as error:
            # Whoever reads the output has had enough; the interpreter must not complain about it at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise CommandError("The output was closed.") from error
        except OSError as error:
            raise CommandError(f"{error.filename or 'Input or output'}: {error.strerror}.") from error

    @contextmanager
    def _target(self, name: str) -> Iterator[IO[str]]:
        """The output under a temporary name until it is whole. Pipes and devices are written as they are."""
        path = Path(name).resolve()
        if name == "-":
            yield cast(IO[str], self.stdout)
        elif not path.parent.is_dir():
            raise CommandError(f"{path.parent} is not a folder.")
        elif path.exists() and not path.is_file():
            with path.open("w", encoding="utf-8") as file:
                yield file
        else:
            unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
            try:
                with unfinished.open("x", encoding="utf-8") as file:
                    yield file
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)


@contextmanager
def _source(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
    else:
        with Path(name).open("rb") as file:
            yield file


async def _assess(source: IO[bytes], target: IO[str], embeddings: Embedder | None) -> None:
    """Each batch is read, assessed and written before the next is read."""
    size = os.fstat(source.fileno()).st_size or None
    try:
        with tqdm(total=size, unit="B", unit_scale=True, file=sys.stderr, disable=None, leave=False) as bar:
            async for message, verdict in verdicts(read(source, advance=bar.update), embeddings):
                target.write(line(message, verdict) + "\n")
        target.flush()
    finally:
        await client.close()


def line(message: Message, verdict: Verdict) -> str:
    """One line of the output: every task for a reply, those on people's messages for a message."""
    tasks = USER_TASKS if message.author == "user" else (*USER_TASKS, *AI_TASKS)
    return json.dumps(
        {
            "id": message.id,
            "level": verdict.level,
            "action": verdict.action,
            # Downwards, so that what is short of the decision stays so.
            "scores": {task: math.floor(verdict.scores.get(task, 0.0) * 10_000) / 10_000 for task in tasks},
            "signals": list(verdict.reasons),
        }
    )


def read(source: IO[bytes], *, advance: Callable[[int], object] = lambda _: None) -> Iterator[Message]:
    """The messages of a file, line by line. Empty lines are passed over."""
    number = 0
    while raw := source.readline(LONGEST_LINE + 1):
        number += 1
        if len(raw) > LONGEST_LINE:
            raise BadRow(f"Line {number}: longer than {LONGEST_LINE // 2**20} MiB.")
        advance(len(raw))
        if raw.strip():
            try:
                yield _row(_object(raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw))
            except BadRow as error:
                raise BadRow(f"Line {number}: {error}") from None


def _object(raw: bytes) -> dict[str, Any]:
    try:
        entry = json.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise BadRow(f"not UTF-8 (byte {error.start + 1}).") from None
    except (ValueError, RecursionError) as error:
        where = f" (column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise BadRow(f"not JSON{where}.") from None
    if not isinstance(entry, dict):
        raise BadRow("not a JSON object.")
    return entry


def _row(entry: dict[str, Any]) -> Message:
    row_id = entry.get("id")
    if not isinstance(row_id, str | int) or isinstance(row_id, bool):
        raise BadRow('"id" must be a string or a whole number.')
    history = entry.get("history")
    if history is not None and not isinstance(history, list):
        raise BadRow('"history" must be a list.')
    return Message(
        id=row_id,
        text=_text(entry, "text"),
        author=_one_of(entry, "author", _AUTHORS),  # type: ignore[arg-type]
        age_band=_one_of(entry, "age_band", _BANDS),
        history=tuple(_turn(turn, place) for place, turn in enumerate(history or (), 1)),
    )


def _turn(turn: Any, place: int) -> Turn:
    where = f'in message {place} of "history", '
    if not isinstance(turn, dict):
        raise BadRow(f"{where}not a JSON object.")
    return Turn(_one_of(turn, "author", _AUTHORS, where), _text(turn, "text", where))


def _text(entry: dict[str, Any], name: str, where: str = "") -> str:
    value = entry.get(name)
    if not isinstance(value, str):
        raise BadRow(f'{where}"{name}" must be a string.')
    # Half of a character, which JSON can write and no encoder can read, becomes the replacement character.
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _one_of(entry: dict[str, Any], name: str, values: tuple[str, ...], where: str = "") -> str:
    value = entry.get(name)
    if value not in values:
        raise BadRow(f'{where}"{name}" must be one of {", ".join(values)}.')
    return str(value)
