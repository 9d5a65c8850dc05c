"""The pieces of the task page: versions, forest plots, items and reliability, without a browser."""

import csv
import io
from dataclasses import fields

import numpy as np
import pytest

pytest.importorskip("streamlit")

from evalharness.compare.document_values import ItemScores
from evalharness.index.queries import IndexedResult
from evalharness.metric.calibration import ExpectedCalibrationError
from evalharness.run.record import MetricResult
from evalharness.stats.items import item_statistics
from evalharness.stats.power import minimum_detectable_effect
from leaderboard.forest import ForestRow, forest_plot
from leaderboard.item_charts import difficulty_histogram, discrimination_plot, summary, suspicious_rows
from leaderboard.reliability import bin_rows, reliability_bins, reliability_plot
from leaderboard.task_results import caveat, detectable, metrics_of, results_as_csv, results_by, table_rows


def result(model="a", value=0.5, **known):
    blank = dict.fromkeys(field.name for field in fields(IndexedResult))
    low, high = (None, None) if value is None else (value - 0.1, value + 0.1)
    usual = {
        "model": model,
        "value": value,
        "low": low,
        "high": high,
        "n": 100,
        "metric": "accuracy",
        "task": "quiz",
        "created": "2026-01-01",
        "fingerprint": "f",
        "data_hash": "d",
        "signature": "accuracy",
        "unit": "fraction",
        "method": "wilson",
        "higher_is_better": True,
        "run_id": "r",
        "is_headline": True,
    }
    return IndexedResult(**{**blank, **usual, **known})


def drawn(chart):
    """Return the rows of a chart's first data set."""
    return next(iter(chart.to_dict()["datasets"].values()))


def test_the_best_come_first_and_the_unknown_last():
    found = results_by([result("a", None, absence="none"), result("b", 0.2), result("c", 0.9)], "accuracy")
    assert [each.model for each in found.current] == ["c", "b", "a"]
    losses = [result("b", 0.2, higher_is_better=False), result("c", 0.9, higher_is_better=False)]
    assert [each.model for each in results_by(losses, "accuracy").current] == ["b", "c"]


@pytest.mark.parametrize("changed", [{"fingerprint": "g"}, {"data_hash": "e"}, {"signature": "accuracy|by:letter"}])
def test_results_of_another_version_stand_apart(changed):
    newest = result("new", 0.1, created="2026-02-01", **changed)
    found = results_by([result("old"), newest], "accuracy")
    assert found.current == (newest,)
    assert [each.model for each in found.outdated] == ["old"]


def test_another_metric_is_left_out_and_headlines_are_named_first():
    rows = [result(metric="f1", is_headline=False), result()]
    assert metrics_of(rows) == ["accuracy", "f1"]
    assert [each.metric for each in results_by(rows, "f1").current] == ["f1"]
    assert results_by(rows, "other").current == ()


def test_the_detectable_difference_is_that_of_the_power_analysis_in_the_unit_of_the_metric():
    assert dict(detectable(result()))[0.2] == minimum_detectable_effect(100, variance=0.2)
    assert dict(detectable(result(unit="percent")))[0.2] == 100 * minimum_detectable_effect(100, variance=0.2)
    assert detectable(result(method="bootstrap")) is None
    assert detectable(result(unit="perplexity")) is None


def test_what_a_reader_must_know_stands_beside_a_value():
    assert caveat(result(n_failed=2, n_documents_limit=10)) == "2 failed, first 10 documents"
    (row,) = table_rows([result("a/b&c", None, absence="all failed", n_failed=3)])
    assert (row["shown"], row["interval"], row["model"]) == ("-", "all failed", "/model?model=a%2Fb%26c#a/b&c")


def test_a_file_of_results_has_full_precision_and_no_formulas():
    head, row = csv.reader(io.StringIO(results_as_csv([result("@SUM(1)", 1 / 3)]).decode()))
    cells = dict(zip(head, row, strict=True))
    assert (cells["model"], float(cells["value"])) == ("'@SUM(1)", 1 / 3)


def test_a_forest_plot_keeps_the_order_and_a_row_for_each_name():
    rows = [ForestRow("x" * 300 + end, 0.5, 0.4, 0.6, "0.5") for end in "ab"]
    chart = forest_plot(rows, "accuracy", reference=0.25, named="guessing").to_dict()
    data = drawn(forest_plot(rows, "accuracy"))
    assert len({each["label"] for each in data}) == 2
    assert len(chart["layer"]) == 3


def test_a_forest_plot_names_no_markup_key_and_no_control_character():
    chart = forest_plot([ForestRow("\u202eevil", 0.5, None, None, "")], "accuracy").to_dict()
    assert "\u202e" not in str(chart)


SCORES = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 0], [1, 0, 1, 0.0]])


def items():
    ids = np.array(["easy", "good", "bad", "hard"], dtype=object)
    weights = np.hstack([SCORES, np.tile(SCORES[:, 1:2], 3)])  # three more documents that strong models solve
    more = np.concatenate([ids, np.array(["g1", "g2", "g3"], dtype=object)])
    return ItemScores(weights, tuple("abcde"), more, ())


def test_suspicious_documents_are_those_that_strong_models_fail_and_that_nobody_solves():
    scores = items()
    rows = suspicious_rows(scores, item_statistics(scores.scores), "run", "quiz")
    assert [row["document"] for row in rows] == ["bad", "hard"]
    assert rows[0]["sample"] == "/samples?run=run&task=quiz&document=bad"
    assert rows[1]["discrimination"] is None


def test_the_histogram_counts_every_document_once():
    statistics = item_statistics(items().scores)
    data = drawn(difficulty_histogram(statistics))
    assert sum(each["items"] for each in data) == 7
    assert "7 documents: 1 that no model solves, 1 that every model solves, 1 that" in summary(statistics)


def test_discrimination_is_drawn_only_where_some_document_has_one():
    scores = items()
    data = drawn(discrimination_plot(scores, item_statistics(scores.scores)))
    assert {each["document"] for each in data} == {"good", "bad", "g1", "g2", "g3"}
    few = ItemScores(scores.scores[:2], ("a", "b"), scores.document_ids, ())
    assert discrimination_plot(few, item_statistics(few.scores)) is None


def ece(**changes):
    known = {
        "name": "ece",
        "value": 0.1,
        "n": 3,
        "signature": "ece|bins:2",
        "unit": "fraction",
        "higher_is_better": False,
    }
    return MetricResult(**{**known, "metric": "ece", "parameters": {"bins": 2}, "aggregation": "corpus", **changes})


def test_a_reliability_diagram_has_the_bins_of_the_recorded_metric():
    rows = np.array([[0, 0, 0, 1, 0.9, 1], [0, 0, 0, 1, 0.7, 0], [1, 0.4, 0, 0, 0, 0.0]])
    found = reliability_bins(ece(), rows)
    assert found == ExpectedCalibrationError(bins=2).reliability(rows.sum(axis=0))
    assert [(row["documents"], row["right"]) for row in bin_rows(found)] == [(1, 0.0), (2, 0.5)]
    assert all(row["low"] <= row["right"] <= row["high"] for row in bin_rows(found))
    assert len(reliability_plot(found).to_dict()["layer"]) == 3


def test_another_metric_has_no_reliability_diagram():
    assert reliability_bins(ece(metric="accuracy", parameters={}), np.ones((3, 2))) == []
    assert reliability_bins(ece(), np.empty((0, 6))) == []
