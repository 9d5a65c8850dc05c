"""From two sides to evidence: which tasks are compared, by which metric, on which documents, and what stands in the way."""

from __future__ import annotations

import dataclasses
import math

from scipy import stats

from evalharness.compare.difference import Difference, difference
from evalharness.compare.pairing import NotComparable, Paired, pair
from evalharness.compare.scores import TaskScores
from evalharness.errors import GateError, suggest
from evalharness.gate.config import GateConfig, TaskRule, margin_of, range_of
from evalharness.gate.evidence import BaselineEvidence, Gain, Obstacle, TaskEvidence
from evalharness.gate.failures import count_as_wrong
from evalharness.gate.scores_file import shortened
from evalharness.gate.sides import MissingBaseline, Side
from evalharness.gate.wording import counted
from evalharness.run.record import MetricResult, TaskRecord
from evalharness.stats.difference import EstimatedDifference, difference_interval
from evalharness.stats.intervals import Absent, Interval
from evalharness.stats.paired import paired_proportion_difference


def gather(config: GateConfig, candidate: Side, baseline: Side | MissingBaseline) -> BaselineEvidence:
    """Compare a candidate with one baseline, task by task, in the order of the baseline and then of what is new.

    Raises GateError when a rule names a metric that its task does not have, StoreError when samples cannot be read.
    """
    if isinstance(baseline, MissingBaseline):
        new = tuple(_new(config, task) for task in candidate.tasks.values())
        return BaselineEvidence(
            baseline.name, new, obstacles={"baseline": Obstacle(baseline.reason, config.on_missing_baseline)}
        )
    notes: tuple[str, ...] = ()
    if baseline.input.run_id == candidate.input.run_id:
        notes = (
            "the candidate is this very run; comparing it with itself shows nothing but the gate's own resolution",
        )
    tasks = [
        _both(config, candidate, baseline, task) if task in candidate.tasks else _missing(config, baseline.tasks[task])
        for task in baseline.tasks
    ]
    tasks += [_new(config, task) for name, task in candidate.tasks.items() if name not in baseline.tasks]
    return BaselineEvidence(
        baseline=baseline.input.name,
        tasks=tuple(tasks),
        performance=(baseline.performance, candidate.performance),
        is_same_work=_work(baseline) == _work(candidate),
        notes=notes,
    )


def _work(side: Side) -> set[tuple[str, str]]:
    """Return what was asked on a side: speeds and needs of other work are not comparable."""
    return {(task.fingerprint, task.data_hash) for task in side.tasks.values()}


def _missing(config: GateConfig, task: TaskRecord) -> TaskEvidence:
    obstacle = Obstacle("the baseline has this task, the candidate has not", config.on_missing_task)
    rule = config.rule(task.name)
    return TaskEvidence(task.name, rule, obstacle=obstacle, baseline_value=_result(task, rule).value)


def _new(config: GateConfig, task: TaskRecord) -> TaskEvidence:
    rule = config.rule(task.name)
    result = _result(task, rule)
    return TaskEvidence(
        task=task.name,
        rule=rule,
        metric=result.name,
        unit=result.unit,
        higher_is_better=_higher(rule, result),
        candidate_value=result.value,
        candidate_low=result.low,
        candidate_high=result.high,
        obstacle=Obstacle("the candidate has this task, the baseline has not", config.on_new_task),
        is_new=True,
    )


def _both(config: GateConfig, candidate: Side, baseline: Side, task: str) -> TaskEvidence:
    rule = config.rule(task)
    records = baseline.tasks[task], candidate.tasks[task]
    result, other = _result(records[0], rule), _result(records[1], rule)
    higher = _higher(rule, result)
    turned = () if higher == result.higher_is_better else (f"the gate says that {rule.direction} is better",)
    evidence = TaskEvidence(
        task=task,
        rule=rule,
        metric=result.name,
        unit=result.unit,
        higher_is_better=higher,
        baseline_value=result.value,
        candidate_value=other.value,
        candidate_low=other.low,
        candidate_high=other.high,
        chance=result.random_baseline,
        notes=turned,
    )
    obstacle = _too_many_failures(config, records)
    if obstacle is not None:
        return dataclasses.replace(evidence, obstacle=obstacle)
    paired = _paired(config, baseline, candidate, task, (result.name, other.name))
    if isinstance(paired, Obstacle):
        return dataclasses.replace(evidence, obstacle=paired)
    left_out = (*_cut(records), *_left_out(config, paired))
    if config.errors.count_as == "wrong" and paired.left_out.failed:
        paired, said = count_as_wrong(paired, higher_is_better=higher)
        left_out = (*left_out, said)
    found = difference(paired, level=1 - 2 * config.alpha, seed=config.seed)
    if isinstance(found, NotComparable):
        return dataclasses.replace(evidence, obstacle=Obstacle("; ".join(found.reasons)))
    is_ratio = found.scale == "log-ratio"
    return dataclasses.replace(
        evidence,
        baseline_value=found.baseline,
        candidate_value=found.candidate,
        gain=gain_of(found, config.alpha, unit=result.unit, higher_is_better=higher, is_turned=bool(turned)),
        margin=margin_of(rule, is_ratio=is_ratio, unit=result.unit, baseline_value=found.baseline),
        notes=(*evidence.notes, *left_out),
    )


