"""How two runs differ on the documents that they share: by one metric of one task, with an interval and a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from evalharness.stats.intervals import Absent, Interval

#: In what a difference is measured: ``difference`` in the metric's unit; ``log-ratio``, ln(candidate / baseline), for
#: perplexities.
Scale = Literal["difference", "log-ratio"]


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between two runs by one metric, on the n documents that they share.

    baseline, candidate: the values on these documents, in the metric's unit; delta = candidate - baseline.
    scale: what `effect`, `gain`, `interval`, `standard_error` and `detectable` are measured in. effect: the delta on this
    scale, positive where the candidate's value is greater. gain: the effect with the sign that makes positive better.
    interval: of the effect, at the level asked for; Absent with a reason where the data show no spread.
    equivalence_interval: of the effect at level 1 - 2 (1 - level), 0.90 for 0.95: both one-sided bounds at `1 - level`, for
    margins; Absent likewise.
    p, p_worse, p_better: two-sided, and one-sided for "the candidate is worse" and "is better"; None without a test.
    p_within: of the test that the effect is beyond the margin (the greater of two one-sided p-values); None without margin.
    test: what gave the p-values, such as ``mcnemar-exact``; None where there is none. interval.method names the interval.
    n_clusters: independent clusters among the n, None where documents are independent.
    n_won, n_lost: documents on which the candidate is better, and worse; None for metrics that no document has alone.
    detectable: the least true effect that this test finds with probability 0.8, None where it is not known;
    detectable_basis: what that rests on, such as ``standard error``, or why it is not known.
    """

    baseline: float
    candidate: float
    delta: float
    effect: float
    gain: float
    scale: Scale
    interval: Interval | Absent
    equivalence_interval: Interval | Absent
    standard_error: float | None
    p: float | None
    p_worse: float | None
    p_better: float | None
    p_within: float | None
    test: str | None
    n: int
    n_clusters: int | None
    n_won: int | None
    n_lost: int | None
    detectable: float | None
    detectable_basis: str
