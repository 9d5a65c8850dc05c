"""How two runs differ on the documents that they share: by one metric of one task, with an interval and a test."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evalharness.compare.inference import (
    Inference,
    Question,
    of_all_rows,
    of_means,
    of_ratios,
    of_right_or_wrong,
    of_sums,
)
from evalharness.compare.pairing import NotComparable, Paired
from evalharness.compare.scores import FloatArray
from evalharness.compare.valuation import Unvalued, Valuation, valuation
from evalharness.run.record import MetricResult
from evalharness.stats.difference import EstimatedDifference, Significance, equivalence
from evalharness.stats.intervals import Absent, Interval
from evalharness.stats.power import minimum_detectable_effect

#: In what a difference is measured: ``difference`` in the metric's unit; ``log-ratio``, ln(candidate / baseline), for
#: perplexities.
Scale = Literal["difference", "log-ratio"]

#: How likely a true effect as great as `Difference.detectable` would be found.
POWER = 0.8
#: How many documents are named on either side where nearly all of them differ a little.
MOST_CHANGED = 20

_SIDES = ("baseline", "candidate")


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between two runs by one metric, on the n documents that they share.

    baseline, candidate: the values on these documents, in the metric's unit; delta = candidate - baseline.
    scale: what `effect`, `gain`, `interval`, `standard_error` and `detectable` are measured in. effect: the delta on this
    scale, positive where the candidate's value is greater. gain: the effect with the sign that makes positive better.
    interval: of the effect, at the level asked for; Absent with a reason where the data show no spread.
    equivalence_interval: of the effect at level 1 - 2 (1 - level), 0.90 for 0.95; the effect is within a margin where this
    interval is; Absent likewise, and without a margin.
    standard_error, df: of the effect, and its degrees of freedom, infinite where normal; None where there is no spread.
    p, p_worse, p_better: two-sided, and one-sided for "the candidate is worse" and "is better"; None without a test.
    p_within: of the test that the effect is beyond the margin (the greater of two one-sided p-values); None without margin.
    test: what gave the p-values, such as ``mcnemar-exact``; None where there is none. interval.method names the interval.
    n_clusters: independent clusters among the n, None where documents are independent.
    n_won, n_lost: documents on which the candidate is better, and worse; None for metrics that no document has alone.
    is_right_or_wrong: every document has the metric's least or greatest value on both sides, so that each won or lost one
    changed from wrong to right or back. is_identical: all documents have the same statistics on both sides.
    detectable: the least true effect that a two-sided test at 1 - level finds with probability 0.8, None where it is not
    known; detectable_basis: what that rests on, or why it is not known.
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
    df: float | None
    p: float | None
    p_worse: float | None
    p_better: float | None
    p_within: float | None
    test: str | None
    n: int
    n_clusters: int | None
    n_won: int | None
    n_lost: int | None
    is_right_or_wrong: bool
    is_identical: bool
    detectable: float | None
    detectable_basis: str


def difference(
    paired: Paired, *, level: float = 0.95, seed: int = 0, margin: float | None = None
) -> Difference | NotComparable:
    """Compare the paired documents by the metric that they were scored with.

    0/1 values: exact McNemar test and Bonett-Price interval; clustered ones, and other means: Student's t on the differences,
    cluster-robust where clustered, with a sign-flip test below 50 samples or clusters; ratios of sums: linearised, perplexities
    on a logarithmic scale; corpus metrics: paired bootstrap and approximate randomisation; rank metrics: paired bootstrap.
    margin: on the scale of the effect, for `p_within`. seed: with the names of task and metric it alone decides random draws.
    A metric whose formula is not known here has no interval, and its recorded values as baseline and candidate.
    NotComparable where these values are not those of the paired documents, or are not finite.
    """
    if not 0.5 < level < 1:
        raise ValueError(f"a level lies between 0.5 and 1, such as 0.95, not {level}")
    found = valuation(paired.baseline)
    if isinstance(found, Unvalued):
        return _of_records(paired, found.reason)
    if isinstance(valuation(paired.candidate), Unvalued):
        return NotComparable(("metric: the candidate's rows do not give the value that was recorded for it",))
    values = found.of_rows(paired.baseline_rows), found.of_rows(paired.candidate_rows)
    if not all(map(math.isfinite, values)):
        sides = [name for name, value in zip(_SIDES, values, strict=True) if not math.isfinite(value)]
        return NotComparable((f"value: none that is finite on the paired documents of the {' and the '.join(sides)}",))
    question = Question(level, seed, (paired.baseline.task, paired.baseline.metric), has_margin=margin is not None)
    return _assembled(paired, found, values, _inference(paired, found, question), margin)


def document_gains(paired: Paired, found: Valuation) -> FloatArray | None:
    """Return (n,) differences between the values of single documents, positive is better; None if they have none alone."""
    if found.aggregation not in ("mean", "ratio") or found.of_sums is None:
        return None
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # an empty text has no ratio, and wins nothing
        deltas = found.of_sums(paired.candidate_rows) - found.of_sums(paired.baseline_rows)
    return np.nan_to_num(deltas if paired.baseline.result.higher_is_better else -deltas)


def changed_documents(paired: Paired) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ids of documents on which the candidate is better, and of those on which it is worse.

    Where documents are right or wrong, all of them, in stored order; else the `MOST_CHANGED` that changed most on either side,
    the greatest change first.
    """
    found = valuation(paired.baseline)
    gains = None if isinstance(found, Unvalued) else document_gains(paired, found)
    if gains is None or isinstance(found, Unvalued):
        return (), ()
    limit = None if is_right_or_wrong(paired, found) else MOST_CHANGED
    order = np.argsort(-np.abs(gains), kind="stable")
    won, lost = (order[gains[order] > 0][:limit], order[gains[order] < 0][:limit])
    return tuple(paired.document_ids[won]), tuple(paired.document_ids[lost])


