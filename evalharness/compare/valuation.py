"""How rows become the value of a metric again, years after they were stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from evalharness.compare.scores import FloatArray, TaskScores
from evalharness.errors import UserError
from evalharness.metric.base import Aggregation, Metric, RankMetric
from evalharness.metric.registry import METRICS, build_metric
from evalharness.run.record import MetricResult

#: The greatest value of metrics in these units, whose least value is 0.
RANGES: Mapping[str, float] = MappingProxyType({"fraction": 1.0, "percent": 100.0})

#: Sums taken in another order differ by rounding; a value that differs by more comes of another formula.
_TOLERANCE = 1e-9


@dataclass(frozen=True, slots=True)
class Valuation:
    """What a comparison must know of a metric.

    aggregation: how its sampling error is found. bounds: least and greatest possible value, infinite where there are none.
    of_rows: maps (n, k) rows to the value. of_sums: maps (..., k) column sums to (...) values, None for ``rank`` metrics.
    """

    aggregation: Aggregation
    bounds: tuple[float, float]
    of_rows: Callable[[FloatArray], float]
    of_sums: Callable[[FloatArray], FloatArray] | None


@dataclass(frozen=True, slots=True)
class Unvalued:
    """The values of other rows cannot be computed here, for this reason."""

    reason: str


def valuation(scores: TaskScores) -> Valuation | Unvalued:
    """Return how the rows of a recorded metric become its value, proven on the recorded value itself.

    The mean of per-document values needs the rows alone, whatever is installed. Any other metric is built again from its
    recorded name and parameters, or, in records that lack them, from its label where that gives the recorded signature.
    """
    result = scores.result
    found = _mean_of(result) if result.aggregation == "mean" else None
    if found is not None and _gives_recorded_value(found, scores):
        return found
    name = result.metric or result.name
    try:
        metric = build_metric(name, result.parameters or {}, where=result.name)
    except (UserError, ImportError) as fault:
        what = fault.problems[0].what if isinstance(fault, UserError) else str(fault)
        return Unvalued(f"metric: `{name}` cannot be built here: {what}")
    if result.metric is None and metric.signature() != result.signature:
        return Unvalued(f"metric: the record does not say how {result.signature} was built")
    if getattr(metric, "interval_absence", ""):
        return Unvalued(f"metric: the rows of `{result.name}` have no value without their texts")
    found = _rebuilt(metric, result)
    if not _gives_recorded_value(found, scores):
        return Unvalued(f"metric: `{name}` as installed here does not give the value that was recorded")
    return found


def _gives_recorded_value(found: Valuation, scores: TaskScores) -> bool:
    value = found.of_rows(scores.rows) if len(scores.rows) else math.nan
    recorded = scores.result.value
    if recorded is None:
        return not math.isfinite(value)
    return math.isclose(value, recorded, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def _rebuilt(metric: Metric, result: MetricResult) -> Valuation:
    if isinstance(metric, RankMetric):
        return Valuation("rank", metric.bounds, metric.value_of_rows, None)
    return _of_sums(metric.aggregation, metric.bounds, metric.value)


def _mean_of(result: MetricResult) -> Valuation:
    """Value (sum, count) rows; a metric in percent keeps fractions in its rows."""
    scale = RANGES.get(result.unit, 1.0)
    return _of_sums("mean", _bounds(result), lambda totals: scale * totals[..., 0] / totals[..., 1])


def _of_sums(
    aggregation: Aggregation, bounds: tuple[float, float], value: Callable[[FloatArray], FloatArray]
) -> Valuation:
    def of_rows(rows: FloatArray) -> float:
        with np.errstate(invalid="ignore", divide="ignore"):  # nothing to divide by: not a number, which is then said
            return float(value(rows.sum(axis=0)))

    return Valuation(aggregation, bounds, of_rows, value)


def _bounds(result: MetricResult) -> tuple[float, float]:
    """Return the bounds that the metric states for all its parameters, else those of its unit."""
    name = result.metric or result.name
    stated: object = METRICS[name].bounds if name in METRICS else None
    if isinstance(stated, tuple):
        return stated
    return (0.0, RANGES[result.unit]) if result.unit in RANGES else (-math.inf, math.inf)
