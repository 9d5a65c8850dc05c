"""One side of a comparison: one task of a committed run, scored by one metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evalharness.run.record import MetricResult, TaskRecord

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
