"""Whole runs compared: every shared task, a verdict each, and the mean over tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from evalharness.compare.difference import Difference
from evalharness.compare.pairing import LeftOut, OnUnpaired
from evalharness.stats.intervals import Absent, Interval

#: What a comparison comes to. ``equivalent`` needs a margin; ``inconclusive`` means that the data do not tell.
Verdict = Literal["better", "worse", "equivalent", "inconclusive", "not comparable"]

#: How p-values are adjusted for the number of tests in one report.
Correction = Literal["holm", "bh", "none"]


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric of one task, a candidate against the baseline.

    metric: its name within the task; unit and higher_is_better are those of its record. headline: whether it stands for the
    task. difference: None where the verdict is ``not comparable``, and `reasons` then say why. p_adjusted: `difference.p`
    after the correction, None where there is no test. margin: on `difference.scale`, None where none was given.
    left_out: the documents that were not compared. won, lost: ids of documents on which the candidate is better, worse.
    """

    task: str
    metric: str
    unit: str
    higher_is_better: bool
    headline: bool
    verdict: Verdict
    difference: Difference | None
    p_adjusted: float | None = None
    margin: float | None = None
    reasons: tuple[str, ...] = ()
    left_out: LeftOut = field(default_factory=LeftOut)
    won: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MacroDifference:
    """The mean gain over the headline metrics of tasks, each on a scale from guessing (0) to the best value (1).

    gain: positive is better; interval: of it. p, p_worse, p_better as in `Difference`. tasks: those in the mean, of equal
    weight. excluded: why other tasks are not in it, by task.
    """

    gain: float
    interval: Interval | Absent
    p: float | None
    p_worse: float | None
    p_better: float | None
    tasks: tuple[str, ...]
    excluded: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RunLabel:
    """How a run is named in a report; where: its directory, as a path or URL."""

    run_id: str
    model: str
    where: str


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that differs between two runs, such as a fingerprint, a setting or a library's version."""

    name: str
    baseline: str
    candidate: str


@dataclass(frozen=True, slots=True)
class CandidateComparison:
    """One candidate against the baseline: metrics in the order of the baseline's record, then those of new tasks."""

    candidate: RunLabel
    facts: tuple[Fact, ...]
    metrics: tuple[MetricComparison, ...]
    macro: MacroDifference | Absent


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several candidates against one baseline. margin: as a fraction, see `margin_on_scale`."""

    baseline: RunLabel
    candidates: tuple[CandidateComparison, ...]
    level: float
    correction: Correction
    on_unpaired: OnUnpaired
    margin: float | None = None
