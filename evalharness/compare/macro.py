"""The mean gain over tasks: their headline metrics on one scale, from guessing to the best value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evalharness.compare.valuation import RANGES
from evalharness.stats.aggregate import macro_difference
from evalharness.stats.difference import difference_interval, difference_test
from evalharness.stats.intervals import Absent, Interval

if TYPE_CHECKING:
    from evalharness.compare.comparison import MetricComparison


@dataclass(frozen=True, slots=True)
class MacroDifference:
    """The mean gain over the headline metrics of tasks, each on a scale from guessing (0) to the best value (1).

    gain: positive is better; interval: of it. p, p_worse, p_better as in `Difference`, not corrected for other tests.
    tasks: those in the mean, of equal weight. excluded: why other tasks are not in it, by task.
    """

    gain: float
    interval: Interval
    standard_error: float
    p: float
    p_worse: float
    p_better: float
    tasks: tuple[str, ...]
    excluded: tuple[tuple[str, str], ...] = ()


def macro_of(metrics: Sequence[MetricComparison], level: float) -> MacroDifference | Absent:
    """Average the gains of all headline metrics whose unit has a range; the tasks count as independent.

    A gain is divided by what guessing leaves to gain, abs(best - random baseline), or by the unit's range where no random
    baseline is known. Tasks on which all documents have the same statistics count as 0 without error.
    Absent where no task is left, or none shows any spread.
    """
    headlines = [each for each in metrics if each.headline]
    reasons = {each.task: _exclusion(each) for each in headlines}
    chosen = [each for each in headlines if not reasons[each.task]]
    if not chosen:
        return Absent("no task has a headline metric that can be averaged")
    rooms = [_room(each) for each in chosen]
    found = [each.difference for each in chosen if each.difference is not None]
    estimate = macro_difference(
        [each.gain / room for each, room in zip(found, rooms, strict=True)],
        [(each.standard_error or 0.0) / room for each, room in zip(found, rooms, strict=True)],
        dfs=[each.df or math.inf for each in found],
    )
    if isinstance(estimate, Absent):
        return estimate
    two_sided, greater, less = (
        difference_test(estimate, alternative="two-sided"),
        difference_test(estimate, alternative="greater"),
        difference_test(estimate, alternative="less"),
    )
    return MacroDifference(
        gain=estimate.value,
        interval=difference_interval(estimate, level=level),
        standard_error=estimate.standard_error,
        p=two_sided.p,
        p_worse=less.p,
        p_better=greater.p,
        tasks=tuple(each.task for each in chosen),
        excluded=tuple((task, reason) for task, reason in reasons.items() if reason),
    )


def _exclusion(each: MetricComparison) -> str:
    """Say why a headline metric is not in the mean; empty where it is."""
    if each.difference is None:
        return "not comparable"
    if each.unit not in RANGES:
        return f"{each.unit} has no range"
    if each.difference.standard_error is None and not each.difference.is_identical:
        return "its spread is not known"
    return ""


def _room(each: MetricComparison) -> float:
    """Return how far the best value lies from guessing."""
    worst, best = (0.0, RANGES[each.unit]) if each.higher_is_better else (RANGES[each.unit], 0.0)
    guess = worst if each.random_baseline is None else each.random_baseline
    return abs(best - guess) or abs(best - worst)
