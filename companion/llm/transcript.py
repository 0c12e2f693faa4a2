"""From chat messages to what a very small model can follow. Pure functions.

The embedded models are too small for instructions. Gemma is a base model without a chat template: it continues a
transcript of a chat, in which a line about the persona and the last turns show it how the next line should sound.
The adapter beside it was trained on exactly this form (companion/llm/adapter/train.py uses these functions).
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Language = Literal["zh", "en"]
Message = tuple[Literal["system", "user", "assistant"], str]

# How many turns before the last are shown: more of them only confuse a model of this size.
TURNS = 4
INTRODUCTION_CHARACTERS = {"zh": 60, "en": 160}
_OPENING = {
    "zh": "{name}和朋友的聊天。{introduction}\n",
    "en": "{name} and a friend are chatting. {introduction}\n",
}
_SAID = {"zh": "朋友：{said}\n{name}：", "en": "Friend: {said}\n{name}:"}
_ANSWERED = {"zh": "{answered}\n", "en": " {answered}\n"}
_NAMELESS = {"zh": "小安", "en": "Ann"}

_NAMED = re.compile(r"[“「『\"]([^”」』\"\n]{1,24})[”」』\"]")
_SENTENCE = re.compile(r"[^。！？.!?]+[。！？.!?]*")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LATIN = re.compile(r"[A-Za-z]")
_HINT = re.compile(r"respond in (\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Transcript:
    """A text to continue, and where the continuation ends."""

    prompt: str
    stop: tuple[str, ...]


def language(messages: Sequence[Message]) -> Language:
    """The language to answer in: of the last thing said, else what the system message asks for or is written in."""
    said = _last_said(messages)
    if _HAN.search(said):
        return "zh"
    if _LATIN.search(said):
        return "en"
    system = _system(messages)
    if hint := _HINT.search(system):
        return "zh" if hint[1].lower() in ("chinese", "mandarin", "zh") else "en"
    return "zh" if _HAN.search(system) else "en"


def cost(text: str) -> int:
    """Tokens, guessed high: one for a Han character, one for three of anything that is Latin."""
    wide = sum(character > "\u2e7f" for character in text)
    return wide + (len(text) - wide) // 3 + 1


def fit(messages: Sequence[Message], budget: int) -> list[Message]:
    """The system messages and as many of the newest others as the budget of tokens takes.

    The last one is always there, cut at its end when it alone is too long.
    """
    system = [message for message in messages if message[0] == "system"]
    *others, (role, text) = [message for message in messages if message[0] != "system"]
    left = budget - sum(cost(message[1]) + 8 for message in system)
    last = clip(text, max(left, 16))
    left -= cost(last) + 8
    first = len(others)
    while first and (left := left - cost(others[first - 1][1]) - 8) >= 0:
        first -= 1
    return [*system, *others[first:], (role, last)]


def clip(text: str, limit: int) -> str:
    """The beginning of a text, at most `limit` tokens of it."""
    if cost(text) <= limit:
        return text
    return text[: len(text) * limit // cost(text)]


def opening(spoken: Language, name: str, introduction: str) -> str:
    return _OPENING[spoken].format(name=name, introduction=introduction)


def said_by_person(spoken: Language, name: str, said: str) -> str:
    return _SAID[spoken].format(name=name, said=said)


def answered_by_persona(spoken: Language, answered: str) -> str:
    return _ANSWERED[spoken].format(answered=answered)


def transcript(messages: Sequence[Message], budget: int) -> Transcript:
    """The last turns as a chat in the language of the last message, up to where the persona speaks."""
    spoken = language(messages)
    name = _name(messages, spoken)
    head = opening(spoken, name, _introduction(messages, spoken))
    left = budget - cost(head)
    last = said_by_person(spoken, name, clip(_line(_last_said(messages)), max(16, left - 32)))
    left -= cost(last)
    turns: list[str] = []
    for said, answered in reversed(_turns(messages, spoken)):
        turn = said_by_person(spoken, name, said) + answered_by_persona(spoken, answered)
        left -= cost(turn)
        if left < 0:
            break
        turns.append(turn)
    person = _SAID[spoken].split("{")[0].strip()
    return Transcript(head + "".join(reversed(turns)) + last, ("\n", person))


def _system(messages: Sequence[Message]) -> str:
    return "\n\n".join(text for role, text in messages if role == "system")


def _name(messages: Sequence[Message], spoken: Language) -> str:
    """The first name in quotes in the system message."""
    found = _NAMED.search(_system(messages))
    return found[1] if found else _NAMELESS[spoken]


def _introduction(messages: Sequence[Message], spoken: Language) -> str:
    """The first sentences about the persona: its character is the second paragraph of the system message."""
    paragraphs = _system(messages).split("\n\n")
    first = paragraphs[min(1, len(paragraphs) - 1)].strip().split("\n")[0]
    if not first or language([("user", first)]) != spoken:
        return ""
    taken = ""
    for sentence in _SENTENCE.findall(first):
        if len(taken) + len(sentence) > INTRODUCTION_CHARACTERS[spoken]:
            break
        taken += sentence
    return taken


def _last_said(messages: Sequence[Message]) -> str:
    return next((text for role, text in reversed(messages) if role == "user"), "")


def _turns(messages: Sequence[Message], spoken: Language) -> list[tuple[str, str]]:
    """The last things said and answered before the last message, one line each, in the language spoken now."""
    others = [(role, _line(text)[:200]) for role, text in messages if role != "system"]
    turns = [
        (said, answered)
        for (first, said), (second, answered) in itertools.pairwise(others)
        if (first, second) == ("user", "assistant") and said and answered
    ]
    return [turn for turn in turns if language([("user", turn[1])]) == spoken][-TURNS:]


def _line(text: str) -> str:
    return " ".join(text.split())
