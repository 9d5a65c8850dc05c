"""Margins, tests and intervals of one difference agree with each other, with scipy and with statsmodels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from evalharness.stats.difference import (
    EstimatedDifference,
    difference_interval,
    difference_test,
    equivalence,
    non_inferiority,
    relative_margin,
)
from evalharness.stats.paired import paired_mean_difference, paired_mean_test, ratio_difference

RNG = np.random.default_rng(21)
BASE, CANDIDATE = RNG.normal(0.5, 0.1, 80), RNG.normal(0.49, 0.1, 80)
MEAN = paired_mean_difference(CANDIDATE - BASE)

estimates = st.builds(
    EstimatedDifference,
    st.floats(-0.5, 0.5),
    st.floats(0.001, 0.5),
    st.sampled_from([3, 40, math.inf]),
    st.just("paired-t"),
)


@pytest.mark.parametrize("margin", [0.005, 0.02, 0.1])
def test_non_inferiority_of_a_mean_equals_scipy_s_shifted_t_test(margin):
    expected = stats.ttest_1samp(CANDIDATE - BASE, -margin, alternative="greater").pvalue
    assert non_inferiority(MEAN, margin=margin).p == pytest.approx(expected, rel=1e-10)
    assert paired_mean_test(CANDIDATE - BASE, shift=-margin, alternative="greater").p == pytest.approx(
        expected, rel=1e-10
    )


@pytest.mark.parametrize("margin", [0.005, 0.02, 0.1])
def test_equivalence_of_means_equals_statsmodels(margin):
    expected = ttost_paired(CANDIDATE, BASE, -margin, margin)[0]
    assert equivalence(MEAN, margin=margin).p == pytest.approx(expected, rel=1e-10)


@given(estimates, st.floats(0.001, 0.5), st.sampled_from([0.01, 0.05, 0.1]))
def test_verdict_and_bounds_say_the_same(difference, margin, alpha):
    lower, both = (test(difference, margin=margin, alpha=alpha) for test in (non_inferiority, equivalence))
    if abs(lower.p - alpha) > 1e-9:  # rounding at the edge itself
        assert lower.holds == (lower.low > -margin)
    if abs(both.p - alpha) > 1e-9:
        assert both.holds == (both.low > -margin and both.high < margin)
    assert both.p >= lower.p


@given(estimates, st.floats(-0.5, 0.5), st.sampled_from([0.8, 0.95]))
def test_a_test_rejects_what_its_interval_leaves_out(difference, shift, level):
    found, p = difference_interval(difference, level=level), difference_test(difference, shift=shift).p
    if abs(p - (1 - level)) > 1e-9:
        assert (p < 1 - level) == (not found.low <= shift <= found.high)


@given(estimates, st.floats(-0.5, 0.5))
def test_one_sided_p_values_add_up_to_one_and_halve_the_two_sided_one(difference, shift):
    tails = [difference_test(difference, shift=shift, alternative=side).p for side in ("greater", "less")]
    assert sum(tails) == pytest.approx(1, abs=1e-12)
    assert difference_test(difference, shift=shift).p == pytest.approx(2 * min(tails), abs=1e-12)


def test_infinite_df_is_the_normal_distribution():
    found = difference_interval(EstimatedDifference(0.0, 1.0, math.inf, "bonett-price"))
    assert found.high == pytest.approx(stats.norm.ppf(0.975), rel=1e-12)


def test_a_perplexity_within_one_percent_is_found_non_inferior():
    rng = np.random.default_rng(5)
    tokens = rng.integers(50, 500, 400).astype(float)
    surprise = tokens * rng.normal(3, 0.3, 400)
    base = np.column_stack([surprise, tokens])
    for risen, holds in ((1.0, True), (1.02, False)):
        noise = tokens * rng.normal(0, 0.02, 400)
        change = ratio_difference(base, np.column_stack([surprise + tokens * math.log(risen) + noise, tokens]))
        worse_is_greater = EstimatedDifference(-change.value, change.standard_error, change.df, change.method)
        assert non_inferiority(worse_is_greater, margin=relative_margin(0.01)).holds == holds


@pytest.mark.parametrize(
    "call",
    [
        lambda: EstimatedDifference(0.1, 0.0, 5, "t"),
        lambda: EstimatedDifference(math.nan, 0.1, 5, "t"),
        lambda: EstimatedDifference(0.1, 0.1, 0, "t"),
        lambda: non_inferiority(MEAN, margin=0.0),
        lambda: equivalence(MEAN, margin=0.1, alpha=0.5),
        lambda: relative_margin(0.0),
        lambda: difference_interval(MEAN, level=1.0),
    ],
)
def test_arguments_that_make_no_sense_are_refused(call):
    with pytest.raises(ValueError, match=r"."):
        call()
