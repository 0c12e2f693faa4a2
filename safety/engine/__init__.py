"""What a person's message means for their safety, and what may be shown of a reply.

    verdict = assess(text, age_band="teen", history=[Turn("user", "…"), …])
    guard = StreamGuard(age_band="teen", persona_relationship="friend", user_text=text)

Pure and in process: no network, no database, so that it can run inside the transaction that stores the message. This is
the first stage, rules only; embeddings and calibrated heads will add signals to the same policy, never take one away.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from safety.engine.guard import StreamGuard
from safety.engine.lexicon import VERSION, Signal, lexicon
from safety.engine.policy import Verdict, decide, reply_code, unavailable

__all__ = ["VERSION", "StreamGuard", "Turn", "Verdict", "assess", "reply_code", "unavailable", "warm_up"]

WINDOW = 6  # earlier messages of the person that count
_LONGEST = 400  # characters of each that are looked at again
_TAIL = 80  # characters of each that are joined when a sentence was split over several messages


class Turn(NamedTuple):
    """One earlier message. `author` is "user" or "ai"; anything else is passed over."""

    author: str
    text: str


def assess(
    text: str,
    *,
    author: Literal["user", "ai"] = "user",
    age_band: str = "adult",
    history: Sequence[Turn] = (),
) -> Verdict:
    """The verdict on one message, with the last messages before it (oldest first).

    `age_band` is child, teen, adult or elder; anything else is treated as teen, the careful choice.
    """
    if author == "ai":
        return decide(lexicon("ai").detect(text), author="ai", age_band=age_band)
    words = lexicon("user")
    earlier = [turn.text[-_LONGEST:] for turn in history if turn.author == "user"][-WINDOW:]
    signals = words.detect(text)
    split = _over_several_messages(earlier, text, {signal.rule.id for signal in signals})
    return decide(
        signals + split,
        author="user",
        age_band=age_band,
        earlier=[words.detect(said) for said in earlier],
        split=frozenset(signal.rule.id for signal in split),
    )


def _over_several_messages(earlier: Sequence[str], text: str, known: set[str]) -> list[Signal]:
    """Signs of danger that only appear when the last messages are read as one ("I want to" / "die")."""
    if not earlier or len(text) > _TAIL:
        return []
    before = "".join(said[-_TAIL:] + " " for said in earlier[-3:])
    return [
        signal
        for signal in lexicon("user").detect(before + text)
        if signal.rule.task == "crisis"
        and signal.rule.id not in known
        and signal.start < len(before) - 1
        and signal.end > len(before)
    ]


def warm_up() -> None:
    """Compile the rules now (about a second) and not while the first person waits. A server calls it as it starts."""
    for text in ("今天过得怎么样？", "How was your day?"):
        assess(text)
        StreamGuard(age_band="teen").feed(text)
