"""`manage.py train_engine [--data DIR] [--adapter]`: the heads, and with --adapter first the encoder's adapter."""

import datetime as dt
import hashlib
import json
import os
import platform
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from safety.engine import heads
from safety.engine.training import rows as labelled
from safety.engine.training.rows import Row

_BATCH = 32


class Command(BaseCommand):
    help = (
        "Train the safety engine's heads from the lines written for this project and, with --data, from further "
        "labelled sets. The evaluation part is never used."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--data", type=Path, help="folder of further labelled sets, one TASK.jsonl a task"
        )
        parser.add_argument(
            "--adapter", action="store_true", help="train the encoder's adapter first (half an hour)"
        )
        parser.add_argument("--output", type=Path, default=heads.MODEL, help="folder for arrays and manifest")

    def handle(self, *args: Any, data: Path | None, adapter: bool, output: Path, **options: Any) -> None:
        os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count() or 1))
        if data is not None and not data.is_dir():
            raise CommandError(f"{data} is not a folder.")
        try:
            rows = list(labelled.corpus()) + (list(labelled.labelled(data)) if data else [])
        except labelled.CorpusError as error:
            raise CommandError(str(error)) from error
        rows = labelled.grown(labelled.divided(rows))
        self.stdout.write(", ".join(f"{count} rows to {part}" for part, count in _parts(rows).items()))
        output.mkdir(parents=True, exist_ok=True)
        if adapter:
            self._train_adapter(rows, output / "adapter.npz")
        texts = [row.as_read for row in rows]
        vectors = _embedded(texts, output / "adapter.npz")
        # Here and not above: the service has no need of these.
        from safety.engine.training.fit import fit

        trained = fit(rows, vectors, texts, _manifest(rows, data, output / "adapter.npz"))
        heads.save(trained, output)
        self.stdout.write(f"{len(trained.names)} heads, version {trained.version}, in {output}")

    def _train_adapter(self, rows: Sequence[Row], path: Path) -> None:
        from safety.engine.embeddings import encoder
        from safety.engine.training import adapter

        used = [row for row in rows if row.part == "train" and not row.unfinished]
        answers = np.array([_answers(row) for row in used], np.float32)
        known = ~np.asarray(np.isnan(answers).all(axis=1))
        model = encoder.load(adapter=None, fast=False)
        with tqdm(desc="adapter", unit="step", disable=None) as bar:

            def progress(step: int, total: int, loss: float) -> None:
                bar.total = total
                bar.update(step - bar.n)
                bar.set_postfix(loss=f"{loss:.3f}")

            texts = [row.as_read for row, keep in zip(used, known, strict=True) if keep]
            arrays = adapter.train(cast(encoder.Dual, model[0]), texts, answers[known], progress=progress)
        adapter.save(path, arrays)


def _answers(row: Row) -> list[float]:
    return [np.nan if (said := head.answer(row)) is None else float(said) for head in labelled.HEADS]


def _parts(rows: Sequence[Row]) -> Counter[str]:
    return Counter(row.part for row in rows)


def _embedded(texts: Sequence[str], adapter: Path) -> heads.Array:
    """All vectors, as the embedding server gives them. By length, so that little is padded."""
    from safety.engine.embeddings import encoder

    model = encoder.load(adapter=adapter)
    order = sorted(range(len(texts)), key=lambda number: len(texts[number]))
    found = np.empty((len(texts), model.get_embedding_dimension() or 0), np.float32)
    for at in tqdm(range(0, len(order), _BATCH), desc="embedding", unit="batch", disable=None):
        batch = order[at : at + _BATCH]
        found[batch] = encoder.embed(model, [texts[number] for number in batch])
    return found


def _manifest(rows: Sequence[Row], data: Path | None, adapter: Path) -> dict[str, Any]:
    """What these arrays were made from, so that anybody can say later which data stands behind a decision."""
    import sklearn
    import torch

    from safety.engine.embeddings import encoder

    files = sorted([*labelled.CORPUS.glob("*.tsv"), *(data.glob("*.jsonl") if data else ())])
    own = {path.name: _hash(path) for path in files}
    digest = hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()
    today = dt.datetime.now(dt.UTC).date()
    return {
        "version": f"heads-{today:%Y.%m}-{digest[:8]}",
        "made_on": today.isoformat(),
        "embeddings": {
            "model": encoder.NAME,
            "size": 896,
            "adapter_sha256": _hash(adapter) if adapter.exists() else None,
        },
        "data": {
            path.name: {
                "sha256": own[path.name],
                "origin": "written for this project"
                if path.suffix == ".tsv"
                else "see docs/data-register.md",
                "licence": "Apache-2.0" if path.suffix == ".tsv" else "see docs/data-register.md",
            }
            for path in files
        },
        "rows": dict(_parts(rows)),
        "code": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "sklearn": sklearn.__version__,
        },
    }


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
