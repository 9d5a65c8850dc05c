"""One line of the table, and our side of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from evalharness.metric.base import UNWATCHED, Prepares, RankMetric
from evalharness.metric.registry import build_metric
from evalharness.request import Document, Generated, RequestKey, Sample, Scored

ROOT = Path(__file__).parents[3]
ENCODER, DECODER = ROOT / "examples/zoo/bert", ROOT / "examples/zoo/llama-tiny"

#: Of counts and closed forms, which both sides compute in double precision: only the order of sums differs.
EXACT = 1e-9
#: Of models in single precision, which batches and padding round otherwise.
SINGLE = 1e-6


class Row(NamedTuple):
    """One line of the table.

    metric: its registered name. setting: what tells it from other rows of this metric. by: the reference and its version.
    relative: whether the difference is relative to the reference, as for perplexities, which have no upper bound.
    """

    metric: str
    setting: str
    data: str
    ours: float
    reference: float
    by: str
    tolerance: float = EXACT
    relative: bool = False

    @property
    def difference(self) -> float:
        """How far ours is from the reference."""
        return abs(self.ours - self.reference) / (abs(self.reference) if self.relative else 1.0)

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the tolerance; what is not finite is not."""
        return self.difference <= self.tolerance


def sample(answers: Sequence[str | None], references: Sequence[str]) -> Sample:
    """Return a document with one answer a repeat."""
    key = RequestKey("parity", "document")
    responses = tuple((Generated(key, answer or "", 1, "eos"),) for answer in answers)
    return Sample("parity", Document("document", {}, ""), "", tuple(references), responses, "", answers=tuple(answers))


def choice(logprobs: Sequence[float], correct: int, names: Sequence[str]) -> Sample:
    """Return a document with the log-probabilities of its choices, after the prompt and, if given too, without it."""
    key = RequestKey("parity", "document")
    responses = (tuple(Scored(key, float(x), 1, 1, False) for x in logprobs),)
    plain = sample([], [])
    return dataclasses.replace(plain, responses=responses, choices=tuple(names), reference_indices=(correct,))


def ours(name: str, parameters: dict[str, Any], samples: Sequence[Sample]) -> float:
    """Return our metric's value."""
    metric = build_metric(name, parameters, where="parity", trust_metric_code=True)
    if isinstance(metric, Prepares):
        metric.prepare(samples, UNWATCHED)
    rows = np.array([metric.row(one) for one in samples])
    return metric.value_of_rows(rows) if isinstance(metric, RankMetric) else float(metric.value(rows.sum(axis=0)))
