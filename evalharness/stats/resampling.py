"""The bootstrap on rows: resample the samples' statistics, sum them, and take the metric of the sums."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from evalharness.stats.intervals import ROUNDING, Absent, ClusterArray, FloatArray, Interval

#: Bytes that the counts of one block of resamples may take: a block fits in memory, whatever the number of samples.
_BLOCK_BYTES = 64 * 2**20


def bootstrap(
    rows: FloatArray,
    value: Callable[[FloatArray], FloatArray],
    clusters: ClusterArray | None = None,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 1000,
) -> Interval | Absent:
    """Percentile interval of ``value(column sums)`` over samples drawn with replacement.

    rows: (n, k) statistics of the samples. value: maps (R, k) sums to (R,) values, such as a metric's `value`.
    clusters: (n,) cluster indices; whole clusters are drawn then, because documents about one passage are not independent.
    Absent where fewer than 2 samples or clusters, or resamples that all agree or cannot be valued, show no spread.
    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13 (percentile intervals).
    """
    _check(level, resamples)
    noun = "sample" if clusters is None else "cluster"
    units = rows if clusters is None else cluster_sums(rows, clusters)
    if len(units) < 2:
        return Absent(f"a single {noun} shows no spread")
    values = np.concatenate([value(totals) for totals in resampled_totals(units, resamples, rng)])
    return _percentiles(values, level, "bootstrap" if clusters is None else "cluster-bootstrap")


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
    order = np.arange(len(rows)) if clusters is None else np.argsort(clusters, kind="stable")
    sizes = np.ones(len(rows), dtype=np.intp) if clusters is None else np.unique(clusters, return_counts=True)[1]
    if len(sizes) < 2:
        return Absent(f"a single {'sample' if clusters is None else 'cluster'} shows no spread")
    members = np.split(order, np.cumsum(sizes)[:-1])
    values = np.empty(resamples)
    for i in range(resamples):
        drawn = rng.integers(0, len(sizes), size=len(sizes))
        values[i] = value(rows[drawn if clusters is None else np.concatenate([members[unit] for unit in drawn])])
    valued = values[np.isfinite(values)]
    enough = valued if len(valued) >= 0.95 * resamples else values
    return _percentiles(enough, level, "bootstrap" if clusters is None else "cluster-bootstrap")


def _check(level: float, resamples: int) -> None:
    if not 0 < level < 1 or resamples < 1:
        raise ValueError("a bootstrap needs a level between 0 and 1, and at least one resample")


def _percentiles(values: FloatArray, level: float, method: str) -> Interval | Absent:
    if not np.isfinite(values).all():
        return Absent("some resamples have no value")
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    if high - low <= ROUNDING * float(np.abs(values).max()):
        return Absent("all resamples agree, so the data show no spread")
    return Interval(float(low), float(high), level, method)


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
