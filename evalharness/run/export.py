"""Runs as tables for other programs: one row a run, task and metric, as JSON, CSV, Markdown or LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType

from evalharness.escaping import latex, markdown, spreadsheet
from evalharness.run.digits import decimals_of, shown_value
from evalharness.run.record import MetricResult, RunRecord, TaskRecord, canonical_json


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one task or group of one run; what is not known, or a group does not have, is None.

    limit: documents a task that were asked for, None for all. adapter: the PEFT adapter on the model, None without one.
    """

    model: str
    task: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    run_id: str
    level: float | None = None
    method: str | None = None
    shots: int | None = None
    limit: int | None = None
    n_failed: int | None = None
    n_truncated: int | None = None
    adapter: str | None = None


_COLUMNS = tuple(field.name for field in fields(Row))
_TEXT_COLUMNS = ("model", "task", "metric", "run_id", "method", "adapter")
#: Left out of a table for people where they say nothing of any row.
_SPARSE_COLUMNS = ("level", "method", "shots", "limit", "n_failed", "n_truncated", "adapter")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def rows_of(records: Iterable[RunRecord]) -> list[Row]:
    """Return the rows of runs in the order given: tasks, then groups, and metrics, in the order of the record."""
    rows: list[Row] = []
    for record in records:
        rows += [_row(record, task.name, metric, task) for task in record.tasks for metric in task.metrics]
        rows += [_row(record, group.name, metric, None) for group in record.groups for metric in group.metrics]
    return rows


def _row(record: RunRecord, name: str, metric: MetricResult, task: TaskRecord | None) -> Row:
    return Row(
        model=record.model.name,
        task=name,
        metric=metric.name,
        value=metric.value,
        low=metric.low,
        high=metric.high,
        n=metric.n,
        run_id=record.run_id,
        level=metric.level,
        method=metric.method,
        shots=None if task is None else task.shots,
        limit=record.settings.get("limit"),
        n_failed=None if task is None else task.n_failed,
        n_truncated=None if task is None else task.n_truncated,
        adapter=record.model.spec.get("adapter"),
    )


def to_json(rows: Sequence[Row]) -> str:
    """Return a JSON list of objects with full precision; what is not known is null."""
    return canonical_json([asdict(row) for row in rows]).decode()


def to_csv(rows: Sequence[Row]) -> str:
    """Return comma-separated values with full precision; what is not known is empty.

    A text that a spreadsheet would run as a formula is prefixed with an apostrophe.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        values = asdict(row)
        writer.writerow(
            [spreadsheet(values[name] or "") if name in _TEXT_COLUMNS else values[name] for name in _COLUMNS]
        )
    return buffer.getvalue()


def to_markdown(rows: Sequence[Row]) -> str:
    """Return a table for GitHub-flavoured Markdown, its texts escaped, decimals from the intervals' widths."""
    columns = _telling_columns(rows)
    rules = ("---" if name in _TEXT_COLUMNS else "---:" for name in columns)
    lines = ["| " + " | ".join(cells) + " |" for cells in (columns, rules)]
    lines += ["| " + " | ".join(_cells(row, columns, markdown)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def to_latex(rows: Sequence[Row]) -> str:
    r"""Return a `tabular` for the booktabs package, its texts escaped, decimals from the intervals' widths."""
    columns = _telling_columns(rows)
    head = " & ".join(map(latex, columns))
    body = [" & ".join(_cells(row, columns, latex)) + r" \\" for row in rows]
    aligned = "".join("l" if name in _TEXT_COLUMNS else "r" for name in columns)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{aligned}}}",
            r"\toprule",
            head + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


FORMATS: Mapping[str, Callable[[Sequence[Row]], str]] = MappingProxyType(
    {"json": to_json, "csv": to_csv, "markdown": to_markdown, "latex": to_latex}
)


def _telling_columns(rows: Sequence[Row]) -> list[str]:
    """Return the columns that a table for people needs: no failures, say, are not worth one."""
    return [name for name in _COLUMNS if name not in _SPARSE_COLUMNS or any(getattr(row, name) for row in rows)]


def _cells(row: Row, columns: Sequence[str], escape: Callable[[str], str]) -> list[str]:
    def cell(name: str) -> str:
        value = getattr(row, name)
        if name == "value":
            return shown_value(row.value, row.low, row.high)
        if value is None:
            return "-"
        if name in ("low", "high") and row.low is not None and row.high is not None:
            return f"{value:.{decimals_of(row.low, row.high)}f}"
        return escape(_CONTROL.sub(" ", str(value)))

    return [cell(name) for name in columns]
