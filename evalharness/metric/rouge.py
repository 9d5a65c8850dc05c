"""How much of its references' words and their order a generated answer repeats: ROUGE, by rouge-score.

An answer that the filters did not find (None) counts as an empty one and scores 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from evalharness.metric.base import STRICT, Aggregation, FloatArray, signature_of
from evalharness.metric.reading import answer_of, references_of
from evalharness.request import OutputKind, Sample

RougeTokenizer = Literal["default", "char"]


@dataclass(frozen=True, config=STRICT)
class _Rouge:
    """What the four have in common: parameters, columns and values; the name is also rouge-score's for the kind."""

    use_stemmer: bool = False
    tokenizer: RougeTokenizer = "default"

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]] = ("f1", "count")
    higher_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 100.0)
    outputs: ClassVar[frozenset[OutputKind]] = frozenset({"generate"})
    aggregation: ClassVar[Aggregation] = "mean"
    unit: ClassVar[str] = "percent"

    @model_validator(mode="after")
    def _stems_words(self) -> Self:
        if self.use_stemmer and self.tokenizer == "char":
            raise ValueError("use_stemmer needs words; tokenizer `char` has none")
        return self

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (the F1 with the best reference as a fraction, 1)."""
        scorer = _scorer(self.name, self.use_stemmer, self.tokenizer)
        best = scorer.score_multi(list(references_of(sample)), answer_of(sample) or "")[self.name]
        return (float(best.fmeasure), 1.0)

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., 2) sums to (...) means times 100."""
        return 100 * totals[..., 0] / totals[..., 1]

    def signature(self) -> str:
        """Name all parameters and the version of rouge-score."""
        return signature_of(self, rouge_score=version("rouge-score"))


@dataclass(frozen=True, config=STRICT)
class Rouge1(_Rouge):
    """Mean F1 of the words shared with the best reference, times 100 (ROUGE-1), by rouge-score.

    use_stemmer: reduce English words to their Porter stems first. tokenizer: `default` keeps only runs of ASCII letters and
    digits, so text in other scripts scores 0 even where it is identical; `char` compares lower-cased characters other than
    white space and suits Chinese.
    Source: Lin 2004, "ROUGE: a package for automatic evaluation of summaries".
    """

    name: ClassVar[str] = "rouge1"


@dataclass(frozen=True, config=STRICT)
class Rouge2(_Rouge):
    """Mean F1 of the pairs of neighbouring words shared with the best reference, times 100 (ROUGE-2); see `Rouge1`."""

    name: ClassVar[str] = "rouge2"


@dataclass(frozen=True, config=STRICT)
class RougeL(_Rouge):
    """Mean F1 of the longest common subsequence with the best reference, times 100 (ROUGE-L); see `Rouge1`."""

    name: ClassVar[str] = "rougeL"


@dataclass(frozen=True, config=STRICT)
class RougeLsum(_Rouge):
    r"""Mean F1 of the union of longest common subsequences of sentences, times 100 (ROUGE-Lsum); see `Rouge1`.

    Sentences are what "\n" separates, in answer and reference; nothing else is split.
    """

    name: ClassVar[str] = "rougeLsum"


class _Characters:
    """A tokenizer for rouge-score: every character but white space is a token."""

    def tokenize(self, text: str) -> list[str]:
        return [character for character in text.lower() if not character.isspace()]


@lru_cache(maxsize=16)
def _scorer(kind: str, use_stemmer: bool, tokenizer: RougeTokenizer) -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer([kind], use_stemmer=use_stemmer, tokenizer=_Characters() if tokenizer == "char" else None)