def is_right_or_wrong(paired: Paired, found: Valuation) -> bool:
    """Say whether every document has the metric's least or greatest value on both sides."""
    if found.aggregation != "mean" or found.of_sums is None or not math.isfinite(found.bounds[1] - found.bounds[0]):
        return False
    sides = (paired.baseline_rows, paired.candidate_rows)
    return all(bool(np.isin(found.of_sums(rows), found.bounds).all()) for rows in sides)


def scale_of(result: MetricResult) -> Scale:
    """Return the scale on which differences of a metric are measured."""
    return "log-ratio" if result.unit == "perplexity" else "difference"


def _inference(paired: Paired, found: Valuation, question: Question) -> Inference:
    one, other, clusters = paired.baseline_rows, paired.candidate_rows, paired.clusters
    if found.of_sums is None:
        return of_all_rows(one, other, found.of_rows, clusters, question)
    if found.aggregation == "mean":
        differences = found.of_sums(other) - found.of_sums(one)  # a row alone has its document's value
        if is_right_or_wrong(paired, found):
            return of_right_or_wrong(differences, found.bounds[1] - found.bounds[0], clusters, question)
        return of_means(differences, found.bounds[1] - found.bounds[0], clusters, question)
    slope = _slope(found.of_sums, scale_of(paired.baseline.result)) if found.aggregation == "ratio" else None
    if slope is not None:
        return of_ratios(one, other, slope, clusters, question)
    return of_sums(one, other, found.of_sums, clusters, question)


def _slope(value: Callable[[FloatArray], FloatArray], scale: Scale) -> float | None:
    """Return by how much the value, or its logarithm, rises with the ratio of the two sums; None if that is no line."""
    points = value(np.array([[0.0, 1.0], [1.0, 1.0], [2.0, 1.0]]))
    steps = np.diff(np.log(points) if scale == "log-ratio" else points)
    return float(steps[0]) if math.isclose(steps[0], steps[1], rel_tol=1e-9) else None


def _assembled(
    paired: Paired, found: Valuation, values: tuple[float, float], inference: Inference, margin: float | None
) -> Difference:
    result, (baseline, candidate) = paired.baseline.result, values
    scale = scale_of(result)
    effect = math.log(candidate / baseline) if scale == "log-ratio" else candidate - baseline
    gains = document_gains(paired, found)
    worse, better = inference.less, inference.greater
    if not result.higher_is_better:
        worse, better = better, worse
    detectable = _detectable(inference)
    return Difference(
        baseline=baseline,
        candidate=candidate,
        delta=candidate - baseline,
        effect=effect,
        gain=effect if result.higher_is_better else -effect,
        scale=scale,
        interval=inference.interval,
        equivalence_interval=inference.equivalence_interval,
        standard_error=inference.standard_error,
        df=inference.df,
        p=_p(inference.two_sided),
        p_worse=_p(worse),
        p_better=_p(better),
        p_within=_p_within(inference, effect, margin),
        test=inference.two_sided.method if isinstance(inference.two_sided, Significance) else None,
        n=paired.n,
        n_clusters=None if paired.clusters is None else len(np.unique(paired.clusters)),
        n_won=None if gains is None else int((gains > 0).sum()),
        n_lost=None if gains is None else int((gains < 0).sum()),
        is_right_or_wrong=is_right_or_wrong(paired, found),
        is_identical=np.array_equal(paired.baseline_rows, paired.candidate_rows),
        detectable=detectable,
        detectable_basis="standard error" if detectable is not None else "no spread is known",
    )


def _detectable(inference: Inference) -> float | None:
    if inference.standard_error is None or not isinstance(inference.interval, Interval):
        return None
    alpha = 1 - inference.interval.level
    return minimum_detectable_effect(1, variance=inference.standard_error**2, alpha=alpha, power=POWER)


def _p(test: Significance | Absent) -> float | None:
    return test.p if isinstance(test, Significance) else None


def _p_within(inference: Inference, effect: float, margin: float | None) -> float | None:
    if margin is None or inference.standard_error is None or inference.df is None:
        return None
    estimate = EstimatedDifference(effect, inference.standard_error, inference.df, "")
    return equivalence(estimate, margin=margin).p


def _of_records(paired: Paired, reason: str) -> Difference | NotComparable:
    """Compare the recorded values, where they are those of the paired documents; nothing is known of their spread."""
    one, other = paired.baseline.result, paired.candidate.result
    if paired.left_out.unpaired or paired.left_out.failed or one.value is None or other.value is None:
        return NotComparable((reason,))
    scale = scale_of(one)
    effect = math.log(other.value / one.value) if scale == "log-ratio" else other.value - one.value
    return Difference(
        baseline=one.value,
        candidate=other.value,
        delta=other.value - one.value,
        effect=effect,
        gain=effect if one.higher_is_better else -effect,
        scale=scale,
        interval=Absent(reason),
        equivalence_interval=Absent(reason),
        standard_error=None,
        df=None,
        p=None,
        p_worse=None,
        p_better=None,
        p_within=None,
        test=None,
        n=paired.n,
        n_clusters=None if paired.clusters is None else len(np.unique(paired.clusters)),
        n_won=None,
        n_lost=None,
        is_right_or_wrong=False,
        is_identical=False,
        detectable=None,
        detectable_basis=reason,
    )
