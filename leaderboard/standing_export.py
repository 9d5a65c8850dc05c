"""A table of models as CSV, JSON, Markdown or LaTeX, harmless for the programs that open it."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any

from evalharness.escaping import latex, markdown, spreadsheet
from evalharness.run.digits import shown_interval, shown_value
from evalharness.run.record import canonical_json
from leaderboard.scores import Scores
from leaderboard.standing import Standing, StandingRow, task_leaders


def to_json(suite: str, standing: Standing, scores: Scores) -> str:
    """Return how the numbers were made, and every model with full precision; what is not known is null."""
    return canonical_json(
        {
            "suite": suite,
            "aggregation": standing.aggregation,
            "level": standing.level,
            "averaged": list(standing.averaged),
            "left_out": dict(standing.left_out),
            "models": [_as_object(row, scores) for row in (*standing.rows, *standing.apart)],
        }
    ).decode()


def _as_object(row: StandingRow, scores: Scores) -> dict[str, Any]:
    return {
        "model": row.model,
        "first_rank": row.first,
        "last_rank": row.last,
        "value": row.value,
        "low": row.low,
        "high": row.high,
        "n_tasks": row.n_done,
        "flags": list(row.flags),
        "tasks": {
            task.task: {"metric": task.metric, "value": value, "low": low, "high": high}
            for task, value, low, high in zip(
                scores.tasks,
                *(_known(array[row.place]) for array in (scores.values, scores.lows, scores.highs)),
                strict=True,
            )
        },
    }


def to_csv(standing: Standing, scores: Scores) -> str:
    """Return a row a model and a column a task, with full precision; what is not known is empty, texts are no formulas."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    names = [spreadsheet(task.task) for task in scores.tasks]
    writer.writerow(["first_rank", "last_rank", "model", "value", "low", "high", "n_tasks", "flags", *names])
    for row in (*standing.rows, *standing.apart):
        numbers = [row.value, row.low, row.high, row.n_done]
        flags = spreadsheet("; ".join(row.flags))
        values = _known(scores.values[row.place])
        writer.writerow([row.first, row.last, spreadsheet(row.model), *numbers, flags, *values])
    return buffer.getvalue()


def to_markdown(standing: Standing, scores: Scores, tasks: Sequence[str]) -> str:
    """Return a table for GitHub-flavoured Markdown with some of the tasks; bold: whoever may be the best."""
    header, rows = _cells(standing, scores, tasks, markdown, lambda text: f"**{text}**")
    rules = ["---:" if place != 1 else "---" for place in range(len(header))]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (header, rules, *rows))


def to_latex(standing: Standing, scores: Scores, tasks: Sequence[str]) -> str:
    r"""Return a `tabular` for the booktabs package with some of the tasks; bold: whoever may be the best."""
    header, rows = _cells(standing, scores, tasks, latex, lambda text: rf"\textbf{{{text}}}")
    lines = [
        rf"\begin{{tabular}}{{rl{'r' * (len(header) - 2)}}}",
        r"\toprule",
        " & ".join(header) + r" \\",
        r"\midrule",
        *(" & ".join(cells) + r" \\" for cells in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _cells(
    standing: Standing,
    scores: Scores,
    tasks: Sequence[str],
    escape: Callable[[str], str],
    bold: Callable[[str], str],
) -> tuple[list[str], list[list[str]]]:
    """Return the header and the ranked models' cells; every column marks all models that may be the best in it."""
    columns = [place for place, task in enumerate(scores.tasks) if task.task in tasks]
    best = {place: task_leaders(scores, [row.place for row in standing.rows], place) for place in columns}
    header = ["Rank", "Model", "Score", f"{standing.level:.0%} interval"]
    rows = []
    for row in standing.rows:
        ranks = row.ranks.replace("\N{EN DASH}", "--" if escape is latex else "\N{EN DASH}") or "-"
        value = shown_value(row.value, row.low, row.high)
        head = [ranks, escape(row.model), value, escape(shown_interval(row.low, row.high))]
        if row.model in standing.leaders:
            head[1:3] = map(bold, head[1:3])
        for place in columns:
            known = (_known(array[row.place])[place] for array in (scores.values, scores.lows, scores.highs))
            shown = shown_value(*known)
            head.append(bold(shown) if row.place in best[place] else shown)
        rows.append(head)
    return [escape(cell) for cell in (*header, *(scores.tasks[place].task for place in columns))], rows


def _known(numbers: Any) -> list[float | None]:
    return [None if number != number else number for number in numbers.tolist()]
