"""What a gate can see, measured: two runs of one model show how much its scores move when nothing has changed."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from evalharness.gate.assembly import gather
from evalharness.gate.config import GateConfig, range_of
from evalharness.gate.decision import decide
from evalharness.gate.evidence import BaselineEvidence, Gain, TaskEvidence
from evalharness.gate.sides import Side
from evalharness.gate.verdict import Input, Row, Word
from evalharness.stats.difference import EstimatedDifference, difference_interval
from evalharness.stats.paired import mcnemar, paired_proportion_difference
from evalharness.stats.power import non_inferiority_samples

#: The drop that a rule without statistics would stop at, as a share of the metric's range; what it does is told for comparison.
NAIVE_DROP = 0.01

_DRAWS = 400


@dataclass(frozen=True, slots=True)
class TaskNoise:
    """How one task's score moves between two runs of one model.

    discordance: share of documents whose score differs, None for metrics that no document has alone. standard_error, margin and
    detectable_drop are on `scale`. n_needed: documents that show an equal candidate to be within the margin, with the power of
    the gate.
    """

    task: str
    metric: str
    unit: str
    scale: str
    n: int
    discordance: float | None
    standard_error: float | None
    margin: float | None
    detectable_drop: float | None
    n_needed: int | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """What to expect of a gate on these tasks.

    verdict: of the second run against the first. false_alarm_rate: how often the gate fails when nothing has changed,
    pass_rate: how often it passes; naive_rate: how often some task falls by `NAIVE_DROP` or more. Each is a share of `draws`
    simulated pairs of runs with the discordance measured. suite: the row of the average, None where there is none.
    """

    runs: tuple[Input, Input]
    verdict: Word
    tasks: tuple[TaskNoise, ...]
    suite: Row | None
    false_alarm_rate: float
    pass_rate: float
    naive_rate: float
    draws: int
    alpha: float
    notes: tuple[str, ...]


def calibrate(config: GateConfig, first: Side, second: Side) -> Calibration:
    """Measure the noise between two runs of one model, and simulate the gate under it.

    Each simulated pair has, for right and wrong answers, as many discordant documents as were measured, each better or worse
    with probability 1/2; for other metrics a normal error. Raises what `gather` raises.
    """
    evidence = gather(config, second, first)
    decision = decide(config, [evidence])
    by_name = {(row.kind, row.name): row for row in decision.rows}
    compared = [task for task in evidence.tasks if task.gain is not None]
    noise = tuple(_noise(config, task, task.gain, by_name["task", task.task]) for task in compared if task.gain)
    words, falls = _simulated(config, evidence)
    return Calibration(
        runs=(first.input, second.input),
        verdict=decision.verdict,
        tasks=noise,
        suite=by_name.get(("suite", "suite")),
        false_alarm_rate=words.count("fail") / _DRAWS,
        pass_rate=words.count("pass") / _DRAWS,
        naive_rate=sum(falls) / _DRAWS,
        draws=_DRAWS,
        alpha=config.alpha,
        notes=_notes(evidence, decision.verdict),
    )


def _noise(config: GateConfig, task: TaskEvidence, gain: Gain, row: Row) -> TaskNoise:
    needed = None
    if gain.standard_error is not None and task.margin:
        variance = gain.n * gain.standard_error**2
        needed = non_inferiority_samples(task.margin, variance=variance, alpha=config.alpha, power=config.power)
    return TaskNoise(
        task.task,
        task.metric,
        task.unit,
        gain.scale,
        gain.n,
        None if gain.n_changed is None else gain.n_changed / gain.n,
        gain.standard_error,
        task.margin,
        row.detectable_drop,
        needed,
    )


def _simulated(config: GateConfig, evidence: BaselineEvidence) -> tuple[list[Word], list[bool]]:
    """Return the gate's verdicts on pairs of runs where nothing has changed, and whether some task fell by `NAIVE_DROP`."""
    rng = np.random.default_rng([config.seed, len(evidence.tasks)])
    words: list[Word] = []
    falls: list[bool] = []
    for _ in range(_DRAWS):
        drawn = [
            dataclasses.replace(task, gain=_redrawn(task.gain, range_of(task.unit) or 1.0, config.alpha, rng))
            for task in evidence.tasks
            if task.gain is not None
        ]
        words.append(decide(config, [BaselineEvidence(evidence.baseline, tuple(drawn))]).verdict)
        falls.append(_falls(drawn))
    return words, falls


def _redrawn(gain: Gain | None, full_range: float, alpha: float, rng: np.random.Generator) -> Gain | None:
    if gain is None or gain.standard_error is None:
        return gain
    if gain.n_better is not None and gain.n_worse is not None and gain.n_units == gain.n:
        n_discordant = gain.n_better + gain.n_worse
        n_worse = int(rng.binomial(n_discordant, 0.5))
        low, high, error, p = _of_counts(n_worse, n_discordant - n_worse, gain.n, alpha)
        value = full_range * (n_discordant - 2 * n_worse) / gain.n
        low, high, error = full_range * low, full_range * high, full_range * error
        return dataclasses.replace(gain, value=value, low=low, high=high, standard_error=error, p_worse=p)
    estimate = EstimatedDifference(float(rng.normal(0, gain.standard_error)), gain.standard_error, gain.df, "")
    bounds = difference_interval(estimate, level=1 - 2 * alpha)
    p = float(stats.t.cdf(estimate.value / estimate.standard_error, estimate.df))
    return dataclasses.replace(gain, value=estimate.value, low=bounds.low, high=bounds.high, p_worse=p)


@functools.lru_cache(maxsize=4096)
def _of_counts(n_worse: int, n_better: int, n: int, alpha: float) -> tuple[float, float, float, float]:
    """Return interval, standard error and p_worse of right and wrong answers, on a scale of 0 to 1."""
    difference = paired_proportion_difference(n_worse, n_better, n)
    if not isinstance(difference, EstimatedDifference):
        raise ValueError("a comparison has at least one document")
    bounds = difference_interval(difference, level=1 - 2 * alpha)
    return bounds.low, bounds.high, difference.standard_error, mcnemar(n_worse, n_better, alternative="less").p


def _falls(tasks: Sequence[TaskEvidence]) -> bool:
    full_ranges = [(task.gain, range_of(task.unit)) for task in tasks]
    return any(gain and full and gain.value <= -NAIVE_DROP * full for gain, full in full_ranges)


def _notes(evidence: BaselineEvidence, verdict: Word) -> tuple[str, ...]:
    notes = [f"{task.task}: not comparable: {task.obstacle.reason}" for task in evidence.tasks if task.obstacle]
    if verdict == "fail":
        notes.append("the second run is significantly worse: these are not two runs of an unchanged model")
    measured = [task.gain for task in evidence.tasks if task.gain is not None]
    if measured and all(gain.is_identical for gain in measured):
        notes.append(
            "both runs have the same scores: no noise was seen, and changes of the model are all that can differ"
        )
    return (*evidence.notes, *notes)
