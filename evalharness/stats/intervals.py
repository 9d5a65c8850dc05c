"""Intervals of a proportion, a mean, a ratio of sums, and of a mean over tasks.

Where the data cannot tell how far off an estimate may be (a single sample, a single cluster, no spread at all), the answer
is `Absent` with the reason; an interval of width zero would claim certainty.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

FloatArray = npt.NDArray[np.float64]
#: Which cluster each row belongs to: (n,) indices, equal where rows depend on each other.
ClusterArray = npt.NDArray[np.intp]

#: Without any spread, rounding leaves differences near 1e-16 of the largest term; anything below this is no spread.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the true value lies with probability `level` of the method; bounds are in the unit of the estimate."""

    low: float
    high: float
    level: float
    method: str


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no interval, for this reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class MacroMean:
    """A weighted mean over tasks, and its interval."""

    value: float
    interval: Interval | Absent


def wilson_interval(successes: int, n: int, *, level: float = 0.95) -> Interval | Absent:
    """Score interval of a proportion: every p that a z-test at `level` does not reject; never of width zero.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference", JASA 22; the same as
    ``scipy.stats.binomtest(k, n).proportion_ci(level, "wilson")``.
    """
    _check_count(successes, n, level)
    if n == 0:
        return Absent("there are no samples")
    low, high = wilson_bounds(np.array(successes / n), n, float(stats.norm.ppf((1 + level) / 2)))
    return Interval(float(low), float(high), level, "wilson")


def cluster_proportion_interval(
    values: FloatArray, clusters: ClusterArray, *, level: float = 0.95
) -> Interval | Absent:
    """Score interval of the mean of (n,) zeros and ones that depend on each other within clusters, (n,) indices.

    Wilson's interval for the effective sample size n' = p (1 - p) / SE^2, with SE from `cluster_standard_error` and Student's
    quantile at G - 1 degrees of freedom in place of the normal one; n' is at most n, and G where all values are equal.
    Near 0 and 1 it covers better than the t interval of the same standard error: with 30 clusters of 4, p = .95 and an
    intra-cluster correlation of .3, .93 against .90 of 3000 simulated intervals at level .95.
    Absent with fewer than 2 clusters.
    Source: the Wilson interval at the effective sample size, as compared in Franco, Little, Louis and Slud 2019, "Comparative
    study of confidence intervals for proportions in complex sample surveys", Journal of Survey Statistics and Methodology 7.
    """
    _check_level(level)
    units, share = _n_clusters(clusters), float(np.mean(values))
    if units < 2:
        return Absent("a single cluster shows no spread")
    variance, spread = cluster_standard_error(values, clusters) ** 2, share * (1 - share)
    effective = float(units) if spread == 0 else spread / max(variance, spread / len(values))
    low, high = wilson_bounds(np.array(share), effective, float(stats.t.ppf((1 + level) / 2, units - 1)))
    return Interval(float(low), float(high), level, "cluster-wilson")


def wilson_bounds(
    shares: FloatArray, n: FloatArray | npt.NDArray[np.intp] | float, quantile: float
) -> tuple[FloatArray, FloatArray]:
    """Return Wilson's bounds of many shares of n at once, for a normal (or Student's) quantile; shapes as they broadcast."""
    square = quantile * quantile
    scale = 1 + square / n
    centre = (shares + square / (2 * n)) / scale
    half = quantile / scale * np.sqrt(shares * (1 - shares) / n + square / (4 * n * n))
    # exactly 0 and 1 at the ends, whatever rounding does
    low = np.where(shares == 0, 0.0, np.maximum(0.0, centre - half))
    return low, np.where(shares == 1, 1.0, np.minimum(1.0, centre + half))


def clopper_pearson_interval(successes: int, n: int, *, level: float = 0.95) -> Interval | Absent:
    """Exact interval of a proportion: covers with at least `level` for every true share, at the price of width.

    Source: Clopper and Pearson 1934, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26, through quantiles of the beta distribution.
    """
    _check_count(successes, n, level)
    if n == 0:
        return Absent("there are no samples")
    tail = (1 - level) / 2
    low = float(stats.beta.ppf(tail, successes, n - successes + 1)) if successes > 0 else 0.0
    high = float(stats.beta.ppf(1 - tail, successes + 1, n - successes)) if successes < n else 1.0
    return Interval(low, high, level, "clopper-pearson")


def mean_standard_error(values: FloatArray) -> float:
    """Return the standard error sqrt(sum (x - mean)^2 / (n (n - 1))) of the mean of (n,) independent values.

    Raises ValueError if n < 2: the spread is then unknown, not zero.
    """
    if len(values) < 2:
        raise ValueError("the standard error of a mean needs at least 2 values")
    return float(stats.sem(values))


def cluster_standard_error(values: FloatArray, clusters: ClusterArray) -> float:
    """Return the standard error of the mean of (n,) values that depend on each other within clusters, (n,) indices.

    (1/n) sqrt(sum over clusters of (sum of deviations)^2), times sqrt(G / (G - 1)) for G clusters: the cluster-robust
    standard error with the CR1 correction of a regression on a constant. Equals `mean_standard_error` where every cluster
    holds one value, and that of the cluster means where clusters are equally large.
    Raises ValueError if there are fewer than 2 clusters: the spread between them is then unknown, not zero.
    Source: Miller 2024, "Adding error bars to evals", arXiv:2411.00640, on clustered standard errors; CR1 as in Cameron and
    Miller 2015, "A practitioner's guide to cluster-robust inference", Journal of Human Resources 50.
    """
    return ratio_standard_error(values, np.ones(len(values)), clusters)


