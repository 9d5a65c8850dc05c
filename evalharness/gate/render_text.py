"""A verdict for the terminal."""

from __future__ import annotations

from evalharness.escaping import inert
from evalharness.gate.cells import NOTHING, cells, headings, input_lines, remarks, row_name
from evalharness.gate.verdict import GateVerdict
from evalharness.run.table import Block, ResultsTable, add_number_column, empty_table, narrow_table

_STYLES = {"pass": "green", "fail": "bold red", "inconclusive": "yellow", "not comparable": "bold magenta"}
_TEXT_COLUMNS = 2
#: What a narrow terminal shows in a row of its own: verdict, baseline, candidate, difference and interval.
_NARROW_COLUMNS = (8, 2, 3, 4, 5)


def verdict_table(verdict: GateVerdict) -> ResultsTable:
    """Return the rows as a table; control characters are shown as escapes."""
    from rich.text import Text

    shown = [row for row in verdict.rows if row.kind != "run"]
    lines = [tuple(map(inert, cells(row, verdict))) for row in shown]
    heads, title = headings(verdict), inert(f"gate {verdict.name}")
    table = empty_table(title)
    for index, heading in enumerate(heads):
        if index < _TEXT_COLUMNS:
            table.add_column(heading, overflow="fold")
        else:
            add_number_column(table, heading, [line[index] for line in lines])
    for row, line in zip(shown, lines, strict=True):
        table.add_row(*map(Text, line[:-1]), Text(line[-1], style=_STYLES[row.verdict]))
    blocks = [_block(line) for line in lines]
    return ResultsTable(table, narrow_table(title, [heads[i] for i in _NARROW_COLUMNS], blocks))


def verdict_lines(verdict: GateVerdict) -> list[str]:
    """Return what stands below the table: reasons of rows that did not pass, notes, inputs, and last the verdict."""
    told = [row for row in verdict.rows if row.verdict != "pass" or row.notes]
    lines = [f"{row_name(row, verdict.rows)}: {remarks(row)}" for row in told]
    lines += [f"note: {note}" for note in verdict.notes]
    lines += [*input_lines(verdict), verdict.headline]
    return [inert(line) for line in lines]


def _block(line: tuple[str, ...]) -> Block:
    name, metric, *_, p_adjusted, missed, _ = line
    notes = [f"p {p_adjusted}"] if p_adjusted != NOTHING else []
    notes += [f"could miss {missed}"] if missed != NOTHING else []
    title = name if metric == NOTHING else f"{name}: {metric}"
    return Block(title, (tuple(line[i] for i in _NARROW_COLUMNS),), ("; ".join(notes),))
