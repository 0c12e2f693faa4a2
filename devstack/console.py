"""What a person sees while the machinery works. Standard library only, for the bootstrap."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class DevstackError(Exception):
    """Something the person at the terminal can put right; the message says how."""


@contextmanager
def step(label: str, out: TextIO | None = None) -> Iterator[None]:
    """One line per step: what is being done at once, how long it took when it is done."""
    stream = out or sys.stdout
    print(f"{label} … ", end="", file=stream, flush=True)
    began = time.monotonic()
    try:
        yield
    except BaseException:
        print(f"stopped after {time.monotonic() - began:.1f} s", file=stream, flush=True)
        raise
    print(f"{time.monotonic() - began:.1f} s", file=stream, flush=True)


COLOURS = (36, 33, 32, 35, 34, 31)


class Prefixed:
    """Lines of several processes on one screen, each behind its name; coloured only on a terminal."""

    def __init__(self, out: TextIO, width: int = 8) -> None:
        self._out = out
        self._width = width
        self._colours: dict[str, int] = {}
        self._coloured = out.isatty() and "NO_COLOR" not in os.environ

    def line(self, name: str, text: str) -> None:
        prefix = f"{name:<{self._width}} |"
        if self._coloured:
            colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        print(prefix, text, file=self._out, flush=True)
