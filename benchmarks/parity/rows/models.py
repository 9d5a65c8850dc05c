"""BERTScore, modules of evaluate, classifiers and reward models by their own libraries."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from evalharness.backend import open_backend
from evalharness.backend.protocol import EngineSettings
from evalharness.metric.registry import build_metric
from evalharness.model.spec import ModelSpec
from evalharness.request import RequestKey, Sample
from rows.row import DECODER, ENCODER, ROOT, SINGLE, Row, ours
from rows.texts import Texts

MODULE = ROOT / "tests/metric/modules/share_equal"


def models(found: dict[str, Texts]) -> Iterator[Row]:
    """Compare BERTScore and the adapter with their libraries."""
    import evaluate
    from bert_score import BERTScorer

    data = found["gsm8k"].first(100)
    scorer = BERTScorer(model_type=str(ENCODER), num_layers=2)
    scorer._tokenizer.model_max_length = scorer._model.config.max_position_embeddings
    several = scorer.score(data.answers, [list(refs) for refs in data.references])
    by = f"bert-score {version('bert-score')}"
    for part, scores in zip(("precision", "recall", "f1"), several, strict=True):
        parameters = {"model": str(ENCODER), "n_layers": 2, "part": part}
        mine = ours("bertscore", parameters, data.samples())
        setting = f"{part}, bundled tiny encoder"
        yield Row("bertscore", setting, data.name, mine, float(scores.double().mean()), by, SINGLE)
    data = found["java-cs"]
    expected = evaluate.load(str(MODULE)).compute(predictions=data.answers, references=[r[0] for r in data.references])
    mine = ours("evaluate", {"path": str(MODULE), "key": "share"}, data.samples())
    yield Row(
        "evaluate", "a module of the tests", data.name, mine, expected["share"], f"evaluate {version('evaluate')}"
    )


def classifiers(found: dict[str, Texts]) -> Iterator[Row]:
    """Compare what small random classifiers say of answers with transformers' own pipeline: a single text, a pair, a reward."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, pipeline

    data, by = found["gsm8k"].first(100), f"transformers {version('transformers')}, text-classification pipeline"
    samples = [
        dataclasses.replace(one, prompt=answer[::-1]) for one, answer in zip(data.samples(), data.answers, strict=True)
    ]
    inputs = {
        "alone": [{"text": text} for text in data.answers],
        "pair": [{"text": text[::-1], "text_pair": text} for text in data.answers],
    }
    name, three = "classifier_probability", ("fine", "rude", "toxic")
    toxic = {"target_label": "toxic", "higher_is_better": False}
    both, one_label = toxic | {"text": "{{ prompt }}", "pair": "{{ answer }}"}, toxic | {"activation": "sigmoid"}
    cases: list[tuple[str, Path, tuple[str, ...], str, dict[str, Any], str, str]] = [
        ("softmax", ENCODER, three, name, toxic, "alone", "softmax"),
        ("softmax, pairs", ENCODER, three, name, both, "pair", "softmax"),
        ("sigmoid", ENCODER, ("fine", "toxic"), name, one_label, "alone", "sigmoid"),
        ("decoder, pairs", DECODER, ("LABEL_0",), "reward", {}, "pair", "none"),
    ]
    for shown, base, labels, name, parameters, given, activation in cases:
        torch.manual_seed(0)
        config = AutoConfig.from_pretrained(base, id2label=dict(enumerate(labels)))
        with tempfile.TemporaryDirectory() as folder:
            AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
            AutoTokenizer.from_pretrained(base).save_pretrained(folder)
            mine = ours(name, parameters, judged(build_metric(name, parameters, where="parity"), samples, folder))
            judge = pipeline(
                "text-classification", model=folder, device="cpu", top_k=None, function_to_apply=activation
            )
            longest = {"truncation": True, "max_length": config.max_position_embeddings}
            said = [
                {one["label"]: one["score"] for one in judge(text, **longest)}[labels[-1]] for text in inputs[given]
            ]
        yield Row(name, shown, data.name, mine, float(np.mean(said)), by, SINGLE)


def judged(metric: Any, samples: Sequence[Sample], folder: str) -> list[Sample]:
    """Return the samples with what the checkpoint answers to the metric's one question about each."""
    keys = [RequestKey("parity", str(i)) for i in range(len(samples))]
    asked = [dataclasses.replace(metric.requests(one)[0], key=key) for one, key in zip(samples, keys, strict=True)]
    backend = open_backend(ModelSpec(name="judge", path=folder, device="cpu"), EngineSettings())
    answers = {response.key: response for response in backend.run(asked)}
    return [
        dataclasses.replace(one, judgements={"parity": ((answers[key],),)})
        for one, key in zip(samples, keys, strict=True)
    ]