def _result(task: TaskRecord, rule: TaskRule) -> MetricResult:
    """Return the metric that a rule names. Raises GateError if the task has none such."""
    headline = task.headline
    if rule.metric == "primary" and headline is not None:
        return headline
    results = {result.name: result for result in task.metrics}
    if rule.metric not in results:
        what = f"task `{task.name}` has no metric `{rule.metric}`"
        raise GateError.at(f"tasks.{task.name}", what, suggest(rule.metric, results, noun="metrics"))
    return results[rule.metric]


def _higher(rule: TaskRule, result: MetricResult) -> bool:
    return result.higher_is_better if rule.direction is None else rule.direction == "higher"


def _too_many_failures(config: GateConfig, records: tuple[TaskRecord, TaskRecord]) -> Obstacle | None:
    limit = config.errors.max_rate
    said = [
        f"{task.n_failed} of {task.n_documents} documents failed in the {side}"
        for side, task in zip(("baseline", "candidate"), records, strict=True)
        if task.n_failed > limit * task.n_documents
    ]
    return Obstacle(f"{' and '.join(said)}; at most {limit:.3g} of them may") if said else None


def _paired(
    config: GateConfig, baseline: Side, candidate: Side, task: str, metrics: tuple[str, str]
) -> Paired | Obstacle:
    """Join the documents of both sides, or say why that cannot be."""
    differ = baseline.tasks[task].data_hash != candidate.tasks[task].data_hash
    sides = (baseline, candidate)
    scores = [side.scores(task, metric, differ) for side, metric in zip(sides, metrics, strict=True)]
    if baseline.are_hashes_short != candidate.are_hashes_short:
        scores = [_with_short_hashes(each) for each in scores]
    paired = pair(scores[0], scores[1], on_unpaired=config.pairing.on_unpaired)
    if isinstance(paired, NotComparable):
        is_changed = not paired.left_out.unpaired and not any(why.startswith("documents") for why in paired.reasons)
        return Obstacle("; ".join(paired.reasons), config.on_changed_task if is_changed else "error")
    of_all = max(record.n_documents for record in (baseline.tasks[task], candidate.tasks[task]))
    kept = paired.n + paired.left_out.failed
    if kept < config.pairing.min_overlap * of_all:
        what = f"only {kept} of {of_all} documents are in both runs with the same input"
        return Obstacle(f"{what}; {config.pairing.min_overlap:.3g} of them must be")
    return paired


def _with_short_hashes(scores: TaskScores) -> TaskScores:
    contents = None if scores.content_hashes is None else shortened(scores.content_hashes)
    return dataclasses.replace(scores, input_hashes=shortened(scores.input_hashes), content_hashes=contents)


def _cut(records: tuple[TaskRecord, TaskRecord]) -> tuple[str, ...]:
    """Tell prompts that were cut: a model with a shorter context was asked less."""
    cut = [task.n_truncated for task in records]
    return (f"prompts cut in {cut[0]} documents of the baseline, {cut[1]} of the candidate",) if any(cut) else ()


def _left_out(config: GateConfig, paired: Paired) -> tuple[str, ...]:
    left_out = paired.left_out
    notes = []
    if left_out.unpaired:
        parts = (
            (left_out.changed, "changed"),
            (left_out.only_baseline, "only in the baseline"),
            (left_out.only_candidate, "only in the candidate"),
        )
        said = ", ".join(f"{len(ids)} {what}" for ids, what in parts if ids)
        notes.append(f"{counted(left_out.unpaired, 'document')} not compared: {said}")
    if left_out.failed and config.errors.count_as == "unpaired":
        notes.append(f"{counted(left_out.failed, 'failed document')} not compared")
    return tuple(notes)


def gain_of(found: Difference, alpha: float, *, unit: str, higher_is_better: bool, is_turned: bool = False) -> Gain:
    """Return a difference at level 1 - 2 alpha with the sign that makes positive better.

    is_turned: the metric's own direction is overruled.
    Where all documents have equal scores on both sides, a metric with a range has the standard error that right and wrong
    answers have there (Bonett and Price with no discordant pair): equal scores on few documents prove little.
    """
    bounds, error = found.interval, found.standard_error
    df = math.inf if found.df is None else found.df
    full = range_of(unit)
    n_units = found.n if found.n_clusters is None else found.n_clusters
    if found.is_identical and error is None and full is not None and found.scale == "difference":
        none_differ = paired_proportion_difference(0, 0, n_units)
        if isinstance(none_differ, EstimatedDifference):
            estimate = dataclasses.replace(none_differ, standard_error=full * none_differ.standard_error)
            bounds, error = difference_interval(estimate, level=1 - 2 * alpha), estimate.standard_error
    low, high = (bounds.low, bounds.high) if isinstance(bounds, Interval) else (None, None)
    if error is None and low is not None and high is not None:
        error = (high - low) / (2 * float(stats.norm.isf(alpha))) or None
    if not higher_is_better:
        low, high = (None if high is None else -high), (None if low is None else -low)
    worse, won, lost = found.p_worse, found.n_won, found.n_lost
    if is_turned:
        worse, won, lost = found.p_better, lost, won
    return Gain(
        value=found.effect if higher_is_better else -found.effect,
        scale=found.scale,
        n=found.n,
        n_units=n_units,
        low=low,
        high=high,
        standard_error=error,
        df=df,
        p_worse=1.0 if found.is_identical else worse,
        n_better=won if found.is_right_or_wrong else None,
        n_worse=lost if found.is_right_or_wrong else None,
        n_changed=None if won is None or lost is None else won + lost,
        method=bounds.method if isinstance(bounds, Interval) else "",
        absence=bounds.reason if isinstance(bounds, Absent) else "",
        is_identical=found.is_identical,
    )
