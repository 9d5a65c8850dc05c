"""Runs as tables for other programs: one row a run, task and metric, as JSON, CSV, Markdown or LaTeX."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType

from evalharness.run.digits import decimals_of, shown_value
from evalharness.run.record import RunRecord, canonical_json


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one task of one run; value, low and high are None where they are not known."""

    model: str
    task: str
    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    run_id: str


_COLUMNS = tuple(field.name for field in fields(Row))
_TEXT_COLUMNS = ("model", "task", "metric", "run_id")

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # at the start of a line it would be read as an argument of the line break before it
    "]": "{]}",
}
_MARKDOWN = re.compile(r"([\\`*_{}\[\]|~])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def rows_of(records: Iterable[RunRecord]) -> list[Row]:
    """Return the rows of runs in the order given: tasks, then groups, and metrics, in the order of the record."""
    rows: list[Row] = []
    for record in records:
        parts = [(task.name, task.metrics) for task in record.tasks] + [
            (group.name, group.metrics) for group in record.groups
        ]
        rows += [
            Row(record.model.name, name, metric.name, metric.value, metric.low, metric.high, metric.n, record.run_id)
            for name, metrics in parts
            for metric in metrics
        ]
    return rows


def to_json(rows: Sequence[Row]) -> str:
    """Return a JSON list of objects with full precision; what is not known is null."""
    return canonical_json([asdict(row) for row in rows]).decode()


def to_csv(rows: Sequence[Row]) -> str:
    """Return comma-separated values with full precision; what is not known is empty.

    A text that a spreadsheet would run as a formula is prefixed with an apostrophe:
    https://owasp.org/www-community/attacks/CSV_Injection
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        values = asdict(row)
        writer.writerow([_inert(values[name]) if name in _TEXT_COLUMNS else values[name] for name in _COLUMNS])
    return buffer.getvalue()


def to_markdown(rows: Sequence[Row]) -> str:
    """Return a table for GitHub-flavoured Markdown, its texts escaped, decimals from the intervals' widths."""
    lines = ["| " + " | ".join(_COLUMNS) + " |", "| --- | --- | --- | ---: | ---: | ---: | ---: | --- |"]
    lines += ["| " + " | ".join(_cells(row, _escape_markdown)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def to_latex(rows: Sequence[Row]) -> str:
    r"""Return a `tabular` for the booktabs package, its texts escaped, decimals from the intervals' widths."""
    head = " & ".join(map(_escape_latex, _COLUMNS))
    body = [" & ".join(_cells(row, _escape_latex)) + r" \\" for row in rows]
    return "\n".join(
        [
            r"\begin{tabular}{lllrrrrl}",
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


def _cells(row: Row, escape: Callable[[str], str]) -> list[str]:
    def bound(value: float | None) -> str:
        if value is None or row.low is None or row.high is None:
            return "-"
        return f"{value:.{decimals_of(row.low, row.high)}f}"

    value = shown_value(row.value, row.low, row.high)
    texts = [escape(_CONTROL.sub(" ", text)) for text in (row.model, row.task, row.metric)]
    return [*texts, value, bound(row.low), bound(row.high), str(row.n), escape(_CONTROL.sub(" ", row.run_id))]


def _inert(text: str) -> str:
    if not text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return text
    try:
        float(text)
    except ValueError:
        return "'" + text
    return text


def _escape_markdown(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", html.escape(text, quote=False))


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in text)
