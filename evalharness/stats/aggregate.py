"""Several tasks in one number: the mean of their differences, and values between guessing and the best possible."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from evalharness.stats.difference import EstimatedDifference
from evalharness.stats.intervals import Absent, FloatArray, Interval

_Number = TypeVar("_Number", float, FloatArray)


def macro_difference(
    deltas: Sequence[float] | FloatArray,
    standard_errors: Sequence[float] | FloatArray,
    weights: Sequence[float] | FloatArray | None = None,
    *,
    dfs: Sequence[float] | FloatArray | None = None,
) -> EstimatedDifference | Absent:
    """Return the weighted mean of (T,) independent differences, equal weights by default, with its standard error.

    sum w d, sqrt(sum w^2 SE^2), weights w summing to 1. The standard error must carry the weights of the mean: one pooled by
    the number of documents is far too small for an equally weighted mean of a small and a large task.
    dfs: each difference's degrees of freedom, infinite for normal ones; those of the mean are then Welch and Satterthwaite's
    (sum w^2 SE^2)^2 / sum((w SE)^4 / df), which a small task with a wide interval pulls down. Without dfs the mean is
    treated as normal: the tasks are then taken to be large.
    The tasks are taken as fixed: the interval speaks of these tasks, not of others like them. Tasks that share documents are
    not independent; cluster over them instead. Absent where there are no tasks or no standard error is positive.
    Raises ValueError if lengths differ, weights are negative or sum to 0, or a standard error is negative or not finite.
    Source: Satterthwaite 1946, "An approximate distribution of estimates of variance components", Biometrics Bulletin 2.
    """
    estimates, errors = np.asarray(deltas, dtype=np.float64), np.asarray(standard_errors, dtype=np.float64)
    shares = np.ones(len(estimates)) if weights is None else np.asarray(weights, dtype=np.float64)
    freedom = np.full(len(estimates), np.inf) if dfs is None else np.asarray(dfs, dtype=np.float64)
    if not len(estimates) == len(errors) == len(shares) == len(freedom):
        raise ValueError("a macro difference needs as many standard errors, weights and dfs as differences")
    if not len(estimates):
        return Absent("there are no tasks")
    if not (shares.min() >= 0 and shares.sum() > 0):
        raise ValueError("weights must not be negative, nor all zero")
    if not (np.isfinite(errors) & (errors >= 0)).all() or not (freedom > 0).all():
        raise ValueError("standard errors are finite and not negative, and degrees of freedom are positive")
    shares = shares / shares.sum()
    variances = (shares * errors) ** 2
    variance = float(variances.sum())
    if variance == 0:
        return Absent("no task shows any spread")
    spent = float((variances**2 / freedom).sum())
    df = math.inf if spent == 0 else variance**2 / spent
    return EstimatedDifference(
        float(shares @ estimates), math.sqrt(variance), df, "macro-t" if spent else "macro-normal"
    )


def normalized_score(value: _Number, baseline: float, maximum: float) -> _Number:
    """Return (value - baseline) / (maximum - baseline), of one value or many: 0 for guessing, 1 for the best possible value.

    baseline: what guessing gives. maximum: the best value, which is below the baseline where lower is better. Values worse
    than guessing stay negative: cutting them at 0 before averaging would make the mean of noise positive. A standard error
    scales by 1 / abs(maximum - baseline).
    Raises ValueError if baseline and maximum are equal or not finite.
    Source: the normalisation of the Open LLM Leaderboard 2 (2024), there with values below the baseline set to 0.
    """
    if not math.isfinite(maximum - baseline) or maximum == baseline:
        raise ValueError(f"a scale needs two different finite ends, not {baseline} and {maximum}")
    return (value - baseline) / (maximum - baseline)


def normalized_interval(interval: Interval, baseline: float, maximum: float) -> Interval:
    """Return the interval of `normalized_score`; the bounds change places where lower is better."""
    ends = [normalized_score(bound, baseline, maximum) for bound in (interval.low, interval.high)]
    return Interval(min(ends), max(ends), interval.level, interval.method)
