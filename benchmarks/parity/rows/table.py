"""The table on the page and the report beside it: written, and read again for the parts that are kept."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rows.row import ROOT, Row

PAGE, REPORT = ROOT / "docs/metrics.md", Path(__file__).parents[1] / "report_metrics.json"
BEGIN, END = "<!-- parity table: begin -->", "<!-- parity table: end -->"
HEAD = (
    "| metric | setting | data | ours | reference | difference | at most | reference by |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- |"
)


class Part(NamedTuple):
    """Rows that were made together, and the day."""

    made: str
    rows: list[Row]


def today() -> str:
    """Return the day in UTC, as in ISO 8601."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def line(row: Row) -> str:
    """Write a row as one of Markdown."""
    relative = " relative" if row.relative else ""
    cells = [f"`{row.metric}`", row.setting, row.data, f"{row.ours:.10g}", f"{row.reference:.10g}",
             f"{row.difference:.1e}{relative}", f"{row.tolerance:.2g}", row.by]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def days(parts: Mapping[str, Part]) -> str:
    """Say when the parts were made, the latest day first."""
    by_day: dict[str, list[str]] = {}
    for name, part in parts.items():
        by_day.setdefault(part.made, []).append(name)
    latest, *others = sorted(by_day, reverse=True)
    kept = [f"kept of {day}: {', '.join(by_day[day])}" for day in others]
    n_rows = sum(len(part.rows) for part in parts.values())
    return "; ".join([f"{n_rows} comparisons, made on {latest}", *kept]) + "."


def write(parts: Mapping[str, Part]) -> None:
    """Put the table into the page, and the numbers into the report."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    body = "\n".join(line(row) for part in parts.values() for row in part.rows)
    table = f"{BEGIN}\n\n{days(parts)}\n\n{HEAD}\n{body}\n\n{END}"
    PAGE.write_text(before + table + rest.split(END)[1], encoding="utf-8")
    report = {
        name: {"made": part.made, "rows": [{**row._asdict(), "difference": row.difference} for row in part.rows]}
        for name, part in parts.items()
    }
    REPORT.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_report() -> dict[str, Part]:
    """Return the parts that were written last."""
    if not REPORT.is_file():
        return {}
    return {
        name: Part(part["made"], [Row(**{field: row[field] for field in Row._fields}) for row in part["rows"]])
        for name, part in json.loads(REPORT.read_text(encoding="utf-8")).items()
    }
