"""Paired tests and intervals against statsmodels, scipy, and exact enumeration."""

import itertools
import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from evalharness.stats.difference import non_inferiority
from evalharness.stats.intervals import Absent, mean_interval, ratio_standard_error
from evalharness.stats.paired import (
    cluster_paired_proportion_difference,
    cluster_paired_proportion_interval,
    mcnemar,
    paired_mean_difference,
    paired_mean_interval,
    paired_mean_test,
    paired_proportion_difference,
    paired_proportion_interval,
    ratio_difference,
    ratio_difference_interval,
    ratio_difference_test,
    unchanged_interval,
)

RNG = np.random.default_rng(20)
BASE, CANDIDATE = RNG.normal(0.5, 0.2, 60), RNG.normal(0.55, 0.2, 60)
GROUPS = RNG.integers(0, 11, 60)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (0, 1), (3, 3), (10, 2), (1, 9), (40, 61), (700, 640)])
def test_mcnemar_equals_statsmodels(b, c):
    expected = statsmodels_mcnemar([[50, b], [c, 70]], exact=True).pvalue
    assert mcnemar(b, c).p == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize(("b", "c"), [(0, 1), (3, 3), (10, 2), (1, 9), (40, 61)])
def test_mcnemar_is_the_sign_test_of_scipy(b, c, alternative):
    expected = stats.binomtest(c, b + c, alternative=alternative).pvalue
    assert mcnemar(b, c, alternative=alternative).p == pytest.approx(expected, rel=1e-12)


@given(st.integers(0, 40), st.integers(0, 40))
def test_mid_p_is_the_exact_p_less_the_probability_of_what_was_observed(b, c):
    # Fagerland et al. 2013, equation for the mid-p test: p - P(X = c); with b = c the uncapped two-sided p is 1 + P(X = c)
    point = math.comb(b + c, c) / 2 ** (b + c)
    exact = mcnemar(b, c).p + (point if b == c else 0)
    assert mcnemar(b, c, mid_p=True).p == pytest.approx(exact - point, abs=1e-12)
    one_sided = mcnemar(b, c, alternative="greater").p
    assert mcnemar(b, c, mid_p=True, alternative="greater").p == pytest.approx(one_sided - point / 2, abs=1e-12)


@given(st.integers(0, 40), st.integers(0, 40))
def test_exchanging_the_systems_exchanges_greater_and_less(b, c):
    assert mcnemar(b, c, alternative="greater").p == pytest.approx(mcnemar(c, b, alternative="less").p, abs=1e-14)
    assert mcnemar(b, c).p == pytest.approx(mcnemar(c, b).p, abs=1e-14)


def test_without_discordant_documents_nothing_is_significant():
    assert mcnemar(0, 0).p == 1.0
    assert mcnemar(0, 0, alternative="greater").p == 1.0


def test_error_rate_of_the_exact_test_never_exceeds_alpha():
    for n in range(1, 60):
        rejected = [mcnemar(n - c, c).p <= 0.05 for c in range(n + 1)]
        assert stats.binom.pmf(np.arange(n + 1), n, 0.5) @ rejected <= 0.05


def test_bonett_price_worked_by_hand():
    # n = 48, b = 3, c = 8: p12 = 9/50, p21 = 4/50, difference .1, variance (.26 - .01) / 50 = .005
    found = paired_proportion_interval(3, 8, 48)
    half = 1.959963984540054 * math.sqrt(0.005)
    assert (found.low, found.high) == pytest.approx((0.1 - half, 0.1 + half), rel=1e-12)


# Never below .936 over this grid at n = 50, and conservative, .97 and more, where few documents are discordant.
@pytest.mark.parametrize(
    ("p12", "p21"), [(0.02, 0.02), (0.08, 0.05), (0.1, 0.1), (0.25, 0.05), (0.4, 0.4), (0.3, 0.01)]
)
def test_bonett_price_coverage_by_enumeration(p12, p21):
    n, covered = 50, 0.0
    for b in range(n + 1):
        for c in range(n + 1 - b):
            probability = stats.multinomial.pmf([b, c, n - b - c], n, [p21, p12, 1 - p12 - p21])
            if probability > 1e-9:
                found = paired_proportion_interval(b, c, n)
                covered += probability * (found.low <= p12 - p21 <= found.high)
    assert covered >= 0.936
    assert covered >= 0.97 or p12 + p21 > 0.13


