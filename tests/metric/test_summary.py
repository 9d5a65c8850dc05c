"""Each metric's value comes with the interval that suits it, or with the reason why it has none."""

import math

import numpy as np
import pytest
from scipy import stats

from evalharness.metric.choice import Accuracy
from evalharness.metric.likelihood import BitsPerByte, LogProb, Perplexity
from evalharness.metric.match import ExactMatch, TokenF1
from evalharness.metric.overlap import Bleu, Chrf
from evalharness.metric.rouge import Rouge1
from evalharness.metric.summary import summarise


def mean_rows(values):
    return np.column_stack([values, np.ones(len(values))]).astype(float)


def text_rows(rng, n=40):
    tokens = rng.integers(5, 200, n).astype(float)
    return np.column_stack([-tokens * rng.normal(2.0, 0.3, n), tokens])


def test_right_and_wrong_have_a_wilson_interval():
    summary = summarise(Accuracy(), mean_rows([1] * 27 + [0] * 3))
    expected = stats.binomtest(27, 30).proportion_ci(0.95, "wilson")
    assert summary.method == "wilson"
    # 1e-12: closed form
    assert (summary.low, summary.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert (summary.value, summary.n, summary.n_clusters) == (0.9, 30, None)
    assert summary.standard_error == pytest.approx(stats.sem([1] * 27 + [0] * 3), rel=1e-12)


def test_all_right_still_leaves_doubt():
    summary = summarise(ExactMatch(), mean_rows([1] * 20))
    assert summary.high == 1.0
    assert 0.8 < summary.low < 0.9
    assert summary.standard_error is None


def test_percentages_at_their_bounds_are_scaled():
    fraction = summarise(Accuracy(), mean_rows([1, 0, 1, 1]))
    percent = summarise(Rouge1(), mean_rows([1, 0, 1, 1]))
    assert percent.method == "wilson"
    assert (percent.value, percent.low, percent.high) == pytest.approx(
        (100 * fraction.value, 100 * fraction.low, 100 * fraction.high), rel=1e-12
    )


def test_other_means_have_a_t_interval():
    values = np.array([0.2, 0.5, 0.9, 1.0, 0.4, 0.3])
    expected = stats.t.interval(0.9, 5, loc=values.mean(), scale=stats.sem(values))
    summary = summarise(TokenF1(), mean_rows(values), level=0.9)
    assert (summary.method, summary.level) == ("t", 0.9)
    assert (summary.low, summary.high) == pytest.approx(expected, rel=1e-12)


def test_interval_stays_within_the_metric_s_bounds():
    summary = summarise(TokenF1(), mean_rows([0.9, 1.0, 1.0, 0.2]))
    assert summary.high == 1.0


def test_clusters_of_one_are_no_clusters():
    rows = mean_rows([1, 0, 1, 1, 0])
    assert summarise(Accuracy(), rows, list("abcde")) == summarise(Accuracy(), rows)


def test_repeats_are_averaged_within_their_document():
    by_document = np.array([[0.3, 0.8, 0.1], [0, 0, 1], [1, 0.5, 1], [0, 0.1, 0], [1, 0, 0]])
    summary = summarise(TokenF1(), mean_rows(by_document.ravel()), np.repeat(list("vwxyz"), 3))
    means = by_document.mean(axis=1)
    expected = stats.t.interval(0.95, 4, loc=means.mean(), scale=stats.sem(means))
    assert (summary.method, summary.n, summary.n_clusters) == ("cluster-t", 15, 5)
    assert summary.standard_error == pytest.approx(stats.sem(means), rel=1e-12)
    assert (summary.low, summary.high) == pytest.approx(np.clip(expected, 0, 1), rel=1e-12)


def test_right_and_wrong_in_clusters_have_a_wilson_interval_of_the_effective_size():
    summary = summarise(Accuracy(), mean_rows([1, 1, 0, 0, 1, 1, 0, 1]), list("aabbccdd"))
    assert summary.method == "cluster-wilson"
    assert (summary.n, summary.n_clusters) == (8, 4)
    assert summary.low < summarise(Accuracy(), mean_rows([1, 1, 0, 0, 1, 1, 0, 1])).low
    assert summary.standard_error == pytest.approx(stats.sem([1, 0, 1, 0.5]), rel=1e-12)


def test_clusters_that_are_all_right_still_leave_doubt():
    summary = summarise(Accuracy(), mean_rows([1] * 12), np.repeat(list("abcd"), 3))
    alone = summarise(Accuracy(), mean_rows([1] * 12))
    assert summary.high == 1.0
    assert summary.low < alone.low
    assert summary.standard_error is None


def test_interval_of_perplexity_is_the_exponential_of_that_of_the_mean_surprise():
    rows = text_rows(np.random.default_rng(1))
    nll, tokens = -rows[:, 0], rows[:, 1]
    ratio = nll.sum() / tokens.sum()
    # research formula: sqrt(n / (n - 1) * sum (nll - R tokens)^2) / sum tokens
    error = math.sqrt(40 / 39 * ((nll - ratio * tokens) ** 2).sum()) / tokens.sum()
    half = stats.t.ppf(0.975, 39) * error
    summary = summarise(Perplexity(), rows)
    assert summary.method == "ratio-t"
    assert (summary.low, summary.high) == pytest.approx((math.exp(ratio - half), math.exp(ratio + half)), rel=1e-12)
    # 1e-8: the slope of exp is a difference quotient
    assert summary.standard_error == pytest.approx(math.exp(ratio) * error, rel=1e-8)
    bits = summarise(BitsPerByte(), rows)
    assert (bits.low, bits.high) == pytest.approx(
        ((ratio - half) / math.log(2), (ratio + half) / math.log(2)), rel=1e-12
    )


def test_perplexity_interval_honours_clusters():
    rows = text_rows(np.random.default_rng(2))
    clusters = np.arange(40) // 4
    merged = np.array([rows[clusters == g].sum(axis=0) for g in range(10)])
    clustered, whole = summarise(Perplexity(), rows, clusters), summarise(Perplexity(), merged)
    assert clustered.method == "cluster-ratio-t"
    assert (clustered.low, clustered.high) == pytest.approx((whole.low, whole.high), rel=1e-12)


def chrf_rows(rng, n=60):
    answer = rng.integers(20, 60, (n, 24)).astype(float)
    answer[:, 2::3] = np.minimum(answer[:, 0::3], answer[:, 1::3]) * rng.uniform(0.2, 0.9, (n, 1))
    return answer


def test_bootstrap_depends_on_seed_and_signature_only():
    rows = chrf_rows(np.random.default_rng(3))
    first = summarise(Chrf(), rows)
    assert first.method == "bootstrap"
    assert summarise(Chrf(), rows) == first
    assert summarise(Chrf(), rows, seed=1).low != first.low


def test_bootstrap_of_clusters_is_wider_where_they_hold_alike_rows():
    rows = np.repeat(chrf_rows(np.random.default_rng(4), 15), 4, axis=0)
    alone, clustered = summarise(Chrf(), rows), summarise(Chrf(), rows, np.repeat(np.arange(15), 4))
    assert clustered.method == "cluster-bootstrap"
    # four equal rows a cluster: the standard error doubles; 25 % for the noise of 1000 resamples
    assert (clustered.high - clustered.low) / (alone.high - alone.low) == pytest.approx(2.0, rel=0.25)


@pytest.mark.parametrize(
    ("metric", "rows", "clusters", "reason"),
    [
        (Accuracy(), np.zeros((0, 2)), None, "there are no samples"),
        (TokenF1(), mean_rows([0.4]), None, "a single sample"),
        (TokenF1(), mean_rows([0.4, 0.4, 0.4]), None, "all samples are equal"),
        (TokenF1(), mean_rows([0.1] * 7), None, "all samples are equal"),  # 0.1 * 7 / 7 is not exactly 0.1
        (TokenF1(), mean_rows([0.4, 0.5]), ["a", "a"], "a single cluster"),
        (TokenF1(), mean_rows([0.2, 1, 0.2, 1]), list("aabb"), "all clusters are equal"),
        (Accuracy(), mean_rows([0, 1]), list("aa"), "a single cluster"),
        (LogProb(), mean_rows([0.0, 0.0]), None, "all samples are equal"),
        (Perplexity(), np.array([[-3.0, 2.0]]), None, "a single sample"),
        (Perplexity(), np.array([[-3.0, 2.0], [-6.0, 4.0]]), None, "all samples are equal"),
        (Perplexity(), np.zeros((3, 2)), None, "not finite"),
        (Perplexity(), np.array([[-math.inf, 2.0], [-1.0, 2.0]]), None, "not finite"),
        (Bleu(), np.array([[5, 5, 5, 4, 3, 2, 5, 4, 3, 2]] * 4, dtype=float), None, "all resamples agree"),
        (Bleu(), np.array([[5, 5, 5, 4, 3, 2, 5, 4, 3, 2]], dtype=float), None, "a single sample"),
    ],
)
def test_where_the_data_show_no_spread_the_interval_is_absent_and_says_why(metric, rows, clusters, reason):
    summary = summarise(metric, rows, clusters)
    assert reason in summary.absence
    assert (summary.low, summary.high, summary.method) == (None, None, None)


def test_value_is_absent_only_where_there_is_none():
    assert summarise(Accuracy(), np.zeros((0, 2))).value is None
    assert summarise(Perplexity(), np.zeros((3, 2))).value is None
    assert summarise(TokenF1(), mean_rows([0.4])).value == 0.4
