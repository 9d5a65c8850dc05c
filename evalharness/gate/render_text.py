"""A verdict for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalharness.escaping import inert
from evalharness.gate.cells import cells, headings, input_lines, remarks, row_name
from evalharness.gate.verdict import GateVerdict

if TYPE_CHECKING:
    from rich.table import Table

_STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow", "not comparable": "bold magenta"}
_TEXT_COLUMNS = 2


def verdict_table(verdict: GateVerdict) -> Table:
    """Return the rows as a table for rich; every text is shown as it is, control characters as escapes."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(headings(verdict)):
        is_text = index < _TEXT_COLUMNS
        table.add_column(heading, justify="left" if is_text else "right", overflow="fold", no_wrap=not is_text)
    for row in verdict.rows:
        if row.kind != "run":
            texts = [Text(inert(text)) for text in cells(row, verdict)]
            texts[-1].stylize(_STYLES[row.verdict])
            table.add_row(*texts)
    return table


def verdict_lines(verdict: GateVerdict) -> list[str]:
    """Return what stands below the table: reasons of rows that did not pass, notes, inputs, and last the verdict."""
    lines = [
        f"{row_name(row, verdict.rows)}: {remarks(row)}" for row in verdict.rows if row.verdict != "pass" or row.notes
    ]
    lines += [f"note: {note}" for note in verdict.notes]
    lines += [*input_lines(verdict), verdict.headline]
    return [inert(line) for line in lines]
