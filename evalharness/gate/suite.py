"""The average over tasks: of gains on a common scale, with an interval made of theirs, and a test for a drop of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalharness.gate.config import SuiteRule, range_of
from evalharness.gate.evidence import Gain, TaskEvidence
from evalharness.stats.aggregate import macro_difference
from evalharness.stats.difference import difference_interval, difference_test
from evalharness.stats.intervals import Absent


@dataclass(frozen=True, slots=True)
class SuiteGain:
    """The average gain; tasks: those in it. left_out: why others are not, by task. gain: None where no task is left."""

    gain: Gain | None
    tasks: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]


def suite_gain(evidence: Sequence[TaskEvidence], rule: SuiteRule, alpha: float) -> SuiteGain:
    """Average the gains of all tasks that were compared and that the gate does not leave to information alone.

    Every gain is stretched to a scale where 1 is the metric's range, or what guessing leaves of it. Interval, at level
    1 - 2 alpha, and test are those of `macro_difference`.
    """
    members: list[tuple[Gain, float]] = []
    weights: list[float] = []
    left_out: list[tuple[str, str]] = []
    for task in evidence:
        why = _exclusion(task)
        if why:
            left_out.append((task.task, why))
        elif task.gain is not None:
            members.append((task.gain, 1 / _room(task, rule)))
            weights.append(task.rule.weight * (task.gain.n if rule.aggregate == "micro" else 1))
    names = tuple(task.task for task in evidence if not _exclusion(task))
    mean = macro_difference(
        [gain.value * stretch for gain, stretch in members],
        [(gain.standard_error or 0.0) * stretch for gain, stretch in members],
        weights,
        dfs=[gain.df for gain, _ in members],
    )
    if isinstance(mean, Absent):
        return SuiteGain(None, names, tuple(left_out))
    bounds = difference_interval(mean, level=1 - 2 * alpha)
    gain = Gain(
        value=mean.value,
        scale="share",
        n=sum(gain.n for gain, _ in members),
        n_units=sum(gain.n_units for gain, _ in members),
        low=bounds.low,
        high=bounds.high,
        standard_error=mean.standard_error,
        df=mean.df,
        p_worse=difference_test(mean, alternative="less").p,
        method=mean.method,
        is_identical=all(gain.is_identical for gain, _ in members),
    )
    return SuiteGain(gain, names, tuple(left_out))


def _exclusion(task: TaskEvidence) -> str:
    """Say why a task is not in the average; empty where it is."""
    if task.is_new:
        return "new"
    if task.obstacle is not None or task.gain is None:
        return "not comparable"
    if task.rule.required is False:
        return "for information only"
    if range_of(task.unit) is None or task.gain.scale != "difference":
        return f"{task.unit or 'its metric'} has no range"
    if task.gain.standard_error is None:
        return "no standard error"
    return ""


def _room(task: TaskEvidence, rule: SuiteRule) -> float:
    """Return how much of the metric's unit is one on the scale of the average."""
    full = range_of(task.unit) or 1.0
    if rule.aggregate != "macro_normalised" or task.chance is None:
        return full
    room = full - task.chance if task.higher_is_better else task.chance
    return room if room > 0 else full
