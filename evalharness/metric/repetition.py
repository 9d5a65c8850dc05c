"""How varied generated text is, whatever the references say: distinct n-grams and repetition."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from evalharness.metric.base import STRICT, Aggregation, FloatArray, Mean, ZeroToOne, signature_of
from evalharness.metric.reading import answer_of
from evalharness.request import OutputKind, Sample

_GENERATE: frozenset[OutputKind] = frozenset({"generate"})

VarietyTokenizer = Literal["whitespace", "char"]


@dataclass(frozen=True, config=STRICT)
class DistinctN(ZeroToOne):
    """distinct-n: different n-grams in all answers together, over their tokens.

    tokenizer: `whitespace` splits at blanks, `char` takes every character but blanks, for Chinese. Only sets of answers of
    equal size compare: more text repeats more. The rows number the answers; the value needs the texts, which the metric
    keeps. There is no interval: drawing answers twice would itself lower the value.
    Source: Li et al. 2016, "A diversity-promoting objective function for neural conversation models", arXiv:1510.03055,
    where the number of distinct unigrams or bigrams is scaled by the total number of generated tokens.
    """

    n: Annotated[int, Field(ge=1, le=9)] = 2
    tokenizer: VarietyTokenizer = "whitespace"

    name: ClassVar[str] = "distinct_n"
    columns: ClassVar[tuple[str, ...]] = ("text_number",)
    outputs: ClassVar[frozenset[OutputKind]] = _GENERATE
    aggregation: ClassVar[Aggregation] = "rank"

    sees_all_repeats: ClassVar[bool] = True
    interval_absence: ClassVar[str] = "resampling repeats answers, which by itself makes them less distinct"

    @cached_property
    def _numbers(self) -> dict[tuple[str, ...], int]:
        return {}

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (the number of this document's answers among all that the metric has seen)."""
        answers = tuple(answer or "" for answer in sample.answers)
        return (float(self._numbers.setdefault(answers, len(self._numbers))),)

    def value_of_rows(self, rows: FloatArray) -> float:
        """Map (n, 1) rows of this very metric to the share of distinct n-grams; NaN if there are no tokens."""
        texts = list(self._numbers)
        n_tokens, distinct = 0, set()
        for number in rows[:, 0]:
            for answer in texts[int(number)]:
                tokens = _tokens(answer, self.tokenizer)
                n_tokens += len(tokens)
                distinct.update(_ngrams(tokens, self.n))
        return len(distinct) / n_tokens if n_tokens else float("nan")

    def signature(self) -> str:
        """Name all parameters."""
        return signature_of(self)


@dataclass(frozen=True, config=STRICT)
class RepetitionRate(Mean):
    """Mean over answers of the share of n-grams that the same answer said before: seq-rep-n.

    1 - different n-grams / n-grams within an answer; 0 for an answer shorter than n tokens or not found. Lower is better, but
    human text is not at 0.
    Source: Welleck et al. 2019, "Neural text generation with unlikelihood training", arXiv:1908.04319, where n is 4.
    """

    n: Annotated[int, Field(ge=1, le=9)] = 4
    tokenizer: VarietyTokenizer = "whitespace"

    name: ClassVar[str] = "repetition_rate"
    columns: ClassVar[tuple[str, ...]] = ("repeated", "count")
    higher_is_better: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    outputs: ClassVar[frozenset[OutputKind]] = _GENERATE
    unit: ClassVar[str] = "fraction"

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (share of repeated n-grams, 1)."""
        ngrams = _ngrams(_tokens(answer_of(sample) or "", self.tokenizer), self.n)
        return (1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0, 1.0)


def _tokens(text: str, tokenizer: VarietyTokenizer) -> list[str]:
    return text.split() if tokenizer == "whitespace" else [character for character in text if not character.isspace()]


def _ngrams(tokens: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
