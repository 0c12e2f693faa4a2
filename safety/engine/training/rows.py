"""Labelled lines: those written for this project (safety/engine/corpus) and, with --data, further labelled sets.

A line of the corpus is `LABEL<TAB>TEXT[<TAB>other tasks it is positive for]` below a header `## TASK LANGUAGE FAMILY`;
` || ` separates several messages in a row, ` >> ` what a person said from what the companion replied.
A file of --data has one JSON object a line: id, text, lang, label, source.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from safety.engine.scores import ON_REPLIES, readable

CORPUS: Final = Path(__file__).parent.parent / "corpus"
Part = Literal["train", "tune", "test"]

NEGATIVE: Final = frozenset(
    {"negative", "negative_ad", "benign", "benign_chat", "benign_trap", "benign_sensitive"}
)
LEFT_OUT: Final = frozenset({"ambiguous", "seeking"})  # neither positive nor negative
AI_TASKS: Final = ON_REPLIES
USER_TASKS: Final = (
    "crisis",
    "extreme_emotion",
    "dependence",
    "minor",
    "fraud",
    "elder_health",
    "harmful_content",
    "insult",
    "jailbreak",
    "pii",
    "exit",
    "relative_roleplay",
    "professional_advice",
)
CATEGORIES: Final = (
    "hate",
    "violence_terror",
    "crime",
    "crime_cyber",
    "drugs",
    "weapons",
    "sexual",
    "minor_sexual",
    "gambling",
    "fraud",
    "privacy",
    "rumour",
    "state_security",
    "self_harm",
)
# Positive for one of these says nothing about the others: a despairing child who has only the companion.
_TOGETHER: Final = frozenset(
    {
        "crisis",
        "extreme_emotion",
        "dependence",
        "minor",
        "elder_health",
        "harmful_content",
        "fraud",
        "insult",
        "jailbreak",
        "exit",
    }
)
# Harmless lines of other hands were chosen with other tasks in mind; ordinary chat is harmless in every way.
_NOT_LOOKED_AT: Final = {
    "humanebench": ("minor", "dependence", "professional_advice", "relative_roleplay", "exit"),
    "CValues": ("minor", "dependence", "professional_advice", "elder_health"),
}
# A fifth of the families and rows is never trained on, a tenth sets the thresholds. Of these sources, nothing is trained
# on: they show what happens with text by other hands, and NotInject would be worthless if it were learned.
_NEVER_TRAINED: Final = (
    "NotInject",
    "DiaSafety Risk-Ignorance",
    "VERA-MH",
    "project-written",
    "XSTest",
    "SimpleSafetyTests",
)
_TURNS: Final[tuple[Part, ...]] = (
    "test",
    "train",
    "train",
    "tune",
    "train",
    "train",
    "test",
    "train",
    "train",
    "train",
)
_MANY: Final = 20  # families
_NEIGHBOURS: Final = 12  # lines of a family that are kept together where families are few


@dataclass(frozen=True)
class Row:
    """One labelled message; `history` are earlier messages of the same person, or what a reply answers."""

    id: str
    task: str
    label: str
    text: str
    lang: str
    source: str
    family: str
    history: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    part: Part = "train"  # see divided()
    unfinished: bool = False  # see grown()

    @property
    def as_read(self) -> str:
        """What the encoders see of it: the messages before it, or what a reply answers, are part of that."""
        return readable(("\n" if self.by_ai else " ").join((*self.history[-3:], self.text)))

    @property
    def by_ai(self) -> bool:
        return self.task in AI_TASKS

    @property
    def positive(self) -> bool | None:
        """None: the label says neither."""
        if self.label in LEFT_OUT:
            return None
        if self.task == "reply_safety":
            return self.label.startswith("unsafe")
        return self.label not in NEGATIVE


def divided(rows: Sequence[Row]) -> list[Row]:
    """The rows, each with the part it belongs to; always the same for the same rows.

    Whole families of the corpus stay together where a task has enough of them, else neighbouring lines; equal texts of
    other sets stay together. Whole sources by other hands are kept for the test.
    """
    families: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        families.setdefault((row.task, row.lang), set()).add(row.family)
    groups: dict[tuple[str | bool | None, ...], dict[str, list[Row]]] = {}
    for row in rows:
        many = len(families[row.task, row.lang]) >= _MANY
        number = int(row.id.rpartition("-")[2]) if row.source == "corpus" else 0
        name = (
            f"{row.family} {'' if many else number // _NEIGHBOURS}"
            if row.family
            else row.text.strip().lower()
        )
        kind = None if many else row.positive  # a few families: positive and negative lines take turns
        groups.setdefault((row.task, row.lang, row.source, kind), {}).setdefault(name, []).append(row)
    found = []
    for (_task, _lang, source, _kind), named in groups.items():
        ordered = sorted(named, key=lambda name: hashlib.sha256(name.encode()).digest())
        for number, name in enumerate(ordered):
            part: Part = _TURNS[number % len(_TURNS)]
            if any(known in str(source) for known in _NEVER_TRAINED):
                part = "test"
            found += [replace(row, part=part) for row in named[name]]
    # A text that is learned for one task is no test of another.
    learned = {row.text for row in found if row.part == "train"}
    return [replace(row, part="train") if row.text in learned else row for row in found]


def grown(rows: Sequence[Row]) -> list[Row]:
    """The rows, and harmless replies as they look while they are being written: half a sentence is no offence."""
    from safety.engine.watch import Places

    found = list(rows)
    for row in rows:
        if row.by_ai and row.part == "train" and row.positive is False:
            ends = [mark.end for mark in Places().read(row.text)]
            found += [
                replace(row, text=row.text[:end], unfinished=True)
                for end in ends
                if end < len(row.text.rstrip())
            ]
    return found


@dataclass(frozen=True)
class Head:
    """One yes-or-no question. `name` is a task, or a task and what kind of it (`crisis.explicit`)."""

    name: str

    @property
    def task(self) -> str:
        return self.name.partition(".")[0]

    @property
    def kind(self) -> str:
        return self.name.partition(".")[2]

    @property
    def on_replies(self) -> bool:
        return self.task in AI_TASKS

    def answer(self, row: Row) -> bool | None:
        """What a row says to this question; None when it says nothing."""
        if self.on_replies != row.by_ai:
            return None
        if row.task == self.task:
            return _of_kind(row, self.kind)
        if self.task in row.also:
            return None if self.kind else True
        if row.task == "over_refusal":
            unseen = (tasks for name, tasks in _NOT_LOOKED_AT.items() if name in row.source)
            return None if any(self.task in tasks for tasks in unseen) else False
        if row.source != "corpus":  # its label is about one task; nobody looked for the others
            return None
        return None if row.positive and {row.task, self.task} <= _TOGETHER else False


def _of_kind(row: Row, kind: str) -> bool | None:
    """Within a task: is it of this kind? Without a kind: is it anything of the task?"""
    if not kind or row.positive is None:
        return row.positive
    return row.label == kind


HEADS: Final = tuple(
    Head(name)
    for name in (
        *USER_TASKS,
        "crisis.explicit",
        "fraud.request_to_defraud",
        *(f"harmful_content.{kind}" for kind in CATEGORIES),
        *AI_TASKS,
    )
)


class CorpusError(Exception):
    """A line that cannot be read; the message names file and line."""


def corpus(folder: Path = CORPUS) -> Iterator[Row]:
    """The lines written for this project."""
    for path in sorted(folder.glob("*.tsv")):
        yield from _read_lines(path)


def _read_lines(path: Path) -> Iterator[Row]:
    task = lang = family = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("## "):
            task, lang, family = line[3:].split()
            continue
        if not line.strip() or line.startswith("# "):
            continue
        label, *rest = line.split("\t")
        if not task or len(rest) not in (1, 2) or not rest[0].strip():
            raise CorpusError(
                f"{path.name}:{number}: expected LABEL, TEXT and perhaps other tasks, tab separated"
            )
        also = tuple(rest[1].replace(" ", "").split(",")) if len(rest) == 2 and rest[1].strip() else ()
        if unknown := set(also) - {*USER_TASKS, *AI_TASKS}:
            raise CorpusError(f"{path.name}:{number}: unknown task {', '.join(sorted(unknown))}")
        separator = " >> " if task in AI_TASKS else " || "
        *history, text = (" " + rest[0]).split(separator)
        yield Row(
            id=f"{path.stem}-{number}",
            task=task,
            label=label.strip(),
            text=text.strip(),
            lang=lang,
            source="corpus",
            family=f"{path.stem}.{family}",
            history=tuple(said.strip() for said in history if said.strip()),
            also=also,
        )


def labelled(folder: Path) -> Iterator[Row]:
    """Further labelled sets: one file a task, named after it. Nothing of them is kept but their hashes."""
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                try:
                    entry = json.loads(line)
                    text, history = (
                        _turns(entry["text"]) if path.stem == "reply_safety" else (entry["text"], ())
                    )
                    yield Row(
                        id=entry["id"],
                        task=path.stem,
                        label=entry["label"],
                        text=text,
                        lang=entry["lang"],
                        source=entry["source"],
                        family="",
                        history=history,
                    )
                except (ValueError, KeyError, TypeError) as error:
                    raise CorpusError(
                        f"{path.name}:{number}: not a labelled row ({type(error).__name__})"
                    ) from error


def _turns(text: str) -> tuple[str, tuple[str, ...]]:
    """`USER: … BOT: …` as the reply and what it answers."""
    user, found, bot = text.partition("\nBOT: ")
    return (bot, (user.removeprefix("USER: "),)) if found else (text, ())
