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
_NEVER: Final = -20.0  # of a question that no line answers with yes
_ORDINARY: Final = 2.0  # weight of ordinary chat: whatever else fails, that must stay quiet


@dataclass(frozen=True)
class Plan:
    """How often a head may be wrong on the tune part: on harmless lines of its own task, and on ordinary chat."""

    own: float = 0.03
    ordinary: float = 0.002


PLANS: Final = {
    "crisis": Plan(0.03, 0.003),
    "crisis.explicit": Plan(0.02, 0.001),
    "insult": Plan(0.20, 0.004),
    "jailbreak": Plan(0.03, 0.002),
    "minor": Plan(0.10, 0.002),
    "dependence": Plan(0.10, 0.002),
    "manipulation": Plan(0.05, 0.003),
    "impersonation": Plan(0.05, 0.003),
    "reply_safety": Plan(0.08, 0.005),
}


def fit(rows: Sequence[Row], vectors: Array, texts: Sequence[str], manifest: dict[str, Any]) -> Heads:
    """All heads. `texts` are the rows as the encoders read them."""
    part = np.array([row.part for row in rows])
    ordinary = np.array([row.label == "benign_chat" for row in rows])
    languages = np.array([language(text) for text in texts])
    mean = vectors[part == "train"].mean(axis=0)
    scale = np.ones(vectors.shape[1], np.float32)
    scale[:384] = E5_WEIGHT
    features = (vectors - mean) * scale
    weights, biases, thresholds, slopes = [], [], [], []
    for head in HEADS:
        answers = np.array(
            [np.nan if (said := head.answer(row)) is None else said for row in rows], np.float32
        )
        weight, bias = _regression(head, rows, features, answers, part == "train", ordinary)
        weights.append(weight * scale)
        biases.append(bias - float((weight * scale) @ mean))
        logits = features @ weight + bias
        marks = [
            _threshold(head, rows, logits, answers, ordinary, (part == "tune") & (languages == one))
            for one in LANGUAGES
        ]
        thresholds.append([mark for mark, _slope in marks])
        slopes.append([slope for _mark, slope in marks])
    return Heads(
        names=tuple(head.name for head in HEADS),
        weights=np.array(weights, np.float32),
        biases=np.array(biases, np.float32),
        thresholds=np.array(thresholds, np.float32).T,
        slopes=np.array(slopes, np.float32).T,
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
    weight[yes & use] *= max(0.5, weight[use & ~yes].sum() / max(1.0, weight[use & yes].sum()) * 0.4)
    regression = LogisticRegression(C=_STRENGTH, solver="newton-cholesky", max_iter=200)
    regression.fit(features[use], yes[use], sample_weight=weight[use])
    return regression.coef_[0].astype(np.float32), float(regression.intercept_[0])


def _threshold(
    head: Head,
    rows: Sequence[Row],
    logits: Array,
    answers: Array,
    ordinary: NDArray[np.bool_],
    among: NDArray[np.bool_],
) -> tuple[float, float]:
    """Where the decision lies, and how steep the score rises around it."""
    plan = PLANS.get(head.name, PLANS.get(head.task, Plan()))
    own = np.array([row.task == head.task for row in rows]) & among
    mark = max(
        _quantile(logits[own & (answers == 0)], plan.own),
        _quantile(logits[ordinary & among & (answers == 0)], plan.ordinary),
        _quantile(logits[among & (answers == 0) & ~own], plan.ordinary * 5),
    )
    return mark, 1.0


def _quantile(logits: Array, share: float) -> float:
    """The value that no more than this share lies above; unsure where there are few, so a little higher then."""
    if not len(logits):
        return -2.0
    return float(np.quantile(logits, 1 - share))
