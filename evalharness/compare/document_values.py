"""What single documents are worth by a metric: in one run, and over the models of a task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalharness.compare.scores import FloatArray, TaskScores, TextArray, open_scores
from evalharness.compare.valuation import Unvalued, valuation
from evalharness.errors import StoreError
from evalharness.run.store import ResultStore


@dataclass(frozen=True, slots=True, eq=False)
class DocumentValues:
    """The values of a task's n scored documents by one metric.

    document_ids, input_hashes: (n,) in stored order. values: (n,) in the metric's unit, NaN where a document has none alone,
    such as the perplexity of an empty text. worst, best: the metric's bounds, infinite where it has none.
    """

    document_ids: TextArray
    input_hashes: TextArray
    values: FloatArray
    worst: float
    best: float


@dataclass(frozen=True, slots=True, eq=False)
class ItemScores:
    """The scores of I documents in M runs, from 0 (the metric's worst value) to 1 (its best): what item statistics need.

    scores: (M, I), NaN where a run has no score for a document as it was asked in most runs. runs: (M,) as they were given.
    document_ids: (I,). left_out: why other runs are not in it, by run.
    """

    scores: FloatArray
    runs: tuple[str, ...]
    document_ids: TextArray
    left_out: tuple[tuple[str, str], ...]


def document_values(scores: TaskScores) -> DocumentValues | Unvalued:
    """Return the value of each document; Unvalued for metrics that no document has alone, such as those of a corpus."""
    found = valuation(scores)
    if isinstance(found, Unvalued):
        return found
    if found.of_sums is None or found.aggregation not in ("mean", "ratio"):
        return Unvalued(f"metric: no document has a {scores.metric} of its own")
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # an empty text has no ratio
        values = np.asarray(found.of_sums(scores.rows), dtype=np.float64)
    worst, best = found.bounds if scores.result.higher_is_better else found.bounds[::-1]
    return DocumentValues(scores.document_ids, scores.input_hashes, values, worst, best)


def item_scores(store: ResultStore, runs: Sequence[str], task: str, metric: str) -> ItemScores:
    """Read the documents' values of many runs of one task, each from its file; a run that has none is left out, and said.

    Documents are the same where id and input hash are; where runs asked a document in different ways, the commonest counts.
    """
    found: dict[str, DocumentValues] = {}
    left_out: list[tuple[str, str]] = []
    for run in runs:
        values = _values_of(store, run, task, metric)
        if isinstance(values, Unvalued):
            left_out.append((run, values.reason))
        else:
            found[run] = values
    asked = [list(zip(each.document_ids, each.input_hashes, strict=True)) for each in found.values()]
    counts: dict[str, dict[str, int]] = {}
    for pairs in asked:
        for document, input_hash in pairs:
            of_document = counts.setdefault(document, {})
            of_document[input_hash] = of_document.get(input_hash, 0) + 1
    columns = {
        (document, max(hashes, key=hashes.__getitem__)): i for i, (document, hashes) in enumerate(counts.items())
    }
    scores = np.full((len(found), len(columns)), np.nan)
    for row, each, pairs in zip(scores, found.values(), asked, strict=True):
        at = np.array([columns.get(pair, -1) for pair in pairs], dtype=np.int64)
        row[at[at >= 0]] = ((each.values - each.worst) / (each.best - each.worst))[at >= 0]
    return ItemScores(np.clip(scores, 0, 1), tuple(found), np.array(list(counts), dtype=object), tuple(left_out))


def _values_of(store: ResultStore, run: str, task: str, metric: str) -> DocumentValues | Unvalued:
    try:
        with open_scores(store, run) as opened:
            values = document_values(opened.scores(task, metric))
    except StoreError as fault:
        return Unvalued(fault.problems[0].what)
    if isinstance(values, DocumentValues) and not math.isfinite(values.best - values.worst):
        return Unvalued(f"metric: {metric} has no best or no worst value")
    return values
