"""A task of compression from end to end: the model's ratio beside those of gzip, bz2 and lzma."""

import json
from pathlib import Path

import pytest

from evalharness.cli.main import main
from evalharness.run.store import ResultStore

ZOO = Path(__file__).parents[2] / "examples" / "zoo"

TEXTS = [
    "A hen sat on a wall. The wall was low, and the hen was proud. " * 3,
    "One day the hen saw a fox. The fox said that it was a fine day for a walk. Schön! " * 2,
    "The end.",
]

TASK = """\
name: small_texts
data: {{inline: {rows}}}
prompt: "{{{{ text }}}}"
output: {{perplexity: {{}}}}
metrics: [{{name: compression_ratio, headline: true}}, gzip_ratio, bz2_ratio, lzma_ratio, bits_per_byte]
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a task of compression, which is also the working directory."""
    (tmp_path / "small_texts.yaml").write_text(TASK.format(rows=json.dumps([{"text": text} for text in TEXTS])))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(model, *arguments):
    return main(["run", "-m", str(model), "-t", "small_texts.yaml", *arguments])


def results():
    (entry,) = ResultStore("results").runs()
    (task,) = entry.record.tasks
    assert task.n_failed == 0
    return {metric.name: metric for metric in task.metrics}


def test_the_fake_backend_answers_a_task_of_compression(here, capsys):
    assert run("fake") == 0
    found = results()
    assert set(found) >= {"compression_ratio", "gzip_ratio", "bz2_ratio", "lzma_ratio"}
    assert all(found[name].low < found[name].value < found[name].high for name in found)
    assert not found["compression_ratio"].higher_is_better
    assert "compression_ratio" in capsys.readouterr().out


def test_a_dry_run_counts_both_requests(here, capsys):
    assert run("fake", "--dry-run") == 0
    assert str(2 * sum(len(text.split()) for text in TEXTS)) in capsys.readouterr().out


def test_a_checkpoint_compresses_to_its_bits_per_byte_and_what_the_chunks_cost(here):
    assert run(ZOO / "llama-tiny", "--device", "cpu") == 0
    found = results()
    ratio, ideal = found["compression_ratio"].value, found["bits_per_byte"].value / 8
    n_bytes = sum(len(text.encode()) for text in TEXTS)
    # every text is one chunk: two bytes of length, the coder's end, and the rest of the last byte
    assert ideal < ratio < ideal + len(TEXTS) * (2 + 9 / 8 + 0.01) / n_bytes


@pytest.mark.parametrize(("model", "kind"), [("bert", "masked"), ("t5", "encoder-decoder")])
def test_models_that_are_no_decoders_are_refused_before_any_work(here, capsys, model, kind):
    assert run(ZOO / model, "--device", "cpu") == 2
    assert f"needs a model to compress texts, which a {kind} model cannot do" in " ".join(
        capsys.readouterr().err.split()
    )
    assert not list(ResultStore("results").runs())


def test_predictions_cannot_compress(here, capsys):
    (here / "predictions.jsonl").write_text('{"document_id": "0", "logprobs": [-1.0]}\n')
    assert run("predictions.jsonl") == 2
    assert "compress texts" in " ".join(capsys.readouterr().err.split())
