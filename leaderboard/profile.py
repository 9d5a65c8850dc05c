"""Where a model is strong and weak: task by task, how far it lies from its peers, on the scale from guessing to the best."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from evalharness.stats.aggregate import normalized_interval, normalized_score
from evalharness.stats.intervals import Interval
from leaderboard.scores import Scores


@dataclass(frozen=True, slots=True)
class Deviation:
    """One task: the model's share of the way from guessing to the best, minus the median of its peers' shares.

    low, high: the model's own interval, moved by the same median, whose own uncertainty is not in it; None without one.
    """

    task: str
    value: float
    low: float | None
    high: float | None
    median: float
    n_peers: int

    @property
    def is_clear(self) -> bool:
        """Whether the model's interval leaves out the peers' median."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def deviations(scores: Scores, model: str, peers: Collection[str]) -> list[Deviation]:
    """Return the tasks on which the model and at least one peer have a score that counts, the strongest first.

    Tasks without a bounded scale are left out. peers: names of other models.
    """
    if model not in scores.models:
        return []
    row = scores.models.index(model)
    others = np.array([name in peers and name != model for name in scores.models], dtype=np.bool_)
    found = []
    for column, task in enumerate(scores.tasks):
        values = scores.values[:, column]
        known = values[others & ~np.isnan(values)]
        if np.isnan(values[row]) or not len(known) or not task.is_averaged or task.best is None:
            continue
        ends = (task.baseline or 0.0, task.best)
        median = normalized_score(float(np.median(known)), *ends)
        share = normalized_score(float(values[row]), *ends)
        low, high = None, None
        if not np.isnan(scores.lows[row, column]):
            own = Interval(float(scores.lows[row, column]), float(scores.highs[row, column]), scores.level, "")
            scaled = normalized_interval(own, *ends)
            low, high = scaled.low - median, scaled.high - median
        found.append(Deviation(task.task, share - median, low, high, median, len(known)))
    return sorted(found, key=lambda each: (-each.value, each.task))
