"""Metrics that compare repeats or prepare many samples get what they need from a task."""

from pathlib import Path

import pytest
import yaml

from evalharness.errors import MetricError
from evalharness.request import Generated
from evalharness.run.preparation import RunSettings, prepare
from evalharness.run.progress import Silent
from evalharness.run.results import task_record
from evalharness.run.scoring import make_samples
from evalharness.task.loading import load_task


def task(folder: Path, metrics, repeats=4):
    content = {
        "name": "sums",
        "data": {"inline": [{"q": "1 + 1", "a": "2"}, {"q": "2 + 2", "a": "4"}, {"q": "3 + 3", "a": "6"}]},
        "prompt": "{{ q }} =",
        "reference": "{{ a }}",
        "output": {"generate": {"max_new_tokens": 4, "temperature": 1.0, "repeats": repeats}},
        "metrics": metrics,
    }
    path = folder / "sums.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return prepare(load_task(path), RunSettings(), chat=False)


def answered(prepared, answer):
    return {request.key: Generated(request.key, answer(request.key), 1, "eos") for request in prepared.first_requests()}


def right_once(key):
    """Document 0 is right in every repeat, 1 in one of four, 2 in none."""
    n_right = {"0": 4, "1": 1, "2": 0}[key.document_id]
    return str(2 * int(key.document_id) + 2) if key.repeat < n_right else "0"


def test_repeats_are_compared_within_a_document(tmp_path):
    prepared = task(tmp_path, [{"name": "pass_at_k", "k": 2}, {"name": "agreement"}, {"name": "exact_match"}])
    samples = make_samples(prepared, answered(prepared, right_once))
    record = task_record(prepared, samples, level=0.95, seed=0)
    values = {metric.name: metric.value for metric in record.metrics}
    assert values["pass_at_k"] == pytest.approx((1 + 0.5 + 0) / 3)
    assert values["agreement"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert values["exact_match"] == pytest.approx((1 + 0.25 + 0) / 3)


def test_too_few_repeats_are_refused_before_a_model_is_asked(tmp_path):
    with pytest.raises(MetricError) as raised:
        task(tmp_path, [{"name": "pass_at_k", "k": 5}, {"name": "maj_at_k"}])
    (problem,) = raised.value.problems
    assert "metric `pass_at_k` needs at least 5 repeats, this task asks 4" in str(problem)


class Told(Silent):
    """Keeps the parts of scoring: name, total, and how many items were done."""

    def __init__(self) -> None:
        self.parts: list[list[object]] = []

    def part(self, name: str, total: int | None = None) -> None:
        self.parts.append([name, total, 0])

    def advance(self, n_tokens: int = 0, n_items: int = 1) -> None:
        self.parts[-1][2] += n_items


def test_slow_metrics_and_the_scoring_of_documents_tell_task_metric_and_total(tmp_path):
    prepared = task(tmp_path, [{"name": "ter"}])
    told = Told()
    samples = make_samples(prepared, answered(prepared, right_once), told)
    name = prepared.name
    # Of 12 answers 4 are distinct: right and wrong of 1, the right of 0, the wrong of 2.
    assert told.parts == [[f"{name}: ter", 4, 4], [f"{name}: scoring documents", 3, 3]]
    assert all(set(sample.rows) == {"ter"} for sample in samples)


def test_distinct_answers_are_counted_over_all_repeats(tmp_path):
    prepared = task(tmp_path, [{"name": "distinct_n", "n": 1}])
    samples = make_samples(prepared, answered(prepared, right_once))
    (result,) = task_record(prepared, samples, level=0.95, seed=0).metrics
    assert result.value == 3 / 12
    assert result.low is None
    assert "less distinct" in result.absence
