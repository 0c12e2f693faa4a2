"""The encoder of multilingual-e5-small (BERT, Devlin et al. 2018), with nothing that inference of one text does not need.

The same forward pass through transformers costs twice the time for a chat message: its layers are called one by one with
checks in between. A test holds the result against the C engine of the package that carries the weights.
"""

from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from safety.engine.embeddings.checkpoint import Checkpoint, unpack

LINEAR: Final = ("qkv", "out", "up", "down")  # the layers that the adapter changes


class Layer(nn.Module):
    def __init__(self, hidden: int, feed_forward: int, heads: int, epsilon: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.norm1 = nn.LayerNorm(hidden, epsilon)
        self.up = nn.Linear(hidden, feed_forward)
        self.down = nn.Linear(feed_forward, hidden)
        self.norm2 = nn.LayerNorm(hidden, epsilon)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        texts, length, hidden = x.shape
        qkv = self.qkv(x).view(texts, length, 3, self.heads, hidden // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        x = self.norm1(x + self.out(seen.transpose(1, 2).reshape(texts, length, hidden)))
        normed: Tensor = self.norm2(x + self.down(functional.gelu(self.up(x))))
        return normed


class E5(nn.Module):
    """(texts, pieces) ids and mask → (texts, 384) of length 1. The embedding table stays in its 4-bit blocks."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        header = checkpoint.header
        self._words = checkpoint.words
        self.positions = nn.Parameter(torch.empty(header.positions, header.hidden), requires_grad=False)
        self.norm = nn.LayerNorm(header.hidden, header.epsilon)
        self.layers = nn.ModuleList(
            Layer(header.hidden, header.feed_forward, header.heads, header.epsilon)
            for _ in range(header.layers)
        )
        self.load_state_dict(_state(checkpoint))
        self.dtype = torch.float32

    def use(self, dtype: torch.dtype) -> None:
        """Run the layers in this type."""
        self.layers.to(dtype)
        self.dtype = dtype

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        words = torch.from_numpy(unpack(self._words[ids.numpy()]))
        hidden = self.norm(words + self.positions[: ids.shape[1]]).to(self.dtype)
        everywhere = bool(mask.all())
        attended = None if everywhere else mask.bool()[:, None, None, :]
        for layer in self.layers:
            hidden = layer(hidden, attended)
        weights = mask.unsqueeze(-1).float()
        return functional.normalize((hidden.float() * weights).sum(1) / weights.sum(1), dim=1)


def merge(e5: E5, path: Path) -> None:
    """Add the adapter's low-rank products to the weights they belong to."""
    modules = dict(e5.named_modules())
    with np.load(path, allow_pickle=False) as arrays:
        for name in {key.rpartition(".")[0] for key in arrays.files}:
            left, right = (
                torch.from_numpy(arrays[f"{name}.{side}"].astype(np.float32)) for side in ("b", "a")
            )
            linear = modules[name]
            assert isinstance(linear, nn.Linear)
            with torch.no_grad():
                linear.weight += left @ right


def _state(checkpoint: Checkpoint) -> dict[str, Tensor]:
    header = checkpoint.header
    hidden, wide = header.hidden, header.feed_forward
    # Every text is of the first type, so its vector is part of every position.
    arrays = {
        "positions": checkpoint.vector("emb.pos").reshape(header.positions, hidden)
        + checkpoint.vector("emb.type").reshape(header.types, hidden)[0],
        "norm.weight": checkpoint.vector("emb.ln.w"),
        "norm.bias": checkpoint.vector("emb.ln.b"),
    }
    for n in range(header.layers):
        ours, theirs = f"layers.{n}", f"l{n}"
        arrays[f"{ours}.qkv.weight"] = np.concatenate(
            [checkpoint.matrix(f"{theirs}.{part}.w", hidden) for part in "qkv"]
        )
        arrays[f"{ours}.qkv.bias"] = np.concatenate(
            [checkpoint.vector(f"{theirs}.{part}.b") for part in "qkv"]
        )
        for name, part, rows in (("out", "ao", hidden), ("up", "fi", wide), ("down", "fo", hidden)):
            arrays[f"{ours}.{name}.weight"] = checkpoint.matrix(f"{theirs}.{part}.w", rows)
            arrays[f"{ours}.{name}.bias"] = checkpoint.vector(f"{theirs}.{part}.b")
        for name, part in (("norm1", "aln"), ("norm2", "oln")):
            arrays[f"{ours}.{name}.weight"] = checkpoint.vector(f"{theirs}.{part}.w")
            arrays[f"{ours}.{name}.bias"] = checkpoint.vector(f"{theirs}.{part}.b")
    return {name: torch.from_numpy(array) for name, array in arrays.items()}
