"""A module of the evaluate library scores a whole corpus; nothing of it runs without trust."""

import numpy as np
import pytest
from metric_samples import MODULE, chosen, generated, repeated

from evalharness.errors import MetricError
from evalharness.metric.registry import build_metric
from evalharness.metric.summary import summarise

pytest.importorskip("evaluate")
pytestmark = pytest.mark.slow

PLAIN = {"path": str(MODULE), "key": "share"}


def value(parameters, samples):
    metric = build_metric("evaluate", {**PLAIN, **parameters}, where="here")
    return metric.value_of_rows(np.array([metric.row(sample) for sample in samples]))


def test_module_sees_answers_of_all_documents_and_repeats():
    samples = [repeated(["a", "b"], "a"), generated("c", "c"), generated(None, "d"), generated("c", "c")]
    assert value({}, samples) == 3 / 5


def test_arguments_reach_the_module():
    assert value({"arguments": {"scale": 100}}, [generated("a", "a"), generated("b", "c")]) == 50.0


def test_choices_are_given_as_their_numbers():
    samples = [chosen([-1.0, -2.0], [0], ["x", "y"]), chosen([-1.0, -2.0], [1], ["x", "y"])]
    assert value({"config": "numbers"}, samples) == 0.5


def test_answer_that_is_no_number_fails_its_own_document():
    with pytest.raises(ValueError, match="invalid literal"):
        value({"config": "numbers"}, [generated("seven", "7")])


def test_several_references_fail_their_own_document():
    with pytest.raises(ValueError, match="takes one reference an answer"):
        value({}, [generated("a", "a", "b")])


def test_key_that_the_module_does_not_give_is_told_with_those_it_gives():
    with pytest.raises(MetricError, match=r"gives no `shares`, only share"):
        value({"key": "shares"}, [generated("a", "a")])


def test_interval_is_computed_where_asked_for():
    samples = [generated("a" if i % 3 else "b", "a") for i in range(30)]
    for parameters, method in (({}, None), ({"interval": True}, "bootstrap")):
        metric = build_metric("evaluate", {**PLAIN, **parameters}, where="here")
        summary = summarise(metric, np.array([metric.row(sample) for sample in samples]), resamples=20)
        assert summary.method == method
        assert summary.value == pytest.approx(2 / 3)


def test_nothing_runs_without_trust(monkeypatch):
    monkeypatch.delenv("EVALHARNESS_TRUST_METRIC_CODE")
    with pytest.raises(MetricError, match="is a program, and would be run"):
        build_metric("evaluate", PLAIN, where="here")


def test_missing_module_is_told_when_the_metric_is_built():
    with pytest.raises(MetricError, match=r"there is no file or folder \./nowhere"):
        build_metric("evaluate", {**PLAIN, "path": "./nowhere"}, where="here")