def mean_interval(
    values: FloatArray, clusters: ClusterArray | None = None, *, level: float = 0.95
) -> Interval | Absent:
    """Student's t interval of the mean of (n,) values: n - 1 degrees of freedom, or G - 1 with clusters, (n,) indices.

    With clusters the standard error is `cluster_standard_error`. Fewer than about 20 clusters make it too narrow.
    """
    _check_level(level)
    if clusters is None:
        if len(values) < 2:
            return Absent("a single sample shows no spread")
        units, error, method = len(values), mean_standard_error(values), "t"
    else:
        units = _n_clusters(clusters)
        if units < 2:
            return Absent("a single cluster shows no spread")
        error, method = cluster_standard_error(values, clusters), "cluster-t"
    if error <= ROUNDING * float(np.max(np.abs(values))):
        return Absent(f"all {'samples' if clusters is None else 'clusters'} are equal, so the data show no spread")
    return _t_interval(float(np.mean(values)), error, units - 1, level, method)


def ratio_standard_error(
    numerators: FloatArray, denominators: FloatArray, clusters: ClusterArray | None = None
) -> float:
    """Return the linearised standard error of R = sum(numerators) / sum(denominators), both (n,), denominators >= 0.

    sqrt(G / (G - 1) sum over clusters of (numerator - R denominator)^2) / sum(denominators); every row is a cluster of its
    own where `clusters` is None. For perplexity, numerators are surprises in nats and denominators tokens; R is then the
    logarithm of the perplexity.
    Raises ValueError if there are fewer than 2 clusters.
    Source: the delta method for the ratio estimator, Cochran 1977, "Sampling Techniques", 3rd edition, chapter 6.
    """
    total = float(np.sum(denominators))
    residuals: FloatArray = numerators - np.sum(numerators) / total * denominators
    if clusters is not None:
        sums = np.bincount(clusters, weights=residuals).astype(np.float64)
        residuals = sums[np.unique(clusters)]  # unused indices are no clusters
    units = len(residuals)
    if units < 2:
        raise ValueError("a standard error needs at least 2 samples or clusters")
    return math.sqrt(units / (units - 1) * float(residuals @ residuals)) / total


def ratio_interval(
    numerators: FloatArray, denominators: FloatArray, clusters: ClusterArray | None = None, *, level: float = 0.95
) -> Interval | Absent:
    """Student's t interval of sum(numerators) / sum(denominators) around `ratio_standard_error`, G - 1 degrees of freedom.

    The interval of a perplexity is the exponential of that of the mean surprise.
    """
    _check_level(level)
    total = float(np.sum(denominators))
    if total <= 0:
        return Absent("there is nothing to divide by")
    units = len(numerators) if clusters is None else _n_clusters(clusters)
    if units < 2:
        return Absent(f"a single {'sample' if clusters is None else 'cluster'} shows no spread")
    error = ratio_standard_error(numerators, denominators, clusters)
    method = "ratio-t" if clusters is None else "cluster-ratio-t"
    if error <= ROUNDING * float(np.max(np.abs(numerators))) / total:
        return Absent(f"all {'samples' if clusters is None else 'clusters'} are equal, so the data show no spread")
    return _t_interval(float(np.sum(numerators)) / total, error, units - 1, level, method)


def macro_mean(
    values: Sequence[float], intervals: Sequence[Interval | Absent], *, weights: Sequence[float] | None = None
) -> MacroMean:
    """Weighted mean of independent estimates (equal weights by default), with an interval made of theirs.

    low = M - sqrt(sum w^2 (x - low)^2), high = M + sqrt(sum w^2 (high - x)^2), weights w summing to 1. With symmetric
    intervals of known spread this is the usual sqrt(sum w^2 SE^2); it also holds where intervals are lopsided (Wilson), and
    a task with all answers right still contributes what it does not know.
    Estimates of shared documents are not independent; the interval is then too narrow.
    Raises ValueError if there are no values, lengths differ, levels differ, or weights are negative or sum to 0.
    Source: Zou and Donner 2008, "Construction of confidence limits about effect measures: a general approach", Statistics
    in Medicine 27.
    """
    shares = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    if not len(values) or len(values) != len(intervals) or len(values) != len(shares):
        raise ValueError("a macro mean needs as many intervals and weights as values, and at least one")
    if shares.min() < 0 or shares.sum() <= 0:
        raise ValueError("weights must not be negative, nor all zero")
    shares = shares / shares.sum()
    estimates = np.asarray(values, dtype=float)
    mean = float(shares @ estimates)
    known = [interval for interval in intervals if isinstance(interval, Interval)]
    if len(known) < len(intervals):
        return MacroMean(mean, Absent(f"{len(intervals) - len(known)} of {len(intervals)} tasks have no interval"))
    if len({interval.level for interval in known}) > 1:
        raise ValueError("the intervals have different levels")
    below = shares * (estimates - [interval.low for interval in known])
    above = shares * ([interval.high for interval in known] - estimates)
    low, high = mean - math.sqrt(below @ below), mean + math.sqrt(above @ above)
    return MacroMean(mean, Interval(low, high, known[0].level, "macro"))


def _t_interval(estimate: float, error: float, freedom: int, level: float, method: str) -> Interval:
    half = float(stats.t.ppf((1 + level) / 2, freedom)) * error
    return Interval(estimate - half, estimate + half, level, method)


def _n_clusters(clusters: ClusterArray) -> int:
    return len(np.unique(clusters))


def _check_count(successes: int, n: int, level: float) -> None:
    _check_level(level)
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes among {n} samples")


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, such as 0.95, not {level}")
