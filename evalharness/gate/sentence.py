"""A gate's verdict and its grounds in one line."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness.gate.verdict import Row, Word
from evalharness.gate.wording import amount, counted

_MOST_NAMED = 3


def sentence(verdict: Word, rows: Sequence[Row]) -> str:
    """Return the rows that decided a verdict; for a pass, what it rules out and which drop it may have missed."""
    if verdict == "pass":
        return _passed(rows)
    grounds = [row for row in rows if row.counts and row.verdict == verdict]
    if not grounds:
        return "no task could be compared"
    named = [row.reason if row.kind == "run" else f"{_name(row)} {row.reason}" for row in grounds[:_MOST_NAMED]]
    more = [f"and {len(grounds) - _MOST_NAMED} more"] if len(grounds) > _MOST_NAMED else []
    return "; ".join([*named, *more])


def _passed(rows: Sequence[Row]) -> str:
    compared = {row.name for row in rows if row.kind == "task" and row.difference is not None}
    said = [f"no regression found in {counted(len(compared), 'task')}"]
    several = len({row.baseline for row in rows}) > 1
    for row in rows:
        if row.kind == "suite" and row.low is not None and row.detectable_drop is not None:
            at_most = amount(max(-row.low, 0.0), row.scale, row.unit, signed=False)
            missed = amount(row.detectable_drop, row.scale, row.unit, signed=False)
            against = f" against {row.baseline}" if several else ""
            said.append(f"the average{against} fell by at most {at_most}; a drop of {missed} could have been missed")
    return "; ".join(said)


def _name(row: Row) -> str:
    if row.kind != "suite":
        return f"{row.name}:"
    return "the average is" if row.verdict == "fail" else "the average:"
