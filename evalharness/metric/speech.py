"""How many words or characters of a transcript are wrong: WER and CER, by jiwer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import model_validator
from pydantic.dataclasses import dataclass

from evalharness.metric.base import STRICT, Aggregation, FloatArray, signature_of
from evalharness.metric.reading import text_pair
from evalharness.request import OutputKind, Sample


@dataclass(frozen=True, config=STRICT)
class _ErrorRate:
    """What the two rates have in common: parameters, and edits over units of the references."""

    lowercase: bool = False
    ignore_punctuation: bool = False

    name: ClassVar[str]
    higher_is_better: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    outputs: ClassVar[frozenset[OutputKind]] = frozenset({"generate"})
    aggregation: ClassVar[Aggregation] = "ratio"
    unit: ClassVar[str] = "fraction"

    @model_validator(mode="after")
    def _can_be_computed(self) -> Self:
        if find_spec("jiwer") is None:
            raise ValueError("jiwer is not installed; pip install 'evalharness[metrics]'")
        return self

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., 2) sums to (...) rates."""
        edits, units = totals[..., 0], totals[..., 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            rate: FloatArray = np.where(units > 0, edits / units, edits)
        return rate

    def signature(self) -> str:
        """Name all parameters and the version of jiwer."""
        return signature_of(self, jiwer=version("jiwer"))


@dataclass(frozen=True, config=STRICT)
class WordErrorRate(_ErrorRate):
    """WER of the corpus: inserted, deleted and substituted words of all answers, over the words of all references.

    As jiwer: white space separates words, and nothing is normalised unless lowercase or ignore_punctuation (Unicode
    category P) say so. It may exceed 1. Of several references, the one with the lowest rate counts. Where there are no
    reference words at all it is the number of edits. An answer that the filters did not find counts as an empty one.
    Source: the definition of jiwer 4.0's `process_words`.
    """

    name: ClassVar[str] = "wer"
    columns: ClassVar[tuple[str, ...]] = ("edits", "reference_words")

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (edits, words of the reference) for the nearest reference."""
        return _row("words", self.lowercase, self.ignore_punctuation, sample)


@dataclass(frozen=True, config=STRICT)
class CharacterErrorRate(_ErrorRate):
    """CER of the corpus: as `WordErrorRate` over characters, blanks within the text included, as jiwer counts them.

    Source: the definition of jiwer 4.0's `process_characters`.
    """

    name: ClassVar[str] = "cer"
    columns: ClassVar[tuple[str, ...]] = ("edits", "reference_characters")

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (edits, characters of the reference) for the nearest reference."""
        return _row("characters", self.lowercase, self.ignore_punctuation, sample)


@lru_cache(maxsize=8)
def _transform(units: Literal["words", "characters"], lowercase: bool, ignore_punctuation: bool) -> Any:
    import jiwer

    steps: list[Any] = [jiwer.ToLowerCase()] * lowercase
    if ignore_punctuation:
        steps.append(jiwer.RemovePunctuation())  # type: ignore[no-untyped-call]
    if units == "words":
        return jiwer.Compose([*steps, jiwer.RemoveMultipleSpaces(), jiwer.Strip(), jiwer.ReduceToListOfListOfWords()])
    return jiwer.Compose([*steps, jiwer.Strip(), jiwer.ReduceToListOfListOfChars()])


def _row(
    units: Literal["words", "characters"], lowercase: bool, ignore_punctuation: bool, sample: Sample
) -> tuple[float, float]:
    import jiwer

    transform = _transform(units, lowercase, ignore_punctuation)
    answer, references = text_pair(sample)
    rows: list[tuple[float, float]] = []
    for reference in references:
        found = jiwer.process_words(reference, answer, transform, transform)
        edits = found.substitutions + found.deletions + found.insertions
        rows.append((float(edits), float(found.hits + found.substitutions + found.deletions)))
    return min(rows, key=lambda row: row[0] / row[1] if row[1] else row[0])
