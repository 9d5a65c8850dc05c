"""Whether the right choice is the most probable: raw, per character, per byte, by mutual information; and how probable.

The accuracies take the first of equally good choices, as numpy's argmax in lm-evaluation-harness does, and count a sample
as right if the choice taken is among the correct ones. Lengths are those of the choice's own text, without the delimiter
before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from evalharness.metric.base import STRICT, Mean, ZeroToOne
from evalharness.metric.reading import best_index, choice_logprobs, choice_probabilities, last_step, scored
from evalharness.request import OutputKind, Sample

_CHOOSE: frozenset[OutputKind] = frozenset({"choose"})


@dataclass(frozen=True, config=STRICT)
class Accuracy(Mean, ZeroToOne):
    """The share of samples whose most probable choice is correct (`acc` in lm-evaluation-harness)."""

    name: ClassVar[str] = "accuracy"
    columns: ClassVar[tuple[str, ...]] = ("correct", "count")
    outputs: ClassVar[frozenset[OutputKind]] = _CHOOSE

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (1 if the choice with the greatest log-probability is correct else 0, 1)."""
        return _row(sample, choice_logprobs(sample))


@dataclass(frozen=True, config=STRICT)
class AccuracyPerCharacter(Mean, ZeroToOne):
    """The share of samples whose choice of greatest log-probability per character is correct (`acc_norm`)."""

    name: ClassVar[str] = "accuracy_per_character"
    columns: ClassVar[tuple[str, ...]] = ("correct", "count")
    outputs: ClassVar[frozenset[OutputKind]] = _CHOOSE

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (1 if the choice with the greatest log-probability per character is correct else 0, 1)."""
        return _row(sample, _per_length(sample, [len(choice) for choice in sample.choices]))


@dataclass(frozen=True, config=STRICT)
class AccuracyPerByte(Mean, ZeroToOne):
    """The share of samples whose choice of greatest log-probability per UTF-8 byte is correct (`acc_bytes`)."""

    name: ClassVar[str] = "accuracy_per_byte"
    columns: ClassVar[tuple[str, ...]] = ("correct", "count")
    outputs: ClassVar[frozenset[OutputKind]] = _CHOOSE

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (1 if the choice with the greatest log-probability per byte is correct else 0, 1)."""
        return _row(sample, _per_length(sample, [len(choice.encode()) for choice in sample.choices]))


@dataclass(frozen=True, config=STRICT)
class AccuracyMutualInformation(Mean, ZeroToOne):
    """The share of samples whose choice gains most log-probability from the prompt and is correct (`acc_mutual_info`).

    A choice's gain is its log-probability after the prompt minus its log-probability without it; the responses hold the
    first for every choice, then the second for every choice.
    """

    name: ClassVar[str] = "accuracy_mutual_information"
    columns: ClassVar[tuple[str, ...]] = ("correct", "count")
    outputs: ClassVar[frozenset[OutputKind]] = _CHOOSE

    #: The pipeline asks for every choice without the prompt as well where a task uses this metric.
    needs_unconditional: ClassVar[bool] = True

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (1 if the choice that gains most from the prompt is correct else 0, 1)."""
        n = len(sample.choices)
        unconditional = [scored(response).logprob for response in last_step(sample)[n : 2 * n]]
        gains = [given - alone for given, alone in zip(choice_logprobs(sample), unconditional, strict=True)]
        return _row(sample, gains)


@dataclass(frozen=True, config=STRICT)
class TopKAccuracy(Mean, ZeroToOne):
    """The share of samples with a correct choice among the k most probable; of equals, earlier ones come first.

    Source: `top_k_accuracy_score` of scikit-learn, whose order of equals differs.
    """

    k: Annotated[int, Field(ge=1)]

    name: ClassVar[str] = "top_k_accuracy"
    columns: ClassVar[tuple[str, ...]] = ("correct", "count")
    outputs: ClassVar[frozenset[OutputKind]] = _CHOOSE

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (1 if a correct choice is among the k most probable else 0, 1)."""
        logprobs = choice_logprobs(sample)
        taken = sorted(range(len(logprobs)), key=lambda i: -logprobs[i])[: self.k]
        return (float(any(i in sample.reference_indices for i in taken)), 1.0)


@dataclass(frozen=True, config=STRICT)
class CorrectProbability(Mean, ZeroToOne):
    """The mean probability of the correct choices together, given that it is one of the choices (TruthfulQA's MC2).

    Source: Lin et al. 2022, "TruthfulQA", arXiv:2109.07958, section 2.3; `process_results_mc2` of lm-evaluation-harness
    0.4.13.
    """

    name: ClassVar[str] = "correct_probability"
    columns: ClassVar[tuple[str, ...]] = ("probability", "count")
    outputs: ClassVar[frozenset[OutputKind]] = _CHOOSE

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (the softmax of the choices' log-probabilities, summed over the correct ones, 1)."""
        probabilities = choice_probabilities(sample)
        return (sum(probabilities[i] for i in sample.reference_indices), 1.0)


def _per_length(sample: Sample, lengths: Sequence[int]) -> list[float]:
    if 0 in lengths:
        raise ValueError("an empty choice has no log-probability per character or byte")
    return [logprob / length for logprob, length in zip(choice_logprobs(sample), lengths, strict=True)]


def _row(sample: Sample, merits: Sequence[float]) -> Sequence[float]:
    if not sample.reference_indices:
        raise ValueError("the document has no correct choice")
    return (float(best_index(merits) in sample.reference_indices), 1.0)
