"""Values of single documents, and of a task's documents over many runs."""

import numpy as np
import pytest
from compare_cases import commit, means, scores

from evalharness.compare.document_values import DocumentValues, document_values, item_scores
from evalharness.compare.valuation import Unvalued
from evalharness.run.store import ResultStore


def test_the_value_of_a_document_is_the_metric_on_it_alone():
    found = document_values(scores(means([1, 0, 1])))
    assert isinstance(found, DocumentValues)
    assert found.values.tolist() == [1, 0, 1]
    assert (found.worst, found.best) == (0, 1)
    assert found.document_ids.tolist() == ["0", "1", "2"]


def test_where_less_is_better_the_best_value_is_the_least():
    found = document_values(scores([[0.5, 1], [1.5, 1]], "brier"))
    assert (found.worst, found.best) == (2, 0)


def test_a_metric_of_a_corpus_has_no_values_of_documents():
    found = document_values(scores([[3, 2, 1, 0, 5, 4, 3, 2, 5, 5], [3, 2, 1, 1, 5, 4, 3, 2, 5, 5]], "bleu"))
    assert isinstance(found, Unvalued)
    assert "bleu" in found.reason


def test_an_item_is_the_same_document_in_all_runs_and_missing_where_it_failed(tmp_path):
    store = ResultStore(tmp_path)
    runs = [
        commit(store, "a", {"facts": {"exact_match": means([1, 0, 1])}}),
        commit(store, "b", {"facts": {"exact_match": means([1, 1, 0])}}, failed={("facts", "0")}),
    ]
    found = item_scores(store, runs, "facts", "exact_match")
    assert found.document_ids.tolist() == ["0", "1", "2"]
    np.testing.assert_array_equal(found.scores, [[1, 0, 1], [np.nan, 1, 0]])
    assert (found.runs, found.left_out) == (tuple(runs), ())


def test_scores_lie_between_worst_and_best(tmp_path):
    store = ResultStore(tmp_path)
    run = commit(store, "a", {"facts": {"brier": means([0, 0.5, 2])}})
    assert item_scores(store, [run], "facts", "brier").scores.tolist() == [[1, 0.75, 0]]


def test_runs_without_such_values_are_left_out_with_a_reason(tmp_path):
    store = ResultStore(tmp_path)
    good = commit(store, "a", {"facts": {"exact_match": means([1, 0])}})
    other = commit(store, "b", {"other": {"exact_match": means([1, 0])}})
    unbounded = commit(store, "c", {"facts": {"logprob": means([-1, -2])}})
    found = item_scores(store, [good, other, unbounded], "facts", "exact_match")
    assert found.scores.tolist() == [[1, 0]]
    assert [run for run, _ in found.left_out] == [other, unbounded]
    (reason,) = [reason for _, reason in item_scores(store, [unbounded], "facts", "logprob").left_out]
    assert "no best or no worst value" in reason


def test_of_ways_to_ask_a_document_the_commonest_counts(tmp_path, monkeypatch):
    import compare_cases

    store = ResultStore(tmp_path)
    runs = [commit(store, name, {"facts": {"exact_match": means([1, 0])}}) for name in ("a", "b")]
    plain = compare_cases._sample

    def asked_otherwise(*arguments):
        import dataclasses

        return dataclasses.replace(plain(*arguments), input_hash="another prompt")

    monkeypatch.setattr(compare_cases, "_sample", asked_otherwise)
    runs.append(commit(store, "c", {"facts": {"exact_match": means([1, 1])}}))
    found = item_scores(store, runs, "facts", "exact_match")
    np.testing.assert_array_equal(found.scores, [[1, 0], [1, 0], [np.nan, np.nan]])


def test_no_run_has_no_items(tmp_path):
    assert item_scores(ResultStore(tmp_path), [], "facts", "exact_match").scores.shape == (0, 0)


@pytest.mark.parametrize("values", [[0.25, 1.0], [0.0, 0.0]])
def test_values_average_to_the_recorded_value(values):
    side = scores(means(values), "token_f1")
    assert float(np.mean(document_values(side).values)) == pytest.approx(side.result.value)
