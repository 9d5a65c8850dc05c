"""The verdict of a gate: one frozen object, the only source of its exit code and of every text about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

SCHEMA_VERSION = 1

Word = Literal["pass", "inconclusive", "fail", "not comparable"]

#: From best to worst: a gate's verdict is the worst of the rows that count.
WORDS: tuple[Word, ...] = ("pass", "inconclusive", "fail", "not comparable")

#: What a row is about: a whole run, the average over tasks, one task, or a measurement of speed or memory.
Kind = Literal["run", "suite", "task", "performance"]

#: What must hold of a row: that it is shown to be not inferior, that no regression is found, or nothing.
Demand = Literal["not inferior", "no regression", "none"]


@dataclass(frozen=True, slots=True)
class Input:
    """One side of a gate: a run, and what it was read from.

    name: as given, such as ``main``. source: a run directory or lock file. sha256: of the scores file of a baseline in a lock.
    """

    name: str
    run_id: str
    model: str
    source: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison with one baseline, and what it means.

    name: the task, ``suite``, or what was measured. counts: whether the row can decide the gate's verdict.
    requirement: what the verdict answers; a row with none has the verdict that it would have if it were to be not inferior.
    reason: the verdict in a sentence. Differences, bounds, margin and detectable_drop are on `scale`, positive where the
    candidate is better: "difference" in the metric's unit, "log-ratio" for logarithms, "share" of a range, "relative"
    to the baseline's value.
    low, high: the interval at level 1 - 2 alpha, so that each bound errs in alpha of all cases. p_worse: one-sided;
    p_adjusted: for all tests of the gate. detectable_drop: found with the gate's power by a test with this row's part of alpha.
    n: paired documents; n_needed: how many would settle an inconclusive row, if both sides were equal.
    n_better, n_worse: documents that only the candidate, or only the baseline, has right, where rows are right or wrong.
    """

    kind: Kind
    name: str
    baseline: str
    verdict: Word
    counts: bool
    reason: str
    requirement: Demand = "not inferior"
    metric: str = ""
    unit: str = ""
    scale: str = ""
    notes: tuple[str, ...] = ()
    baseline_value: float | None = None
    candidate_value: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    margin: float | None = None
    p_worse: float | None = None
    p_adjusted: float | None = None
    detectable_drop: float | None = None
    n: int | None = None
    n_needed: int | None = None
    n_better: int | None = None
    n_worse: int | None = None
    method: str = ""


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What a gate found, wholly: word, exit code, rows, and what it was asked.

    name: of the gate, such as that of its file. sentence: the verdict and its grounds in one line. notes: what a reader must
    know beside it. config: as it was in effect. version: of evalharness.
    """

    name: str
    verdict: Word
    exit_code: int
    sentence: str
    candidate: Input
    baselines: tuple[Input, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    config: Mapping[str, Any]
    version: str

    @property
    def headline(self) -> str:
        """The verdict's word and sentence."""
        return f"{self.verdict.upper()}: {self.sentence}"


def worst(words: Sequence[Word]) -> Word:
    """Return the worst of some verdicts; of none, "not comparable": what was not compared never passes."""
    return max(words, key=WORDS.index) if words else "not comparable"


def as_json_object(verdict: GateVerdict) -> dict[str, Any]:
    """Return a verdict as plain values, with the version of this schema."""
    return {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(verdict), "config": dict(verdict.config)}
