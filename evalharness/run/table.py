"""Results as tables for the console."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from evalharness.run.digits import shown_interval, shown_value
from evalharness.run.record import MetricResult, RunRecord, TaskRecord

if TYPE_CHECKING:
    from rich.table import Table


def results_table(record: RunRecord, where: str = "") -> Table:
    """Return a run's results: task, metric, value, interval, n, and notes on what failed, was cut or is not known.

    where: the run directory, named below the table.
    """
    from rich.text import Text

    table = _table(record.model.name, where)
    for name in ("task", "metric"):
        table.add_column(name, overflow="fold")
    for name in ("value", "interval", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("notes", overflow="fold")
    for task in record.tasks:
        for index, metric in enumerate(task.metrics):
            notes = [*(_task_notes(task) if index == 0 else []), *_metric_notes(metric)]
            first = task.name if index == 0 else ""
            table.add_row(*map(Text, [first, *_metric_cells(metric), "; ".join(notes)]))
    for group in record.groups:
        table.add_section()
        for index, metric in enumerate(group.metrics):
            weights = "equal weights" if group.weighting == "tasks" else f"weighted by {group.weighting}"
            notes = [f"mean of {len(group.tasks)} tasks, {weights}"] if index == 0 else []
            first = group.name if index == 0 else ""
            table.add_row(*map(Text, [first, *_metric_cells(metric), "; ".join([*notes, *_metric_notes(metric)])]))
    return table


def comparison_table(records: Sequence[RunRecord]) -> Table:
    """Return the headline metric of every task, a column a run with value and interval.

    Runs whose task, documents or metric differ under one name are not comparable; a note says so.
    """
    from rich.text import Text

    table = _table("headline metrics", "")
    table.add_column("task", overflow="fold")
    table.add_column("metric", overflow="fold")
    names = [record.model.name for record in records]
    for record in records:
        twice = names.count(record.model.name) > 1
        table.add_column(Text(f"{record.model.name}\n{record.run_id}" if twice else record.model.name), justify="right")
    table.add_column("notes", overflow="fold")
    by_run = [{task.name: task for task in record.tasks} for record in records]
    for name in dict.fromkeys(task.name for record in records for task in record.tasks):
        tasks = [tasks_of_run.get(name) for tasks_of_run in by_run]
        present = [task for task in tasks if task is not None]
        metric = next((task.headline.name for task in present if task.headline), "-")
        cells = [_headline_cell(task) for task in tasks]
        table.add_row(*map(Text, [name, metric, *cells, "; ".join(_mismatches(present))]))
    return table


def _table(title: str, caption: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    # Names come from files: as Text, they are never read as markup.
    return Table(
        title=Text(title, style="bold"),
        caption=Text(caption, style="dim") if caption else None,
        box=SIMPLE_HEAD,
        title_justify="left",
        caption_justify="left",
        pad_edge=False,
    )


def _metric_cells(metric: MetricResult) -> list[str]:
    name = f"{metric.name} ↓" if not metric.higher_is_better else metric.name
    value = shown_value(metric.value, metric.low, metric.high)
    return [name, value, shown_interval(metric.low, metric.high), str(metric.n)]


def _task_notes(task: TaskRecord) -> list[str]:
    counted = [(task.n_failed, "failed"), (task.n_truncated, "truncated")]
    return [f"{count} of {task.n_documents} {what}" for count, what in counted if count]


def _metric_notes(metric: MetricResult) -> list[str]:
    baseline = [] if metric.random_baseline is None else [f"chance {metric.random_baseline:.4g}"]
    return [*baseline, *([metric.absence] if metric.absence else [])]


def _headline_cell(task: TaskRecord | None) -> str:
    if task is None or task.headline is None:
        return "-"
    metric = task.headline
    return f"{shown_value(metric.value, metric.low, metric.high)} {shown_interval(metric.low, metric.high)}"


def _mismatches(tasks: Sequence[TaskRecord]) -> list[str]:
    facts: dict[str, set[object]] = {
        "task": {(task.fingerprint, task.shots) for task in tasks},
        "documents": {(task.data_hash, task.n_documents) for task in tasks},
        "metric": {task.headline.signature if task.headline else None for task in tasks},
    }
    differing = [name for name, values in facts.items() if len(values) > 1]
    return [f"not comparable: {' and '.join(differing)} differ"] if differing else []
