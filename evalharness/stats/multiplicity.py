"""Many tests in one report: p-values adjusted for their number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from evalharness.stats.intervals import FloatArray


def holm(p: Sequence[float] | FloatArray) -> FloatArray:
    """Return Holm's adjusted p-values, in the order given: rejecting those <= alpha errs anywhere with at most alpha.

    The i-th smallest of m is multiplied by m - i + 1, made no smaller than its predecessors, and cut at 1. Holds for tests
    that depend on each other in any way: for decisions that block something.
    Raises ValueError if a value is NaN or not between 0 and 1.
    Source: Holm 1979, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6.
    """
    values = _checked(p)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
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
