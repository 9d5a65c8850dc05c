"""Two systems on the same documents: tests and intervals of right and wrong, of means, and of ratios of sums.

Differences are candidate minus baseline, document by document. Pairing removes what both systems find hard or easy alike:
Var(difference) = Var(candidate) + Var(baseline) - 2 Cov. Whether two separate intervals overlap decides nothing.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from evalharness.stats.difference import (
    Alternative,
    EstimatedDifference,
    Significance,
    difference_interval,
    difference_test,
)
from evalharness.stats.intervals import (
    ROUNDING,
    Absent,
    ClusterArray,
    FloatArray,
    Interval,
    cluster_standard_error,
    mean_standard_error,
)


def mcnemar(b: int, c: int, *, mid_p: bool = False, alternative: Alternative = "two-sided") -> Significance:
    """McNemar's exact test: b documents only the baseline has right, c only the candidate.

    Without a difference, c is binomial among b + c documents with share 1/2; documents that both have right, or both
    wrong, say nothing. "greater": the candidate is better. b = c = 0 gives p = 1. mid_p counts the observed outcome half:
    less conservative, at the price of an error rate that may exceed alpha a little. Clusters make it anti-conservative: then
    use `paired_mean_test` or `sign_flip_test` with clusters.
    Source: McNemar 1947, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12; Fagerland, Lydersen and Laake 2013, "The McNemar test for binary matched-pairs data: mid-p and
    asymptotic are better than exact conditional", BMC Medical Research Methodology 13.
    """
    if b < 0 or c < 0:
        raise ValueError(f"counts are not negative: b = {b}, c = {c}")
    n = b + c
    half = 0.5 if mid_p else 0.0
    # P(X >= c) and P(X <= c), X ~ Binomial(n, 1/2)
    upper = float(stats.binom.sf(c - 1, n, 0.5) - half * stats.binom.pmf(c, n, 0.5))
    lower = float(stats.binom.cdf(c, n, 0.5) - half * stats.binom.pmf(c, n, 0.5))
    tails = {"greater": upper, "less": lower, "two-sided": min(1.0, 2 * min(upper, lower))}
    if alternative not in tails:
        raise ValueError(f"alternative is two-sided, greater or less, not {alternative!r}")
    return Significance(tails[alternative], "mcnemar-mid-p" if mid_p else "mcnemar-exact", alternative)


def paired_proportion_difference(b: int, c: int, n: int) -> EstimatedDifference | Absent:
    """Return the adjusted difference of two paired proportions: b only the baseline has right, c only the candidate, of n.

    With shares p12 = (c + 1) / (n + 2) and p21 = (b + 1) / (n + 2): p12 - p21, standard error
    sqrt((p12 + p21 - (p12 - p21)^2) / (n + 2)), normal. The standard error is positive even where b = c = 0. The value is
    (c - b) / (n + 2), a little nearer to 0 than the observed (c - b) / n.
    Raises ValueError if counts are negative or b + c > n.
    Source: Bonett and Price 2012, "Adjusted Wald confidence interval for a difference of binomial proportions based on paired
    data", Journal of Educational and Behavioral Statistics 37.
    """
    if min(b, c) < 0 or b + c > n:
        raise ValueError(f"{b} + {c} documents differ among {n}")
    if n == 0:
        return Absent("there are no samples")
    return _bonett_price(b / n, c / n, n, math.inf, "bonett-price")


def paired_proportion_interval(b: int, c: int, n: int, level: float = 0.95) -> Interval | Absent:
    """Adjusted Wald interval of the difference of two paired proportions, see `paired_proportion_difference`.

    Never of width zero; bounds are cut at -1 and 1.
    """
    return _within_unit(paired_proportion_difference(b, c, n), level)


def cluster_paired_proportion_difference(
    differences: FloatArray, clusters: ClusterArray
) -> EstimatedDifference | Absent:
    """Return what `paired_proportion_difference` gives, for (n,) differences of -1, 0 and 1 that depend within clusters.

    Bonett and Price's estimate at the effective sample size n' = (p12 + p21 - (p12 - p21)^2) / SE^2, SE from
    `cluster_standard_error`, with G - 1 degrees of freedom; n' is at most n, and G where all differences are equal. So even
    differences that are all zero have a standard error, which shrinks with the number of clusters.
    Absent with fewer than 2 clusters. Raises ValueError if a difference is not -1, 0 or 1.
    Source: as `cluster_proportion_interval` (Franco et al. 2019) for a proportion, applied to Bonett and Price 2012.
    """
    if not np.isin(differences, (-1.0, 0.0, 1.0)).all():
        raise ValueError("differences of right and wrong are -1, 0 or 1")
    units, n = len(np.unique(clusters)), len(differences)
    if units < 2:
        return Absent("a single cluster shows no spread")
    lost, won = float(np.mean(differences < 0)), float(np.mean(differences > 0))
    spread = lost + won - (won - lost) ** 2
    variance = cluster_standard_error(differences, clusters) ** 2
    effective = float(units) if spread <= ROUNDING else spread / max(variance, spread / n)
    return _bonett_price(lost, won, effective, units - 1, "cluster-bonett-price")


def cluster_paired_proportion_interval(
    differences: FloatArray, clusters: ClusterArray, *, level: float = 0.95
) -> Interval | Absent:
    """Interval of `cluster_paired_proportion_difference`; never of width zero, bounds are cut at -1 and 1."""
    return _within_unit(cluster_paired_proportion_difference(differences, clusters), level)


def paired_mean_difference(
    differences: FloatArray, clusters: ClusterArray | None = None
) -> EstimatedDifference | Absent:
    """Return the mean of (n,) differences with its standard error, n - 1 degrees of freedom, or G - 1 with clusters.

    clusters: (n,) indices; the standard error is then `cluster_standard_error` (CR1). With repeats, differences of the
    documents' means, or all repeats with the document as cluster.
    Absent with fewer than 2 samples or clusters, where a difference is not finite (a probability of zero), or where all are
    equal: that shows no spread, not certainty.
    """
    noun = "sample" if clusters is None else "cluster"
    units = len(differences) if clusters is None else len(np.unique(clusters))
    if units < 2:
        return Absent(f"a single {noun} shows no spread" if units else "there are no samples")
    if not np.isfinite(differences).all():
        return Absent("some differences are not finite")
    error = mean_standard_error(differences) if clusters is None else cluster_standard_error(differences, clusters)
    if error <= ROUNDING * float(np.max(np.abs(differences))):
        return Absent(f"the differences of all {noun}s are equal, so the data show no spread")
    return EstimatedDifference(
        float(np.mean(differences)), error, units - 1, "paired-t" if clusters is None else "cluster-paired-t"
    )


def paired_mean_interval(
    differences: FloatArray, clusters: ClusterArray | None = None, *, level: float = 0.95
) -> Interval | Absent:
    """Student's t interval of the mean of (n,) differences, see `paired_mean_difference`.

    The same as ``scipy.stats.ttest_rel(candidate, baseline).confidence_interval()`` without clusters.
    """
    return _interval(paired_mean_difference(differences, clusters), level)


def paired_mean_test(
    differences: FloatArray,
    clusters: ClusterArray | None = None,
    *,
    shift: float = 0.0,
    alternative: Alternative = "two-sided",
) -> Significance | Absent:
    """Student's t test of whether the mean of (n,) differences is `shift`, see `paired_mean_difference`.

    Where all differences (or all clusters' means) are equal there is no t. Against shift 0 the exact sign-flip test, which
    needs no spread, answers instead: p = 1 if all are zero, else 2^-(G - 1), or 2^-G one-sided on the observed side, for G
    samples or clusters. Against another shift the answer is `Absent`: equal differences, such as none at all, then do not
    say how rare others are.
    """
    difference = paired_mean_difference(differences, clusters)
    if isinstance(difference, EstimatedDifference):
        return difference_test(difference, shift=shift, alternative=alternative)
    units = len(differences) if clusters is None else len(np.unique(clusters))
    if units < 2 or shift != 0 or not np.isfinite(differences).all():
        return difference
    mean = float(np.mean(differences))
    rounding = ROUNDING * float(np.max(np.abs(differences)))
    return _flips_of_equal_differences(mean if abs(mean) > rounding else 0.0, units, alternative)


def unchanged_interval(n: int, greatest: float, *, level: float = 0.95) -> Interval | Absent:
    """Interval of the mean of n independent differences that are all zero, where none can exceed `greatest` in size.

    -+ greatest (1 - (1 - level)^(1 / n)): n documents without a change do not exclude that a share of others changes, but with
    probability `level` no greater share than this one, and each by `greatest` at most. Covers with at least `level`. With
    clusters, n counts clusters. About 3 greatest / n at level .95.
    Source: the one-sided bound of Clopper and Pearson 1934 for 0 of n; Hanley and Lippman-Hand 1983, "If nothing goes wrong,
    is everything all right?", JAMA 249.
    """
    if n < 0 or not 0 < greatest < math.inf or not 0 < level < 1:
        raise ValueError("n is not negative, the greatest difference is positive, and a level lies between 0 and 1")
    if n == 0:
        return Absent("there are no samples")
    bound = -greatest * math.expm1(math.log1p(-level) / n)
    return Interval(-bound, bound, level, "unchanged")


def ratio_difference(
    rows_a: FloatArray, rows_b: FloatArray, clusters: ClusterArray | None = None, *, log: bool = False
) -> EstimatedDifference | Absent:
    """Return R_b - R_a, or log(R_b / R_a), of ratios R = sum(numerators) / sum(denominators) on the same documents.

    rows_a, rows_b: (n, 2) numerators and denominators of baseline and candidate. clusters: (n,) indices. With numerators
    in nats and denominators in tokens, words or bytes, R_b - R_a is the logarithm of the ratio of the perplexities; ``log``
    serves where R itself is reported, such as bits per byte. The standard error is linearised:
    sqrt(G / (G - 1) sum over clusters of e^2), e = e_b - e_a, e_s = (numerator - R_s denominator) / (sum of denominators of
    s), divided by R_s for logarithms; G - 1 degrees of freedom. Both systems' denominators may differ.
    Absent with fewer than 2 samples or clusters, sums that are not finite, nothing to divide by, a ratio <= 0 under a
    logarithm, or no spread.
    Source: the delta method for the ratio estimator, Cochran 1977, "Sampling Techniques", 3rd edition, section 6.
    """
    if rows_a.shape != rows_b.shape or rows_a.ndim != 2 or rows_a.shape[1] != 2:
        raise ValueError(f"rows are (n, 2) for both systems, not {rows_a.shape} and {rows_b.shape}")
    noun = "sample" if clusters is None else "cluster"
    units = len(rows_a) if clusters is None else len(np.unique(clusters))
    if units < 2:
        return Absent(f"a single {noun} shows no spread" if units else "there are no samples")
    if not (np.isfinite(rows_a) & np.isfinite(rows_b)).all():
        return Absent("some sums are not finite")
    (over_a, under_a), (over_b, under_b) = rows_a.sum(axis=0), rows_b.sum(axis=0)
    if min(under_a, under_b) <= 0:
        return Absent("there is nothing to divide by")
    ratio_a, ratio_b = float(over_a / under_a), float(over_b / under_b)
    if log and min(ratio_a, ratio_b) <= 0:
        return Absent("a ratio that is not positive has no logarithm")
    scale_a, scale_b = (under_a * ratio_a, under_b * ratio_b) if log else (under_a, under_b)
    effects = (rows_b[:, 0] - ratio_b * rows_b[:, 1]) / scale_b - (rows_a[:, 0] - ratio_a * rows_a[:, 1]) / scale_a
    if clusters is not None:
        effects = np.bincount(np.unique(clusters, return_inverse=True)[1], weights=effects).astype(np.float64)
    error = math.sqrt(units / (units - 1) * float(effects @ effects))
    largest = max(float(np.abs(rows_a[:, 0]).max() / scale_a), float(np.abs(rows_b[:, 0]).max() / scale_b))
    if error <= ROUNDING * largest:
        return Absent(f"the differences of all {noun}s are equal, so the data show no spread")
    value = math.log(ratio_b / ratio_a) if log else ratio_b - ratio_a
    method = f"{'' if clusters is None else 'cluster-'}{'log-' if log else ''}ratio-difference-t"
    return EstimatedDifference(value, error, units - 1, method)


def ratio_difference_interval(
    rows_a: FloatArray,
    rows_b: FloatArray,
    clusters: ClusterArray | None = None,
    *,
    log: bool = False,
    level: float = 0.95,
) -> Interval | Absent:
    """Student's t interval of `ratio_difference`; its exponential is that of a ratio of perplexities (of R with ``log``)."""
    return _interval(ratio_difference(rows_a, rows_b, clusters, log=log), level)


def ratio_difference_test(
    rows_a: FloatArray,
    rows_b: FloatArray,
    clusters: ClusterArray | None = None,
    *,
    log: bool = False,
    shift: float = 0.0,
    alternative: Alternative = "two-sided",
) -> Significance | Absent:
    """Student's t test of whether `ratio_difference` is `shift`.

    Equal rows of both systems have p = 1 against shift 0, whatever is swapped between them; otherwise Absent without spread.
    """
    difference = ratio_difference(rows_a, rows_b, clusters, log=log)
    if isinstance(difference, EstimatedDifference):
        return difference_test(difference, shift=shift, alternative=alternative)
    units = len(rows_a) if clusters is None else len(np.unique(clusters))
    if units < 2 or shift != 0 or not np.array_equal(rows_a, rows_b):
        return difference
    return _flips_of_equal_differences(0.0, units, alternative)


def _flips_of_equal_differences(mean: float, units: int, alternative: Alternative) -> Significance:
    """Exact sign-flip test of differences that are all `mean`: no flip reaches their sum but none, or all for the opposite."""
    tails = {
        "greater": 0.5**units if mean > 0 else 1.0,
        "less": 0.5**units if mean < 0 else 1.0,
        "two-sided": 0.5 ** (units - 1) if mean else 1.0,
    }
    if alternative not in tails:
        raise ValueError(f"alternative is two-sided, greater or less, not {alternative!r}")
    return Significance(tails[alternative], "sign-flip-exact", alternative, mean)


def _bonett_price(lost: float, won: float, n: float, df: float, method: str) -> EstimatedDifference:
    """Bonett and Price's adjusted difference of shares lost and won among n, which need not be whole."""
    p12, p21 = (won * n + 1) / (n + 2), (lost * n + 1) / (n + 2)
    return EstimatedDifference(p12 - p21, math.sqrt((p12 + p21 - (p12 - p21) ** 2) / (n + 2)), df, method)


def _interval(difference: EstimatedDifference | Absent, level: float) -> Interval | Absent:
    return difference if isinstance(difference, Absent) else difference_interval(difference, level=level)


def _within_unit(difference: EstimatedDifference | Absent, level: float) -> Interval | Absent:
    found = _interval(difference, level)
    if isinstance(found, Absent):
        return found
    return Interval(max(-1.0, found.low), min(1.0, found.high), level, found.method)
