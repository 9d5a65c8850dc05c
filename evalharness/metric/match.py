"""Whether a generated answer says the same as a reference: exact match, F1 of words and of Chinese characters."""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, ClassVar

from pydantic import Field, field_validator
from pydantic.dataclasses import dataclass

from evalharness.metric.base import STRICT, Mean, ZeroToOne, signature_of
from evalharness.metric.reading import answer_of, references_of
from evalharness.request import OutputKind, Sample

_DROP_PUNCTUATION = str.maketrans("", "", string.punctuation)
_DROP_DIGITS = str.maketrans("", "", string.digits)
_CHINESE = re.compile(r"[\u4e00-\u9fa5]")
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@dataclass(frozen=True, config=STRICT)
class ExactMatch(Mean, ZeroToOne):
    """The share of answers that equal a reference, after both were normalised alike.

    Normalisation happens in the order of lm-evaluation-harness 0.4.13's `exact_match`: `regexes_to_ignore` are cut out one
    after the other, then case, ASCII punctuation (``string.punctuation``) and ASCII digits are ignored. ignore_whitespace,
    which that harness lacks, comes last: runs of white space count as one blank, at the ends as nothing.
    An answer that the filters did not find (None) is wrong, even where a reference is empty.
    """

    ignore_case: bool = False
    ignore_punctuation: bool = False
    ignore_numbers: bool = False
    ignore_whitespace: bool = False
    regexes_to_ignore: Annotated[tuple[str, ...], Field(strict=False)] = ()

    name: ClassVar[str] = "exact_match"
    columns: ClassVar[tuple[str, ...]] = ("matches", "count")
    outputs: ClassVar[frozenset[OutputKind]] = frozenset({"generate"})

    @field_validator("regexes_to_ignore")
    @classmethod
    def _regexes_compile(cls, regexes: tuple[str, ...]) -> tuple[str, ...]:
        for regex in regexes:
            try:
                re.compile(regex)
            except re.error as error:
                raise ValueError(f"{regex!r} is not a regular expression: {error}") from None
        return regexes

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[str], ...]:
        return tuple(map(re.compile, self.regexes_to_ignore))

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (1 if the answer equals any reference else 0, 1)."""
        answer = answer_of(sample)
        references = references_of(sample)
        if answer is None:
            return (0.0, 1.0)
        said = self.normalise(answer)
        return (float(any(said == self.normalise(reference) for reference in references)), 1.0)

    def normalise(self, text: str) -> str:
        """Return `text` as it is compared."""
        for pattern in self._patterns:
            text = pattern.sub("", text)
        if self.ignore_case:
            text = text.lower()
        if self.ignore_punctuation:
            text = text.translate(_DROP_PUNCTUATION)
        if self.ignore_numbers:
            text = text.translate(_DROP_DIGITS)
        return " ".join(text.split()) if self.ignore_whitespace else text


@dataclass(frozen=True, config=STRICT)
class TokenF1(Mean, ZeroToOne):
    """The mean over answers of the F1 of words shared with the best reference, as SQuAD defines it.

    Words are what white space separates after lower-casing, dropping ASCII punctuation, and dropping the English articles.
    Where answer or reference has no words left, F1 is 1 if both have none, else 0. An answer of None scores 0.
    Chinese and other scripts without blanks are not segmented: a sentence is one word.
    Source: the functions `normalize_answer` and `compute_f1` of the SQuAD 2.0 evaluation script, evaluate-v2.0.py.
    """

    name: ClassVar[str] = "token_f1"
    columns: ClassVar[tuple[str, ...]] = ("f1", "count")
    outputs: ClassVar[frozenset[OutputKind]] = frozenset({"generate"})

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (the F1 with the best reference, 1)."""
        answer = answer_of(sample)
        references = references_of(sample)
        if answer is None:
            return (0.0, 1.0)
        words = squad_words(answer)
        return (max(_f1(words, squad_words(reference)) for reference in references), 1.0)

    def signature(self) -> str:
        """Name the normalisation."""
        return signature_of(self, normalisation="squad")


@dataclass(frozen=True, config=STRICT)
class CharacterF1(Mean, ZeroToOne):
    """The mean over answers of the F1 of Chinese characters and other words shared with the best reference, as in MLQA.

    Both are lower-cased and lose all punctuation (Unicode category P, and ASCII's). Then each of the characters U+4E00 to
    U+9FA5 is a token, and so is every other run without blanks. Where nothing is shared F1 is 0, also if both are empty.
    An answer of None scores 0.
    Source: `normalize_answer` and `f1_score` for Chinese in mlqa_evaluation_v1.py of MLQA (Lewis et al. 2020).
    """

    name: ClassVar[str] = "character_f1"
    columns: ClassVar[tuple[str, ...]] = ("f1", "count")
    outputs: ClassVar[frozenset[OutputKind]] = frozenset({"generate"})

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (the F1 with the best reference, 1)."""
        references = references_of(sample)
        tokens = chinese_tokens(answer_of(sample) or "")
        return (max(_f1(tokens, chinese_tokens(reference)) if tokens else 0.0 for reference in references), 1.0)

    def signature(self) -> str:
        """Name the normalisation."""
        return signature_of(self, normalisation="mlqa-zh")


def chinese_tokens(text: str) -> list[str]:
    """Return each Chinese character and each other run without blanks, lower-cased and without punctuation."""
    kept = (
        character
        for character in text.lower()
        if character not in string.punctuation and not unicodedata.category(character).startswith("P")
    )
    return _CHINESE.sub(r" \g<0> ", "".join(kept)).split()


def squad_words(text: str) -> list[str]:
    """Return the words of `text` after SQuAD's normalisation: lower case, no ASCII punctuation, no English articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_DROP_PUNCTUATION)).split()


def _f1(words: list[str], reference: list[str]) -> float:
    if not words or not reference:
        return float(words == reference)
    shared = sum((Counter(words) & Counter(reference)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(words), shared / len(reference)
    return 2 * precision * recall / (precision + recall)