def tango_statistic(b, c, n, delta):
    """Tango's score statistic against p12 - p21 = delta, with the restricted likelihood maximised numerically."""

    def loss(p21):
        return -(
            (c * math.log(p21 + delta) if c else 0)
            + (b * math.log(p21) if b else 0)
            + (n - b - c) * math.log(1 - 2 * p21 - delta)
        )

    low, high = max(0, -delta), (1 - delta) / 2
    p21 = optimize.minimize_scalar(loss, bounds=(low + 1e-12, high - 1e-12), options={"xatol": 1e-12}).x
    return (c - b - n * delta) / math.sqrt(n * (2 * p21 + delta - delta * delta))


@pytest.mark.parametrize(("b", "c", "n"), [(40, 52, 500), (12, 9, 164), (70, 70, 1319), (5, 5, 300)])
def test_bonett_price_is_near_tango_s_score_interval(b, c, n):
    found = paired_proportion_interval(b, c, n)
    z = stats.norm.ppf(0.975)
    low = optimize.brentq(lambda delta: tango_statistic(b, c, n, delta) - z, -0.4, (c - b) / n)
    high = optimize.brentq(lambda delta: tango_statistic(b, c, n, delta) + z, (c - b) / n, 0.4)
    # the two differ by terms of order 1 / n
    assert (found.low, found.high) == pytest.approx((low, high), abs=1.5 / n)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 200))
def test_interval_of_paired_proportions_is_never_empty(b, c, same):
    n = b + c + same
    found = paired_proportion_interval(b, c, n)
    if n == 0:
        assert found == Absent("there are no samples")
        return
    assert -1 <= found.low < found.high <= 1
    swapped = paired_proportion_interval(c, b, n)
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low), abs=1e-12)


def test_clusters_of_one_give_bonett_price_with_student_s_quantile():
    differences = np.array([1.0] * 8 + [-1.0] * 3 + [0.0] * 37)
    plain = paired_proportion_difference(3, 8, 48)
    found = cluster_paired_proportion_difference(differences, np.arange(48))
    # CR1 divides by n - 1 where Bonett and Price's plain variance divides by n
    assert found.value == pytest.approx(plain.value, rel=0.01)
    assert found.standard_error == pytest.approx(plain.standard_error, rel=0.02)
    assert found.df == 47


def test_repeating_every_document_adds_nothing_to_a_cluster_interval():
    rng = np.random.default_rng(3)
    differences = rng.choice([-1.0, 0.0, 1.0], p=[0.1, 0.7, 0.2], size=80)
    once = cluster_paired_proportion_interval(differences, np.arange(80))
    thrice = cluster_paired_proportion_interval(np.repeat(differences, 3), np.repeat(np.arange(80), 3))
    assert (thrice.low, thrice.high) == pytest.approx((once.low, once.high), rel=1e-9)


def test_clusters_without_any_difference_still_have_an_interval_that_more_clusters_narrow():
    def width(n_clusters):
        found = cluster_paired_proportion_interval(np.zeros(10 * n_clusters), np.repeat(np.arange(n_clusters), 10))
        return found.high - found.low

    assert width(5) > width(20) > width(80) > 0
    # with a cluster as one unit: what Bonett and Price give for n = 80, and Student's quantile instead of the normal one
    plain = paired_proportion_interval(0, 0, 80)
    ratio = stats.t.ppf(0.975, 79) / stats.norm.ppf(0.975)
    assert width(80) == pytest.approx((plain.high - plain.low) * ratio, rel=1e-9)


def test_clusters_that_balance_out_never_claim_more_than_n_documents():
    # one won and one lost in every cluster: the clusters' means are all zero, and their variance with them
    differences, clusters = np.tile([1.0, -1.0, 0.0, 0.0], 12), np.repeat(np.arange(12), 4)
    found, plain = cluster_paired_proportion_difference(differences, clusters), paired_proportion_difference(12, 12, 48)
    assert found.standard_error == pytest.approx(plain.standard_error, rel=1e-12)


def test_paired_t_equals_scipy():
    expected = stats.ttest_rel(CANDIDATE, BASE)
    found, interval = paired_mean_test(CANDIDATE - BASE), paired_mean_interval(CANDIDATE - BASE)
    assert (found.p, found.t, found.df) == pytest.approx((expected.pvalue, expected.statistic, 59), rel=1e-10)
    bounds = expected.confidence_interval()
    assert (interval.low, interval.high) == pytest.approx((bounds.low, bounds.high), rel=1e-10)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_shifted_t_equals_scipy(alternative):
    expected = stats.ttest_1samp(CANDIDATE - BASE, -0.02, alternative=alternative)
    found = paired_mean_test(CANDIDATE - BASE, shift=-0.02, alternative=alternative)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-10)


