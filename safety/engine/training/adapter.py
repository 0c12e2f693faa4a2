"""The adapter: low-rank changes to E5's layers (LoRA, Hu et al. 2021) that make the safety tasks easier to tell apart.

All tasks are trained together on one linear layer over both encoders, which is thrown away afterwards: the heads are
fitted anew on the embeddings of the merged model. Minutes on two cores; the result is a few MB of plain arrays.
"""

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from safety.engine.embeddings.bert import E5, LINEAR
from safety.engine.embeddings.encoder import Dual

RANK: Final = 8
EPOCHS: Final = 3
_BATCH: Final = 32
_RATE: Final = 1e-3
_LONGEST: Final = 48  # pieces; longer texts are rare and slow
_SEED: Final = 20261122


class LowRank(nn.Module):
    """A frozen linear layer and a trained product of two thin matrices beside it."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(RANK, linear.in_features) / math.sqrt(linear.in_features))
        self.b = nn.Parameter(torch.zeros(linear.out_features, RANK))
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.linear(x) + self.dropout(x) @ self.a.T @ self.b.T
        return added


def train(
    dual: Dual,
    texts: Sequence[str],
    answers: np.ndarray[Any, np.dtype[np.float32]],
    *,
    progress: Callable[[int, int, float], None] = lambda *_: None,
) -> dict[str, np.ndarray[Any, np.dtype[np.float16]]]:
    """The arrays of the adapter. `answers` is (texts, heads): 1, 0, or NaN where nothing is known."""
    torch.manual_seed(_SEED)
    chance = random.Random(_SEED)
    e5 = dual.e5.requires_grad_(False)
    added = _wrap(e5)
    known = ~np.isnan(answers)
    # Rare answers count as much as frequent ones, within bounds.
    positives = np.nansum(answers, axis=0)
    balance = torch.from_numpy(
        np.clip((known.sum(0) - positives) / np.maximum(positives, 1), 1, 8).astype(np.float32)
    )
    head = nn.Linear(dual.get_embedding_dimension(), answers.shape[1])
    parameters = [p for module in added.values() for p in (module.a, module.b)]
    optimiser = torch.optim.AdamW(
        [{"params": parameters, "lr": _RATE}, {"params": head.parameters(), "lr": 5 * _RATE}],
        weight_decay=0.01,
    )
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    batches = [order[at : at + _BATCH] for at in range(0, len(order), _BATCH)]
    total = EPOCHS * len(batches)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [_RATE, 5 * _RATE], total_steps=total, pct_start=0.1
    )
    e5.train()
    for step, batch in enumerate(b for _ in range(EPOCHS) for b in chance.sample(batches, len(batches))):
        features = dual.preprocess([texts[n] for n in batch])
        ids, mask = features["input_ids"][:, :_LONGEST], features["attention_mask"][:, :_LONGEST]
        with torch.autocast("cpu", torch.bfloat16):
            own = e5(ids, mask)
        logits = head(torch.cat([own.float() * 4, features["use"]], dim=1) * 4)
        wanted = torch.from_numpy(answers[batch])
        counted = torch.from_numpy(known[batch])
        loss = nn.functional.binary_cross_entropy_with_logits(
            logits, torch.nan_to_num(wanted), pos_weight=balance, reduction="none"
        )[counted].mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        progress(step + 1, total, float(loss.detach()))
    return {
        f"{name}.{side}": getattr(module, side).detach().numpy().astype(np.float16)
        for name, module in added.items()
        for side in ("a", "b")
    }


def _wrap(e5: E5) -> dict[str, LowRank]:
    """Put a low-rank product beside each linear layer; the name tells where it belongs."""
    added = {}
    for number, layer in enumerate(e5.layers):
        for name in LINEAR:
            module = LowRank(getattr(layer, name))
            setattr(layer, name, module)
            added[f"layers.{number}.{name}"] = module
    return added


def save(path: Path, arrays: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)
