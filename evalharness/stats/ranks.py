"""Which ranks a model may have, given how well the differences between models are known.

A rank set holds all true ranks at once with the given probability: if no false claim "i is better than j" is made, then every
model's true rank lies between 1 + the number claimed better and M - the number claimed worse.

Source: Mogstad, Romano, Shaikh and Wilhelm 2024, "Inference for ranks with applications to mobility across neighbourhoods and
academic achievement across countries", Review of Economic Studies 91; Romano and Wolf 2005, "Exact and approximate stepdown
methods for multiple hypothesis testing", JASA 100 (the bootstrap).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from evalharness.stats.intervals import ROUNDING, Absent, FloatArray
from evalharness.stats.multiplicity import holm

IndexArray = npt.NDArray[np.intp]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class RankSets:
    """For each of M models the best and the worst rank that the data allow, 1 the best; (M,) each, all valid together."""

    low: IndexArray
    high: IndexArray
    level: float
    method: str


def rank_sets(
    estimates: FloatArray, covariance: FloatArray, *, freedom: float = math.inf, level: float = 0.95
) -> RankSets | Absent:
    """Rank sets of (M,) estimates, higher is better, that are jointly normal with an (M, M) covariance.

    freedom: degrees of freedom of Student's t, where the covariance comes from few clusters; the normal distribution without.
    NaN marks what is not known: such a model may have any rank, as far as it alone is concerned. Otherwise as
    `rank_sets_of_differences`.
    """
    variances = np.diag(covariance)
    squares = variances[:, None] + variances[None, :] - 2 * covariance
    # what subtraction leaves of equal variances is no spread
    squares = np.where(squares > ROUNDING * (variances[:, None] + variances[None, :]), squares, 0.0)
    return rank_sets_of_differences(
        estimates[:, None] - estimates[None, :],
        np.where(np.isnan(covariance), np.nan, np.sqrt(squares)),
        freedom=freedom,
        level=level,
    )


def rank_sets_of_differences(
    differences: FloatArray, errors: FloatArray, *, freedom: FloatArray | float = math.inf, level: float = 0.95
) -> RankSets | Absent:
    """Rank sets from (M, M) differences, row minus column, and their standard errors, by Holm's procedure.

    For differences on shared items the errors are those of the paired differences; they may be on other items for each pair.
    freedom: degrees of freedom of Student's t, (M, M) or one for all. Pairs with NaN, or with an error of 0, are not compared.
    The M (M - 1) one-sided hypotheses "i is not better than j" are tested together, so that wrong directions count as errors
    too; Holm's procedure needs no assumption on their dependence. For normal tests, O(M^2 log M).
    Absent where no two models are compared.
    Raises ValueError if the matrices are not square, or differ in shape.
    """
    _check_level(level)
    if differences.ndim != 2 or differences.shape != errors.shape or len(differences) != differences.shape[1]:
        raise ValueError("differences and their errors are square matrices, models by models")
    compared = _compared(differences, errors)
    if not compared.any():
        return Absent("no two models are compared")
    scores = differences[compared] / errors[compared]
    degrees = np.broadcast_to(freedom, compared.shape)[compared]
    tails = stats.norm.sf(scores) if np.isinf(degrees).all() else stats.t.sf(scores, degrees)
    better = np.zeros_like(compared)
    better[compared] = holm(tails) <= 1 - level
    return _sets(better, level, "holm")


def rank_sets_of_draws(estimates: FloatArray, draws: FloatArray, *, level: float = 0.95) -> RankSets | Absent:
    """Rank sets of (M,) estimates from (R, M) joint bootstrap draws of them, by the step-down maximum of t.

    Draws come from resampling items (or voters) once for all models, so that they carry the models' dependence; the sets are
    then smaller than Holm's where models are alike. Models with NaN are not compared. Takes time R M^2 a step, of which there
    are few: for hundreds of models; for thousands `rank_sets`.
    Absent where no two models are compared, or the draws are too few to have a quantile at this level.
    """
    _check_level(level)
    known = np.isfinite(estimates) & np.isfinite(draws).all(axis=0)
    order = math.ceil((len(draws) + 1) * level)
    if order > len(draws):
        return Absent(f"{len(draws)} draws have no quantile at level {level:g}")
    values, shifts = estimates[known], draws[:, known] - estimates[known]
    covariance = np.atleast_2d(np.cov(draws[:, known], rowvar=False)) if known.any() else np.empty((0, 0))
    variances = np.diag(covariance)
    errors = np.sqrt(np.maximum(variances[:, None] + variances[None, :] - 2 * covariance, 0.0))
    # what subtraction leaves of draws that move together is no spread
    errors[errors <= math.sqrt(ROUNDING) * np.sqrt(variances[:, None] + variances[None, :])] = 0.0
    differences = values[:, None] - values[None, :]
    open_pairs = _compared(differences, errors)
    if not open_pairs.any():
        return Absent("no two models are compared")
    weights = np.divide(1.0, errors, out=np.zeros_like(errors), where=open_pairs)
    better = np.zeros_like(open_pairs)
    while True:
        maxima = [
            np.max((shift[:, None] - shift[None, :]) * weights, initial=0.0, where=open_pairs) for shift in shifts
        ]
        found = open_pairs & (differences * weights > np.sort(maxima)[order - 1])
        if not found.any():
            break
        better |= found
        open_pairs &= ~found
    whole = np.zeros((len(estimates), len(estimates)), dtype=bool)
    whole[np.ix_(known, known)] = better
    return _sets(whole, level, "max-t")


def _compared(differences: FloatArray, errors: FloatArray) -> BoolArray:
    compared: BoolArray = np.isfinite(differences) & np.isfinite(errors) & (errors > 0)
    np.fill_diagonal(compared, False)
    return compared


def _sets(better: BoolArray, level: float, method: str) -> RankSets:
    return RankSets(1 + better.sum(axis=0), len(better) - better.sum(axis=1), level, method)


def _check_level(level: float) -> None:
    # a claim at p >= 0.5 would not be one
    if not 0.5 <= level < 1:
        raise ValueError(f"the level of rank sets lies between 0.5 and 1, such as 0.95, not {level}")
