"""From signals to a decision: a pure ladder of early returns that says why.

Levels: 0 none, 1 distress, 2 thoughts of death or somebody being hurt or cheated, 3 intent, medical emergency or major
loss, 4 imminent. docs/safety-policy.md explains each to a clinician; Measures article 11-13 (final 13) is the source.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from safety.engine.lexicon import VERSION, Signal

Action = Literal["answer", "comfort", "help_card", "hold", "refuse", "exit", "ask"]
DECISION: Final = 0.5  # a task's score from here on is a "yes"
REPEATED: Final = 3  # messages in distress within the window that count as level 2
_SURE: Final = 0.9  # a wish to leave that no word of leaving shows
_AT_RISK: Final = frozenset({"crisis", "abuse", "elder_health", "fraud"})  # their level is a person's danger
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


@dataclass(frozen=True, slots=True)
class Window:
    """What the person's last messages add. `earlier` are their signals, oldest first."""

    earlier: Sequence[Sequence[Signal]] = ()
    split: frozenset[str] = frozenset()  # rules that only match over several messages
    together: float = 0.0  # how likely a crisis is by what they say together


def decide(
    signals: Iterable[Signal],
    *,
    author: Literal["user", "ai"],
    age_band: str,
    window: Window = Window(),  # noqa: B008 - immutable
    scores: Mapping[str, float] = MappingProxyType({}),
    late: bool = False,
) -> Verdict:
    """The decision on one message. `scores` are those of the heads; `late` says that they were needed and not there."""
    earlier = window.earlier
    band = age_band if age_band in _BANDS else "teen"
    signals = [signal for signal in signals if signal.rule.applies(age_band=band, leaving=True)]
    signals.sort(key=lambda signal: (-signal.level, -signal.score, signal.rule.id))
    markers = sorted({f"guard.{signal.guard}" for signal in signals if signal.guard})
    markers += sorted({f"disguise.{signal.via}" for signal in signals if signal.via})
    markers += ["history.split"] if window.split else []
    if any(signal.level >= 2 for said in earlier for signal in said):
        markers.append("history.at_risk")

    def verdict(action: Action, level: int, first: Signal | str | None = None) -> Verdict:
        head = first.rule.id if isinstance(first, Signal) else first
        ids = [signal.rule.id for signal in signals if signal.score >= DECISION or signal.level]
        reasons = dict.fromkeys([*([head] if head else []), *ids, *markers])
        return Verdict(level, action, _scores(signals, scores), tuple(reasons), pending=late)

    if author == "ai":
        worst = _first(signals, DECISION)
        return verdict("refuse", 0, worst) if worst else verdict("answer", 0)
    danger = next((signal for signal in signals if signal.rule.task in _AT_RISK and signal.level >= 2), None)
    if danger and danger.level >= 3:
        return verdict("hold", danger.level, danger)
    if leaving := next((signal for signal in signals if _wants_to_leave(signal)), None):
        return verdict("exit", danger.level if danger else 0, leaving)
    if absolute := _first(signals, DECISION, "harmful_content", "minor_sexual"):
        return verdict("refuse", 0, absolute)
    if danger and danger.rule.task != "fraud":
        return verdict("help_card", danger.level, danger)
    if band != "adult" and (kin := _first(signals, DECISION, "relative_roleplay")):
        return verdict("refuse", 0, kin)
    if band in _MINOR and (romance := _first(signals, DECISION, "intimacy")):
        return verdict("refuse", 0, romance)
    for task in ("harmful_content", "jailbreak"):
        if wrong := _first(signals, DECISION, task):
            return verdict("refuse", 0, wrong)
    if danger:
        return verdict("help_card", danger.level, danger)
    story = next((signal for signal in signals if _about_a_story(signal)), None)
    if story and not any(_about_a_story(signal) for said in earlier for signal in said):
        return verdict("ask", 1, story)
    if window.together >= DECISION:
        markers.append("history.together")
        return verdict("help_card", 2, "crisis.indirect.together")
    if late and (band in _MINOR or "history.at_risk" in markers or any(map(_borderline, signals))):
        # Its meaning could not be looked at, and there is reason to look: no reply (fail closed).
        return verdict("help_card", 2, "engine.unassessed")
    distress = next((signal for signal in signals if signal.level == 1), None)
    if distress is None:
        return verdict("answer", 0)
    markers.append("warm")
    if sum(1 for said in earlier if _distressed(said)) + 1 >= REPEATED:
        markers.append("history.repeated")
        return verdict("help_card", 2, distress)
    extreme = _first(signals, DECISION, "extreme_emotion")
    if extreme and not any(_first(said, DECISION, "extreme_emotion") for said in earlier):
        return verdict("comfort", 1, extreme)
    return verdict("answer", 1, distress)


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


def _about_a_story(signal: Signal) -> bool:
    """Words of intent inside what looks like fiction: asked about once, quietly."""
    return signal.rule.task == "crisis" and signal.rule.level >= 3 and signal.guard == "fiction"


def _wants_to_leave(signal: Signal) -> bool:
    return signal.rule.task == "exit" and signal.score >= (DECISION if signal.rule.patterns else _SURE)


def _borderline(signal: Signal) -> bool:
    """Words of danger that their context or a disguise made uncertain."""
    return bool(signal.via) or signal.rule.task in _AT_RISK or signal.level >= 1


def _distressed(signals: Sequence[Signal]) -> bool:
    return any(signal.level >= 1 for signal in signals)


def _scores(signals: Iterable[Signal], heads: Mapping[str, float]) -> dict[str, float]:
    """One score a task: the strongest of its rules and its head."""
    scores = {task: score for task, score in heads.items() if "." not in task}
    for signal in signals:
        scores[signal.rule.task] = max(signal.score, scores.get(signal.rule.task, 0.0))
    return scores


def unavailable() -> Verdict:
    """The verdict when the engine itself fails: the help card and no reply of the model (fail closed)."""
    return Verdict(2, "help_card", {}, ("engine.unavailable",))


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
