"""What the heads say about the texts of a conversation, as signals beside those of the rules. Pure: no network."""

import hashlib
import secrets
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from safety.engine.heads import Array, heads
from safety.engine.lexicon import Signal
from safety.engine.normalise import is_han, normalise
from safety.engine.policy import DECISION
from safety.engine.rules import Rule

Scores = Mapping[str, float]
ON_REPLIES: Final = ("manipulation", "impersonation", "reply_safety")  # tasks that only a reply can be
_IN_REPLIES: Final = ("harmful_content", "insult", "pii", "fraud")
_KEY: Final = secrets.token_bytes(32)
_EXPLICIT: Final = 0.7  # how sure "explicit" must be before the rules' words are missed no longer: level 3
_URGENT: Final = 0.8  # likewise for a medical emergency
_CATEGORY: Final = 0.3  # the category of a harmful request; below, it is just "other"


class Meaning:
    """Scores by text. A text that was not asked for has none."""

    def __init__(
        self, found: Mapping[bytes, Array], raised: Mapping[bytes, Scores] = MappingProxyType({})
    ) -> None:
        self._found = found
        self._raised = raised

    def of(self, text: str) -> Scores:
        key = name(readable(text))
        row = self._found.get(key)
        scores = {} if row is None else dict(zip(heads().names, row.tolist(), strict=True))
        return _highest(scores, self._raised.get(key, {}))

    def raised(self, text: str, scores: Scores) -> "Meaning":
        """The same with a second opinion on one text: the higher score counts, none becomes lower."""
        key = name(readable(text))
        return Meaning(self._found, {**self._raised, key: _highest(self._raised.get(key, {}), scores)})


def _highest(scores: Scores, others: Scores) -> Scores:
    if not others:
        return scores
    return {task: max(scores.get(task, 0.0), others.get(task, 0.0)) for task in {**scores, **others}}


def from_vectors(texts: Sequence[str], vectors: Array) -> Meaning:
    """The same for embeddings that are at hand (commands, training)."""
    clear = [readable(text) for text in texts]
    return Meaning(dict(zip(map(name, clear), heads().score(vectors, clear), strict=True)))


@lru_cache(maxsize=256)  # of a turn and the look at its answer: asked for twice, to understand and to judge
def readable(text: str) -> str:
    """A text as the encoders should see it: as it is, or folded when its spelling was made hard to read."""
    plain = "".join(
        char for char in unicodedata.normalize("NFKC", text) if unicodedata.category(char) != "Cf"
    )
    folded = normalise(text).text
    if _spaced_out(plain) or _letters(plain) != _letters(folded):
        return folded
    return plain


def _letters(text: str) -> list[str]:
    return [char for char in text.casefold() if char.isalnum()]


def _spaced_out(text: str) -> bool:
    """ "我 想 走" or "i . w a n t": most letters stand alone."""
    alone = apart = 0
    last = ""
    for char in text:
        if is_han(char):
            apart += bool(last) and not is_han(last)
            alone += 1
        last = char
    words = text.split()
    return (alone >= 4 and apart > alone / 2) or (
        len(words) >= 5 and sum(len(word) == 1 for word in words) > len(words) * 0.6
    )


def signals(scores: Scores) -> list[Signal]:
    """A signal for each task that the heads decide on, in the form of the rules'."""
    found = []
    for task, (category, level) in _MEANS.items():
        if (score := scores.get(task, 0.0)) >= DECISION:
            found.append(signal(task, *_refined(task, category, level, scores), score))
    return found


_MEANS: Final = {  # task: what it is called and its level
    "crisis": ("indirect", 2),
    "extreme_emotion": ("distress", 1),
    "dependence": ("strong", 0),
    "minor": ("signs", 0),
    "fraud": ("victim", 2),
    "elder_health": ("acute", 2),
    "harmful_content": ("other", 0),
    "insult": ("person", 0),
    "jailbreak": ("attempt", 0),
    "pii": ("own", 0),
    "exit": ("wish", 0),
    "relative_roleplay": ("kin", 0),
    "professional_advice": ("sought", 0),
    "manipulation": ("reply", 0),
    "impersonation": ("reply", 0),
    "reply_safety": ("reply", 0),
}


def _refined(task: str, category: str, level: int, scores: Scores) -> tuple[str, int]:
    """What kind of a task it is, where that decides about what happens."""
    if task == "crisis" and scores.get("crisis.explicit", 0.0) >= _EXPLICIT:
        return "explicit", 3
    if task == "elder_health" and scores[task] >= _URGENT:
        return category, 3
    if task == "fraud" and scores.get("fraud.request_to_defraud", 0.0) >= DECISION:
        return "request", 0
    if task == "harmful_content":
        kinds = {name: score for name, score in scores.items() if name.startswith("harmful_content.")}
        likeliest = max(kinds, key=kinds.__getitem__, default="")
        if kinds.get(likeliest, 0.0) >= _CATEGORY:
            return likeliest.partition(".")[2], level
    return category, level


def of_message(found: Scores) -> dict[str, float]:
    """The scores of what a person said: what only a reply can be is left out."""
    return {name: score for name, score in found.items() if name.partition(".")[0] not in ON_REPLIES}


def of_reply(alone: Scores, in_context: Scores) -> dict[str, float]:
    """The scores of a reply: what is said in it, and what it is as an answer."""
    about_replies = {task: in_context[task] for task in ON_REPLIES if task in in_context}
    as_text = {task: score for task, score in alone.items() if task.partition(".")[0] in _IN_REPLIES}
    return as_text | about_replies


def signal(task: str, category: str, level: int, score: float) -> Signal:
    """A signal that no word gave."""
    rule = Rule(
        id=f"{task}.{category}.meaning",
        level=level,
        score=score,
        guards=(),
        place="anywhere",
        longest=0,
        bands=frozenset(),
        unless_relationship=frozenset(),
        leaving=False,
        patterns=(),
    )
    return Signal(rule, level, score, "", 0, 0)


def name(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=16, key=_KEY).digest()
