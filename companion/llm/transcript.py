"""From chat messages to what a very small model can follow. Pure functions.

The embedded models are too small for instructions. SmolLM2 gets a short system line and the last turns through its
own chat template. Gemma is a base model without a template: it continues a transcript of a chat, in which the
persona's own examples and the last turns show it how the next line should sound.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Message = tuple[Literal["system", "user", "assistant"], str]

PERSON = "朋友"
_MANNER = "You are an AI, not a person. Answer kindly in one or two short sentences."
# Shown only until the conversation has turns of its own: they set the tone, not the content.
_EXAMPLES = (
    ("今天好累啊。", "辛苦了。今天最累人的是哪一段？"),
    ("刚煮了面，加了两个蛋。", "两个蛋，这碗面很实在。慢慢吃，别烫着。"),
    ("你是真人吗？", "不是，我是AI。不过你说的话，我会认真听。"),
    ("明天要面试，有点紧张。", "紧张很正常，说明你在意。要不要先跟我说说你想怎么介绍自己？"),
)
_NAMED = re.compile(r"[“「『\"]([^”」』\"\n]{1,24})[”」』\"]")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_LATIN = re.compile(r"[A-Za-z]")
_HINT = re.compile(r"respond in (\w+)", re.IGNORECASE)


@dataclass(frozen=True)
class Transcript:
    """A text to continue, and where the continuation ends."""

    prompt: str
    stop: tuple[str, ...]
    name: str


def language(messages: Sequence[Message]) -> Literal["zh", "en"]:
    """The language to answer in: of the last thing said, else what the system message asks for or is written in."""
    said = next((text for role, text in reversed(messages) if role == "user"), "")
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


def brief(messages: Sequence[Message], budget: int) -> list[Message]:
    """For SmolLM2: who it is in a few lines of English, and the last turns."""
    kept = [message for message in messages if message[0] != "system" and not _HAN.search(message[1])]
    if not kept or kept[-1][0] != "user":
        kept.append(("user", _last_said(messages)))
    character = " ".join(line for line in _opening(messages).splitlines() if not _HAN.search(line))
    return fit([("system", f"{character[:600]} {_MANNER}".strip()), *kept], budget)


def transcript(messages: Sequence[Message], budget: int) -> Transcript:
    """For Gemma: a chat so far, in which the persona speaks next."""
    name = persona_name(messages)
    turns = _pairs(messages)
    shown = [*_EXAMPLES[: max(0, 4 - len(turns))], *turns]
    head = f"{name}和{PERSON}的聊天。{_introduction(_opening(messages))}\n"
    last = f"{PERSON}：{_line(_last_said(messages))[-400:]}\n{name}："
    left = budget - cost(head) - cost(last)
    lines: list[str] = []
    for said, answered in reversed(shown):
        line = f"{PERSON}：{said}\n{name}：{answered}\n"
        left -= cost(line)
        if left < 0:
            break
        lines.append(line)
    return Transcript(head + "".join(reversed(lines)) + last, ("\n", f"{PERSON}：", f"{name}："), name)


def persona_name(messages: Sequence[Message]) -> str:
    """The first name in quotes in the system message."""
    found = _NAMED.search(_system(messages))
    return found[1] if found else "小安"


def _system(messages: Sequence[Message]) -> str:
    return "\n\n".join(text for role, text in messages if role == "system")


def _opening(messages: Sequence[Message]) -> str:
    """The first two paragraphs of the system message: who speaks. The rules after it are beyond such a model."""
    return "\n".join(_system(messages).split("\n\n")[:2])


def _introduction(text: str) -> str:
    """Whole sentences, up to about a hundred characters."""
    taken = ""
    for sentence in re.findall(r"[^。！？\n]+[。！？\n]?", text):
        if len(taken) + len(sentence) > 110:
            break
        taken += sentence.strip()
    return taken


def _last_said(messages: Sequence[Message]) -> str:
    return next((text for role, text in reversed(messages) if role == "user"), "")


def _pairs(messages: Sequence[Message]) -> list[tuple[str, str]]:
    """What was said and answered before the last message, one line each."""
    others = [(role, _line(text)) for role, text in messages if role != "system"]
    return [
        (said[1][-200:], answered[1][:200])
        for said, answered in itertools.pairwise(others)
        if said[0] == "user" and answered[0] == "assistant" and said[1] and answered[1]
    ]


def _line(text: str) -> str:
    return " ".join(text.split())
