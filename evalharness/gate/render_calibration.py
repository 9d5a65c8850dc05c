"""A calibration for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalharness.escaping import inert
from evalharness.gate.calibration import NAIVE_DROP, Calibration, TaskNoise
from evalharness.gate.cells import NOTHING
from evalharness.gate.wording import amount

if TYPE_CHECKING:
    from rich.table import Table

_HEADINGS = ("task", "metric", "n", "differ", "standard error", "could miss", "margin", "n for margin")
_TEXT_COLUMNS = 2


def calibration_table(found: Calibration) -> Table:
    """Return a row a task: how many documents differ, and what follows for its test and its margin."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for index, heading in enumerate(_HEADINGS):
        table.add_column(heading, justify="left" if index < _TEXT_COLUMNS else "right", overflow="fold")
    for task in found.tasks:
        table.add_row(*(Text(inert(text)) for text in _cells(task)))
    return table


def calibration_lines(found: Calibration) -> list[str]:
    """Return what follows for the gate as a whole."""
    lines = [f"note: {note}" for note in found.notes]
    suite = found.suite
    if suite is not None and suite.detectable_drop is not None:
        missed = amount(suite.detectable_drop, suite.scale, "", signed=False)
        lines.append(f"average over tasks: a drop of {missed} could be missed")
    drop = amount(NAIVE_DROP, "share", "", signed=False)
    lines += [
        f"with nothing changed, of {found.draws} simulated pairs of runs with this noise:",
        f"  {found.false_alarm_rate:.1%} fail this gate (at most {found.alpha:.1%} are meant to), {found.pass_rate:.1%} pass",
        f"  {found.naive_rate:.1%} would fail a rule without statistics: no task may fall by {drop}",
    ]
    return [inert(line) for line in lines]


def _cells(task: TaskNoise) -> tuple[str, ...]:
    def said(value: float | None) -> str:
        return NOTHING if value is None else amount(value, task.scale, task.unit, signed=False)

    return (
        task.task,
        task.metric,
        f"{task.n:,}",
        NOTHING if task.discordance is None else f"{task.discordance:.1%}",
        said(task.standard_error),
        said(task.detectable_drop),
        said(task.margin),
        NOTHING if task.n_needed is None else f"{task.n_needed:,}",
    )
