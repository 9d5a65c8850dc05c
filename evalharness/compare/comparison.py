"""Whole runs compared: every shared task, a verdict each, and the mean over tasks."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from evalharness.compare.difference import Difference, changed_documents, difference
from evalharness.compare.facts import Fact, differing_facts
from evalharness.compare.macro import MacroDifference, macro_of
from evalharness.compare.pairing import LeftOut, NotComparable, OnUnpaired, Paired, pair
from evalharness.compare.scores import RunScores, open_scores
from evalharness.compare.valuation import RANGES
from evalharness.errors import Problem, StoreError, suggest
from evalharness.run.record import MetricResult, TaskRecord
from evalharness.run.store import ResultStore
from evalharness.stats.intervals import Absent, Interval
from evalharness.stats.multiplicity import benjamini_hochberg, holm

#: What a comparison comes to. ``equivalent`` needs a margin; ``inconclusive`` means that the data do not tell.
Verdict = Literal["better", "worse", "equivalent", "inconclusive", "not comparable"]

#: How p-values are adjusted for the number of tests in one report.
Correction = Literal["holm", "bh", "none"]


@dataclass(frozen=True, slots=True)
class CompareSettings:
    """What a person may set about a comparison.

    metrics: ``headline``, ``all``, or names of metrics. tasks: names or globs, empty for all. level: of the intervals; tests
    are made at 1 - level. margin: the greatest difference that does not matter, see `margin_on_scale`. correction: over all
    tests of the report. seed: of random draws.
    """

    metrics: tuple[str, ...] = ("headline",)
    tasks: tuple[str, ...] = ()
    level: float = 0.95
    margin: float | None = None
    correction: Correction = "holm"
    on_unpaired: OnUnpaired = "error"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric of one task, a candidate against the baseline.

    metric: its name within the task; unit and higher_is_better are those of its record. headline: whether it stands for the
    task. random_baseline: the value that guessing would have, None where it is not known. difference: None where the verdict is
    ``not comparable``, and `reasons` then say why. p_adjusted: `difference.p` after the correction, None where there is no
    test. margin: on `difference.scale`, None where none was given. left_out: the documents that were not compared.
    won, lost: ids of documents on which the candidate is better, worse: all of them where documents are right or wrong, else
    those that changed most, see `changed_documents`. truncated: how many documents of baseline and candidate had a prompt cut.
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
    random_baseline: float | None = None
    truncated: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class RunLabel:
    """How a run is named in a report; where: its directory, as a path or URL."""

    run_id: str
    model: str
    where: str


@dataclass(frozen=True, slots=True)
class CandidateComparison:
    """One candidate against the baseline: metrics in the order of the baseline's record, then those of new tasks."""

    candidate: RunLabel
    facts: tuple[Fact, ...]
    metrics: tuple[MetricComparison, ...]
    macro: MacroDifference | Absent


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several candidates against one baseline."""

    baseline: RunLabel
    candidates: tuple[CandidateComparison, ...]
    settings: CompareSettings

    @property
    def n_compared(self) -> int:
        """How many metrics of tasks could be compared."""
        return sum(metric.difference is not None for each in self.candidates for metric in each.metrics)


def compare_runs(
    store: ResultStore, baseline: str | Path, candidates: Sequence[str | Path], settings: CompareSettings | None = None
) -> Comparison:
    """Compare candidates with a baseline, all of them committed runs that `ResultStore.load` finds.

    What cannot be compared is part of the result, with its reasons. Raises StoreError when a run cannot be read, and when no
    run has a task or metric that the settings name.
    """
    settings = settings or CompareSettings()
    with ExitStack() as stack:
        base, *others = (stack.enter_context(open_scores(store, run)) for run in (baseline, *candidates))
        _refuse_unknown((base, *others), settings)
        found = [tuple(_metrics(base, other, settings)) for other in others]
        compared = _with_verdicts(found, settings)
        return Comparison(
            _label(base),
            tuple(
                CandidateComparison(
                    _label(other),
                    differing_facts(base.record, other.record),
                    metrics,
                    macro_of(metrics, settings.level),
                )
                for other, metrics in zip(others, compared, strict=True)
            ),
            settings,
        )


def margin_on_scale(margin: float, result: MetricResult, value: float) -> float:
    """Return a margin such as 0.02 on the scale of a metric's difference.

    On a logarithmic scale a ratio of 1.02; for fractions 0.02 and for percents 2; for other units 0.02 times the baseline's
    `value`.
    """
    if result.unit == "perplexity":
        return math.log1p(margin)
    return margin * RANGES.get(result.unit, abs(value))


def verdict_of(found: Difference, p: float | None, alpha: float, margin: float | None) -> Verdict:
    """Return what a difference comes to; p: two-sided, after correction.

    Equivalent if the interval at level 1 - 2 alpha lies within the margin, even where the difference is significant: the
    margin says that it does not matter.
    """
    bounds = found.equivalence_interval
    if margin is not None and isinstance(bounds, Interval) and -margin < bounds.low and bounds.high < margin:
        return "equivalent"
    if p is not None and p < alpha and found.gain != 0:
        return "better" if found.gain > 0 else "worse"
    return "inconclusive"


def _label(scores: RunScores) -> RunLabel:
    return RunLabel(scores.record.run_id, scores.record.model.name, scores.where)


def _refuse_unknown(runs: Sequence[RunScores], settings: CompareSettings) -> None:
    tasks = {task.name: task for run in runs for task in run.record.tasks}
    metrics = {metric.name for run in runs for task in run.record.tasks for metric in task.metrics}
    problems = [
        Problem("--tasks", f"no run has a task `{name}`", suggest(name, tasks, noun="tasks"))
        for name in settings.tasks
        if not fnmatch.filter(tasks, name)
    ]
    problems += [
        Problem("--metrics", f"no run has a metric `{name}`", suggest(name, metrics, noun="metrics"))
        for name in settings.metrics
        if name not in ("headline", "all") and name not in metrics
    ]
    if problems:
        raise StoreError(problems)


def _metrics(base: RunScores, other: RunScores, settings: CompareSettings) -> Iterator[MetricComparison]:
    """Yield every metric asked for of every task of either run; verdicts are given once all tests are known."""
    in_base, in_other = ({task.name: task for task in run.record.tasks} for run in (base, other))
    for name in dict.fromkeys([*in_base, *in_other]):
        if settings.tasks and not any(fnmatch.fnmatchcase(name, pattern) for pattern in settings.tasks):
            continue
        one, two = in_base.get(name), in_other.get(name)
        for metric in _names(one or two, two, settings.metrics):
            yield _compared(base, other, (one, two), metric, settings)


def _names(first: TaskRecord | None, second: TaskRecord | None, wanted: Sequence[str]) -> list[str]:
    """Return the metrics of a task that are wanted, the first record's headline standing for both."""
    records = [record for record in (first, second) if record is not None]
    known = dict.fromkeys(metric.name for record in records for metric in record.metrics)
    if "all" in wanted:
        return list(known)
    headlines = [record.headline.name for record in records[:1] if record.headline]
    chosen = {*wanted, *(headlines if "headline" in wanted else ())}
    return [name for name in known if name in chosen]