def test_clustered_t_equals_statsmodels():
    differences = CANDIDATE - BASE
    expected = sm.OLS(differences, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": GROUPS}, use_t=True)
    found, interval = paired_mean_test(differences, GROUPS), paired_mean_interval(differences, GROUPS)
    assert found.standard_error == pytest.approx(expected.bse[0], rel=1e-10)
    assert (found.t, found.p) == pytest.approx((expected.tvalues[0], expected.pvalues[0]), rel=1e-10)
    assert (interval.low, interval.high) == pytest.approx(tuple(expected.conf_int()[0]), rel=1e-10)
    assert found.df == len(set(GROUPS)) - 1


def test_interval_of_a_paired_mean_is_that_of_the_mean_of_differences():
    found, expected = paired_mean_interval(CANDIDATE - BASE, GROUPS), mean_interval(CANDIDATE - BASE, GROUPS)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("value", [0.0, 0.25, -0.25])
def test_equal_differences_are_answered_by_enumerated_sign_flips(value, alternative):
    found = paired_mean_test(np.full(6, value), alternative=alternative)
    flips = [value * sum(signs) for signs in itertools.product((1, -1), repeat=6)]
    extreme = {
        "two-sided": [abs(s) >= abs(6 * value) for s in flips],
        "greater": [s >= 6 * value for s in flips],
        "less": [s <= 6 * value for s in flips],
    }[alternative]
    assert found.p == sum(extreme) / 64
    assert (found.method, found.t, found.standard_error) == ("sign-flip-exact", None, None)


def test_equal_differences_say_nothing_about_a_shift():
    assert paired_mean_test(np.zeros(50), shift=-0.02, alternative="greater") == Absent(
        "the differences of all samples are equal, so the data show no spread"
    )
    # 50 documents of which none differs do not show that at most 2 % differ: the adjusted difference keeps its doubt
    assert non_inferiority(paired_proportion_difference(0, 0, 50), margin=0.02).p > 0.2


def test_clusters_whose_sums_are_zero_but_for_rounding_are_not_significant():
    differences, clusters = np.tile([0.1, 0.2, -0.3], 12), np.repeat(np.arange(12), 3)
    assert differences[:3].sum() != 0  # 5.6e-17
    assert paired_mean_test(differences, clusters).p == 1.0


@pytest.mark.parametrize("n", [1, 30, 1000])
def test_unchanged_documents_bound_the_share_that_changes_as_clopper_and_pearson_do(n):
    # one-sided: all of 1 - level is spent above
    expected = stats.binomtest(0, n, alternative="less").proportion_ci(0.95, "exact").high
    found = unchanged_interval(n, 2.0)
    assert (found.low, found.high) == pytest.approx((-2 * expected, 2 * expected), rel=1e-12)
    assert (1 - found.high / 2) ** n == pytest.approx(0.05, rel=1e-9)


def stacked_regression(rows_a, rows_b, clusters):
    """R_b - R_a as the coefficient of a weighted regression on the system, with cluster-robust covariance."""
    rows = np.concatenate([rows_a, rows_b])
    system = np.repeat([0.0, 1.0], len(rows_a))
    model = sm.WLS(rows[:, 0] / rows[:, 1], sm.add_constant(system), weights=rows[:, 1])
    fit = model.fit(cov_type="cluster", cov_kwds={"groups": np.tile(clusters, 2)})
    n = len(rows)
    return fit.params[1], fit.bse[1] / math.sqrt((n - 1) / (n - 2))  # statsmodels corrects for 2 coefficients


def perplexity_rows(seed, n=40, effect=0.05):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(10, 200, n).astype(float)
    hardness = rng.normal(3, 0.5, n)
    rows_a = np.column_stack([tokens * (hardness + rng.normal(0, 0.1, n)), tokens])
    rows_b = np.column_stack([tokens * (hardness + effect + rng.normal(0, 0.1, n)), tokens + rng.integers(0, 3, n)])
    return rows_a, rows_b


@pytest.mark.parametrize("clusters", [np.arange(40), np.arange(40) % 7], ids=["plain", "clustered"])
def test_ratio_difference_is_that_of_a_weighted_cluster_robust_regression(clusters):
    rows_a, rows_b = perplexity_rows(1)
    value, error = stacked_regression(rows_a, rows_b, clusters)
    found = ratio_difference(rows_a, rows_b, clusters)
    assert (found.value, found.standard_error) == pytest.approx((value, error), rel=1e-9)
    assert found.df == len(set(clusters)) - 1


def test_ratio_difference_without_clusters_takes_every_document_as_one():
    rows_a, rows_b = perplexity_rows(2)
    plain, clustered = ratio_difference(rows_a, rows_b), ratio_difference(rows_a, rows_b, 3 * np.arange(40))
    assert (plain.value, plain.standard_error) == pytest.approx((clustered.value, clustered.standard_error), rel=1e-12)


def test_log_ratio_is_the_delta_method_of_the_ratios():
    rows_a, rows_b = perplexity_rows(3)
    found = ratio_difference(rows_a, rows_b, log=True)
    assert found.value == pytest.approx(
        math.log(rows_b[:, 0].sum() / rows_b[:, 1].sum()) - math.log(rows_a[:, 0].sum() / rows_a[:, 1].sum()), rel=1e-12
    )
    # the jackknife needs no linearisation; they agree to order 1 / n
    kept = [np.delete(np.arange(40), i) for i in range(40)]
    left_out = [ratio_difference(rows_a[k], rows_b[k], log=True).value for k in kept]
    jackknife = math.sqrt(39 / 40 * np.sum((left_out - np.mean(left_out)) ** 2))
    assert found.standard_error == pytest.approx(jackknife, rel=0.02)


def test_pairing_narrows_the_interval_of_a_ratio():
    rows_a, rows_b = perplexity_rows(4)
    unpaired = math.hypot(ratio_standard_error(*rows_a.T), ratio_standard_error(*rows_b.T))
    assert ratio_difference(rows_a, rows_b).standard_error < unpaired / 3


def test_ratio_test_and_interval_agree_at_their_level():
    rows_a, rows_b = perplexity_rows(5, effect=0.03)
    p = ratio_difference_test(rows_a, rows_b).p
    interval = ratio_difference_interval(rows_a, rows_b, level=1 - p)
    assert min(abs(interval.low), abs(interval.high)) == pytest.approx(0, abs=1e-12)


def test_equal_rows_differ_by_chance_alone():
    rows, _ = perplexity_rows(6)
    assert ratio_difference_test(rows, rows.copy()).p == 1.0
    assert isinstance(ratio_difference_interval(rows, rows), Absent)
    assert isinstance(ratio_difference_test(rows, rows, shift=0.01), Absent)


ONE = np.array([[1.0, 2.0]])
TWO = np.array([[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (paired_proportion_interval(0, 0, 0), "no samples"),
        (paired_mean_difference(np.array([])), "no samples"),
        (paired_mean_test(np.array([0.5])), "a single sample"),
        (paired_mean_test(np.array([0.5, np.nan])), "not finite"),
        (paired_mean_interval(np.array([0.5, -np.inf])), "not finite"),
        (ratio_difference(TWO, np.array([[np.inf, 2.0], [3.0, 4.0]])), "not finite"),
        (unchanged_interval(0, 1.0), "no samples"),
        (paired_mean_interval(np.array([0.1] * 9)), "all samples are equal"),
        (paired_mean_test(np.array([0.5, 1.0]), np.array([4, 4])), "a single cluster"),
        (cluster_paired_proportion_interval(np.array([0.0, 1.0]), np.array([4, 4])), "a single cluster"),
        (ratio_difference(ONE, ONE), "a single sample"),
        (ratio_difference(TWO, TWO, np.array([1, 1])), "a single cluster"),
        (ratio_difference(TWO, TWO * [1.0, 0.0]), "nothing to divide by"),
        (ratio_difference(TWO, TWO * [0.0, 1.0], log=True), "no logarithm"),
        (ratio_difference_interval(TWO, TWO), "all samples are equal"),
    ],
)
def test_degenerate_data_give_a_stated_absence(found, reason):
    assert isinstance(found, Absent)
    assert reason in found.reason


@pytest.mark.parametrize(
    "call",
    [
        lambda: mcnemar(-1, 2),
        lambda: mcnemar(1, 2, alternative="better"),
        lambda: paired_proportion_interval(3, 3, 5),
        lambda: cluster_paired_proportion_interval(np.array([0.5, 1.0]), np.array([0, 1])),
        lambda: paired_mean_test(CANDIDATE - BASE, alternative="better"),
        lambda: ratio_difference(ONE, TWO),
        lambda: unchanged_interval(5, 0.0),
        lambda: paired_mean_interval(CANDIDATE - BASE, level=95),
    ],
)
def test_arguments_that_make_no_sense_are_refused(call):
    with pytest.raises(ValueError, match=r"."):
        call()
