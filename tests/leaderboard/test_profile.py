"""A model beside its peers, and its scores over time."""

import dataclasses

import pytest
from board_cases import cell
from test_facts import SMALL

from evalharness.index.queries import IndexedResult
from leaderboard.profile import deviations
from leaderboard.scores import scores_of
from leaderboard.trend import DATE, STEP, TOKENS, by_task, siblings, trend, usual_axis


def about(model, **changes):
    return dataclasses.replace(SMALL, model=model, **changes)


def result(model, value=0.5, **changes):
    fields = dict.fromkeys(IndexedResult.__dataclass_fields__)
    base = {
        "model": model,
        "task": "t",
        "metric": "accuracy",
        "value": value,
        "low": 0.4,
        "high": 0.6,
        "n": 100,
        "signature": "accuracy|v:1",
        "fingerprint": "f1",
        "data_hash": "d1",
        "created": "2026-01-01T00:00:00+00:00",
    }
    return IndexedResult(**{**fields, **base, **changes})


def test_a_deviation_is_the_distance_from_the_peers_median_on_the_way_from_guessing_to_the_best():
    cells = [cell(name, "t", value, random_baseline=0.5) for name, value in (("a", 0.9), ("b", 0.6), ("c", 0.8))]
    (found,) = deviations(scores_of(cells), "a", {"b", "c"})
    assert (found.value, found.median, found.n_peers) == (pytest.approx(0.4), pytest.approx(0.4), 2)


def test_the_interval_of_a_deviation_is_the_models_own():
    cells = [cell("a", "t", 0.9), cell("b", "t", 0.6)]
    (found,) = deviations(scores_of(cells), "a", {"b"})
    assert (found.low, found.high) == pytest.approx((cells[0].low - 0.6, cells[0].high - 0.6))
    assert found.is_clear


def test_a_model_is_no_peer_of_its_own():
    assert deviations(scores_of([cell("a", "t", 0.9)]), "a", {"a"}) == []


def test_tasks_without_a_bound_or_without_peers_have_no_deviation():
    cells = [cell(name, "u", 1.5, unit="bits", higher_is_better=False) for name in "ab"]
    cells += [cell("a", "only a", 0.5), cell("b", "only b", 0.5)]
    assert deviations(scores_of(cells), "a", {"b"}) == []


def test_the_strongest_task_comes_first():
    cells = [cell("a", "s", 0.1), cell("b", "s", 0.5), cell("a", "t", 0.9), cell("b", "t", 0.5)]
    assert [each.task for each in deviations(scores_of(cells), "a", {"b"})] == ["t", "s"]


def test_checkpoints_of_one_training_run_share_family_architecture_and_size():
    facts = {
        "a": about("a", step=1),
        "b": about("b", step=2),
        "large": about("large", n_parameters=5),
        "other": about("other", architecture="masked"),
    }
    assert siblings(facts, "a") == ["a", "b"]
    assert usual_axis(facts, ["a", "b"]) == STEP


def test_a_model_of_no_family_has_no_siblings():
    facts = {name: about(name, family="not stated") for name in "ab"}
    assert siblings(facts, "a") == ["a"]
    assert usual_axis(facts, ["a"]) == DATE


def test_checkpoints_are_in_order_of_steps_and_unknown_steps_are_left_out():
    facts = {"a": about("a", step=20), "b": about("b", step=3), "c": about("c")}
    found = trend([result("a"), result("b"), result("c")], STEP, facts)
    assert [point.x for point in found] == [3, 20]


def test_the_newest_result_of_a_checkpoint_counts():
    facts = {"a": about("a", n_training_tokens=7)}
    later = result("a", 0.8, created="2026-01-02T00:00:00+00:00")
    assert [point.value for point in trend([later, result("a", 0.5)], TOKENS, facts)] == [0.8]


def test_over_dates_every_run_is_a_point():
    runs = [result("a", created=f"2026-01-0{day}T00:00:00+00:00") for day in (2, 1)]
    assert [point.x[:10] for point in trend(runs, DATE, {})] == ["2026-01-01", "2026-01-02"]


@pytest.mark.parametrize("change", [{"fingerprint": "f2"}, {"signature": "accuracy|v:2"}, {"data_hash": "d2"}])
def test_the_line_breaks_where_the_task_changes(change):
    runs = [result("a", created=f"2026-01-0{day}T00:00:00+00:00", **(change if day > 1 else {})) for day in (1, 2, 3)]
    assert [point.part for point in trend(runs, DATE, {})] == [0, 1, 1]


def test_a_result_without_a_value_is_no_point():
    assert trend([result("a", None)], DATE, {}) == []


def test_results_are_gathered_by_task():
    assert {task: len(found) for task, found in by_task([result("a"), result("a", task="u")]).items()} == {
        "t": 1,
        "u": 1,
    }
