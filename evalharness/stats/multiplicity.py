"""Many tests in one report: p-values adjusted for their number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from evalharness.stats.intervals import FloatArray


def holm(p: Sequence[float] | FloatArray, weights: Sequence[float] | FloatArray | None = None) -> FloatArray:
    """Return Holm's adjusted p-values, in the order given: rejecting those <= alpha errs anywhere with at most alpha.

    The i-th smallest of m is multiplied by m - i + 1, made no smaller than its predecessors, and cut at 1. weights: (m,)
    positive shares of alpha, in any unit, where tests are not alike; the order is then that of p / weight, and each p is
    multiplied by the weights from its own on, over its own. Holds for tests that depend on each other in any way, such as an
    average and its parts: for decisions that block something.
    Raises ValueError if a value is NaN or not between 0 and 1, or a weight is missing or not positive.
    Source: Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6; with
    weights: section 3 there.
    """
    values = _checked(p)
    shares = np.ones(len(values)) if weights is None else np.array(weights, dtype=np.float64)
    if shares.shape != values.shape or not (shares > 0).all():
        raise ValueError("each p-value has a positive weight")
    order = np.argsort(values / shares, kind="stable")
    remaining = np.cumsum(shares[order][::-1])[::-1]
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * remaining / shares[order]))
    return adjusted


def benjamini_hochberg(p: Sequence[float] | FloatArray) -> FloatArray:
    """Return Benjamini and Hochberg's adjusted p-values, in the order given: of those <= alpha, a share alpha is false.

    The share is an expectation over many reports. Weaker than `holm`: for pages on which a person explores. Holds for
    independent or positively dependent tests.
    Raises ValueError as `holm`.
    Source: Benjamini and Hochberg 1995, "Controlling the false discovery rate: a practical and powerful approach to multiple
    testing", Journal of the Royal Statistical Society B 57; computed by ``scipy.stats.false_discovery_control``.
    """
    values = _checked(p)
    return np.asarray(stats.false_discovery_control(values), dtype=np.float64) if len(values) else values


def _checked(p: Sequence[float] | FloatArray) -> FloatArray:
    values = np.array(p, dtype=np.float64)
    if values.ndim != 1 or not ((values >= 0) & (values <= 1)).all():  # NaN compares false
        raise ValueError("p-values lie between 0 and 1; leave out tests that have none")
    return values
