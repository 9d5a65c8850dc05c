"""COMET by unbabel-comet, in the environment that `evalharness setup comet` makes, with tiny untrained models of its own."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from evalharness.metric.comet_environment import comet_version
from evalharness.request import Document
from rows.row import ROOT, SINGLE, Row, ours, sample
from rows.texts import lines

MODELS = ("regression", "referenceless", "ranking", "unified")
#: Source, answer and reference: empty, of one word, identical.
EDGES = [("Hej", "", "Hello"), ("", "word", "word"), ("ord", "word", ""), ("Den samme", "the same", "the same")]


def comet(data: Path, python: Path) -> Iterator[Row]:
    """Compare system scores with those of unbabel-comet's `predict`."""
    rows = lines(data / "mt/da_en_test.jsonl")[:200]
    shortened = ["".join(c for i, c in enumerate(row["en"].strip()) if i % 7 != 6) for row in rows]
    segments = [(row["src"].strip(), mt, row["en"].strip()) for row, mt in zip(rows, shortened, strict=True)]
    shown = "Danish-English, every 7th character removed, and empty, one-word and identical texts"
    samples = [
        dataclasses.replace(sample([mt], [ref]), document=Document("document", {"source": src}, ""))
        for src, mt, ref in (*segments, *EDGES)
    ]
    by = f"unbabel-comet {comet_version(python)}, predict"
    os.environ.update(EVALHARNESS_COMET_PYTHON=str(python), EVALHARNESS_COMET_DEVICE="cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = [dict(zip(("src", "mt", "ref"), one, strict=True)) for one in (*segments, *EDGES)]
        (folder / "segments.json").write_text(json.dumps(texts), encoding="utf-8")
        program = ROOT / "tests/metric/comet_models.py"  # makes the models and lets `predict` score the segments
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        subprocess.run([python, program, folder], check=True, capture_output=True, env=environment, cwd=folder)
        predicted = json.loads((folder / "predicted.json").read_text(encoding="utf-8"))
        for model in MODELS:
            mine = ours("comet", {"model": str(folder / model), "source": "source"}, samples)
            setting = f"tiny untrained {model} model"
            yield Row("comet", setting, shown, mine, predicted[model]["system_score"], by, SINGLE)
