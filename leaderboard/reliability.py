"""Reliability diagrams: how often answers are right, over how sure the model was of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np

from evalharness.compare.scores import FloatArray
from evalharness.errors import UserError
from evalharness.metric.calibration import ExpectedCalibrationError, ReliabilityBin
from evalharness.metric.registry import build_metric
from evalharness.run.record import MetricResult
from evalharness.stats.intervals import wilson_bounds
from leaderboard.forest import BAR_COLOUR

_QUANTILE = 1.959963984540054  # of 95 %


def reliability_bins(result: MetricResult, rows: FloatArray) -> list[ReliabilityBin]:
    """Return the bins of a recorded calibration error, of its (n, k) rows; none where the metric is another."""
    if result.metric != ExpectedCalibrationError.name or not len(rows):
        return []
    try:
        metric = build_metric(result.metric, result.parameters or {}, where=result.name)
    except UserError:
        return []
    return metric.reliability(rows.sum(axis=0)) if isinstance(metric, ExpectedCalibrationError) else []


def bin_rows(bins: Sequence[ReliabilityBin]) -> list[dict[str, Any]]:
    """Return a row a bin, with Wilson's interval of the share that was right."""
    counts = np.array([each.n for each in bins])
    low, high = wilson_bounds(np.array([each.accuracy for each in bins]), counts, _QUANTILE)
    return [
        {
            "confidence": each.confidence,
            "right": each.accuracy,
            "low": float(low[i]),
            "high": float(high[i]),
            "documents": int(each.n),
        }
        for i, each in enumerate(bins)
    ]


def reliability_plot(bins: Sequence[ReliabilityBin]) -> alt.LayerChart:
    """Draw the share that was right over the mean confidence of each bin; a model that can be believed is on the diagonal."""
    unit = alt.Scale(domain=[0, 1])
    x = alt.X("confidence:Q", title="confidence", scale=unit)
    points = alt.Chart(alt.InlineData(values=bin_rows(bins)), height=320).encode(
        tooltip=[alt.Tooltip(f"{name}:Q", format=".3f") for name in ("confidence", "right")] + ["documents:Q"],
    )
    ends = alt.InlineData(values=[{"confidence": 0, "right": 0}, {"confidence": 1, "right": 1}])
    diagonal = (
        alt.Chart(ends).mark_line(strokeDash=[4, 3], color=BAR_COLOUR).encode(x=x, y=alt.Y("right:Q", scale=unit))
    )
    bars = points.mark_rule(strokeWidth=2, color=BAR_COLOUR).encode(
        x=x, y=alt.Y("low:Q", title="share right"), y2="high:Q"
    )
    dots = points.mark_point(filled=True, opacity=1).encode(
        x=x, y=alt.Y("right:Q", title="share right", scale=unit), size=alt.Size("documents:Q", legend=None)
    )
    chart: alt.LayerChart = diagonal + bars + dots
    return chart
