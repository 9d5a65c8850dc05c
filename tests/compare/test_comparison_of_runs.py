"""Whole runs: planted differences get their verdict, what cannot be compared says why, and the mean is over tasks."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from compare_cases import commit, means, outcomes

from evalharness.compare.comparison import CompareSettings, compare_runs
from evalharness.errors import StoreError
from evalharness.run.record import encode_record
from evalharness.run.store import ResultStore
from evalharness.stats.intervals import Absent

RNG = np.random.default_rng(7)


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / "results")


def compared(store, baseline, candidate, settings=None, **changes):
    runs = [commit(store, "before", baseline, **changes), commit(store, "after", candidate, **changes)]
    (found,) = compare_runs(store, runs[0], [runs[1]], settings).candidates
    return found


def planted(both, lost, won, neither):
    baseline, candidate = outcomes(both, lost, won, neither)
    return {"exact_match": baseline}, {"exact_match": candidate}


def test_planted_differences_get_their_verdicts(store):
    cases = {
        "improved": planted(100, 5, 60, 35),
        "ruined": planted(100, 60, 5, 35),
        "unclear": planted(100, 12, 8, 80),
    }
    found = compared(
        store, {name: case[0] for name, case in cases.items()}, {name: case[1] for name, case in cases.items()}
    )
    verdicts = {each.task: each.verdict for each in found.metrics}
    assert verdicts == {"improved": "better", "ruined": "worse", "unclear": "inconclusive"}


def test_equivalence_needs_a_margin(store):
    baseline, candidate = planted(900, 4, 4, 92)
    tasks = {"facts": baseline}, {"facts": candidate}
    (without,) = compared(store, *tasks).metrics
    (within,) = compared(store, *tasks, CompareSettings(margin=0.02)).metrics
    assert (without.verdict, within.verdict) == ("inconclusive", "equivalent")
    assert within.margin == 0.02


@pytest.mark.parametrize("correction", ["holm", "bh", "none"])
def test_p_values_are_adjusted_over_all_tests_of_the_report(store, correction):
    # 11 lost, 2 won: p = 2 (1 + 13 + 78) / 2^13 = 0.0225 alone, and not below 0.05 among 10 tests
    baseline, candidate = planted(50, 11, 2, 37)
    same = {"exact_match": baseline["exact_match"]}
    quiet = {f"quiet {i}": same for i in range(9)}
    found = compared(
        store, {"facts": baseline, **quiet}, {"facts": candidate, **quiet}, CompareSettings(correction=correction)
    )
    first = found.metrics[0]
    assert first.difference.p == pytest.approx(2 * 92 / 2**13)
    factor = 1 if correction == "none" else 10
    assert first.p_adjusted == pytest.approx(factor * first.difference.p)
    assert first.verdict == ("worse" if correction == "none" else "inconclusive")


def test_a_task_in_one_run_alone_is_not_comparable_and_says_so(store):
    one = {"exact_match": means([1, 0, 1])}
    found = compared(store, {"shared": one, "gone": one}, {"shared": one, "new": one})
    told = {each.task: (each.verdict, each.reasons) for each in found.metrics}
    assert told["gone"] == ("not comparable", ("task: only in the baseline",))
    assert told["new"] == ("not comparable", ("task: only in the candidate",))
    assert told["shared"][0] == "inconclusive"


def test_another_task_version_is_not_comparable(store):
    runs = [commit(store, "m", {"facts": {"exact_match": means([1, 0])}}, fingerprint=each * 64) for each in "ab"]
    found = compare_runs(store, runs[0], [runs[1]])
    assert found.candidates[0].metrics[0].reasons == ("task fingerprint: aaaaaaaaaaaa and bbbbbbbbbbbb",)
    assert found.n_compared == 0


def test_other_documents_compare_on_the_shared_ones_only_when_told_to(store):
    values = RNG.integers(0, 2, 40)
    full, part = {"facts": {"exact_match": means(values)}}, {"facts": {"exact_match": means(values[:30])}}
    runs = [commit(store, "m", full), commit(store, "m", part, data_hash="e" * 64)]
    (refused,) = compare_runs(store, runs[0], [runs[1]]).candidates[0].metrics
    assert refused.reasons == ("documents: 10 are in the baseline alone, such as 30, 31, 32",)
    settings = CompareSettings(on_unpaired="intersect")
    (told,) = compare_runs(store, runs[0], [runs[1]], settings).candidates[0].metrics
    assert (told.difference.n, len(told.left_out.only_baseline)) == (30, 10)


def test_failed_documents_are_counted(store):
    one = {"facts": {"exact_match": means([1, 0, 1, 1])}}
    runs = [commit(store, "m", one), commit(store, "m", one, failed=[("facts", "2")])]
    (told,) = compare_runs(store, runs[0], [runs[1]]).candidates[0].metrics
    assert (told.difference.n, told.left_out.failed_candidate) == (3, ("2",))


def test_documents_that_changed_are_named(store):
    baseline, candidate = planted(3, 2, 1, 4)
    (told,) = compared(store, {"facts": baseline}, {"facts": candidate}).metrics
    assert (told.lost, told.won) == (("3", "4"), ("5",))


def two_metrics():
    values = RNG.integers(0, 2, 30)
    return {"facts": {"exact_match": means(values), "token_f1": means(values)}}


def test_the_headline_is_compared_unless_other_metrics_are_named(store):
    runs = [commit(store, "m", two_metrics()) for _ in range(2)]

    def names(*metrics):
        found = compare_runs(store, runs[0], [runs[1]], CompareSettings(metrics=metrics))
        return [each.metric for each in found.candidates[0].metrics]

    assert names("headline") == ["exact_match"]
    assert names("all") == ["exact_match", "token_f1"]
    assert names("token_f1") == ["token_f1"]


def test_unknown_tasks_and_metrics_are_told_together(store):
    run = commit(store, "m", two_metrics())
    with pytest.raises(StoreError) as caught:
        compare_runs(store, run, [run], CompareSettings(tasks=("fact",), metrics=("token_f2",)))
    assert [problem.where for problem in caught.value.problems] == ["--tasks", "--metrics"]
    assert "did you mean `facts`?" in str(caught.value)


def test_several_candidates_are_compared_with_the_first_run(store):
    baseline, candidate = planted(100, 60, 5, 35)
    runs = [commit(store, name, {"facts": rows}) for name, rows in (("a", baseline), ("b", candidate), ("c", baseline))]
    found = compare_runs(store, runs[0], runs[1:])
    assert [each.candidate.model for each in found.candidates] == ["b", "c"]
    assert [each.metrics[0].verdict for each in found.candidates] == ["worse", "inconclusive"]
    assert found.candidates[0].metrics[0].p_adjusted == pytest.approx(
        2 * found.candidates[0].metrics[0].difference.p  # two tests
    )


def test_the_mean_over_tasks_is_on_the_scale_from_guessing_to_the_best_value(store):
    first, second = planted(100, 60, 10, 30), planted(100, 10, 30, 60)
    found = compared(
        store, {"one": first[0], "two": second[0]}, {"one": first[1], "two": second[1]}, random_baseline=0.25
    )
    deltas = [each.difference.delta for each in found.metrics]
    assert deltas == pytest.approx([-0.25, 0.1])
    assert found.macro.gain == pytest.approx((-0.25 + 0.1) / 2 / 0.75)
    errors = np.array([each.difference.standard_error for each in found.metrics]) / 0.75
    assert found.macro.standard_error == pytest.approx(np.sqrt((errors**2).sum()) / 2)
    assert found.macro.tasks == ("one", "two")


def test_a_task_without_a_range_is_not_in_the_mean_and_is_named(store):
    rows = np.stack([-RNG.random(60) * 30, np.full(60, 10.0)], axis=1)
    baseline, candidate = planted(20, 5, 9, 26)
    found = compared(
        store,
        {"facts": baseline, "texts": {"perplexity": rows}},
        {"facts": candidate, "texts": {"perplexity": rows * [1.1, 1]}},
    )
    assert found.macro.tasks == ("facts",)
    assert found.macro.excluded == (("texts", "perplexity has no range"),)


def test_without_a_task_that_can_be_averaged_there_is_no_mean(store):
    rows = np.stack([-RNG.random(60) * 30, np.full(60, 10.0)], axis=1)
    found = compared(store, {"texts": {"perplexity": rows}}, {"texts": {"perplexity": rows}})
    assert isinstance(found.macro, Absent)


def test_what_else_differs_is_listed(store):
    one = {"facts": {"exact_match": means([1, 0])}}
    found = compared(store, one, one)
    assert {fact.name: (fact.baseline, fact.candidate) for fact in found.facts} == {
        "model": ("before", "after"),
        "path": ("before", "after"),
        "weights": ("weights of before", "weights of after"),
    }


def test_damaged_scores_are_an_error(store):
    run = commit(store, "m", two_metrics())
    other = commit(store, "m", two_metrics())
    record = store.load(other)
    task = record.tasks[0].model_copy(update={"n_scored": 29, "n_failed": 1})
    path = store.locate(other)
    Path(path, "run.json").write_bytes(encode_record(record.model_copy(update={"tasks": (task,)})))
    with pytest.raises(StoreError, match="the run is damaged"):
        compare_runs(store, run, [other])


def test_reading_twice_gives_equal_comparisons(store):
    values = RNG.random(30)
    tasks = {"facts": {"token_f1": means(values)}}, {"facts": {"token_f1": means(np.clip(values + 0.1, 0, 1))}}
    runs = [commit(store, "m", each) for each in tasks]
    first, again = (compare_runs(store, runs[0], [runs[1]]) for _ in range(2))
    assert dataclasses.asdict(first) == dataclasses.asdict(again)
