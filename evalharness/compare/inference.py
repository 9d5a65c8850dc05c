"""Which interval and which test suit a metric: one function a kind, each on rows that are already paired."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from evalharness.compare.scores import FloatArray
from evalharness.request import derived_seed
from evalharness.stats.difference import Alternative, EstimatedDifference, Significance
from evalharness.stats.intervals import Absent, Interval
from evalharness.stats.paired import (
    cluster_paired_proportion_difference,
    cluster_paired_proportion_interval,
    mcnemar,
    paired_mean_difference,
    paired_mean_interval,
    paired_mean_test,
    paired_proportion_difference,
    paired_proportion_interval,
    ratio_difference,
    ratio_difference_interval,
    ratio_difference_test,
    unchanged_interval,
)
from evalharness.stats.randomisation import approximate_randomization, sign_flip_test
from evalharness.stats.resampling import PairedBootstrap, paired_bootstrap, paired_bootstrap_of_rows

Clusters = npt.NDArray[np.intp] | None
_Tests = Callable[[Alternative], Significance | Absent]

#: Below so many samples or clusters the t test leans on a normal distribution that it may not have.
FEW_UNITS = 50


@dataclass(frozen=True, slots=True)
class Inference:
    """What the data say about an effect.

    interval, equivalence_interval: see `Question.intervals`. standard_error, df: None where the method has none.
    two_sided, greater, less: the tests of an effect of 0.
    """

    interval: Interval | Absent
    equivalence_interval: Interval | Absent
    two_sided: Significance | Absent
    greater: Significance | Absent
    less: Significance | Absent
    standard_error: float | None = None
    df: float | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """At which level, and from which seed, something is inferred.

    names: whose effect it is, such as (task, metric): with the seed they alone decide all random draws, so that a report is the
    same on every machine and for every other run in it. has_margin: the interval for equivalence is wanted too.
    """

    level: float
    seed: int
    names: tuple[str, ...]
    has_margin: bool = False

    def intervals(self, at: Callable[[float], Interval | Absent]) -> tuple[Interval | Absent, Interval | Absent]:
        """Return the interval at the level, and the one that proves equivalence where it lies within a margin."""
        if not self.has_margin:
            return at(self.level), Absent("no margin was given")
        return at(self.level), at(round(2 * self.level - 1, 12))  # 0.9 of 0.95, not 0.8999999999999999

    def rng(self, purpose: str) -> np.random.Generator:
        """Return a generator of its own for a purpose."""
        return np.random.default_rng(derived_seed(self.seed, "compare", purpose, *self.names))


def of_right_or_wrong(differences: FloatArray, width: float, clusters: Clusters, question: Question) -> Inference:
    """Infer from (n,) differences of -width, 0 and width: exact McNemar and Bonett-Price, or what clusters need.

    McNemar's test takes every document as independent; clusters need the test of the mean.
    """
    differences = differences / width
    if clusters is not None:
        inference = _inferred(
            question.intervals(lambda level: cluster_paired_proportion_interval(differences, clusters, level=level)),
            _tests_of_mean(differences, clusters, question),
            cluster_paired_proportion_difference(differences, clusters),
        )
    else:
        lost, won, n = int((differences < 0).sum()), int((differences > 0).sum()), len(differences)
        inference = _inferred(
            question.intervals(lambda level: paired_proportion_interval(lost, won, n, level)),
            lambda alternative: mcnemar(lost, won, alternative=alternative),
            paired_proportion_difference(lost, won, n),
        )
    return _stretched(inference, width)


def of_means(differences: FloatArray, width: float, clusters: Clusters, question: Question) -> Inference:
    """Infer from (n,) differences of any size: Student's t, cluster-robust with clusters; few units get a sign-flip test.

    width: of the metric's range, infinite where it has none.
    """
    tests = _tests_of_mean(differences, clusters, question)
    if not differences.any() and math.isfinite(width):
        return _of_unchanged(_n_units(differences, clusters), width, tests, question)
    return _inferred(
        question.intervals(lambda level: paired_mean_interval(differences, clusters, level=level)),
        tests,
        paired_mean_difference(differences, clusters),
    )


def _of_unchanged(n_units: int, width: float, tests: _Tests, question: Question) -> Inference:
    """Say what documents without any change exclude; the standard error is that of right or wrong answers without any."""
    unchanged = _inferred(
        question.intervals(lambda level: unchanged_interval(n_units, 1.0, level=level)),
        tests,
        paired_proportion_difference(0, 0, n_units),
    )
    return _stretched(unchanged, width)


def of_ratios(
    baseline: FloatArray, candidate: FloatArray, slope: float, clusters: Clusters, question: Question
) -> Inference:
    """Infer from (n, 2) rows of ratios of sums, linearised; the effect is `slope` times the difference of the ratios."""
    rows = (baseline, candidate) if slope > 0 else (candidate, baseline)  # so that greater stays greater
    inference = _inferred(
        question.intervals(lambda level: ratio_difference_interval(*rows, clusters, level=level)),
        lambda alternative: ratio_difference_test(*rows, clusters, alternative=alternative),
        ratio_difference(*rows, clusters),
    )
    return _stretched(inference, abs(slope))


def of_sums(
    baseline: FloatArray,
    candidate: FloatArray,
    value: Callable[[FloatArray], FloatArray],
    clusters: Clusters,
    question: Question,
) -> Inference:
    """Infer from (n, k) rows whose sums decide the value: paired bootstrap, and approximate randomisation for the tests."""
    found: dict[float, PairedBootstrap | Absent] = {}

    def at(level: float) -> Interval | Absent:
        found[level] = paired_bootstrap(
            baseline, candidate, value, clusters, rng=question.rng("bootstrap"), level=level
        )
        return _interval(found[level])

    return _inferred(
        question.intervals(at),
        lambda alternative: approximate_randomization(
            baseline, candidate, value, clusters, rng=question.rng("swaps"), alternative=alternative
        ),
        _normal_of(found[question.level]),
    )


def of_all_rows(
    baseline: FloatArray,
    candidate: FloatArray,
    value: Callable[[FloatArray], float],
    clusters: Clusters,
    question: Question,
) -> Inference:
    """Infer from (n, k) rows that are valued all at once: paired bootstrap, for the tests as well."""
    found: dict[float, PairedBootstrap | Absent] = {}

    def at(level: float) -> Interval | Absent:
        found[level] = paired_bootstrap_of_rows(
            baseline, candidate, value, clusters, rng=question.rng("bootstrap"), level=level
        )
        return _interval(found[level])

    intervals = question.intervals(at)
    drawn = found[question.level]
    return _inferred(intervals, lambda alternative: _bootstrap_test(drawn, alternative), _normal_of(drawn))


def _interval(drawn: PairedBootstrap | Absent) -> Interval | Absent:
    return drawn if isinstance(drawn, Absent) else drawn.interval


def _normal_of(drawn: PairedBootstrap | Absent) -> EstimatedDifference | Absent:
    """Take the standard error from the bootstrap interval, as if it were that of a normal distribution."""
    if isinstance(drawn, Absent):
        return drawn
    interval = drawn.interval
    error = (interval.high - interval.low) / (2 * float(stats.norm.ppf((1 + interval.level) / 2)))
    return EstimatedDifference(drawn.difference, error, math.inf, "bootstrap-normal")


def _bootstrap_test(drawn: PairedBootstrap | Absent, alternative: Alternative) -> Significance | Absent:
    """Read the two-sided p-value as twice the tail beyond zero; the other side has the rest."""
    if isinstance(drawn, Absent):
        return drawn
    near = drawn.p / 2 if (drawn.difference > 0) == (alternative == "greater") else 1 - drawn.p / 2
    p = drawn.p if alternative == "two-sided" else near
    return Significance(p, drawn.interval.method, alternative, drawn.difference)


def _n_units(differences: FloatArray, clusters: Clusters) -> int:
    return len(differences) if clusters is None else len(np.unique(clusters))


def _tests_of_mean(differences: FloatArray, clusters: Clusters, question: Question) -> _Tests:
    if _n_units(differences, clusters) < FEW_UNITS:
        return lambda alternative: sign_flip_test(
            differences, clusters, rng=question.rng("sign flips"), alternative=alternative
        )
    return lambda alternative: paired_mean_test(differences, clusters, alternative=alternative)


def _stretched(inference: Inference, factor: float) -> Inference:
    """Return an inference in a unit `factor` times as fine."""

    def bounds(interval: Interval | Absent) -> Interval | Absent:
        if isinstance(interval, Absent):
            return interval
        return replace(interval, low=factor * interval.low, high=factor * interval.high)

    error = inference.standard_error
    return replace(
        inference,
        interval=bounds(inference.interval),
        equivalence_interval=bounds(inference.equivalence_interval),
        standard_error=None if error is None else factor * error,
    )


def _inferred(
    intervals: tuple[Interval | Absent, Interval | Absent],
    test: _Tests,
    estimate: EstimatedDifference | Absent,
) -> Inference:
    error, df = (estimate.standard_error, estimate.df) if isinstance(estimate, EstimatedDifference) else (None, None)
    return Inference(*intervals, test("two-sided"), test("greater"), test("less"), error, df)
