"""Means over tasks keep the weights in their standard errors; normalised values keep theirs below guessing."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from evalharness.stats.aggregate import macro_difference, normalized_interval, normalized_score
from evalharness.stats.difference import difference_interval, difference_test
from evalharness.stats.intervals import Absent, Interval


def test_equal_weights_have_the_standard_error_of_equal_weights():
    # 100 and 10 000 documents with standard errors .05 and .005: a size-pooled standard error would be .0050
    found = macro_difference([0.02, 0.0], [0.05, 0.005])
    assert round(found.standard_error, 4) == 0.0251
    assert (found.value, found.df) == (0.01, math.inf)


def test_weights_by_size_have_the_standard_error_of_the_pooled_mean():
    found = macro_difference([0.02, 0.0], [0.05, 0.005], [100, 10_000])
    assert round(found.standard_error, 4) == 0.0050


def test_a_mean_of_two_tasks_is_welch_s_test():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0.3, 1, 12), rng.normal(0.1, 3, 25)
    # half the sum of d1 and d2, against the difference of d1 and -d2: the same t and df
    expected = stats.ttest_ind(first, -second, equal_var=False)
    found = difference_test(
        macro_difference([first.mean(), second.mean()], [stats.sem(first), stats.sem(second)], dfs=[11, 24])
    )
    assert (found.t, found.df, found.p) == pytest.approx((expected.statistic, expected.df, expected.pvalue), rel=1e-10)


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0.001, 1), st.integers(1, 500)), min_size=1, max_size=8))
def test_degrees_of_freedom_lie_between_the_least_and_the_sum(tasks):
    deltas, errors, dfs = zip(*tasks, strict=True)
    found = macro_difference(deltas, errors, dfs=dfs)
    assert min(dfs) * (1 - 1e-9) <= found.df <= sum(dfs) * (1 + 1e-9)


def test_one_task_is_itself():
    found = macro_difference([0.1], [0.02], [3.0], dfs=[9])
    assert (found.value, found.standard_error, found.df) == pytest.approx((0.1, 0.02, 9), rel=1e-12)


def test_tasks_that_show_no_spread_together_have_no_interval():
    assert macro_difference([0.1, 0.0], [0.0, 0.0]) == Absent("no task shows any spread")
    assert macro_difference([], []) == Absent("there are no tasks")


def test_macro_interval_covers_as_often_as_it_says():
    rng, truth, n = np.random.default_rng(1), np.array([0.0, 0.03, -0.02]), np.array([8, 40, 200])
    covered = 0
    for _ in range(2000):
        draws = [rng.normal(m, s, size) for m, s, size in zip(truth, (1.0, 0.5, 0.2), n, strict=True)]
        found = macro_difference(
            [d.mean() for d in draws], [d.std(ddof=1) / math.sqrt(len(d)) for d in draws], dfs=n - 1
        )
        interval = difference_interval(found)
        covered += interval.low <= truth.mean() <= interval.high
    # 4 standard errors of a share of .95 among 2000: .0195
    assert covered / 2000 == pytest.approx(0.95, abs=0.0195)


def test_normalised_scores_run_from_guessing_to_the_best():
    assert normalized_score(0.25, 0.25, 1.0) == 0
    assert normalized_score(1.0, 0.25, 1.0) == 1
    assert normalized_score(0.1, 0.25, 1.0) == pytest.approx(-0.2)


def test_intervals_scale_with_their_score_and_turn_with_it():
    raised = normalized_interval(Interval(0.4, 0.7, 0.9, "wilson"), 0.25, 1.0)
    assert (raised.low, raised.high) == pytest.approx((0.2, 0.6))
    assert (raised.level, raised.method) == (0.9, "wilson")
    lower_is_better = normalized_interval(Interval(2.0, 4.0, 0.95, "t"), 10.0, 0.0)
    assert (lower_is_better.low, lower_is_better.high) == pytest.approx((0.6, 0.8))


@pytest.mark.parametrize(
    "call",
    [
        lambda: macro_difference([0.1], [0.1, 0.2]),
        lambda: macro_difference([0.1], [-0.1]),
        lambda: macro_difference([0.1], [math.nan]),
        lambda: macro_difference([0.1], [0.1], [0.0]),
        lambda: macro_difference([0.1], [0.1], dfs=[0]),
        lambda: normalized_score(0.5, 1.0, 1.0),
        lambda: normalized_score(0.5, 0.0, math.inf),
    ],
)
def test_arguments_that_make_no_sense_are_refused(call):
    with pytest.raises(ValueError, match=r"."):
        call()


def test_many_values_are_normalised_as_each_alone():
    values = np.array([0.25, 0.5, np.nan])
    found = normalized_score(values, 0.25, 1.0)
    assert found[:2].tolist() == [normalized_score(value, 0.25, 1.0) for value in (0.25, 0.5)]
    assert np.isnan(found[2])