def _compared(
    base: RunScores,
    other: RunScores,
    tasks: tuple[TaskRecord | None, TaskRecord | None],
    metric: str,
    settings: CompareSettings,
) -> MetricComparison:
    results = [next((each for each in task.metrics if each.name == metric), None) if task else None for task in tasks]
    task = next(task for task in tasks if task)
    result = next(result for result in results if result)
    blank = MetricComparison(
        task=task.name,
        metric=metric,
        unit=result.unit,
        higher_is_better=result.higher_is_better,
        headline=task.headline is not None and task.headline.name == metric,
        verdict="not comparable",
        difference=None,
        random_baseline=result.random_baseline,
    )
    for noun, found in (("task", tasks), ("metric", results)):
        if None in found:
            where = "candidate" if found[0] is None else "baseline"
            return dataclasses.replace(blank, reasons=(f"{noun}: only in the {where}",))
    contents = tasks[0].data_hash != tasks[1].data_hash  # type: ignore[union-attr]  # both are there
    one, two = (run.scores(task.name, metric, contents=contents) for run in (base, other))
    paired = pair(one, two, on_unpaired=settings.on_unpaired)
    if isinstance(paired, NotComparable):
        return dataclasses.replace(blank, reasons=paired.reasons, left_out=paired.left_out)
    return _of_pairs(blank, paired, settings)


def _of_pairs(blank: MetricComparison, paired: Paired, settings: CompareSettings) -> MetricComparison:
    value = paired.baseline.result.value
    margin = None
    if settings.margin is not None and value is not None:
        margin = margin_on_scale(settings.margin, paired.baseline.result, value)
    found = difference(paired, level=settings.level, seed=settings.seed, margin=margin)
    if isinstance(found, NotComparable):
        return dataclasses.replace(blank, reasons=found.reasons, left_out=paired.left_out)
    won, lost = changed_documents(paired)
    return dataclasses.replace(
        blank,
        verdict="inconclusive",
        difference=found,
        margin=margin,
        left_out=paired.left_out,
        won=won,
        lost=lost,
        truncated=(paired.baseline.record.n_truncated, paired.candidate.record.n_truncated),
    )


def _with_verdicts(
    found: Sequence[Sequence[MetricComparison]], settings: CompareSettings
) -> list[tuple[MetricComparison, ...]]:
    """Adjust the p-values of all candidates together, and give the verdicts."""
    tested = [
        each.difference.p for metrics in found for each in metrics if each.difference and each.difference.p is not None
    ]
    adjusted = iter(_adjusted(tested, settings.correction))
    return [tuple(_with_verdict(each, adjusted, settings) for each in metrics) for metrics in found]


def _with_verdict(each: MetricComparison, adjusted: Iterator[float], settings: CompareSettings) -> MetricComparison:
    if each.difference is None:
        return each
    p = None if each.difference.p is None else next(adjusted)
    verdict = verdict_of(each.difference, p, 1 - settings.level, each.margin)
    return dataclasses.replace(each, verdict=verdict, p_adjusted=p)


def _adjusted(p: Sequence[float], correction: Correction) -> list[float]:
    if correction == "none" or not p:
        return list(p)
    return [float(each) for each in (holm(p) if correction == "holm" else benjamini_hochberg(p))]
