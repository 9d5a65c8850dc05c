"""How well answers sort documents into classes: F1 over labels, and Matthews' correlation.

Both need to know the labels beforehand, so that every sample has the same columns. A `choose` task's label is the text of
the choice taken, a `generate` task's the answer, both without blanks at their ends. An answer that is none of the labels, or
was not found, is wrong and belongs to no label. Of several references the one that was answered counts, else the first.

Three counts a label are enough for both values; a whole confusion matrix would be their square.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator
from pydantic.dataclasses import dataclass

from evalharness.metric.base import STRICT, Aggregation, FloatArray, signature_of
from evalharness.metric.reading import answer_of, best_index, choice_logprobs, references_of
from evalharness.request import OutputKind, Sample

#: The classes, in any order.
Labels = Annotated[tuple[str, ...], Field(strict=False, min_length=2)]


@dataclass(frozen=True, config=STRICT)
class _OfLabels:
    """What both have in common: the labels, and three counts of each."""

    labels: Labels

    name: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    outputs: ClassVar[frozenset[OutputKind]] = frozenset({"choose", "generate"})
    aggregation: ClassVar[Aggregation] = "corpus"
    unit: ClassVar[str] = "fraction"

    @field_validator("labels")
    @classmethod
    def _differ(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        stripped = tuple(label.strip() for label in labels)
        if len(set(stripped)) < len(stripped):
            raise ValueError(f"labels must differ, not {', '.join(map(repr, labels))}")
        return stripped

    @property
    def columns(self) -> tuple[str, ...]:
        """Three a label, then the answers that are no label."""
        counts = (f"{what}:{label}" for label in self.labels for what in ("right", "reference", "answer"))
        return (*counts, "answer_of_no_label")

    def row(self, sample: Sample) -> Sequence[float]:
        """Return, of every label, whether it was answered rightly, is the reference, and was answered; then no label."""
        return _row(self.labels, sample)

    def signature(self) -> str:
        """Name all parameters."""
        return signature_of(self)


@dataclass(frozen=True, config=STRICT)
class F1(_OfLabels):
    """F1 over labels: harmonic mean of precision and recall of each label, averaged.

    average: `macro` takes the plain mean over the labels that occur among references or answers, `weighted` weighs them by
    their references, `micro` counts all labels together, `binary` is the F1 of the label `positive` alone.
    A label without a right answer has F1 0.
    Source: `f1_score` of scikit-learn, with the labels that occur as its `labels`.
    """

    average: Literal["macro", "micro", "weighted", "binary"] = "macro"
    positive: str | None = None

    name: ClassVar[str] = "f1"
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    @model_validator(mode="after")
    def _positive_is_a_label(self) -> F1:
        if (self.average == "binary") != (self.positive is not None):
            raise ValueError("`positive` names the label of average `binary`, and of no other")
        if self.positive is not None and self.positive not in self.labels:
            raise ValueError(f"positive {self.positive!r} is none of the labels {', '.join(self.labels)}")
        return self

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., 3 labels + 1) sums to (...) values; NaN without samples."""
        right, references, answers = _counts(totals, len(self.labels))
        if self.average == "micro":
            right, references, answers = (x.sum(axis=-1, keepdims=True) for x in (right, references, answers))
        elif self.average == "binary":
            at = self.labels.index(str(self.positive))
            right, references, answers = (x[..., at : at + 1] for x in (right, references, answers))
        together = references + answers
        scores = 2 * right / np.where(together > 0, together, 1.0)
        weights = references if self.average == "weighted" else (together > 0).astype(np.float64)
        if self.average in ("micro", "binary"):
            weights = np.ones_like(scores)
        with np.errstate(invalid="ignore"):
            values: FloatArray = (scores * weights).sum(axis=-1) / weights.sum(axis=-1)
        return values


@dataclass(frozen=True, config=STRICT)
class MatthewsCorrelation(_OfLabels):
    """Matthews' correlation of answers and references over any number of labels; 0 where either never varies.

    Answers that are no label are one more class, which no reference has.
    Source: the R_K statistic of Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation
    coefficient", as `matthews_corrcoef` of scikit-learn computes it.
    """

    name: ClassVar[str] = "mcc"
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., 3 labels + 1) sums to (...) correlations."""
        right, references, answers = _counts(totals, len(self.labels))
        n = references.sum(axis=-1)
        together = right.sum(axis=-1) * n - (references * answers).sum(axis=-1)
        of_answers = n**2 - (answers**2).sum(axis=-1) - totals[..., -1] ** 2
        of_references = n**2 - (references**2).sum(axis=-1)
        spread = of_answers * of_references
        values: FloatArray = np.where(spread > 0, together / np.sqrt(np.where(spread > 0, spread, 1.0)), 0.0)
        return values


def _row(labels: tuple[str, ...], sample: Sample) -> list[float]:
    references, answer = _classes(sample)
    truth = answer if answer in references else references[0]
    if truth not in labels:
        raise ValueError(f"reference {truth!r} is none of the labels {', '.join(labels)}")
    cells = [0.0] * (3 * len(labels) + 1)
    cells[3 * labels.index(truth) + 1] = 1.0
    if answer not in labels:
        cells[-1] = 1.0
        return cells
    cells[3 * labels.index(answer) + 2] = 1.0
    cells[3 * labels.index(truth)] = float(answer == truth)
    return cells


def _classes(sample: Sample) -> tuple[list[str], str | None]:
    """Return the correct labels, and the one answered; None where none was found."""
    if sample.choices and not sample.answers:
        correct = [sample.choices[index].strip() for index in sample.reference_indices]
        if not correct:
            raise ValueError("the document has no correct choice")
        return correct, sample.choices[best_index(choice_logprobs(sample))].strip()
    answer = answer_of(sample)
    return [reference.strip() for reference in references_of(sample)], None if answer is None else answer.strip()


def _counts(totals: FloatArray, n_labels: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Split (..., 3 labels + 1) into right, references and answers, (..., labels) each."""
    cells = totals[..., :-1].reshape(*totals.shape[:-1], n_labels, 3)
    return cells[..., 0], cells[..., 1], cells[..., 2]
