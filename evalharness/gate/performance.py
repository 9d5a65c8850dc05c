"""Rows for speed and memory: single measurements of two runs, held against limits, on equal hardware alone."""

from __future__ import annotations

from evalharness.gate.config import DropLimit, PerformanceRules, RiseLimit
from evalharness.gate.evidence import BaselineEvidence, Performance
from evalharness.gate.verdict import Row, Word

_MEASURED = {
    "tokens_per_second": ("tokens_per_second", "tokens/s"),
    "peak_memory": ("peak_memory_bytes", "bytes"),
    "peak_device_memory": ("peak_device_bytes", "bytes"),
}


def performance_rows(rules: PerformanceRules, evidence: BaselineEvidence) -> list[Row]:
    """Return one row for each limit that is set; none where there is no baseline to measure against."""
    if evidence.performance is None:
        return []
    limits = {name: getattr(rules, name) for name in _MEASURED}
    return [_row(name, limit, evidence, evidence.performance) for name, limit in limits.items() if limit is not None]


def _row(
    name: str, limit: DropLimit | RiseLimit, evidence: BaselineEvidence, measured: tuple[Performance, Performance]
) -> Row:
    baseline, candidate = measured
    field, unit = _MEASURED[name]
    before, after = getattr(baseline, field), getattr(candidate, field)
    change: float | None = None
    word: Word = "not comparable"
    if not before or after is None:
        reason = f"not measured in the {'candidate' if before else 'baseline'}"
    elif not evidence.is_same_work:
        reason = "the runs answered other tasks or documents"
    elif baseline.hardware != candidate.hardware:
        reason = f"other hardware: {baseline.hardware or 'unknown'} and {candidate.hardware or 'unknown'}"
    else:
        change = (after - before) / before * (1 if isinstance(limit, DropLimit) else -1)  # positive is better
        word = "fail" if change < -_allowed(limit) else "pass"
        reason = f"{(after - before) / before:+.1%}, {_bound(limit)} is allowed"
    return Row(
        kind="performance",
        name=name,
        baseline=evidence.baseline,
        verdict=word,
        counts=limit.required,
        reason=reason,
        requirement="not inferior" if limit.required else "none",
        unit=unit,
        scale="relative",
        baseline_value=before,
        candidate_value=after,
        difference=change,
        margin=_allowed(limit),
    )


def _allowed(limit: DropLimit | RiseLimit) -> float:
    return limit.max_drop_rel if isinstance(limit, DropLimit) else limit.max_rise_rel


def _bound(limit: DropLimit | RiseLimit) -> str:
    return f"{-limit.max_drop_rel:+.0%}" if isinstance(limit, DropLimit) else f"{limit.max_rise_rel:+.0%}"
