"""Encoded text, decoded and looked at again: base64, hexadecimal, binary, URL and HTML escapes, \\u escapes.

Bounded in depth, size and number, so that a message cannot make the engine work for it.
"""

import base64
import binascii
import html
import re
from collections.abc import Callable
from typing import Final
from urllib.parse import unquote

_DEPTH: Final = 2
_LONGEST: Final = 4_000  # characters looked at, and decoded
_MOST_TOKENS: Final = 8
_ESCAPE: Final = re.compile(r"(?:\\u\{?[0-9a-fA-F]{4,6}\}?|\\x[0-9a-fA-F]{2}|[Uu]\+[0-9a-fA-F]{4,5}\s?)+")
_ONE_ESCAPE: Final = re.compile(r"(?:\\u\{?|\\x|[Uu]\+)([0-9a-fA-F]{2,6})")
_ENTITY: Final = re.compile(r"(?:&(?:#\d{2,7}|#[xX][0-9a-fA-F]{2,6}|[a-zA-Z]{2,8});)+")
_PERCENT: Final = re.compile(r"(?:[A-Za-z0-9+_.-]*(?:%[0-9a-fA-F]{2})+)+[A-Za-z0-9+_.-]*")
_HEX: Final = re.compile(r"(?<![0-9a-zA-Z])(?:0x)?(?:[0-9a-fA-F]{2}[ :,-]?){4,}(?![0-9a-zA-Z])")
_BINARY: Final = re.compile(r"(?<!\d)(?:[01]{8} ?){3,}(?!\d)")
_BASE64: Final = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{8,}={0,2}")
_CLUE: Final = re.compile(
    r"\\[ux]|[Uu]\+[0-9a-fA-F]{4}|&#|&[a-z]{2,8};|%[0-9a-fA-F]{2}|[0-9a-fA-F]{2}[0-9a-fA-F :,-]{6}|[01]{8}"
)


def decoded(text: str) -> list[tuple[str, tuple[int, ...]]]:
    """The text with what is encoded in it decoded; for every character the place that it came from. Often nothing."""
    plain, offsets = text[:_LONGEST], tuple(range(min(len(text), _LONGEST)))
    found = []
    for _ in range(_DEPTH):
        once = _once(plain)
        if once is None:
            break
        plain, places = once
        offsets = tuple(offsets[place] for place in places)
        found.append((plain, offsets))
    return found[-1:]


def _once(text: str) -> tuple[str, list[int]] | None:
    if _CLUE.search(text):
        for pattern, decode in _WAYS:
            if found := _replaced(text, pattern, decode):
                return found
    return _replaced(text, _BASE64, _from_base64)


def _replaced(
    text: str, pattern: re.Pattern[str], decode: Callable[[str], str | None]
) -> tuple[str, list[int]] | None:
    parts: list[str] = []
    places: list[int] = []
    at = count = 0
    for match in pattern.finditer(text):
        plain = decode(match[0])
        if plain is None or plain == match[0]:
            continue
        parts += [text[at : match.start()], plain]
        places += [*range(at, match.start()), *[match.start()] * len(plain)]
        at = match.end()
        count += 1
        if count == _MOST_TOKENS or len(places) > _LONGEST:
            break
    if not count:
        return None
    parts.append(text[at:])
    places += range(at, len(text))
    return "".join(parts)[:_LONGEST], places[:_LONGEST]


def _text(raw: bytes) -> str | None:
    """Bytes that are a text somebody wrote."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return None
    wordy = sum(1 for char in text if char.isalnum() or char in " =+/")
    return text if text and text.isprintable() and wordy >= 0.7 * len(text) else None


def _from_base64(token: str) -> str | None:
    body = token.rstrip("=")
    mixed = any(char.isdigit() or char in "+/" for char in body) or any(char.isupper() for char in body[1:])
    if not mixed and "=" not in token:
        return None  # an English word
    try:
        return _text(
            base64.b64decode(
                body + "=" * (-len(body) % 4), altchars=b"-_" if "-" in body or "_" in body else None
            )
        )
    except (binascii.Error, ValueError):
        return None


def _from_hex(token: str) -> str | None:
    digits = re.sub(r"[^0-9a-fA-F]", "", token.removeprefix("0x"))
    return _text(bytes.fromhex(digits)) if len(digits) % 2 == 0 else None


def _from_binary(token: str) -> str | None:
    digits = token.replace(" ", "")
    return _text(bytes(int(digits[at : at + 8], 2) for at in range(0, len(digits), 8)))


def _from_escapes(token: str) -> str | None:
    codes = [int(code, 16) for code in _ONE_ESCAPE.findall(token)]
    if "\\x" in token and all(code < 0x100 for code in codes):
        return _text(bytes(codes))
    try:
        return "".join(map(chr, codes)).encode("utf-16", "surrogatepass").decode("utf-16")
    except (ValueError, UnicodeDecodeError):
        return None


def _from_percent(token: str) -> str | None:
    plain = unquote(token.replace("+", " "), errors="replace")
    return None if "\ufffd" in plain else plain


_WAYS: Final[tuple[tuple[re.Pattern[str], Callable[[str], str | None]], ...]] = (
    (_ENTITY, html.unescape),
    (_ESCAPE, _from_escapes),
    (_PERCENT, _from_percent),
    (_BINARY, _from_binary),
    (_HEX, _from_hex),
)
