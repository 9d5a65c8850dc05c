"""The two sides of a gate: a run in a store, or a baseline in a lock file; both give records, scores and measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evalharness.compare.scores import RunScores, TaskScores
from evalharness.gate.evidence import Performance
from evalharness.gate.verdict import Input
from evalharness.run.record import Hardware, RunRecord, TaskRecord


@dataclass(frozen=True, slots=True)
class Side:
    """A run, as a gate sees it.

    input: how reports name it. tasks: their records, by name. scores: reads a task by a metric, with contents if asked.
    are_hashes_short: whether the hashes of documents are cut as `scores_file.shortened` cuts them.
    """

    input: Input
    tasks: dict[str, TaskRecord]
    performance: Performance
    scores: Callable[[str, str, bool], TaskScores]
    are_hashes_short: bool = False


@dataclass(frozen=True, slots=True)
class MissingBaseline:
    """A baseline that was asked for and is not there, for this reason."""

    name: str
    reason: str


def side_of_run(run: RunScores, name: str) -> Side:
    """Return a committed run as a side; the run must stay open while the side is used."""
    record = run.record

    def scores(task: str, metric: str, contents: bool) -> TaskScores:
        return run.scores(task, metric, contents=contents)

    return Side(
        Input(name, record.run_id, record.model.name, run.where),
        {task.name: task for task in record.tasks},
        performance_of(record),
        scores,
    )


def performance_of(record: RunRecord) -> Performance:
    """Return what a run measured of itself."""
    return Performance(
        tokens_per_second=record.tokens.tokens_per_second,
        peak_memory_bytes=record.peak_memory_bytes,
        peak_device_bytes=record.peak_device_bytes,
        hardware=_hardware(record.provenance.hardware),
    )


def _hardware(hardware: Hardware) -> str:
    cores = f"{hardware.n_cores} cores" if hardware.n_cores is not None else None
    return ", ".join(part for part in (hardware.processor, cores, *hardware.gpus) if part)
