"""What votes say, as rows and sentences; no Streamlit here."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from evalharness.arena.strengths import FEW_VOTERS, RubricMean, Share, Strength, Strengths
from evalharness.escaping import spreadsheet
from evalharness.run.digits import shown_interval, shown_value
from evalharness.stats.agreement import Agreement
from evalharness.stats.intervals import Absent, Interval
from leaderboard.forest import ForestRow
from leaderboard.inert import cell


def rank_text(row: Strength) -> str:
    """Return the ranks that a model may have, such as ``1–3``; ``-`` where none is known."""
    if row.best_rank is None or row.worst_rank is None:
        return "-"
    return str(row.best_rank) if row.best_rank == row.worst_rank else f"{row.best_rank}–{row.worst_rank}"


def strength_rows(found: Strengths) -> list[dict[str, Any]]:
    """Return a row a model, strongest first; `note`, where any row needs one, says why there are no points or no interval."""
    rows = [
        {
            "rank": rank_text(row),
            "model": cell(row.model),
            "points": None if row.points is None else round(row.points),
            "interval": shown_interval(row.low, row.high),
            "votes": row.n_votes,
            "won": row.n_wins,
            "tied": row.n_ties,
            "lost": row.n_losses,
            "note": row.absence or "",
        }
        for row in found.models
    ]
    return _telling(rows)


def strengths_csv(found: Strengths) -> str:
    """Return all models as comma-separated values with full precision, safe for spreadsheets; unknown is empty."""
    names = (
        "model",
        "points",
        "low",
        "high",
        "best_rank",
        "worst_rank",
        "n_votes",
        "n_wins",
        "n_ties",
        "n_losses",
        "absence",
    )
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(names)
    for row in found.models:
        values = [getattr(row, name) for name in names]
        writer.writerow([spreadsheet(value) if isinstance(value, str) else value for value in values])
    return buffer.getvalue()


def forest_rows(found: Strengths) -> list[ForestRow]:
    """Return the models that have points, strongest first."""
    return [
        ForestRow(row.model, row.points, row.low, row.high, f"{row.points:.0f} {shown_interval(row.low, row.high)}")
        for row in found.models
        if row.points is not None
    ]


def matrix_rows(found: Strengths, models: Sequence[str]) -> list[dict[str, Any]]:
    """Return a cell a pair of `models` that met, both ways round: how often the row beat the column, ties as half."""
    places = {name: i for i, name in enumerate(found.names)}
    rows = []
    for one in models:
        for other in models:
            i, j = places[one], places[other]
            n = int(found.wins[i, j] + found.wins[j, i] + found.ties[i, j])
            if one == other or not n:
                continue
            share = (found.wins[i, j] + found.ties[i, j] / 2) / n
            said = f"won {found.wins[i, j]}, tied {found.ties[i, j]}, lost {found.wins[j, i]}"
            rows.append({"row": one, "column": other, "share": float(share), "n": n, "said": said})
    return rows


def share_text(share: Share) -> tuple[str, str]:
    """Return a share in per cent, and its interval or why there is none."""
    if share.value is None:
        return "-", share.interval.reason if isinstance(share.interval, Absent) else ""
    if isinstance(share.interval, Absent):
        return f"{share.value:.1%}", share.interval.reason
    return f"{share.value:.1%}", f"{share.interval.low:.1%} to {share.interval.high:.1%}"


def agreement_text(agreement: Agreement) -> tuple[str, str]:
    """Return a coefficient of agreement as text, and its interval or why there is none."""
    value, interval = agreement.value, agreement.interval
    if isinstance(value, Absent):
        return "-", value.reason
    if isinstance(interval, Absent):
        return f"{value:.2f}", interval.reason
    return shown_value(value, interval.low, interval.high), shown_interval(interval.low, interval.high)


def cautions(found: Strengths) -> list[str]:
    """Return what a reader must know before believing the points."""
    said = []
    if found.n_voters == 1:
        said.append("All votes are one voter's: the intervals are about this person's preferences, not people's.")
    elif found.n_voters < FEW_VOTERS:
        said.append(
            f"{found.n_voters} voters are few: the spread between them is badly known, and intervals are too narrow."
        )
    n_unrated = sum(row.points is None for row in found.models)
    if n_unrated and not found.absence:
        said.append(f"{n_unrated} of {len(found.models)} models have no points yet; the table says why.")
    return said


def rubric_rows(means: Sequence[RubricMean], agreements: Mapping[str, Agreement]) -> list[dict[str, Any]]:
    """Return a row a criterion and model, best first, with the agreement of raters on the criterion."""
    rows = []
    for mean in means:
        known = isinstance(mean.interval, Interval)
        low, high = (mean.interval.low, mean.interval.high) if isinstance(mean.interval, Interval) else (None, None)
        alpha, alpha_interval = agreement_text(agreements[mean.criterion])
        rows.append(
            {
                "criterion": cell(mean.criterion),
                "model": cell(mean.model),
                "mean": round(mean.mean, 2),
                "interval": shown_interval(low, high),
                "ratings": mean.n_ratings,
                "voters": mean.n_voters,
                "alpha of raters": alpha if alpha == "-" else f"{alpha} {alpha_interval}",
                "note": "" if known or not isinstance(mean.interval, Absent) else mean.interval.reason,
            }
        )
    return _telling(rows)


def _telling(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out the notes where no row has one."""
    if any(row["note"] for row in rows):
        return rows
    return [{name: value for name, value in row.items() if name != "note"} for row in rows]
