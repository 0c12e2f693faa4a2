"""Tables that read well in a terminal and are Markdown at the same time."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")
Column = tuple[str, Callable[[T], str]]


def show(keys: Sequence[str], columns: Sequence[Column[T]], rows: Mapping[tuple[str, ...], T]) -> None:
    """Print a row for each entry: the parts of its key, then the columns."""
    lines = [[*keys, *(title for title, _ in columns)]]
    lines += [[*key, *(cell(row) for _, cell in columns)] for key, row in rows.items()]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    lines.insert(1, ["-" * width for width in widths])
    for line in lines:
        print("| " + " | ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) + " |")
