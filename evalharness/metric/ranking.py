"""How well the probability of one choice ranks documents: areas under the ROC and the precision-recall curve.

The rows are (merit, label): the log-odds of the choice `positive` among the choices, which rank as its probability does but
do not run together near 1, and whether it is correct. Sums of rows do not decide these values; see `RankMetric`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from pydantic.dataclasses import dataclass

from evalharness.metric.base import STRICT, Aggregation, FloatArray, ZeroToOne, signature_of
from evalharness.metric.reading import choice_logprobs
from evalharness.request import OutputKind, Sample

#: Of a choice that is certain or impossible; finite, and beyond any sum of log-probabilities.
_CERTAIN = 1e300


@dataclass(frozen=True, config=STRICT)
class _ByMerit(ZeroToOne):
    """What both areas have in common: the choice that ranks documents, and the rows."""

    positive: str

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ("merit", "label")
    outputs: ClassVar[frozenset[OutputKind]] = frozenset({"choose"})
    aggregation: ClassVar[Aggregation] = "rank"

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (log-odds of `positive`, 1 if it is correct else 0)."""
        texts = [choice.strip() for choice in sample.choices]
        if self.positive.strip() not in texts:
            raise ValueError(f"positive {self.positive!r} is none of the choices {', '.join(map(repr, texts))}")
        at = texts.index(self.positive.strip())
        logprobs = choice_logprobs(sample)
        others = np.logaddexp.reduce([x for i, x in enumerate(logprobs) if i != at] or [-math.inf])
        if logprobs[at] == others == -math.inf:
            raise ValueError("every choice has probability zero")
        odds = float(np.clip(logprobs[at] - others, -_CERTAIN, _CERTAIN))
        return (odds, float(at in sample.reference_indices))

    def signature(self) -> str:
        """Name all parameters."""
        return signature_of(self)


@dataclass(frozen=True, config=STRICT)
class AreaUnderRoc(_ByMerit):
    """AUROC: the probability that a document where `positive` is correct ranks above one where it is not; ties count half.

    positive: the text of a choice that every document has.
    Source: the Mann-Whitney statistic, Hanley and McNeil 1982, "The meaning and use of the area under a receiver operating
    characteristic (ROC) curve", Radiology 143; `roc_auc_score` of scikit-learn.
    """

    name: ClassVar[str] = "auroc"

    def value_of_rows(self, rows: FloatArray) -> float:
        """Map (n, 2) rows to the area; NaN unless both labels occur."""
        positive, negative = _at_merits(rows)
        pairs = positive.sum() * negative.sum()
        if pairs == 0:
            return math.nan
        above = negative.sum() - np.cumsum(negative)  # descending merit: negatives ranked below each merit
        return float((positive * (above + negative / 2)).sum() / pairs)


@dataclass(frozen=True, config=STRICT)
class AreaUnderPrecisionRecall(_ByMerit):
    """AUPRC as average precision: precision at every merit that some document has, weighted by the recall gained there.

    positive: the text of a choice that every document has.
    Source: `average_precision_score` of scikit-learn; nothing is interpolated.
    """

    name: ClassVar[str] = "auprc"

    def value_of_rows(self, rows: FloatArray) -> float:
        """Map (n, 2) rows to the average precision; NaN if no label is positive."""
        positive, negative = _at_merits(rows)
        if positive.sum() == 0:
            return math.nan
        found = np.cumsum(positive)
        return float((positive * found / (found + np.cumsum(negative))).sum() / positive.sum())


def _at_merits(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Count the positive and negative labels at each merit that occurs, from the greatest merit down."""
    _, at = np.unique(-rows[:, 0], return_inverse=True)
    positive = np.bincount(at, weights=rows[:, 1]).astype(np.float64)
    return positive, np.bincount(at, weights=1 - rows[:, 1]).astype(np.float64)
