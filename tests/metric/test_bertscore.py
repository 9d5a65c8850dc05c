"""BERTScore equals bert-score's, and survives what that library does not: empty texts, and texts beyond the positions."""

import logging

import pytest
from metric_samples import ENCODER, generated

from evalharness.errors import MetricError
from evalharness.metric.base import UNWATCHED
from evalharness.metric.bertscore import BertScore
from evalharness.metric.registry import build_metric

bert_score = pytest.importorskip("bert_score")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ENCODER / "config.json").is_file(), reason="the encoder of examples/zoo is not there"),
]

ANSWERS = ["the cat sat on the mat", "seven and four make eleven", "a", "Anna has 12 red hens."]
FIRST = ["a cat sat on a mat", "4 + 7 = 11", "a", "Bob sold 3 cows."]
SECOND = ["dogs run", "eleven", "the", "Anna has hens."]


@pytest.fixture(scope="module")
def metrics():
    return {part: BertScore(str(ENCODER), 2, part) for part in ("precision", "recall", "f1")}


def test_scores_are_those_of_bert_score_with_the_best_reference(metrics):
    scorer = bert_score.BERTScorer(model_type=str(ENCODER), num_layers=2)
    expected = scorer.score(ANSWERS, [list(pair) for pair in zip(FIRST, SECOND, strict=True)])
    samples = [generated(a, f, s) for a, f, s in zip(ANSWERS, FIRST, SECOND, strict=True)]
    for (_, metric), scores in zip(metrics.items(), expected, strict=True):
        metric.prepare(samples, UNWATCHED)
        # 1e-6: single precision, other batches
        assert [metric.row(sample)[0] for sample in samples] == pytest.approx(scores.tolist(), abs=1e-6)


@pytest.mark.parametrize(("answer", "reference"), [("", "a cat"), ("a cat", ""), ("", ""), ("  ", "a"), (None, "a")])
def test_empty_texts_score_zero(metrics, answer, reference):
    assert metrics["f1"].row(generated(answer, reference)) == (0.0, 1.0)


def test_text_longer_than_the_model_s_positions_is_cut(metrics):
    long = "the cat sat on the mat " * 500
    assert metrics["f1"].row(generated(long, long))[0] == pytest.approx(1.0, abs=1e-5)


def test_identical_texts_score_one(metrics):
    assert metrics["f1"].row(generated("a cat sat", "a cat sat"))[0] == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"model": str(ENCODER)}, "a local model needs `n_layers`"),
        ({"model": str(ENCODER.parent), "n_layers": 2}, "there is no config.json"),
        ({"model": "./nowhere", "n_layers": 2}, "there is no folder ./nowhere"),
        ({}, "lacks its parameter `model`"),
    ],
)
def test_model_that_cannot_be_used_is_told_when_the_metric_is_built(parameters, message):
    with pytest.raises(MetricError, match=message):
        build_metric("bertscore", parameters, where="here")


def test_layer_that_the_model_lacks_is_an_error_before_any_row(caplog):
    with caplog.at_level(logging.ERROR), pytest.raises(MetricError, match="cannot be used"):
        BertScore(str(ENCODER), 99).prepare([generated("a", "b")], UNWATCHED)


def test_hub_model_out_of_reach_is_told_when_the_metric_is_built(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MetricError, match=r"model nobody/no-such-model is not in the local cache.*name a local folder"):
        build_metric("bertscore", {"model": "nobody/no-such-model"}, where="here")
