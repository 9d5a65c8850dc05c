"""A comparison as text for people and programs: Markdown, JSON, CSV, and the lines that tables share."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any

from evalharness.compare.comparison import CandidateComparison, Comparison, MetricComparison
from evalharness.compare.difference import Difference
from evalharness.compare.macro import MacroDifference
from evalharness.escaping import markdown, spreadsheet
from evalharness.run.digits import decimals_of, shown_value
from evalharness.run.record import canonical_json
from evalharness.stats.intervals import Absent, Interval

SCHEMA_VERSION = 1

#: The columns of a report for people; `Line` has their texts.
HEADS = ("task", "metric", "baseline", "candidate", "difference", "interval", "p", "won/lost", "verdict", "notes")
FACT_HEADS = ("", "baseline", "candidate")
_N_TEXT_HEADS = 2

_FINGERPRINT = re.compile("[0-9a-f]{40,}")
_SHOWN_HASH = 12


_CSV_COLUMNS = (
    "baseline_run", "candidate_run", "baseline_model", "candidate_model", "task", "metric", "unit", "higher_is_better",
    "verdict", "baseline", "candidate", "delta", "effect", "gain", "scale", "low", "high", "interval_method",
    "standard_error", "p", "p_adjusted", "p_worse", "p_better", "test", "n", "n_clusters", "n_won", "n_lost", "detectable",
    "margin", "n_changed", "n_only_baseline", "n_only_candidate", "n_failed", "reasons",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One metric of one task as texts, in the order of `HEADS`."""

    task: str
    metric: str
    baseline: str
    candidate: str
    difference: str
    interval: str
    p: str
    won_lost: str
    verdict: str
    notes: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The texts in order."""
        return astuple(self)


def lines_of(compared: CandidateComparison) -> list[Line]:
    """Return the lines of one candidate, with as many digits as the intervals leave meaningful."""
    return [_line(each) for each in compared.metrics]


def title_of(comparison: Comparison, compared: CandidateComparison) -> str:
    """Name a candidate and the baseline; by run as well, since the names of models may be equal."""
    one, other = compared.candidate, comparison.baseline
    return f"{one.model} ({one.run_id}) against {other.model} ({other.run_id})"


def macro_text(macro: MacroDifference | Absent) -> str:
    """Say the mean gain over tasks in one sentence."""
    if isinstance(macro, Absent):
        return f"mean gain over tasks: none, {macro.reason}"
    left_out = "; ".join(f"{task}: {reason}" for task, reason in macro.excluded)
    low, high = macro.interval.low, macro.interval.high
    decimals = decimals_of(low, high)
    return (
        f"mean gain over {_counted(len(macro.tasks), 'task')}, from guessing (0) to the best value (1): "
        f"{macro.gain:+.{decimals}f} [{low:+.{decimals}f}, {high:+.{decimals}f}], p {_p_text(macro.p)}"
        + (f"; left out: {left_out}" if left_out else "")
    )


def rules_text(comparison: Comparison) -> str:
    """Say by which rules the verdicts were given."""
    settings = comparison.settings
    correction = {"holm": "Holm", "bh": "Benjamini-Hochberg", "none": ""}[settings.correction]
    adjusted = f"p corrected over all tests by {correction}" if correction else "p not corrected for several tests"
    margin = "no margin" if settings.margin is None else f"margin {settings.margin:g}"
    return f"intervals at level {settings.level:g}, {adjusted}, {margin}"


def fact_rows(compared: CandidateComparison) -> list[tuple[str, str, str]]:
    """Return what else differs in the order of `FACT_HEADS`; of a fingerprint, as much as tells two apart."""

    def shown(text: str) -> str:
        return text[:_SHOWN_HASH] if _FINGERPRINT.fullmatch(text) else text

    return [(fact.name, shown(fact.baseline), shown(fact.candidate)) for fact in compared.facts]


def to_markdown(comparison: Comparison) -> str:
    """Return a report for GitHub-flavoured Markdown, its texts escaped."""
    parts = [markdown(rules_text(comparison))]
    for compared in comparison.candidates:
        parts.append(f"## {markdown(title_of(comparison, compared))}")
        parts.append(_markdown_table(HEADS, [line.cells for line in lines_of(compared)]))
        parts.append(markdown(macro_text(compared.macro)))
        if compared.facts:
            parts.append("What else differs:")
            parts.append(_markdown_table(FACT_HEADS, fact_rows(compared)))
    return "\n\n".join(parts) + "\n"


def to_csv(comparison: Comparison) -> str:
    """Return a row a candidate, task and metric with full precision; what is not known is empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(_CSV_COLUMNS)
    for compared in comparison.candidates:
        for each in compared.metrics:
            row = _csv_row(comparison, compared, each)
            writer.writerow([_csv_cell(row.get(name)) for name in _CSV_COLUMNS])
    return buffer.getvalue()


def to_json(comparison: Comparison, samples: Sequence[Any] = ()) -> str:
    """Return everything, the ids of changed documents included; equal comparisons give equal bytes.

    samples: what to add under that name, as plain values.
    """
    content = {
        "schema_version": SCHEMA_VERSION,
        "baseline": _run_json(comparison.baseline.run_id, comparison.baseline.model),
        "settings": asdict(comparison.settings),
        "candidates": [
            {
                **_run_json(each.candidate.run_id, each.candidate.model),
                "differs": [asdict(fact) for fact in each.facts],
                "metrics": [_metric_json(metric) for metric in each.metrics],
                "macro": _macro_json(each.macro),
            }
            for each in comparison.candidates
        ],
    }
    return canonical_json({**content, "samples": list(samples)} if samples else content).decode()


