"""From signals to a decision: a pure ladder of early returns that says why.

Levels: 0 none, 1 distress, 2 thoughts of death or somebody being hurt or cheated, 3 intent, medical emergency or major
loss, 4 imminent. docs/safety-policy.md explains each to a clinician; Measures article 11-13 (final 13) is the source.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from safety.engine.lexicon import VERSION, Signal
from safety.engine.story import Answer

Action = Literal["answer", "comfort", "help_card", "hold", "refuse", "exit", "ask"]
DECISION: Final = 0.5  # a task's score from here on is a "yes"
REPEATED: Final = 3  # messages in distress within the window that count as level 2
_PATIENCE: Final = 2  # messages within which the question about a story may be answered
# Their level is a person's danger; at the same level the first comes first.
_AT_RISK: Final = ("crisis", "elder_health", "abuse", "fraud")
_DISTRESS: Final = frozenset({"crisis", "extreme_emotion", "abuse"})  # their level 1 is how somebody feels
_TOLD: Final = frozenset({"fiction", "game", "news"})  # guards of what is told and not felt
_PART_OF: Final = {  # what the rules for replies tell apart and the heads do not
    "human_claim": "impersonation",
    "kin": "impersonation",
    "intimacy": "impersonation",
    "meet": "impersonation",
    "secrecy": "manipulation",
    "spending": "manipulation",
    "self_harm": "reply_safety",
    "sexual": "reply_safety",
    "fishing": "reply_safety",
}
_SUBJECTS: Final = {"fraud": "fraud", "abuse": "abuse", "elder_health": "health"}
_MINOR: Final = frozenset({"child", "teen"})
_BANDS: Final = frozenset({"child", "teen", "adult", "elder"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a message and why. `reasons` are rule ids and markers, the deciding one first; never text."""

    level: int
    action: Action
    scores: dict[str, float]
    reasons: tuple[str, ...]
    version: str = VERSION
    pending: bool = False  # by the rules alone, because the heads were late or down: to be looked at again


class Said(NamedTuple):
    """An earlier message of the person."""

    signals: Sequence[Signal]
    answer: Answer = ""  # what it says to "a story, or you?"


@dataclass(frozen=True, slots=True)
class Window:
    """What the person's last messages add, oldest first."""

    earlier: Sequence[Said] = ()
    answer: Answer = ""  # what this message says to it
    split: frozenset[str] = frozenset()  # rules that only match over several messages
    together: float = 0.0  # how likely a crisis is by what they say together


def decide(
    signals: Iterable[Signal],
    *,
    author: Literal["user", "ai"],
    age_band: str,
    window: Window = Window(),
    scores: Mapping[str, float] = MappingProxyType({}),
    late: bool = False,
) -> Verdict:
    """The decision on one message. `scores` are those of the heads; `late` says that they were needed and not there."""
    earlier = window.earlier
    band = known_band(age_band)
    signals = [signal for signal in signals if signal.rule.applies(age_band=band, leaving=True)]
    signals.sort(key=_strongest_first)
    markers = sorted({f"guard.{signal.guard}" for signal in signals if signal.guard})
    markers += sorted({f"disguise.{signal.via}" for signal in signals if signal.via})
    markers += ["history.split"] if window.split else []
    asked, answer, answered_now = _story(window)
    markers += [f"history.{answer}"] if answer else []
    meant_before = answer == "real" and not answered_now
    if meant_before or any(signal.level >= 2 for said in earlier for signal in said.signals):
        markers.append("history.at_risk")

    def verdict(action: Action, level: int, first: Signal | str | None = None) -> Verdict:
        head = first.rule.id if isinstance(first, Signal) else first
        ids = [signal.rule.id for signal in signals if signal.score >= DECISION or signal.level]
        reasons = dict.fromkeys([*([head] if head else []), *ids, *markers])
        return Verdict(level, action, _scores(signals, scores), tuple(reasons), pending=late)

    if author == "ai":
        worst = _first(signals, DECISION)
        return verdict("refuse", 0, worst) if worst else verdict("answer", 0)
    told = _about_a_story(signals)
    if answer == "real":  # so what was or is told as a story is meant
        meant = [_as_meant(signal) for signal in (told, asked if answered_now else None) if signal]
        signals = sorted([*meant, *signals], key=_strongest_first)
    danger = min((signal for signal in signals if _is_danger(signal)), key=_most_urgent_first, default=None)
    if danger and danger.level >= 3:
        return verdict("hold", danger.level, danger)
    distress = next((signal for signal in signals if _is_distress(signal)), None)
    own = danger.level if danger else 1 if distress else 0  # kept, whatever is refused and whoever leaves
    if leaving := next((signal for signal in signals if _wants_to_leave(signal)), None):
        return verdict("exit", own, leaving)
    if absolute := _first(signals, DECISION, "harmful_content", "minor_sexual"):
        return verdict("refuse", own, absolute)
    if danger and danger.rule.task != "fraud":
        return verdict("help_card", danger.level, danger)
    if band != "adult" and (kin := _first(signals, DECISION, "relative_roleplay")):
        return verdict("refuse", own, kin)
    if band in _MINOR and (romance := _first(signals, DECISION, "intimacy")):
        return verdict("refuse", own, romance)
    for task, category in (("harmful_content", ""), ("fraud", "request"), ("jailbreak", "")):
        if wrong := _first(signals, DECISION, task, category):
            return verdict("refuse", own, wrong)
    if danger:
        return verdict("help_card", danger.level, danger)
    if told and not asked:
        return verdict("ask", 1, told)
    if window.together >= DECISION:
        markers.append("history.together")
        return verdict("help_card", 2, "crisis.indirect.together")
    if late and (band in _MINOR or "history.at_risk" in markers or any(map(_borderline, signals))):
        # Its meaning could not be looked at, and there is reason to look: no reply (fail closed).
        return verdict("help_card", 2, "engine.unassessed")
    if distress is None:
        return verdict("answer", 0)
    markers.append("warm")
    if distress.guard not in _TOLD and sum(map(_distressed, earlier)) + 1 >= REPEATED:
        markers.append("history.repeated")
        return verdict("help_card", 2, distress)
    extreme = _first(signals, DECISION, "extreme_emotion")
    if extreme and not any(_first(said.signals, DECISION, "extreme_emotion") for said in earlier):
        return verdict("comfort", 1, extreme)
    return verdict("answer", 1, distress)


