"""Statistics of a task's items over models: how hard each is, and how well it tells strong models from weak ones.

Source: classical test theory, such as Crocker and Algina 1986, "Introduction to classical and modern test theory", chapter 14
(the corrected item-total correlation); Fisher 1915, Biometrika 10 (its interval).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from evalharness.stats.intervals import ROUNDING, Absent, FloatArray, Interval, wilson_bounds

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ItemStatistics:
    """(I,) arrays, one entry an item.

    n_models: how many models answered it. difficulty: 1 minus the mean score, so that 1 is an item nobody solves; low and
    high bound it. discrimination: the correlation of the item's score with the mean of a model's other items, from -1 to 1;
    negative where strong models fail and weak ones do not, as with a wrong key. NaN stands where `has_discrimination` is
    False: fewer than 4 models, or equal scores. NaN stands for difficulty where no model answered.
    nobody, everybody: whether all scores of the item are 0, or 1; False for items that no model answered.
    """

    n_models: npt.NDArray[np.intp]
    difficulty: FloatArray
    difficulty_low: FloatArray
    difficulty_high: FloatArray
    discrimination: FloatArray
    discrimination_low: FloatArray
    discrimination_high: FloatArray
    has_discrimination: BoolArray
    nobody: BoolArray
    everybody: BoolArray
    level: float

    def difficulty_interval(self, item: int) -> Interval | Absent:
        """Return Wilson's interval of an item's difficulty over models like these."""
        if self.n_models[item] == 0:
            return Absent("no model answered the item")
        low, high = self.difficulty_low[item], self.difficulty_high[item]
        return Interval(float(low), float(high), self.level, "wilson")

    def discrimination_interval(self, item: int) -> Interval | Absent:
        """Return Fisher's interval of an item's discrimination over models like these."""
        if not self.has_discrimination[item]:
            few = self.n_models[item] < 4
            return Absent("fewer than 4 models answered" if few else "the models' scores show no spread")
        low, high = self.discrimination_low[item], self.discrimination_high[item]
        if not low < high:
            return Absent("the correlation is perfect, so its spread is unknown")
        return Interval(float(low), float(high), self.level, "fisher-z")


def item_statistics(scores: FloatArray, *, level: float = 0.95) -> ItemStatistics:
    """Return the statistics of (M, I) scores from 0 to 1, models by items, NaN where a model did not answer.

    Difficulty has Wilson's interval over models, which is cautious for scores between 0 and 1. Discrimination correlates the
    item with the rest: the item itself is left out, since its own noise would raise every correlation (the corrected
    point-biserial correlation where scores are 0 and 1). What a model scored on the rest is the mean of its scores less the
    items' means, so that models that answered other items stay comparable; with nothing missing this is the plain one.
    Raises ValueError if scores are not a matrix, or lie outside 0 to 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, such as 0.95, not {level}")
    if scores.ndim != 2 or not (np.isnan(scores) | ((scores >= 0) & (scores <= 1))).all():
        raise ValueError("scores are a matrix, models by items, with values from 0 to 1, or NaN")
    answered = ~np.isnan(scores)
    values = np.where(answered, scores, 0.0)
    n = answered.sum(axis=0)
    means = _ratio(values.sum(axis=0), n)
    quantile = float(stats.norm.ppf((1 + level) / 2))
    low, high = np.full(len(n), np.nan), np.full(len(n), np.nan)
    low[n > 0], high[n > 0] = wilson_bounds(1 - means[n > 0], n[n > 0], quantile)
    discrimination = _discrimination(values, answered, means)
    known = np.isfinite(discrimination)
    depth = np.arctanh(np.clip(discrimination, -1, 1), where=known & (np.abs(discrimination) < 1), out=np.zeros(len(n)))
    half = np.divide(quantile, np.sqrt(np.maximum(n - 3, 0)), where=known, out=np.full(len(n), np.nan))
    perfect = known & (np.abs(discrimination) >= 1 - ROUNDING)
    bounds = [np.where(perfect, discrimination, np.tanh(depth + side * half)) for side in (-1, 1)]
    return ItemStatistics(
        n_models=n,
        difficulty=1 - means,
        difficulty_low=low,
        difficulty_high=high,
        discrimination=discrimination,
        discrimination_low=bounds[0],
        discrimination_high=bounds[1],
        has_discrimination=known,
        nobody=(n > 0) & (means == 0),
        everybody=(n > 0) & (means == 1),
        level=level,
    )


def _discrimination(values: FloatArray, answered: BoolArray, means: FloatArray) -> FloatArray:
    """Return the (I,) correlations of items with the rest, NaN where there is none."""
    centred = np.where(answered, values - np.nan_to_num(means), 0.0)
    others = answered.sum(axis=1, keepdims=True) - 1
    rest = np.divide(centred.sum(axis=1, keepdims=True) - centred, others, where=others > 0, out=np.zeros_like(centred))
    used = answered & (others > 0)
    n = used.sum(axis=0)
    item = np.where(used, centred - _ratio(np.sum(centred * used, axis=0), n), 0.0)
    rest = np.where(used, rest - _ratio(np.sum(rest * used, axis=0), n), 0.0)
    item_spread, rest_spread = np.sum(item**2, axis=0), np.sum(rest**2, axis=0)
    enough = (n >= 4) & (item_spread > ROUNDING) & (rest_spread > ROUNDING**2)
    covariance = np.sum(item * rest, axis=0)
    found: FloatArray = np.divide(
        covariance, np.sqrt(item_spread * rest_spread), where=enough, out=np.full(len(n), np.nan)
    )
    return np.clip(found, -1, 1)


def _ratio(sums: FloatArray, n: npt.NDArray[np.intp]) -> FloatArray:
    found: FloatArray = np.divide(sums, n, where=n > 0, out=np.full(len(n), np.nan))
    return found
