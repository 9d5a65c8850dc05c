"""The bootstrap on rows: resample the samples' statistics, sum them, and take the metric of the sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import special

from evalharness.stats.intervals import ROUNDING, Absent, ClusterArray, FloatArray, Interval

Method = Literal["percentile", "bca"]

#: Bytes that the counts of one block of resamples may take: a block fits in memory, whatever the number of samples.
_BLOCK_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class PairedBootstrap:
    """A difference of two values, candidate minus baseline, with its percentile interval.

    p: two-sided, 2 (c + 1) / (R + 1) with c of R resamples on the lesser side of zero (at most 1): below 1 - level where the
    interval leaves zero out, up to one resample.
    """

    difference: float
    interval: Interval
    p: float


def bootstrap(
    rows: FloatArray,
    value: Callable[[FloatArray], FloatArray],
    clusters: ClusterArray | None = None,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 1000,
    method: Method = "percentile",
) -> Interval | Absent:
    """Interval of ``value(column sums)`` over samples drawn with replacement.

    rows: (n, k) statistics of the samples. value: maps (R, k) sums to (R,) values, such as a metric's `value`.
    clusters: (n,) cluster indices; whole clusters are drawn then, because documents about one passage are not independent.
    method: "percentile" takes the quantiles of the resampled values. "bca" moves them by the bias z0 (the share of values
    below the estimate) and the acceleration a (the skewness over leaving out one sample, or one cluster): better where values
    are skewed and n is below about 200, at the price of n more values.
    Absent where fewer than 2 samples or clusters, or resamples that all agree or cannot be valued, show no spread; under
    "bca" also where the estimate lies outside all resampled values, or leaving out a sample changes nothing.
    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapters 13 (percentile) and 14 (BCa); BCa as
    ``scipy.stats.bootstrap``.
    """
    _check(level, resamples, method)
    units = rows if clusters is None else cluster_sums(rows, clusters)
    if len(units) < 2:
        return _too_few(clusters)
    values = _resampled_values(units, value, resamples, rng)
    name = "bootstrap" if clusters is None else "cluster-bootstrap"
    if method == "percentile":
        return percentile_interval(values, level, name)
    return _accelerated(values, units, value, level, f"{name}-bca")


def bootstrap_of_rows(
    rows: FloatArray,
    value: Callable[[FloatArray], float],
    clusters: ClusterArray | None = None,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 1000,
) -> Interval | Absent:
    """Percentile interval of ``value(rows)`` over samples, or whole clusters, drawn with replacement.

    For values that sums do not decide, such as the area under a ROC curve: value maps (m, k) rows to a number and is called
    once a resample. m is n, or, where clusters differ in size, whatever rows the drawn clusters hold. Resamples without a
    value (NaN), such as those that hold one class alone, are left out where they are at most 5 % of all.
    Absent as in `bootstrap`.
    """
    _check(level, resamples)
    if _n_units(rows, clusters) < 2:
        return _too_few(clusters)
    values = np.array([value(rows[drawn]) for drawn in _resampled_indices(len(rows), clusters, resamples, rng)])
    return percentile_interval(_valued(values), level, "bootstrap" if clusters is None else "cluster-bootstrap")


def paired_bootstrap(
    rows_a: FloatArray,
    rows_b: FloatArray,
    value: Callable[[FloatArray], FloatArray],
    clusters: ClusterArray | None = None,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 1000,
) -> PairedBootstrap | Absent:
    """Interval and p-value of value(b) - value(a), both valued on the same samples drawn with replacement.

    rows_a, rows_b: (n, k) statistics of baseline and candidate on the same samples; value and clusters as in `bootstrap`.
    Absent as in `bootstrap`; systems with equal rows show no spread.
    Source: Koehn 2004, "Statistical significance tests for machine translation evaluation", EMNLP; Efron and Tibshirani 1993,
    section 15.4, for p-values from the interval. ``sacrebleu.significance.PairedTest(test_type="bs")`` centres the absolute
    differences instead and counts one tail: where a difference is clear, its p is about half of this one.
    """
    _check(level, resamples)
    rows = _side_by_side(rows_a, rows_b)
    units = rows if clusters is None else cluster_sums(rows, clusters)
    if len(units) < 2:
        return _too_few(clusters)
    k = rows_a.shape[1]

    def difference(totals: FloatArray) -> FloatArray:
        return np.asarray(value(totals[:, k:]) - value(totals[:, :k]))

    total = units.sum(axis=0)
    pair = (float(value(total[None, :k])[0]), float(value(total[None, k:])[0]))
    values = _resampled_values(units, difference, resamples, rng)
    return _paired(pair, values, level, "paired-bootstrap" if clusters is None else "cluster-paired-bootstrap")


def paired_bootstrap_of_rows(
    rows_a: FloatArray,
    rows_b: FloatArray,
    value: Callable[[FloatArray], float],
    clusters: ClusterArray | None = None,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 1000,
) -> PairedBootstrap | Absent:
    """`paired_bootstrap` for values that sums do not decide: value maps (m, k) rows to a number, as in `bootstrap_of_rows`."""
    _check(level, resamples)
    rows, k = _side_by_side(rows_a, rows_b), rows_a.shape[1]
    if _n_units(rows, clusters) < 2:
        return _too_few(clusters)

    def difference(drawn: FloatArray) -> float:
        return float(value(drawn[:, k:]) - value(drawn[:, :k]))

    values = np.array([difference(rows[drawn]) for drawn in _resampled_indices(len(rows), clusters, resamples, rng)])
    method = "paired-bootstrap" if clusters is None else "cluster-paired-bootstrap"
    return _paired((float(value(rows_a)), float(value(rows_b))), _valued(values), level, method)


def _check(level: float, resamples: int, method: str = "percentile") -> None:
    if not 0 < level < 1 or resamples < 1:
        raise ValueError("a bootstrap needs a level between 0 and 1, and at least one resample")
    if method not in ("percentile", "bca"):
        raise ValueError(f"method is percentile or bca, not {method!r}")


def _too_few(clusters: ClusterArray | None) -> Absent:
    return Absent(f"a single {'sample' if clusters is None else 'cluster'} shows no spread")


def _n_units(rows: FloatArray, clusters: ClusterArray | None) -> int:
    return len(rows) if clusters is None else len(np.unique(clusters))


def _side_by_side(rows_a: FloatArray, rows_b: FloatArray) -> FloatArray:
    """Join (n, k) rows of two systems to (n, 2 k), so that one draw resamples both."""
    if rows_a.shape != rows_b.shape:
        raise ValueError(f"paired rows have one shape, not {rows_a.shape} and {rows_b.shape}")
    return np.concatenate([rows_a, rows_b], axis=1)


def _resampled_values(
    units: FloatArray, value: Callable[[FloatArray], FloatArray], resamples: int, rng: np.random.Generator
) -> FloatArray:
    return np.concatenate([value(totals) for totals in resampled_totals(units, resamples, rng)])


def _resampled_indices(
    n: int, clusters: ClusterArray | None, resamples: int, rng: np.random.Generator
) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the indices of the rows of each resample."""
    if clusters is None:
        for _ in range(resamples):
            yield rng.integers(0, n, size=n)
        return
    sizes = np.unique(clusters, return_counts=True)[1]
    members = np.split(np.argsort(clusters, kind="stable"), np.cumsum(sizes)[:-1])
    for _ in range(resamples):
        yield np.concatenate([members[unit] for unit in rng.integers(0, len(sizes), size=len(sizes))])


