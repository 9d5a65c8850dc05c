"""COMET's numbers are those of unbabel-comet itself: its own classes, tiny untrained weights, no network.

The python of an environment with unbabel-comet stands in EVALHARNESS_TEST_COMET_PYTHON; without it these tests are skipped.
"""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from metric_samples import Watched, translated

from evalharness.errors import MetricError
from evalharness.metric.base import UNWATCHED
from evalharness.metric.registry import build_metric
from evalharness.metric.summary import summarise

PYTHON = os.environ.get("EVALHARNESS_TEST_COMET_PYTHON")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="EVALHARNESS_TEST_COMET_PYTHON names no environment with unbabel-comet"),
]

LONG = "Ein sehr langer Satz, der mit vielen Worten wenig sagt. " * 6  # beyond the encoder's 130 positions
SOURCES = ["Hallo Welt", "Der Hund bellt laut.", "", LONG, "eins zwei", "Hallo Welt", "水"]
ANSWERS = ["hello world", "the dog barks loudly", "x", LONG.upper(), "", "hello world!", "water"]
REFERENCES = ["Hello, world", "A dog barks.", "something", "A long sentence.", "one two", "Hello, world", ""]
SEGMENTS = [
    {"src": source, "mt": f"{answer}{i or ''}", "ref": reference}
    for i in range(6)  # 42 segments: three batches of 16
    for source, answer, reference in zip(SOURCES, ANSWERS, REFERENCES, strict=True)
]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comet models")
    (folder / "segments.json").write_text(json.dumps(SEGMENTS))
    program = Path(__file__).with_name("comet_models.py")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([PYTHON, program, folder], check=True, capture_output=True, env=environment, cwd=folder)
    return folder


@pytest.fixture(autouse=True)
def the_real_environment(monkeypatch):
    monkeypatch.setenv("EVALHARNESS_COMET_PYTHON", PYTHON)
    monkeypatch.setenv("EVALHARNESS_COMET_DEVICE", "cpu")


def comet(folder, **parameters):
    return build_metric("comet", {"model": str(folder), "source": "de", **parameters}, where="here")


@pytest.mark.parametrize(
    ("name", "reads"),
    [("regression", "mt+src+ref"), ("referenceless", "mt+src"), ("ranking", "mt+src+ref"), ("unified", "mt+src+ref")],
)
def test_scores_and_system_score_are_those_of_unbabel_comet(models, name, reads):
    predicted = json.loads((models / "predicted.json").read_text())[name]
    samples = [translated(segment["src"], segment["mt"], segment["ref"]) for segment in SEGMENTS]
    metric, watched = comet(models / name), Watched()
    metric.prepare(samples, watched)
    rows = np.array([metric.row(sample) for sample in samples])
    assert rows[:, 0].tolist() == predicted["scores"]  # the same batches, so the same bits
    assert summarise(metric, rows).value == pytest.approx(predicted["system_score"], rel=1e-12)  # another order of sums
    assert (watched.expected, watched.done) == ([len(SEGMENTS)], len(SEGMENTS))
    assert f"|reads:{reads}|" in metric.signature()
    # 1e-5: another batch rounds otherwise in single precision
    assert comet(models / name).row(samples[0])[0] == pytest.approx(predicted["scores"][0], abs=1e-5)


def test_unified_model_gives_its_parts_and_does_without_references(models):
    sample = translated("Hallo Welt", "hello", "hello world")
    parts = [comet(models / "unified", part=f"{part}_scores").row(sample)[0] for part in ("src", "ref", "unified")]
    # 1e-6: single precision
    assert comet(models / "unified").row(sample)[0] == pytest.approx(sum(parts) / 3, abs=1e-6)
    assert comet(models / "unified", references="none").row(sample)[0] == pytest.approx(parts[0], abs=1e-6)


def test_checkpoint_that_would_run_code_is_refused(models, tmp_path):
    (tmp_path / "evil/checkpoints").mkdir(parents=True)
    (tmp_path / "evil/hparams.yaml").write_text("class_identifier: regression_metric\n")
    file = tmp_path / "evil/checkpoints/model.ckpt"
    program = (
        "import os, sys, torch\n"
        "class Evil:\n    def __reduce__(self):\n        return os.system, (f'touch \"{sys.argv[2]}\"',)\n"
        "torch.save({'state_dict': Evil()}, sys.argv[1])\n"
    )
    subprocess.run([PYTHON, "-I", "-c", program, file, tmp_path / "it ran"], check=True)
    with pytest.raises(MetricError, match=r"(?s)while loading the model .*"):
        comet(tmp_path / "evil").row(translated("a", "b", "c"))
    assert not (tmp_path / "it ran").exists()


def test_model_that_cannot_be_fetched_is_an_error(models, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(
        MetricError, match=r"(?s)while fetching the model no-such-model.*a hub model that can be reached"
    ):
        comet("no-such-model").prepare([translated("a", "b", "c")], UNWATCHED)
