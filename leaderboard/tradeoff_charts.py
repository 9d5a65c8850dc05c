"""The pictures of what a score costs, and of a scaling law."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt

from evalharness.run.digits import shown_interval, shown_value
from leaderboard.frontier import EFFICIENCIES, Cost, TradePoint
from leaderboard.inert import cell
from leaderboard.scaling_law import CurvePoint, TrainingRun

_PIXELS = 460
_COST_TITLES = {
    "parameters": "parameters",
    "tokens per second": "tokens per second (more is cheaper)",
    "peak memory": "peak memory, GiB",
    "training tokens": "training tokens",
}


def frontier_plot(points: Sequence[TradePoint], cost: Cost, title: str) -> alt.LayerChart:
    """Draw scores over costs on a logarithmic axis; the line steps along the efficient models.

    Intervals are drawn of those that are or may be efficient: of all they would be a thicket.
    """
    unit = 2**30 if cost == "peak memory" else 1
    values = [
        {
            "model": cell(point.model),
            "x": point.x / unit,
            "y": point.y,
            "low": point.low,
            "high": point.high,
            "efficiency": point.efficiency,
            "score": shown_value(point.y, point.low, point.high),
            "interval": shown_interval(point.low, point.high),
            "machine": cell(point.machine),
        }
        for point in points
    ]
    across = alt.X(
        "x:Q", title=_COST_TITLES[cost], scale=alt.Scale(type="log", nice=False, padding=16), axis=alt.Axis(format="~s")
    )
    up = alt.Y("y:Q", title=title, scale=alt.Scale(zero=False))
    colour = alt.Color(
        "efficiency:N", scale=alt.Scale(domain=list(EFFICIENCIES)), legend=alt.Legend(orient="top", title=None)
    )
    base = alt.Chart(alt.InlineData(values=values)).encode(x=across, color=colour)
    near = base.transform_filter(alt.datum.efficiency != EFFICIENCIES[2])
    bars = near.mark_rule(opacity=0.7).encode(y=alt.Y("low:Q", title=title), y2="high:Q")
    dots = base.mark_point(filled=True, size=70).encode(
        y=up,
        shape=alt.Shape("efficiency:N", scale=alt.Scale(domain=list(EFFICIENCIES)), legend=None),
        opacity=alt.Opacity(
            "efficiency:N", scale=alt.Scale(domain=list(EFFICIENCIES), range=[1, 0.9, 0.3]), legend=None
        ),
        tooltip=[
            alt.Tooltip("model:N"),
            alt.Tooltip("score:N"),
            alt.Tooltip("interval:N"),
            alt.Tooltip("x:Q", title=cost, format=",.4~g"),
            alt.Tooltip("machine:N"),
        ],
    )
    line = (
        base.transform_filter(alt.datum.efficiency == EFFICIENCIES[0])
        .mark_line(interpolate="step-before" if cost == "tokens per second" else "step-after", strokeWidth=1.5)
        .encode(y=up)
    )
    chart: alt.LayerChart = (line + bars + dots).properties(height=_PIXELS)
    return chart


def scaling_plot(runs: Sequence[TrainingRun], law: Sequence[CurvePoint], title: str) -> alt.Chart | alt.LayerChart:
    """Draw the models' losses over their sizes and the law with its band; dashed beyond the largest model."""
    points = [
        {
            "model": cell(run.model),
            "n": run.n_parameters,
            "loss": run.loss,
            "tokens": "not stated" if run.n_tokens is None else f"{run.n_tokens:,}",
            "kind": "model",
        }
        for run in runs
    ]
    lines = [
        {
            "n": each.n_parameters,
            "loss": each.loss,
            "low": each.low,
            "high": each.high,
            "part": str(each.is_beyond),
            "kind": "law",
        }
        for each in law
    ]
    across = alt.X(
        "n:Q", title="parameters", scale=alt.Scale(type="log", nice=False, padding=16), axis=alt.Axis(format="~s")
    )
    up = alt.Y("loss:Q", title=title, scale=alt.Scale(type="log", nice=False, padding=10))
    colour = alt.Color("kind:N", scale=alt.Scale(domain=["model", "law"]), legend=alt.Legend(orient="top", title=None))
    dots = (
        alt.Chart(alt.InlineData(values=points))
        .mark_point(filled=True, size=70, opacity=1)
        .encode(x=across, y=up, color=colour, tooltip=[f"{name}:N" for name in ("model", "loss", "tokens")])
    )
    if not lines:
        alone: alt.Chart = dots.properties(height=_PIXELS)
        return alone
    base = alt.Chart(alt.InlineData(values=lines)).encode(x=across, color=colour)
    band = base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=title), y2="high:Q")
    dash = alt.StrokeDash("part:N", scale=alt.Scale(domain=["False", "True"], range=[[1, 0], [4, 4]]), legend=None)
    chart: alt.LayerChart = (band + base.mark_line().encode(y=up, strokeDash=dash) + dots).properties(height=_PIXELS)
    return chart