def _valued(values: FloatArray) -> FloatArray:
    """Leave out resamples without a value, unless they are more than 5 % of all."""
    valued = values[np.isfinite(values)]
    return valued if len(valued) >= 0.95 * len(values) else values


def _absence(values: FloatArray, scale: float = 0.0) -> Absent | None:
    """Say why resampled values have no interval; scale as in `percentile_interval`."""
    if not np.isfinite(values).all():
        return Absent("some resamples have no value")
    if float(np.ptp(values)) <= ROUNDING * max(scale, float(np.abs(values).max())):
        return Absent("all resamples agree, so the data show no spread")
    return None


def percentile_interval(values: FloatArray, level: float, method: str, scale: float = 0.0) -> Interval | Absent:
    """Return the interval between the quantiles of (R,) resampled values; `Absent` where some are NaN, or all agree.

    scale: the size of what the values are differences of; they agree where they differ by its rounding alone.
    """
    return _quantiles(values, ((1 - level) / 2, (1 + level) / 2), level, method, scale)


def _quantiles(
    values: FloatArray, shares: tuple[float, float], level: float, method: str, scale: float = 0.0
) -> Interval | Absent:
    if (absence := _absence(values, scale)) is not None:
        return absence
    low, high = np.quantile(values, shares)
    if high - low <= ROUNDING * max(scale, float(np.abs(values).max())):
        return Absent("all resamples agree, so the data show no spread")
    return Interval(float(low), float(high), level, method)


