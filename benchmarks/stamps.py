"""Tokens whose text says when they were written, so that a chat program is measured by the text it shows alone.

A stamp is a made-up word: `q`, two letters of the token's number, eight of the time in microseconds. `w` and eight
letters say when the model had the whole request. Stub and client read the same clock (CLOCK_MONOTONIC).
"""

import re
import time
from collections.abc import Iterator

TOKENS = 40
GAP = 0.005  # seconds between two tokens
CLAUSE = 8  # every eighth token ends a clause: a program that checks what it shows may wait for that

# Digits without vowels: no word of any language for a safety engine to stumble over, and nothing like a phone number.
_LETTERS = "bcdfghjlmn"
_TO_LETTERS = str.maketrans("0123456789", _LETTERS)
_TO_DIGITS = str.maketrans(_LETTERS, "0123456789")
_PERIOD = 10**8  # microseconds after which the written time starts anew; no turn lasts that long
_TOKEN = re.compile(rf"q([{_LETTERS}]{{2}})([{_LETTERS}]{{8}})")
_ARRIVAL = re.compile(rf"w([{_LETTERS}]{{8}})")


def now() -> int:
    """Microseconds."""
    return time.monotonic_ns() // 1000


def elapsed(since: int, until: int) -> int:
    """Microseconds between two times, either of which may have been read from a text."""
    return (until - since) % _PERIOD


def ends_clause(number: int) -> bool:
    return number % CLAUSE == CLAUSE - 1


def token(number: int, at: int) -> str:
    end = (". " if number % (2 * CLAUSE) == 2 * CLAUSE - 1 else ", ") if ends_clause(number) else " "
    return f"q{number:02}{at % _PERIOD:08}".translate(_TO_LETTERS) + end


def arrival(at: int) -> str:
    return f"w{at % _PERIOD:08} ".translate(_TO_LETTERS)


def read_tokens(text: str, start: int) -> Iterator[tuple[int, int, int]]:
    """Number, time and end position of every whole token after `start`."""
    for found in _TOKEN.finditer(text, start):
        yield int(found[1].translate(_TO_DIGITS)), int(found[2].translate(_TO_DIGITS)), found.end()


def read_arrival(text: str) -> int | None:
    found = _ARRIVAL.search(text)
    return int(found[1].translate(_TO_DIGITS)) if found else None
