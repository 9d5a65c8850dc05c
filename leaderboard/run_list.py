"""Runs as rows of a table and of a file, and the filters over them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from evalharness.escaping import spreadsheet
from evalharness.index.queries import IndexedRun
from leaderboard.inert import cell
from leaderboard.pages import link

STATES = ("all", "committed", "unfinished", "corrupt")


def kept_runs(runs: Sequence[IndexedRun], state: str, text: str) -> list[IndexedRun]:
    """Return the runs in a state (or all) whose id, model, machine or reason contains a text, case ignored."""
    wanted = text.casefold()
    return [
        run
        for run in runs
        if state in ("all", run.state)
        and wanted in " ".join(filter(None, (run.run_id, run.model, run.machine, run.reason))).casefold()
    ]


def run_row(run: IndexedRun) -> dict[str, Any]:
    """Return one run as a row, its texts harmless."""
    return {
        "run": link("run", run=run.run_id),
        "model": cell(run.model),
        "state": run.state if run.status in (None, "complete") else f"{run.state}, {run.status}",
        "reason": cell(run.reason or ""),
        "finished": (run.finished or "")[:16].replace("T", " "),
        "documents": _documents(run),
        "backend": cell(run.backend or ""),
        "dtype": cell(run.dtype or ""),
        "wall s": run.wall_seconds,
        "tokens/s": run.tokens_per_second,
        "peak GiB": _gib(run.peak_device_bytes or run.peak_memory_bytes),
        "machine": cell(run.machine or ""),
    }


def runs_as_csv(runs: Sequence[IndexedRun]) -> bytes:
    """Return all that is known of runs as comma-separated values; no cell is run as a formula by a spreadsheet."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([field.name for field in fields(IndexedRun)])
    for run in runs:
        writer.writerow([spreadsheet(each) if isinstance(each, str) else each for each in asdict(run).values()])
    return buffer.getvalue().encode("utf-8", "backslashreplace")


def _documents(run: IndexedRun) -> str:
    """Say how many documents of a task were asked at most."""
    if run.n_documents_limit is None:
        return "all" if run.state == "committed" else ""
    return f"first {run.n_documents_limit}"


def _gib(n_bytes: int | None) -> float | None:
    return None if n_bytes is None else n_bytes / 2**30