def _line(each: MetricComparison) -> Line:
    name = each.metric if each.higher_is_better else f"{each.metric} ↓"
    found = each.difference
    if found is None:
        return Line(each.task, name, "-", "-", "-", "-", "-", "-", each.verdict, "; ".join(each.reasons))
    low, high = _value_bounds(found)
    difference, interval = _effect_texts(found)
    changed = "-" if found.n_won is None else f"{found.n_won}/{found.n_lost}"
    return Line(
        task=each.task,
        metric=name,
        baseline=shown_value(found.baseline, low, high),
        candidate=shown_value(found.candidate, low, high),
        difference=difference,
        interval=interval,
        p="-" if each.p_adjusted is None else _p_text(each.p_adjusted),
        won_lost=changed,
        verdict=each.verdict,
        notes="; ".join(_notes(each, found)),
    )


def _value_bounds(found: Difference) -> tuple[float | None, float | None]:
    """Return bounds as wide as the interval of the difference, in the metric's unit, so that values get its digits."""
    if isinstance(found.interval, Absent):
        return None, None
    if found.scale == "log-ratio":
        return found.baseline * math.exp(found.interval.low), found.baseline * math.exp(found.interval.high)
    return found.interval.low, found.interval.high


def _effect_texts(found: Difference) -> tuple[str, str]:
    """Return the difference and its interval; perplexities by how many percent greater the candidate's is."""

    def scaled(effect: float) -> float:
        return 100 * math.expm1(effect) if found.scale == "log-ratio" else effect

    sign = " %" if found.scale == "log-ratio" else ""
    if isinstance(found.interval, Absent):
        return f"{scaled(found.effect):+.4g}{sign}", "-"
    low, high = scaled(found.interval.low), scaled(found.interval.high)
    decimals = decimals_of(low, high)
    return (
        f"{scaled(found.effect):+.{decimals}f}{sign}",
        f"[{low:+.{decimals}f}, {high:+.{decimals}f}]{sign}",
    )


def _notes(each: MetricComparison, found: Difference) -> list[str]:
    counted = (
        (len(each.left_out.changed), "changed"),
        (len(each.left_out.only_baseline), "only in the baseline"),
        (len(each.left_out.only_candidate), "only in the candidate"),
        (each.left_out.failed, "failed"),
    )
    notes = [f"{count} {what}, not compared" for count, what in counted if count]
    if any(each.truncated):
        notes.append(f"prompts cut of {each.truncated[0]} and {each.truncated[1]} documents")
    notes.insert(0, f"n {found.n}" + (f" in {found.n_clusters} clusters" if found.n_clusters else ""))
    if found.is_identical:
        notes.append("all documents score the same")
    elif isinstance(found.interval, Absent):
        notes.append(found.interval.reason)
    if each.verdict == "inconclusive" and found.detectable is not None:
        notes.append(f"would find {_detectable_text(found, found.detectable)}")
    if each.verdict == "equivalent" and each.p_adjusted is not None and each.p_adjusted < 1 - _level(found):
        notes.append("significant, but within the margin")
    return notes


def _level(found: Difference) -> float:
    return found.interval.level if isinstance(found.interval, Interval) else 1.0


def _detectable_text(found: Difference, detectable: float) -> str:
    return f"{100 * math.expm1(detectable):.2g} %" if found.scale == "log-ratio" else f"{detectable:.2g}"


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _p_text(p: float) -> str:
    return "<0.0001" if p < 1e-4 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rules = ["---:" if 1 < i < len(heads) - _N_TEXT_HEADS else "---" for i in range(len(heads))]
    lines = [heads, rules, *([markdown(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _csv_row(comparison: Comparison, compared: CandidateComparison, each: MetricComparison) -> dict[str, Any]:
    found = each.difference
    row = {
        "baseline_run": comparison.baseline.run_id,
        "candidate_run": compared.candidate.run_id,
        "baseline_model": comparison.baseline.model,
        "candidate_model": compared.candidate.model,
        **_metric_json(each),
        "n_changed": len(each.left_out.changed),
        "n_only_baseline": len(each.left_out.only_baseline),
        "n_only_candidate": len(each.left_out.only_candidate),
        "n_failed": each.left_out.failed,
        "reasons": "; ".join(each.reasons),
    }
    if found is not None:
        row |= _difference_json(found)
        if isinstance(found.interval, Interval):
            bounds = found.interval
            row |= {"low": bounds.low, "high": bounds.high, "interval_method": bounds.method}
    return row


def _csv_cell(value: Any) -> Any:
    return spreadsheet(value) if isinstance(value, str) else value


def _run_json(run_id: str, model: str) -> dict[str, str]:
    return {"run_id": run_id, "model": model}


def _metric_json(each: MetricComparison) -> dict[str, Any]:
    plain = {
        name: getattr(each, name)
        for name in ("task", "metric", "unit", "higher_is_better", "headline", "verdict", "p_adjusted", "margin")
    }
    return {
        **plain,
        "reasons": each.reasons,
        "left_out": asdict(each.left_out),
        "truncated": each.truncated,
        "won": each.won,
        "lost": each.lost,
        "difference": None if each.difference is None else _difference_json(each.difference),
    }


def _difference_json(found: Difference) -> dict[str, Any]:
    plain = {field.name: getattr(found, field.name) for field in fields(Difference)}
    for name in ("equivalence_interval", "df"):  # what the verdict says already, and may be infinite
        del plain[name]
    return {**plain, **_interval_json(found.interval)}


def _interval_json(interval: Interval | Absent) -> dict[str, Any]:
    if isinstance(interval, Absent):
        return {"interval": None, "interval_absence": interval.reason}
    return {"interval": asdict(interval)}


def _macro_json(macro: MacroDifference | Absent) -> dict[str, Any] | None:
    return {"absence": macro.reason} if isinstance(macro, Absent) else asdict(macro)
