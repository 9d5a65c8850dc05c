"""A comparison as tables for the console."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from evalharness.compare.comparison import Comparison
from evalharness.compare.report import FACT_HEADS, HEADS, Line, fact_rows, lines_of, macro_text, rules_text, title_of
from evalharness.escaping import inert
from evalharness.run.table import Block, ResultsTable, add_notes_column, add_number_column, empty_table, narrow_table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_STYLES = {"better": "green", "worse": "red", "not comparable": "yellow"}
_NARROW_HEADS = ("verdict", "baseline", "candidate", "difference", "interval")


def comparison_tables(comparison: Comparison) -> Iterator[RenderableType]:
    """Yield, a candidate: a table of verdicts, the mean over tasks, and what else differs; and at last the rules."""
    from rich.text import Text

    for compared in comparison.candidates:
        title, lines = inert(title_of(comparison, compared)), lines_of(compared)
        yield ResultsTable(_wide(title, lines), narrow_table(title, _NARROW_HEADS, list(map(_block, lines))))
        yield Text(inert(macro_text(compared.macro)))
        if compared.facts:
            facts = empty_table("what else differs")
            for name in FACT_HEADS:
                facts.add_column(name, overflow="fold")
            for row in fact_rows(compared):
                facts.add_row(*(Text(inert(text)) for text in row))
            yield facts
    yield Text(rules_text(comparison), style="dim")


def _wide(title: str, lines: Sequence[Line]) -> Table:
    from rich.text import Text

    table = empty_table(title)
    for name in HEADS[:2]:
        table.add_column(name, overflow="fold")
    for index, name in enumerate(HEADS[2:-2], 2):
        add_number_column(table, name, [line.cells[index] for line in lines])
    table.add_column(HEADS[-2], no_wrap=True)
    add_notes_column(table, [line.notes for line in lines])
    previous = ""
    for line in lines:
        task, *cells, verdict, notes = map(inert, line.cells)
        first = "" if task == previous else task
        table.add_row(*map(Text, (first, *cells)), Text(verdict, style=_STYLES.get(verdict, "")), Text(notes))
        previous = task
    return table


def _block(line: Line) -> Block:
    """Return a line for narrow terminals: the least that a verdict rests on, and the rest in its note."""
    row = (line.verdict, line.baseline, line.candidate, line.difference, line.interval)
    tested = [] if line.p == "-" else [f"p {line.p}"]
    changed = [] if line.won_lost == "-" else [f"won/lost {line.won_lost}"]
    note = "; ".join([*tested, *changed, *([line.notes] if line.notes else [])])
    return Block(inert(f"{line.task}: {line.metric}"), (row,), (inert(note),))
