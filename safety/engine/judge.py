"""A second opinion on a message: an LLM judge, optional, off unless JUDGE_BASE_URL is set.

Any endpoint with the OpenAI chat interface whose model answers as guard models do (Qwen3Guard: "Safety: …", "Categories:
…") or with the same as JSON. What it says is merged by maximum into the Meaning of the message (Meaning.raised): it can
raise a score and never lower one, and without embeddings it is not heard at all. Late, down or unreadable, it says nothing.
The words of the conversation go there and nothing else; neither they nor the answer reach a log.
"""

import asyncio
import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import aiohttp
from django.conf import settings

from safety.engine.breaker import Breaker
from safety.engine.session import Sessions, read

log = logging.getLogger(__name__)

_UNSAFE: Final = 0.75  # above the decision, below what alone would count as sure
_CONTROVERSIAL: Final = 0.4  # below the decision: counts only together with what else was said
_EARLIER: Final = 6  # messages before this one that go with it
_LONGEST: Final = 400  # characters of each
_ANSWER_TOKENS: Final = 128
_ANSWER_BYTES: Final = 64 * 1024
_TASKS: Final[Mapping[str, tuple[str, ...]]] = {  # politics and copyright are no danger to anybody here
    "violent": ("harmful_content", "harmful_content.violence_terror"),
    "non-violent illegal acts": ("harmful_content", "harmful_content.crime"),
    "sexual content or sexual acts": ("harmful_content", "harmful_content.sexual"),
    "pii": ("pii",),
    "suicide & self-harm": ("crisis",),
    "unethical acts": ("harmful_content",),
    "jailbreak": ("jailbreak",),
}
_THOUGHT: Final = re.compile(r"<think>.*?</think>", re.DOTALL)
_FENCE: Final = re.compile(r"^```(?:json)?|```$")
_SAFETY: Final = re.compile(r"^\s*safety:\s*(safe|controversial|unsafe)\s*$", re.IGNORECASE | re.MULTILINE)
_CATEGORIES: Final = re.compile(r"^\s*categories:[ \t]*(.*)$", re.IGNORECASE | re.MULTILINE)

_sessions = Sessions()
_breakers: dict[str, Breaker] = {}


async def ask(text: str, history: Sequence[tuple[str, str]], *, deadline: float) -> Mapping[str, float]:
    """Scores by task of a message after those before it, (author, text) oldest first; {} when there is no answer in time."""
    if not settings.JUDGE_BASE_URL:
        return {}
    breaker = _breakers.setdefault(settings.JUDGE_BASE_URL, Breaker())
    ticket = breaker.admit()
    if ticket is None:
        return {}
    settle = breaker.release  # what a cancelled turn leaves: no verdict
    try:
        async with asyncio.timeout(deadline):
            found = _scores(await _answer(_request(text, history)))
        settle = breaker.success
        return found
    except (
        TimeoutError,
        aiohttp.ClientError,
        OSError,
        ValueError,
        LookupError,
        TypeError,
        RecursionError,
    ) as error:
        log.warning("the judge did not answer: %s", type(error).__name__)
        settle = breaker.failure
        return {}
    finally:
        settle(ticket)


async def close() -> None:
    """Close the running loop's session, at the end of a loop made for one task."""
    await _sessions.close()


def _request(text: str, history: Sequence[tuple[str, str]]) -> bytes:
    before = [
        {"role": "assistant" if author == "ai" else "user", "content": said[-_LONGEST:]}
        for author, said in history[-_EARLIER:]
    ]
    body = {
        "model": settings.JUDGE_MODEL,
        "messages": [*before, {"role": "user", "content": text}],  # guard models judge the last one
        "max_tokens": _ANSWER_TOKENS,
        "temperature": 0,
        "stream": False,
    }
    return json.dumps(body).encode()


async def _answer(body: bytes) -> str:
    """What the model wrote; any other answer is a ValueError, LookupError or TypeError."""
    headers = {"Content-Type": "application/json"}
    if settings.JUDGE_API_KEY:
        headers["Authorization"] = f"Bearer {settings.JUDGE_API_KEY}"
    address = f"{settings.JUDGE_BASE_URL}/chat/completions"
    async with _sessions.current().post(
        address, data=body, headers=headers, allow_redirects=False
    ) as response:
        if response.status != 200:
            raise ValueError
        answer = await read(response, limit=_ANSWER_BYTES)
    return _THOUGHT.sub("", json.loads(answer)["choices"][0]["message"]["content"]).strip()


def _scores(answer: str) -> dict[str, float]:
    safety, categories = _from_json(answer) if answer.startswith(("{", "```")) else _from_lines(answer)
    score = {"safe": 0.0, "controversial": _CONTROVERSIAL, "unsafe": _UNSAFE}[safety]
    if not score:
        return {}
    return {task: score for category in categories for task in _TASKS.get(category, ())}


def _from_json(answer: str) -> tuple[str, list[str]]:
    found: dict[str, Any] = json.loads(_FENCE.sub("", answer).strip())
    named = found["categories"]
    return _folded(found["safety"]), [
        _folded(name) for name in ([named] if isinstance(named, str) else named)
    ]


def _from_lines(answer: str) -> tuple[str, list[str]]:
    safety, categories = _SAFETY.search(answer), _CATEGORIES.search(answer)
    if safety is None or categories is None:
        raise ValueError
    return _folded(safety[1]), [_folded(name) for name in categories[1].split(",")]


def _folded(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError
    return name.strip().casefold()
