"""What a person's message means for their safety, and what may be shown of a reply.

    history = [Turn("user", "…"), Turn("ai", "…")]
    meaning = await understand(wanted(text, history=history), deadline=0.25)     # outside the transaction; may be None
    verdict = assess(text, age_band="teen", history=history, meaning=meaning)    # pure: rules, heads' scores, policy
    guard = StreamGuard(age_band="teen", persona_relationship="friend", user_text=text)

Rules are always on. Embeddings with calibrated heads add signals to the same policy and never take one away. Without them
(`meaning=None`) the verdict of the rules stands.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Literal, NamedTuple

from safety.engine import scores, story
from safety.engine.guard import StreamGuard
from safety.engine.heads import HeadsError
from safety.engine.heads import heads as trained_heads  # `safety.engine.heads` stays the module
from safety.engine.lexicon import VERSION, Signal, lexicon
from safety.engine.policy import DECISION, Said, Verdict, Window, decide, reply_code, unavailable
from safety.engine.rules import Guard
from safety.engine.scores import Meaning

__all__ = [
    "VERSION",
    "Meaning",
    "StreamGuard",
    "Turn",
    "Verdict",
    "assess",
    "reply_code",
    "unavailable",
    "wanted",
    "warm_up",
]

Author = Literal["user", "ai"]
WINDOW = 6  # earlier messages of the person that count
_LONGEST = 400  # characters of each that are looked at again
_TAIL = 80  # characters of each that are joined when a sentence was split over several messages
_JOINED = 4  # messages before this one that are read together with it
_ESCALATION = 0.25  # from here on a score counts towards what several messages say together
_SUPPORT = 0.3  # what the heads must say of a disguised word, which does not decide alone


class Turn(NamedTuple):
    """One earlier message. `author` is "user" or "ai"; anything else is passed over."""

    author: str
    text: str


def wanted(text: str, *, author: Author = "user", history: Sequence[Turn] = ()) -> list[str]:
    """The texts whose meaning assess() will ask for."""
    if author == "ai":
        return [text, reply_in_context(text, history)]
    earlier = _earlier(history)
    readings = [reading.text for reading in lexicon("user").readings(text)]
    joined = _joined(earlier, text)
    return list(dict.fromkeys([text, *readings, *([joined] if joined else []), *earlier]))


def reply_in_context(text: str, history: Sequence[Turn]) -> str:
    """A reply together with what it answers, as the heads for replies were trained."""
    asked = next((turn.text for turn in reversed(history) if turn.author == "user"), "")
    return f"{asked[-_LONGEST:]}\n{text}" if asked else text


def assess(
    text: str,
    *,
    author: Author = "user",
    age_band: str = "adult",
    history: Sequence[Turn] = (),
    meaning: Meaning | None = None,
    late: bool = False,
) -> Verdict:
    """The verdict on one message, with the last messages before it (oldest first).

    `age_band` is child, teen, adult or elder; anything else is treated as teen, the careful choice. `late`: the meaning was
    asked for and did not come; what the rules find doubtful is then not answered.
    """
    if author == "ai":
        found, of_reply = _of_reply(text, history, meaning)
        return decide(found, author="ai", age_band=age_band, scores=of_reply, late=late)
    earlier = _earlier(history)
    own = _signals(text, meaning)
    split = _over_several_messages(earlier, text, {signal.rule.id for signal in own})
    found = own + split
    if meaning:
        found += _undisguised(text, own, meaning)
    window = Window(
        earlier=[Said(_signals(said, meaning), story.answer(said)) for said in earlier],
        answer=story.answer(text),
        split=frozenset(signal.rule.id for signal in split),
        together=_together(earlier, text, meaning) if meaning else 0.0,
    )
    known = scores.of_message(meaning.of(text)) if meaning else {}
    known["crisis"] = max(window.together, known.get("crisis", 0.0))
    return decide(found, author="user", age_band=age_band, window=window, scores=known, late=late)


def _earlier(history: Sequence[Turn]) -> list[str]:
    return [turn.text[-_LONGEST:] for turn in history if turn.author == "user"][-WINDOW:]


def _joined(earlier: Sequence[str], text: str) -> str:
    """The last messages as one, when they are short enough to be parts of one thought."""
    if not earlier or len(text) > _TAIL:
        return ""
    return " ".join([*(said[-_TAIL:] for said in earlier[-_JOINED:]), text])


def _signals(said: str, meaning: Meaning | None) -> list[Signal]:
    """What rules and heads find in one message."""
    found = lexicon("user").detect(said)
    known = scores.of_message(meaning.of(said)) if meaning else {}
    if "crisis" in known and known["crisis"] < _ESCALATION:  # a game, and nothing but a game
        found = [signal for signal in found if signal.rule.task != "crisis" or signal.guard != "game"]
    meant = scores.signals(known)
    if any(signal.rule.task == "crisis" for signal in meant) and (guard := story.in_story(said)):
        meant = [_told(signal, guard) if signal.rule.task == "crisis" else signal for signal in meant]
    return found + meant


def _told(signal: Signal, guard: Guard) -> Signal:
    """A signal of the heads in a message that speaks of a story, as a rule's would be."""
    level, score = min(signal.level, guard.level), min(signal.score, guard.score)
    return replace(signal, level=level, score=score, guard=guard.name)


def _of_reply(
    text: str, history: Sequence[Turn], meaning: Meaning | None
) -> tuple[list[Signal], dict[str, float]]:
    found = lexicon("ai").detect(text)
    if not meaning:
        return found, {}
    known = scores.of_reply(meaning.of(text), meaning.of(reply_in_context(text, history)))
    return found + scores.signals(known), known


def _undisguised(text: str, own: Sequence[Signal], meaning: Meaning) -> list[Signal]:
    """A disguised word of danger does not decide alone; with what the heads say of the reading, it does."""
    if not any(signal.via and signal.rule.task == "crisis" for signal in own):
        return []
    read = [meaning.of(reading.text) for reading in lexicon("user").readings(text)]
    strongest = max((said.get("crisis", 0.0) for said in read), default=0.0)
    return [scores.signal("crisis", "disguised", 2, max(0.6, strongest))] if strongest >= _SUPPORT else []


def _together(earlier: Sequence[str], text: str, meaning: Meaning) -> float:
    """How likely a crisis is by what the last messages say together, where none says it alone (0 to 1)."""

    def crisis(said: str) -> float:
        score = meaning.of(said).get("crisis", 0.0)
        return 0.0 if score >= _ESCALATION and story.in_story(said) else score

    own, each = crisis(text), [crisis(said) for said in earlier]
    joined = _joined(earlier, text)
    read = crisis(joined) if joined and max(own, *each) < DECISION else 0.0
    calm = 1.0
    if own >= _ESCALATION:
        for score in [own, *each[-_JOINED:]]:
            calm *= 1 - (score if score >= _ESCALATION else 0.0)
    return max(read, 1 - calm)


def _over_several_messages(earlier: Sequence[str], text: str, known: set[str]) -> list[Signal]:
    """Signs of danger that only appear when the last messages are read as one ("I want to" / "die")."""
    if not earlier or len(text) > _TAIL:
        return []
    before = "".join(said[-_TAIL:] + " " for said in earlier[-_JOINED:])
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
    with suppress(HeadsError):  # a system check says so
        trained_heads()
