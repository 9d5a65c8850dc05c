"""How far raters agree: share of agreement, Cohen's kappa, Krippendorff's alpha, with bootstrap intervals over items."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from evalharness.stats.intervals import Absent, FloatArray, Interval, wilson_interval
from evalharness.stats.resampling import bootstrap

Scale = Literal["nominal", "ordinal", "interval"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """A coefficient of agreement; n_items counts the items that at least two raters rated."""

    value: float | Absent
    interval: Interval | Absent
    n_items: int


def percent_agreement(
    ratings: FloatArray, *, rng: np.random.Generator, level: float = 0.95, resamples: int = 1000
) -> Agreement:
    """Mean over items of the share of pairs of raters that agree; ratings (n, raters), NaN where there is none.

    Where every item has two ratings this is a proportion, with Wilson's interval; else the bootstrap's.
    """
    _, marginals = _codes(ratings)
    if not len(marginals):
        return _no_pairs()
    sizes = marginals.sum(axis=1)
    shares = np.sum(marginals * (marginals - 1), axis=1) / (sizes * (sizes - 1))
    interval: Interval | Absent
    if (sizes == 2).all():
        interval = wilson_interval(int(shares.sum()), len(shares), level=level)
    else:
        rows = np.column_stack([shares, np.ones(len(shares))])
        interval = bootstrap(rows, lambda sums: sums[:, 0] / sums[:, 1], rng=rng, level=level, resamples=resamples)
    return Agreement(float(shares.mean()), interval, len(shares))


def cohen_kappa(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    rng: np.random.Generator,
    weights: Literal["linear", "quadratic"] | None = None,
    level: float = 0.95,
    resamples: int = 1000,
) -> Agreement:
    """Agreement of two raters beyond what their marginals would give by chance; (n,) labels each, in their sorted order.

    1 - sum(w observed) / sum(w expected), with w = 1 off the diagonal, or the distance of the labels' places or its square.
    Absent where chance alone would give full agreement (both raters use one label).
    Raises ValueError if the raters rated different numbers of items, or a label is NaN: leave such items out.
    Source: Cohen 1960, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20; Cohen
    1968, "Weighted kappa", Psychological Bulletin 70; equals ``sklearn.metrics.cohen_kappa_score``.
    """
    labels = [np.asarray(first), np.asarray(second)]
    if labels[0].shape != labels[1].shape or labels[0].ndim != 1:
        raise ValueError("two raters need one label each for every item")
    if any(label.dtype.kind == "f" and np.isnan(label).any() for label in labels):
        raise ValueError("a missing rating is no label; leave the item out")
    n = len(labels[0])
    if not n:
        return _no_pairs()
    _, codes = np.unique(np.concatenate(labels), return_inverse=True)
    k = int(codes.max()) + 1
    rows = np.zeros((n, k * k))
    rows[np.arange(n), codes[:n] * k + codes[n:]] = 1
    distances = np.abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(np.float64)
    disagreement = distances > 0 if weights is None else distances ** {"linear": 1, "quadratic": 2}[weights]

    def kappa(sums: FloatArray) -> FloatArray:
        tables = sums.reshape(-1, k, k)
        expected = np.einsum("ri,rj,ij->r", tables.sum(axis=2), tables.sum(axis=1), disagreement)
        return _one_minus(np.einsum("rij,ij->r", tables, disagreement) * tables.sum(axis=(1, 2)), expected)

    return _with_interval(rows, kappa, "both raters use one label only", (rng, level, resamples))


def krippendorff_alpha(
    ratings: FloatArray,
    scale: Scale = "nominal",
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 1000,
) -> Agreement:
    """1 - observed / expected disagreement of any number of raters; ratings (n, raters), NaN where there is none.

    Items with fewer than two ratings tell nothing and are left out. Disagreement of two values: nominal 1, interval their
    squared difference, ordinal the squared number of ratings between them (the two values' own counted half).
    The interval resamples items; Krippendorff's own bootstrap draws pairs of ratings instead, as if they were independent.
    Absent where all ratings are equal.
    Source: Krippendorff 2011, "Computing Krippendorff's alpha-reliability", University of Pennsylvania.
    """
    values, marginals = _codes(ratings)
    if not len(marginals):
        return _no_pairs()
    sizes = marginals.sum(axis=1)
    k = len(values)
    if scale == "interval":
        centred = values - np.average(values, weights=marginals.sum(axis=0))
        sums, squares = marginals @ centred, marginals @ centred**2
        rows = np.column_stack([sizes, sums, squares, 2 * (sizes * squares - sums**2) / (sizes - 1)])
        value = _interval_alpha
    elif scale == "nominal":
        agreeing = np.sum(marginals * (marginals - 1), axis=1) / (sizes - 1)
        rows, value = np.column_stack([agreeing, marginals]), _nominal_alpha
    else:
        pairs = marginals[:, :, None] * marginals[:, None, :] - marginals[:, :, None] * np.eye(k)
        rows, value = (pairs / (sizes - 1)[:, None, None]).reshape(len(sizes), k * k), _ordinal_alpha
    return _with_interval(rows, value, "all ratings are equal", (rng, level, resamples))


def _interval_alpha(sums: FloatArray) -> FloatArray:
    n, total, squares, observed = sums.T
    return _one_minus(observed * (n - 1), 2 * (n * squares - total**2))


def _nominal_alpha(sums: FloatArray) -> FloatArray:
    agreeing, marginals = sums[:, 0], sums[:, 1:]
    n = marginals.sum(axis=1)
    return _one_minus((n - agreeing) * (n - 1), n**2 - np.sum(marginals**2, axis=1))


def _ordinal_alpha(sums: FloatArray) -> FloatArray:
    k = round(sums.shape[1] ** 0.5)
    coincidences = sums.reshape(-1, k, k)
    marginals = coincidences.sum(axis=2)
    # ratings up to the middle of each value: differences count what lies between, the ends by half
    places = np.cumsum(marginals, axis=1) - marginals / 2
    distances = (places[:, :, None] - places[:, None, :]) ** 2
    expected = np.einsum("ri,rj,rij->r", marginals, marginals, distances)
    return _one_minus(np.einsum("rij,rij->r", coincidences, distances) * (marginals.sum(axis=1) - 1), expected)


def _one_minus(observed: FloatArray, expected: FloatArray) -> FloatArray:
    """Return 1 - observed / expected, NaN where nothing is expected."""
    ratio = np.divide(observed, expected, out=np.full_like(expected, np.nan), where=expected > 0)
    found: FloatArray = 1 - ratio
    return found


def _with_interval(
    rows: FloatArray,
    value: Callable[[FloatArray], FloatArray],
    reason: str,
    plan: tuple[np.random.Generator, float, int],
) -> Agreement:
    rng, level, resamples = plan
    estimate = float(value(rows.sum(axis=0, keepdims=True))[0])
    if np.isnan(estimate):
        return Agreement(Absent(reason), Absent(reason), len(rows))
    return Agreement(estimate, bootstrap(rows, value, rng=rng, level=level, resamples=resamples), len(rows))


def _codes(ratings: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the (k,) distinct values, and (n, k) how often each item got each; items with at least two ratings only."""
    if ratings.ndim != 2:
        raise ValueError("ratings are a matrix, items by raters")
    pairable = ratings[np.sum(~np.isnan(ratings), axis=1) >= 2]
    items, raters = np.nonzero(~np.isnan(pairable))
    values, codes = np.unique(pairable[items, raters], return_inverse=True)
    marginals = np.zeros((len(pairable), len(values)))
    np.add.at(marginals, (items, codes), 1)
    return values, marginals


def _no_pairs() -> Agreement:
    absent = Absent("no item was rated twice")
    return Agreement(absent, absent, 0)
