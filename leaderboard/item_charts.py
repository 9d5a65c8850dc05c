"""A task's items over models as pictures and tables: how hard they are, and which of them may be wrong."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np

from evalharness.compare.document_values import ItemScores
from evalharness.stats.items import ItemStatistics
from leaderboard.inert import cell
from leaderboard.pages import link

#: Items that a table names at most.
MOST_NAMED = 100
#: Points of the picture of discrimination: more hide one another.
_MOST_POINTS = 3000
_N_BINS = 20
_KINDS = ("strong models solve", "strong models fail")


def difficulty_histogram(statistics: ItemStatistics) -> alt.Chart:
    """Draw how many items are solved by what share of the models."""
    solved = 1 - statistics.difficulty[statistics.n_models > 0]
    counts, edges = np.histogram(solved, bins=_N_BINS, range=(0, 1))
    values = [
        {"low": float(low), "high": float(high), "items": int(n), "said": f"{low:.2f} to {high:.2f}"}
        for low, high, n in zip(edges[:-1], edges[1:], counts, strict=True)
    ]
    chart: alt.Chart = (
        alt.Chart(alt.InlineData(values=values), height=260)
        .mark_bar()
        .encode(
            x=alt.X("low:Q", title="mean score over models", scale=alt.Scale(domain=[0, 1]), bin="binned"),
            x2="high:Q",
            y=alt.Y("items:Q", title="documents"),
            tooltip=[alt.Tooltip("said:N", title="mean score"), "items:Q"],
        )
    )
    return chart


def discrimination_plot(scores: ItemScores, statistics: ItemStatistics) -> alt.Chart | None:
    """Draw how well items tell strong models from weak ones, over how many solve them; None where no item tells."""
    known = np.flatnonzero(statistics.has_discrimination)
    if not len(known):
        return None
    shown = known[np.linspace(0, len(known) - 1, min(len(known), _MOST_POINTS)).astype(int)]
    values = [
        {
            "solved": float(1 - statistics.difficulty[item]),
            "discrimination": float(statistics.discrimination[item]),
            "document": cell(scores.document_ids[item]),
            "kind": _KINDS[int(statistics.discrimination[item] < 0)],
        }
        for item in shown
    ]
    chart: alt.Chart = (
        alt.Chart(alt.InlineData(values=values), height=260)
        .mark_point(size=25, filled=True, opacity=0.6)
        .encode(
            x=alt.X("solved:Q", title="mean score over models", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("discrimination:Q", title="discrimination", scale=alt.Scale(domain=[-1, 1])),
            shape=alt.Shape("kind:N", title=None, legend=alt.Legend(orient="top")),
            color=alt.Color("kind:N", title=None, scale=alt.Scale(domain=_KINDS), legend=alt.Legend(orient="top")),
            tooltip=[
                "document:N",
                alt.Tooltip("solved:Q", format=".3f"),
                alt.Tooltip("discrimination:Q", format=".3f"),
            ],
        )
    )
    return chart


def summary(statistics: ItemStatistics) -> str:
    """Say in a line what the items are like."""
    n = int((statistics.n_models > 0).sum())
    negative = int((statistics.discrimination[statistics.has_discrimination] < 0).sum())
    return (
        f"{n:,} documents: {int(statistics.nobody.sum()):,} that no model solves, "
        f"{int(statistics.everybody.sum()):,} that every model solves, {negative:,} that strong models fail more often"
    )


def suspicious_rows(scores: ItemScores, statistics: ItemStatistics, run_id: str, task: str) -> list[dict[str, Any]]:
    """Return the items that may have a wrong key: those that nobody solves, and those on which strong models do worse.

    The most negative discrimination first; run_id: whose samples the links lead to.
    """
    rank = np.where(statistics.has_discrimination, statistics.discrimination, 0.0)
    chosen = np.flatnonzero((rank < 0) | statistics.nobody)
    chosen = chosen[np.argsort(rank[chosen], kind="stable")][:MOST_NAMED]
    return [
        {
            "document": cell(scores.document_ids[item]),
            "mean score": float(1 - statistics.difficulty[item]),
            "discrimination": float(statistics.discrimination[item]) if statistics.has_discrimination[item] else None,
            "models": int(statistics.n_models[item]),
            "sample": link("samples", run=run_id, task=task, document=scores.document_ids[item]),
        }
        for item in chosen
    ]