def known_band(age_band: str) -> str:
    """An age band; anything unknown is treated as teen, the careful choice."""
    return age_band if age_band in _BANDS else "teen"


def _first(signals: Iterable[Signal], score: float, task: str = "", category: str = "") -> Signal | None:
    """The strongest signal of a task that reaches the score."""
    return next(
        (
            signal
            for signal in signals
            if signal.score >= score
            and (not task or signal.rule.task == task)
            and (not category or signal.rule.category == category)
        ),
        None,
    )


def _strongest_first(signal: Signal) -> tuple[int, float, str]:
    return -signal.level, -signal.score, signal.rule.id


def _is_danger(signal: Signal) -> bool:
    return signal.rule.task in _AT_RISK and signal.level >= 2


def _most_urgent_first(signal: Signal) -> tuple[int, int, float, str]:
    """The highest level; at the same level somebody's life before health, and money last."""
    return -signal.level, _AT_RISK.index(signal.rule.task), -signal.score, signal.rule.id


def _about_a_story(signals: Iterable[Signal]) -> Signal | None:
    """Words of intent, or their meaning, inside what looks like fiction or a game; the gravest."""
    told = [
        signal
        for signal in signals
        if signal.rule.task == "crisis"
        and signal.rule.level >= (3 if signal.rule.patterns else 2)
        and signal.guard in ("fiction", "game")
    ]
    return max(told, key=lambda signal: (signal.rule.level, signal.rule.score), default=None)


def _as_meant(signal: Signal) -> Signal:
    """Words that were taken for a story, at what they are worth when they are not."""
    return replace(signal, level=signal.rule.level, score=signal.rule.score, guard="")


def _story(window: Window) -> tuple[Signal | None, Answer, bool]:
    """The words that were asked about within the window, the answer so far, and whether this message gave it."""
    asked: Signal | None = None
    left = _PATIENCE
    for said in window.earlier:
        if asked is None:
            asked = _about_a_story(said.signals)
        elif said.answer and left > 0:
            return asked, said.answer, False
        else:
            left -= 1
    if asked and left > 0 and window.answer:
        return asked, window.answer, True
    return asked, "", False


def _wants_to_leave(signal: Signal) -> bool:
    """By words only: a conversation that ends by mistake is worse than one more button press."""
    return signal.rule.task == "exit" and signal.score >= DECISION and bool(signal.rule.patterns)


def _borderline(signal: Signal) -> bool:
    """Words of danger that their context or a disguise made uncertain."""
    return bool(signal.via) or signal.rule.task in _AT_RISK or signal.level >= 1


def _is_distress(signal: Signal) -> bool:
    return signal.level == 1 and signal.rule.task in _DISTRESS


def _distressed(said: Said) -> bool:
    """A message of somebody who is not well; what is told in a story or as news is not how they feel."""
    return any(
        signal.level >= 1 and signal.rule.task in _DISTRESS and signal.guard not in _TOLD
        for signal in said.signals
    )


def _scores(signals: Iterable[Signal], heads: Mapping[str, float]) -> dict[str, float]:
    """One score a task: the strongest of its rules and its head."""
    scores = {task: score for task, score in heads.items() if "." not in task}
    for signal in signals:
        for task in {signal.rule.task, _PART_OF.get(signal.rule.task, signal.rule.task)}:
            scores[task] = max(signal.score, scores.get(task, 0.0))
    return scores


def unavailable() -> Verdict:
    """The verdict when the engine itself fails: the help card and no reply of the model (fail closed), and a later look."""
    return Verdict(2, "help_card", {}, ("engine.unavailable",), pending=True)


def reply_code(verdict: Verdict) -> str:
    """The reviewed sentence (safety/replies.py) shown instead of a reply of the model; "" when there is none."""
    task, _, rest = verdict.reasons[0].partition(".") if verdict.reasons else ("", "", "")
    category = rest.partition(".")[0]
    if verdict.action == "answer":
        return ""
    if verdict.action == "exit":
        return "exit.done"
    if verdict.action == "ask":
        return "ask.story"
    if task == "engine":
        return "unavailable"
    if verdict.action == "refuse":
        return f"refuse.{category if task == 'harmful_content' or category == 'identity' else task}"
    subject = _SUBJECTS.get(task, "crisis" if verdict.action == "hold" else "comfort")
    return f"{subject}.l{verdict.level}"
