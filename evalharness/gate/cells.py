"""The rows of a verdict as cells of text, the same in every table."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.gate.verdict import GateVerdict, Row
from evalharness.gate.wording import amount, bounds, probability

#: What stands where nothing is known.
NOTHING = "-"


def headings(verdict: GateVerdict) -> tuple[str, ...]:
    """Name the columns; `could miss` is the drop that the test of this row finds with the power of the gate."""
    level = 100 * (1 - 2 * float(verdict.config["alpha"]))
    return (
        "what",
        "metric",
        "baseline",
        "candidate",
        "difference",
        f"{level:g} % interval",
        "p adjusted",
        "could miss",
        "verdict",
    )


def cells(row: Row, verdict: GateVerdict) -> tuple[str, ...]:
    """Return the texts of one row, not yet escaped."""
    return (
        row_name(row, verdict.rows),
        row.metric or NOTHING,
        value(row.baseline_value, row.unit),
        value(row.candidate_value, row.unit),
        NOTHING if row.difference is None else amount(row.difference, row.scale, row.unit),
        NOTHING if row.low is None or row.high is None else bounds(row.low, row.high, row.scale, row.unit),
        NOTHING if row.p_adjusted is None else probability(row.p_adjusted),
        NOTHING if row.detectable_drop is None else amount(row.detectable_drop, row.scale, row.unit, signed=False),
        row.verdict if row.counts or row.verdict == "pass" else f"({row.verdict})",
    )


def row_name(row: Row, rows: Sequence[Row]) -> str:
    """Return what a row is about, and beside which baseline, where there are several."""
    return f"{row.name} vs {row.baseline}" if len({each.baseline for each in rows}) > 1 else row.name


def remarks(row: Row) -> str:
    """Return a row's reason and notes in one text."""
    return "; ".join(part for part in (row.reason, *row.notes) if part)


def value(number: float | None, unit: str) -> str:
    """Return a value of a metric or a measurement."""
    if number is None:
        return NOTHING
    return f"{number / 1e6:,.0f} MB" if unit == "bytes" else f"{number:.4g}"


def input_lines(verdict: GateVerdict) -> list[str]:
    """Say which runs were compared."""
    sides = [("candidate", verdict.candidate), *(("baseline", each) for each in verdict.baselines)]
    return [
        f"{side}: {each.model} {each.run_id}" + (f" ({each.name})" if each.name != each.run_id else "")
        for side, each in sides
    ]
