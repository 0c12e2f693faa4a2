"""Calibrated heads: from the embedding of a message to a score for each task.

One logistic regression a question (docs/evaluation.md says how well each does), trained by `manage.py train_engine` and
kept as plain arrays with a manifest that names the embedding model, the data by hash, the thresholds and the figures.
A score of 0.5 is the decision; the thresholds differ between Chinese and English.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from safety.engine.normalise import is_han

MODEL: Final = Path(__file__).parent / "model"
LANGUAGES: Final = ("zh", "en")
Language = Literal["zh", "en"]
Array = NDArray[np.float32]


class HeadsError(Exception):
    """The trained arrays are missing or do not belong together."""


@dataclass(frozen=True)
class Heads:
    """All heads at once. `weights` is (heads, size); `thresholds` and `slopes` are (languages, heads)."""

    names: tuple[str, ...]
    weights: Array
    biases: Array
    thresholds: Array
    slopes: Array
    manifest: dict[str, Any]

    @property
    def model(self) -> str:
        """The embedding model these belong to."""
        return str(self.manifest["embeddings"]["model"])

    @property
    def version(self) -> str:
        return str(self.manifest["version"])

    def logits(self, vectors: Array) -> Array:
        """(texts, size) → (texts, heads), before any threshold."""
        if vectors.shape[1] != self.weights.shape[1]:
            raise HeadsError(f"embeddings of {vectors.shape[1]} numbers, heads for {self.weights.shape[1]}")
        found: Array = vectors @ self.weights.T + self.biases
        return found

    def score(self, vectors: Array, texts: Sequence[str]) -> Array:
        """(texts, heads), each between 0 and 1; 0.5 is the decision in the language of the text."""
        which = [LANGUAGES.index(language(text)) for text in texts]
        shifted = (self.logits(vectors) - self.thresholds[which]) * self.slopes[which]
        scores: Array = 1 / (1 + np.exp(-np.clip(shifted, -30, 30)))
        return scores


def language(text: str) -> Language:
    """Chinese as soon as there is Han writing: people mix English words into it, seldom the other way round."""
    return "zh" if any(map(is_han, text)) else "en"


def save(heads: Heads, folder: Path = MODEL) -> None:
    """Write the arrays and the manifest that describes them."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        folder / "heads.npz",
        weights=heads.weights.astype(np.float32),
        biases=heads.biases.astype(np.float32),
        thresholds=heads.thresholds.astype(np.float32),
        slopes=heads.slopes.astype(np.float32),
    )
    manifest = heads.manifest | {"heads": list(heads.names)}
    (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")


def read(folder: Path) -> Heads:
    """The heads of a folder; never code, only numbers and text."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        with np.load(folder / "heads.npz", allow_pickle=False) as arrays:
            parts = {name: arrays[name] for name in ("weights", "biases", "thresholds", "slopes")}
    except (OSError, ValueError, KeyError) as error:
        raise HeadsError(f"the heads cannot be read: {type(error).__name__}") from error
    names = tuple(manifest["heads"])
    if parts["weights"].shape[0] != len(names) or parts["thresholds"].shape != (len(LANGUAGES), len(names)):
        raise HeadsError("the arrays do not fit the manifest")
    return Heads(names, **parts, manifest=manifest)


@cache
def heads() -> Heads:
    """The heads this version carries."""
    return read(MODEL)
