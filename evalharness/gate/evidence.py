"""What a decision rests on: gains where positive is better, whatever the metric's direction, and what stands in their way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from evalharness.gate.config import MissingPolicy, TaskRule


@dataclass(frozen=True, slots=True)
class Gain:
    """By how much the candidate is better than a baseline on the documents of both.

    value: positive is better, on `scale`. low, high: the interval at level 1 - 2 alpha, None where the data show no spread.
    standard_error, df: of the value, and its degrees of freedom; None, and infinite, where they are not known.
    p_worse: one-sided, for "the candidate is worse"; None without a test, and `absence` says why.
    n: paired documents; n_units: independent clusters among them. n_better, n_worse: of right or wrong documents;
    n_changed: those that differ at all, None for metrics that no document has alone. is_identical: every document has the
    same statistics on both sides.
    """

    value: float
    scale: str
    n: int
    n_units: int
    low: float | None = None
    high: float | None = None
    standard_error: float | None = None
    df: float = math.inf
    p_worse: float | None = None
    n_better: int | None = None
    n_worse: int | None = None
    n_changed: int | None = None
    method: str = ""
    absence: str = ""
    is_identical: bool = False


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a task, or a whole run, cannot be compared; policy: whether that is an error, or told, or not even that."""

    reason: str
    policy: MissingPolicy = "error"


@dataclass(frozen=True, slots=True)
class TaskEvidence:
    """One task of the candidate, of a baseline, or of both.

    gain: None where an obstacle stands. candidate_low, candidate_high: the interval of the candidate's own value, for limits.
    chance: what guessing would have, None where it is not known. margin: on the gain's scale, None where none is set.
    is_new: the baseline has no such task.
    """

    task: str
    rule: TaskRule
    metric: str = ""
    unit: str = ""
    higher_is_better: bool = True
    baseline_value: float | None = None
    candidate_value: float | None = None
    candidate_low: float | None = None
    candidate_high: float | None = None
    chance: float | None = None
    margin: float | None = None
    gain: Gain | None = None
    obstacle: Obstacle | None = None
    is_new: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Performance:
    """What a run needed, measured once; None where it was not measured. hardware: processor, cores and devices, in words."""

    tokens_per_second: float | None = None
    peak_memory_bytes: int | None = None
    peak_device_bytes: int | None = None
    hardware: str = ""


@dataclass(frozen=True, slots=True)
class BaselineEvidence:
    """A candidate beside one baseline.

    performance: of the baseline and the candidate. is_same_work: whether both answered the same tasks and documents.
    obstacles: what stands in the way of the comparison as a whole, by name.
    """

    baseline: str
    tasks: tuple[TaskEvidence, ...] = ()
    performance: tuple[Performance, Performance] | None = None
    is_same_work: bool = True
    obstacles: Mapping[str, Obstacle] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def is_compared(self) -> bool:
        """Whether any task has a gain."""
        return any(task.gain is not None for task in self.tasks)