def _accelerated(
    values: FloatArray, units: FloatArray, value: Callable[[FloatArray], FloatArray], level: float, method: str
) -> Interval | Absent:
    """BCa interval of resampled values, with the acceleration of leaving out each unit."""
    if (absence := _absence(values)) is not None:
        return absence
    totals = units.sum(axis=0)
    observed, left_out = float(value(totals[None])[0]), value(totals - units)
    pulls = left_out.mean() - left_out
    squares = float(pulls @ pulls)
    if not np.isfinite(squares):
        return Absent("leaving out some samples leaves no value")
    if squares <= (ROUNDING * float(np.abs(left_out).max())) ** 2:
        return Absent("leaving out any sample changes nothing, so the data show no skewness")
    acceleration = float((pulls**3).sum()) / (6 * squares**1.5)
    below = (np.mean(values < observed) + np.mean(values <= observed)) / 2
    if not 0 < below < 1:
        return Absent("the estimate lies outside all resampled values")
    bias, ends = special.ndtri(below), special.ndtri([(1 - level) / 2, (1 + level) / 2])
    low, high = special.ndtr(bias + (bias + ends) / (1 - acceleration * (bias + ends)))
    return _quantiles(values, (float(low), float(high)), level, method)


def _paired(pair: tuple[float, float], values: FloatArray, level: float, method: str) -> PairedBootstrap | Absent:
    """Interval and p of resampled differences; pair: the values of baseline and candidate."""
    interval = percentile_interval(values, level, method, max(abs(pair[0]), abs(pair[1])))
    if isinstance(interval, Absent):
        return interval
    tail = min(int((values <= 0).sum()), int((values >= 0).sum()))
    return PairedBootstrap(pair[1] - pair[0], interval, min(1.0, 2 * (tail + 1) / (len(values) + 1)))


def cluster_sums(rows: FloatArray, clusters: ClusterArray) -> FloatArray:
    """Sum (n, k) rows within clusters, (n,) indices, to (G, k), in ascending order of the indices."""
    _, groups = np.unique(clusters, return_inverse=True)
    sums = np.zeros((int(groups.max()) + 1 if len(groups) else 0, rows.shape[1]))
    np.add.at(sums, groups, rows)
    return sums


def resampled_totals(
    rows: FloatArray, resamples: int, rng: np.random.Generator, *, block_bytes: int = _BLOCK_BYTES
) -> Iterator[FloatArray]:
    """Yield the column sums of `resamples` draws of n rows with replacement, in blocks of (b, k).

    The draws do not depend on block_bytes.
    """
    n = len(rows)
    block = max(1, min(resamples, block_bytes // (n * 8)))
    for start in range(0, resamples, block):
        b = min(block, resamples - start)
        drawn = rng.integers(0, n, size=(b, n))
        drawn += np.arange(b)[:, None] * n  # so that one bincount counts all resamples of the block
        counts = np.bincount(drawn.ravel(), minlength=b * n).reshape(b, n)
        yield counts.astype(np.float64) @ rows
