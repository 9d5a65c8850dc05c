"""Failed documents as wrong answers, so that a model cannot gain by failing."""

from __future__ import annotations

import dataclasses

import numpy as np

from evalharness.compare.pairing import Paired
from evalharness.compare.scores import FloatArray, TaskScores, TextArray
from evalharness.gate.config import range_of
from evalharness.gate.wording import counted

#: Statistics of a mean: sum and count.
_MEAN_COLUMNS = 2


def count_as_wrong(paired: Paired, *, higher_is_better: bool) -> tuple[Paired, str]:
    """Return the pairs with those that failed on either side, there with the worst value, and a note that says so.

    Only means of values with a range have a worst value: for others the pairs stay as they are, and the note says that.
    """
    left_out, result = paired.left_out, paired.baseline.result
    failed = sorted({*left_out.failed_baseline, *left_out.failed_candidate})
    said = counted(len(failed), "failed document")
    if result.aggregation != "mean" or range_of(result.unit) is None or paired.baseline_rows.shape[1] != _MEAN_COLUMNS:
        return paired, f"{said} not compared: {result.name} has no worst value"
    worst = np.array([0.0 if higher_is_better else 1.0, 1.0])  # rows of percents hold fractions as well
    added = dataclasses.replace(
        paired,
        document_ids=_texts([*paired.document_ids, *failed]),
        baseline_rows=np.vstack([paired.baseline_rows, _rows(paired.baseline, failed, worst)]),
        candidate_rows=np.vstack([paired.candidate_rows, _rows(paired.candidate, failed, worst)]),
        clusters=None,
    )
    if paired.clusters is None:
        return added, f"{said} counted as wrong"
    labels = {**_labels(paired.candidate), **_labels(paired.baseline)}
    groups = np.unique([labels.get(each, f"\0{each}") for each in added.document_ids], return_inverse=True)[1]
    return dataclasses.replace(added, clusters=groups.astype(np.intp)), f"{said} counted as wrong"


def _rows(scores: TaskScores, failed: list[str], worst: FloatArray) -> FloatArray:
    place = {document: i for i, document in enumerate(scores.document_ids)}
    return np.array([scores.rows[place[each]] if each in place else worst for each in failed])


def _labels(scores: TaskScores) -> dict[str, str]:
    if scores.clusters is None:
        return {}
    return dict(zip(scores.document_ids, map(str, scores.clusters), strict=True))


def _texts(texts: list[str]) -> TextArray:
    return np.array(texts, dtype=object)
