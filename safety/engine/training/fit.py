"""Fitting the heads: one logistic regression a question, with a threshold for each language.

The regressions are fitted on the train part; the thresholds are set on the tune part, so that ordinary chat and the
harmless lines beside each task are flagged no more often than planned. The test part is not looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from safety.engine.heads import LANGUAGES, Array, Heads, language
from safety.engine.training.rows import HEADS, Head, Row

E5_WEIGHT: Final = 3.0  # E5's numbers vary less than USE's; this makes both count
_STRENGTH: Final = 1.0  # C of the regression
_FOREIGN: Final = 0.5  # weight of a negative that was written for another task
_UNFINISHED: Final = 0.4  # weight of a harmless reply that is still being written
_NEVER: Final = -20.0  # of a question that no line answers with yes
_ORDINARY: Final = 3.0  # weight of ordinary chat: whatever else fails, that must stay quiet


@dataclass(frozen=True)
class Plan:
    """How often a head may be wrong on the tune part: on the harmless lines beside its task, on all other lines, and on
    ordinary chat among them, where many heads look at every message.

    `margin` is added to the threshold, in logits, where a mistake would be felt by everybody and often.
    """

    own: float = 0.05
    other: float = 0.005
    ordinary: float = 0.0
    margin: float = 0.2


PLANS: Final = {
    "crisis": Plan(own=0.04, ordinary=0.003),
    "crisis.explicit": Plan(own=0.02, other=0.002, margin=0.0),
    "insult": Plan(own=0.15, other=0.01, ordinary=0.006, margin=0.4),
    "jailbreak": Plan(own=0.01, other=0.001, margin=0.9),
    "fraud": Plan(own=0.06, other=0.006, ordinary=0.004, margin=0.0),
    "minor": Plan(own=0.08, other=0.02, ordinary=0.003, margin=0.0),
    "dependence": Plan(own=0.05, other=0.004, margin=1.0),
    "exit": Plan(own=0.02, other=0.002, margin=0.5),
    "extreme_emotion": Plan(own=0.04, other=0.004),
    "manipulation": Plan(own=0.04, margin=-0.8),
    "impersonation": Plan(own=0.04, margin=2.0),
    "reply_safety": Plan(own=0.05, margin=1.6),
}
_ENOUGH: Final = 60  # harmless lines of a language; with fewer, both languages set its threshold together


def fit(rows: Sequence[Row], vectors: Array, texts: Sequence[str], manifest: dict[str, Any]) -> Heads:
    """All heads. `texts` are the rows as the encoders read them."""
    part = np.array([row.part for row in rows])
    ordinary = np.array([row.label == "benign_chat" for row in rows])
    languages = np.array([language(text) for text in texts])
    mean = vectors[part == "train"].mean(axis=0)
    scale = np.ones(vectors.shape[1], np.float32)
    scale[:384] = E5_WEIGHT
    features = (vectors - mean) * scale
    weights, biases, thresholds = [], [], []
    for head in HEADS:
        answers = np.array(
            [np.nan if (said := head.answer(row)) is None else said for row in rows], np.float32
        )
        weight, bias = _regression(head, rows, features, answers, part == "train", ordinary)
        weights.append(weight * scale)
        biases.append(bias - float((weight * scale) @ mean))
        logits = features @ weight + bias
        marks = [
            _threshold(head, rows, logits, answers, part == "tune", languages == one) for one in LANGUAGES
        ]
        thresholds.append(marks)
    return Heads(
        names=tuple(head.name for head in HEADS),
        weights=np.array(weights, np.float32),
        biases=np.array(biases, np.float32),
        thresholds=np.array(thresholds, np.float32).T,
        slopes=np.ones((len(LANGUAGES), len(HEADS)), np.float32),
        manifest=manifest,
    )


def _regression(
    head: Head,
    rows: Sequence[Row],
    features: Array,
    answers: Array,
    train: NDArray[np.bool_],
    ordinary: NDArray[np.bool_],
) -> tuple[Array, float]:
    use = train & ~np.isnan(answers)
    yes = answers == 1
    if not (yes & use).any():
        return np.zeros(features.shape[1], np.float32), _NEVER
    own = np.array([row.task == head.task for row in rows])
    weight = np.where(own, 1.0, _FOREIGN)
    weight[ordinary] = _ORDINARY
    weight[np.array([row.unfinished for row in rows])] *= _UNFINISHED
    weight[yes & use] *= max(0.5, weight[use & ~yes].sum() / max(1.0, weight[use & yes].sum()) * 0.4)
    regression = LogisticRegression(C=_STRENGTH, solver="newton-cholesky", max_iter=200)
    regression.fit(features[use], yes[use], sample_weight=weight[use])
    return regression.coef_[0].astype(np.float32), float(regression.intercept_[0])


def _threshold(
    head: Head,
    rows: Sequence[Row],
    logits: Array,
    answers: Array,
    tune: NDArray[np.bool_],
    spoken: NDArray[np.bool_],
) -> float:
    """Where the decision lies in one language."""
    plan = PLANS.get(head.name, PLANS.get(head.task, Plan()))
    harmless = tune & (answers == 0)
    own = np.array([row.task == head.task for row in rows])
    ordinary = np.array([row.label == "benign_chat" for row in rows])
    marks = []
    for among, share in (
        (harmless & own, plan.own),
        (harmless & ~own, plan.other),
        (harmless & ordinary, plan.ordinary),
    ):
        enough = (among & spoken).sum() >= _ENOUGH
        if (found := logits[among & spoken if enough else among]).size:
            marks.append(float(np.quantile(found, 1 - share)))
    return max(marks, default=0.0) + plan.margin
