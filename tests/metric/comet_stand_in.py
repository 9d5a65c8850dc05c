"""A small foreign library named `comet` in an environment of its own, for tests where unbabel-comet is not installed.

Its score is the share of words that answer and reference (or source, where it reads no reference) have in common, times 10 to
the power of minus the words of the source. Models are known by their names: `stand-in-regression` and so on.
"""

from __future__ import annotations

import json
import venv
from collections.abc import Sequence
from pathlib import Path

VERSION = "2.2.7"

LIBRARY = """
import json, os, signal, sys, time
from pathlib import Path

HERE = Path(__file__).parent

def download_model(name, saving_directory=None):
    path = HERE / name.replace("stand-in-", "", 1) / "checkpoints" / "model.ckpt"
    if not path.is_file():
        raise KeyError(f"Model '{name}' not supported by COMET.")
    return str(path)

def load_from_checkpoint(path):
    return Model(json.loads(Path(path).read_text()))

def overlap(one, other):
    one, other = set(one.split()), set(other.split())
    return len(one & other) / len(one | other) if one | other else 0.0

class Model:
    def __init__(self, hparams):
        self.hparams = hparams

    def requires_references(self):
        return self.hparams["kind"] != "referenceless"

    def prepare_for_inference(self, samples):
        for sample in samples:
            for text in sample.values():
                text.encode()
        return samples

    def predict(self, samples, batch_size, gpus, num_workers, progress_bar):
        print("a library that talks on stdout")
        scores = []
        for start in range(0, len(samples), batch_size):
            batch = self.prepare_for_inference(samples[start : start + batch_size])
            getattr(self, self.hparams["kind"], lambda: None)()
            scores += [self.score(sample) for sample in batch]
        output = {"scores": scores, "system_score": sum(scores) / len(scores)}
        if self.hparams["kind"] == "unified":
            output["metadata"] = {"src_scores": [overlap(s["mt"], s["src"]) for s in samples], "error_spans": []}
        return output

    def score(self, sample):
        if sample["mt"] == "not a number":
            return float("nan")
        score = overlap(sample["mt"], sample.get("ref", sample.get("src")))
        return score / 10 ** len(sample["src"].split()) if "src" in sample and "ref" in sample else score

    def killed(self):
        print("about to run out of memory", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    def silent(self):
        print("about to say nothing", file=sys.stderr, flush=True)
        time.sleep(600)
"""

TORCH = "class cuda:\n    @staticmethod\n    def is_available():\n        return False\n"

MODELS: dict[str, dict] = {
    "regression": {},
    "referenceless": {},
    "unified": {"input_segments": ["mt", "src", "ref"]},
    "sourceless": {"input_segments": ["mt", "ref"]},
    "killed": {},
    "silent": {},
}


def make_environment(folder: Path, models: Sequence[str] = tuple(MODELS)) -> Path:
    """Make a virtual environment that holds the stand-in, and return its python."""
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    write_packages(packages, models)
    return folder / "bin" / "python"


def write_packages(packages: Path, models: Sequence[str]) -> None:
    (packages / "comet").mkdir()
    (packages / "comet" / "__init__.py").write_text(LIBRARY)
    (packages / "torch.py").write_text(TORCH)
    for package, version in (("unbabel-comet", VERSION), ("torch", "1.0")):
        info = packages / f"{package.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    for name in models:
        write_checkpoint(packages / "comet" / name, name)


def write_checkpoint(folder: Path, kind: str) -> Path:
    """Write a checkpoint in the layout of unbabel-comet, and return its file."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "hparams.yaml").write_text(f"class_identifier: {kind}\n")
    file = folder / "checkpoints" / "model.ckpt"
    file.write_text(json.dumps({"kind": kind, **MODELS[kind]}))
    return file
