"""A verdict where GitHub Actions shows it: annotations in the log, and the summary of the step."""

from __future__ import annotations

from pathlib import Path

from evalharness.errors import GateError
from evalharness.escaping import annotation
from evalharness.gate.cells import remarks, row_name
from evalharness.gate.render_markdown import to_markdown
from evalharness.gate.verdict import GateVerdict

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"

#: A step's summaries may take this much together.
_MOST_SUMMARY_BYTES = 1024 * 1024
#: GitHub shows ten annotations of a kind a step.
_MOST_ANNOTATIONS = 10


def workflow_commands(verdict: GateVerdict) -> list[str]:
    """Return annotations: an error for what makes the exit code, a warning for what did not pass without doing so."""
    lines = []
    for row in verdict.rows:
        if row.verdict != "pass":
            level = "error" if row.counts and row.verdict in ("fail", "not comparable") else "warning"
            title = annotation(f"gate: {row_name(row, verdict.rows)} {row.verdict}", is_property=True)
            lines.append(f"::{level} title={title}::{annotation(remarks(row))}")
    level = "error" if verdict.exit_code else "notice" if verdict.verdict == "pass" else "warning"
    headline = f"::{level} title=gate {verdict.verdict}::{annotation(verdict.sentence)}"
    return [*sorted(lines)[: _MOST_ANNOTATIONS - 1], headline]


def append_summary(verdict: GateVerdict, path: Path) -> None:
    """Append the verdict as Markdown to the summary of a step, if there is room for it.

    Raises GateError when the file cannot be written.
    """
    text = to_markdown(verdict).encode("utf-8")
    try:
        used = path.stat().st_size if path.exists() else 0
        if used + len(text) > _MOST_SUMMARY_BYTES:
            text = f"{verdict.headline}\n".encode()
        with path.open("ab") as file:
            file.write(text)
    except OSError as error:
        raise GateError.at(path, f"${SUMMARY_VARIABLE} cannot be written: {error.strerror or error}") from error
