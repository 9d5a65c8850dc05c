"""Whether the probabilities that a model gives to choices can be believed: Brier score and calibration error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from evalharness.metric.base import STRICT, Aggregation, FloatArray, Mean, signature_of
from evalharness.metric.reading import best_index, choice_probabilities
from evalharness.request import OutputKind, Sample

_CHOOSE: frozenset[OutputKind] = frozenset({"choose"})


@dataclass(frozen=True, config=STRICT)
class Brier(Mean):
    """Mean squared distance of the choices' probabilities from what is correct: sum over choices of (p - y)^2, 0 to 2.

    Probabilities are the softmax over the choices. Several correct choices count as one, with their probability together.
    scale_by_half: half of it, 0 to 1, which for two choices is (p - y)^2 of either.
    Source: Brier 1950, "Verification of forecasts expressed in terms of probability", Monthly Weather Review 78;
    `brier_score_loss` of scikit-learn has both scales.
    """

    scale_by_half: bool = False

    name: ClassVar[str] = "brier"
    columns: ClassVar[tuple[str, ...]] = ("squared_distance", "count")
    higher_is_better: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, 2.0)
    outputs: ClassVar[frozenset[OutputKind]] = _CHOOSE
    unit: ClassVar[str] = "squared probability"

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (squared distance, 1)."""
        probabilities = choice_probabilities(sample)
        correct = set(sample.reference_indices)
        wrong = [p for i, p in enumerate(probabilities) if i not in correct]
        missing = sum(wrong) if correct else 1.0  # 1 - p(correct), without its rounding
        distance = sum(p * p for p in wrong) + missing**2
        return (distance / 2 if self.scale_by_half else distance, 1.0)


class ReliabilityBin(NamedTuple):
    """Samples whose confidence lies in (low, high]: how many, how confident on average, and what share was right."""

    low: float
    high: float
    n: float
    confidence: float
    accuracy: float


@dataclass(frozen=True, config=STRICT)
class ExpectedCalibrationError:
    """ECE: mean distance of confidence from accuracy, over bins of confidence, weighted by their samples.

    Confidence is the softmax probability of the most probable choice; bins of equal width hold (low, high]. The sums of rows
    are the data of a reliability diagram, see `reliability`.
    Source: Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599, equation 3; bins of equal width
    as by Naeini et al. 2015.
    """

    bins: Annotated[int, Field(ge=1, le=100)] = 15

    name: ClassVar[str] = "ece"
    higher_is_better: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    outputs: ClassVar[frozenset[OutputKind]] = _CHOOSE
    aggregation: ClassVar[Aggregation] = "corpus"
    unit: ClassVar[str] = "fraction"

    @property
    def columns(self) -> tuple[str, ...]:
        """Samples, summed confidence and right answers of every bin."""
        return tuple(f"{what}_{b}" for b in range(self.bins) for what in ("samples", "confidence", "right"))

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (1, confidence, 1 if right) in the columns of its bin, and 0 elsewhere."""
        probabilities = choice_probabilities(sample)
        taken = best_index(probabilities)
        edges = np.linspace(0, 1, self.bins + 1)
        at = int(np.searchsorted(edges[1:-1], probabilities[taken]))  # an edge belongs to the bin below
        cells = [0.0] * (3 * self.bins)
        cells[3 * at : 3 * at + 3] = [1.0, probabilities[taken], float(taken in sample.reference_indices)]
        return cells

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., 3 bins) sums to (...) errors; NaN without samples."""
        cells = totals.reshape(*totals.shape[:-1], self.bins, 3)
        with np.errstate(invalid="ignore"):
            errors: FloatArray = np.abs(cells[..., 1] - cells[..., 2]).sum(axis=-1) / cells[..., 0].sum(axis=-1)
        return errors

    def reliability(self, totals: FloatArray) -> list[ReliabilityBin]:
        """Return the bins that hold samples, of (3 bins,) sums: a reliability diagram plots accuracy over confidence."""
        edges = np.linspace(0, 1, self.bins + 1)
        cells = totals.reshape(self.bins, 3)
        return [
            ReliabilityBin(float(edges[b]), float(edges[b + 1]), float(n), float(confidence / n), float(right / n))
            for b, (n, confidence, right) in enumerate(cells)
            if n > 0
        ]

    def signature(self) -> str:
        """Name all parameters."""
        return signature_of(self)
