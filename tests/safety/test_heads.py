"""The trained arrays: read back as they were saved, refused when they do not belong together, never code."""

import json
from pathlib import Path

import numpy as np
import pytest

from safety.engine import heads
from safety.engine.heads import Heads, HeadsError, language


def toy(**manifest: object) -> Heads:
    """Two heads on vectors of three numbers; the second decides later in English."""
    return Heads(
        names=("crisis", "insult"),
        weights=np.array([[1, 0, 0], [0, 1, 0]], np.float32),
        biases=np.array([0, 0], np.float32),
        thresholds=np.array([[0, 0], [0, 2]], np.float32),
        slopes=np.ones((2, 2), np.float32),
        manifest={"version": "heads-toy", "embeddings": {"model": "toy"}, **manifest},
    )


class TestScores:
    def test_half_is_the_decision_at_the_threshold_of_the_language(self) -> None:
        vectors = np.array([[0, 2, 0], [0, 2, 0]], np.float32)
        scores = toy().score(vectors, ["你好", "hello"])
        assert scores[1, 1] == pytest.approx(0.5)
        assert scores[0, 1] > 0.85

    def test_vectors_of_another_model_are_refused(self) -> None:
        with pytest.raises(HeadsError, match="embeddings of 4 numbers, heads for 3"):
            toy().score(np.zeros((1, 4), np.float32), ["你好"])

    def test_huge_values_stay_between_nothing_and_one(self) -> None:
        scores = toy().score(np.array([[1e9, -1e9, 0]], np.float32), ["你好"])
        assert np.all((scores >= 0) & (scores <= 1)) and np.isfinite(scores).all()

    @pytest.mark.parametrize(
        ("text", "expected"),
        [("今天 ok", "zh"), ("just tired", "en"), ("", "en"), ("😭😭", "en"), ("〇", "zh")],
    )
    def test_language(self, text: str, expected: str) -> None:
        assert language(text) == expected


class TestFiles:
    def test_what_was_saved_is_read(self, tmp_path: Path) -> None:
        heads.save(toy(), tmp_path)
        found = heads.read(tmp_path)
        assert found.names == ("crisis", "insult")
        assert found.version == "heads-toy" and found.model == "toy"
        np.testing.assert_array_equal(found.weights, toy().weights)

    def test_a_pickle_is_not_opened(self, tmp_path: Path) -> None:
        heads.save(toy(), tmp_path)
        harmful = {
            name: np.array([{}], dtype=object) for name in ("weights", "biases", "thresholds", "slopes")
        }
        np.savez(tmp_path / "heads.npz", allow_pickle=True, **harmful)
        with pytest.raises(HeadsError):
            heads.read(tmp_path)

    @pytest.mark.parametrize("missing", ["heads.npz", "manifest.json"])
    def test_a_missing_file_is_told(self, tmp_path: Path, missing: str) -> None:
        heads.save(toy(), tmp_path)
        (tmp_path / missing).unlink()
        with pytest.raises(HeadsError):
            heads.read(tmp_path)

    def test_arrays_that_do_not_fit_the_manifest_are_refused(self, tmp_path: Path) -> None:
        heads.save(toy(), tmp_path)
        manifest = json.loads((tmp_path / "manifest.json").read_text())
        (tmp_path / "manifest.json").write_text(json.dumps(manifest | {"heads": ["crisis"]}))
        with pytest.raises(HeadsError, match="do not fit"):
            heads.read(tmp_path)


class TestWhatThisVersionCarries:
    def test_the_manifest_says_what_it_was_made_from(self) -> None:
        found = heads.heads()
        assert found.manifest["data"], "no data is named"
        assert all(entry["sha256"] and entry["licence"] for entry in found.manifest["data"].values())
        assert set(found.manifest["rows"]) == {"train", "tune", "test"}
        assert found.manifest["code"]["torch"] and found.manifest["made_on"]

    def test_there_is_a_head_for_every_task(self) -> None:
        from safety.engine.training.rows import HEADS

        assert heads.heads().names == tuple(head.name for head in HEADS)

    def test_the_lines_it_was_trained_on_are_those_of_this_version(self) -> None:
        """Who changes the labelled lines trains anew."""
        import hashlib

        from safety.engine.training.rows import CORPUS

        named = heads.heads().manifest["data"]
        for path in CORPUS.glob("*.tsv"):
            assert named[path.name]["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest(), path.name
