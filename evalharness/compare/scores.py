"""One side of a comparison: one task of a committed run, scored by one metric."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evalharness.errors import StoreError, suggest
from evalharness.run.record import MetricResult, RunRecord, TaskRecord
from evalharness.run.samples import RowsFile, TaskRows
from evalharness.run.store import ResultStore

FloatArray = npt.NDArray[np.float64]
#: (n,) Python strings (dtype object); None stands for what a document has not.
TextArray = npt.NDArray[np.object_]


@dataclass(frozen=True, slots=True, eq=False)
class TaskScores:
    """What one run knows of one task by one metric; made by `RunScores.scores`.

    run_id, model: whose side this is. record: the task's record, with its fingerprint, data hash, shots and counts.
    result: the metric's record on all scored documents.
    document_ids, input_hashes: (n,) of the n scored documents, in stored order. rows: (n, k) sufficient statistics, each
    document's already the mean over its repeats. clusters: (n,) labels, None where the task is not clustered.
    failed_ids: documents that could not be scored. content_hashes: (n,) of the documents' fields, None where they were not
    read: they are needed only where the data hashes of two sides differ.
    """

    run_id: str
    model: str
    record: TaskRecord
    result: MetricResult
    document_ids: TextArray
    input_hashes: TextArray
    rows: FloatArray
    clusters: TextArray | None = None
    failed_ids: frozenset[str] = frozenset()
    content_hashes: TextArray | None = None

    @property
    def task(self) -> str:
        """The task's name."""
        return self.record.name

    @property
    def metric(self) -> str:
        """The metric's name within its task."""
        return self.result.name


class RunScores:
    """The scores of one committed run, read a task at a time; made by `open_scores`.

    record: of the run. where: its directory, as a path or URL. The task that was read last is kept, so that the metrics of one
    task cost one reading.
    """

    def __init__(self, record: RunRecord, where: str, rows: RowsFile) -> None:
        self.record = record
        self.where = where
        self._rows = rows
        self._last: tuple[tuple[str, bool], TaskRows] | None = None

    def scores(self, task: str, metric: str, *, contents: bool = False) -> TaskScores:
        """Return one task's scores by one metric.

        contents: read the documents' content hashes too, which takes much longer.
        Raises StoreError when the run has no such task or metric, or when samples and record do not agree.
        """
        record = self.record.task(task)
        results = {result.name: result for result in record.metrics}
        if metric not in results:
            what = f"task `{task}` has no metric `{metric}`"
            raise StoreError.at(self.record.run_id, what, suggest(metric, results, noun="metrics"))
        read = self._read(task, contents)
        rows = read.rows.get(metric, np.empty((0, 0)))
        counts = (len(rows), len(read.document_ids), len(read.failed_ids))
        if counts != (record.n_scored, record.n_scored, record.n_failed):
            what = f"the samples of {task} hold {counts[0]} scores by {metric} and {counts[2]} failures"
            fix = f"its record says {record.n_scored} and {record.n_failed}: the run is damaged"
            raise StoreError.at(self.where, what, fix)
        clustered = any(label is not None for label in read.clusters)
        return TaskScores(
            run_id=self.record.run_id,
            model=self.record.model.name,
            record=record,
            result=results[metric],
            document_ids=read.document_ids,
            input_hashes=read.input_hashes,
            rows=rows,
            clusters=read.clusters if clustered else None,
            failed_ids=frozenset(read.failed_ids),
            content_hashes=read.content_hashes,
        )

    def _read(self, task: str, contents: bool) -> TaskRows:
        if self._last is None or self._last[0] != (task, contents):
            self._last = (task, contents), self._rows.read(task, contents=contents)
        return self._last[1]


@contextmanager
def open_scores(store: ResultStore, run: str | Path) -> Iterator[RunScores]:
    """Open the scores of a committed run; `run` is what `ResultStore.load` takes, and raises what it does."""
    where = store.locate(run)
    with store.rows(where) as rows:
        yield RunScores(store.load(where), where, rows)
