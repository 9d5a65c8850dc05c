"""The four parts of CodeBLEU: what is counted in a sample, and the value of summed counts.

Counts are what the evaluator released with the paper counts (CodeXGLUE, and the package codebleu 0.7.0 after it), also
where that is not what the paper's formulas say: the weighted n-grams are a recall, and a subtree of the reference
matches as often as it occurs there.
Source: Ren et al. 2020, "CodeBLEU: a method for automatic evaluation of code synthesis", arXiv:2009.10297.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from evalharness.metric.base import FloatArray
from evalharness.metric.code.flow import flow_of
from evalharness.metric.code.keywords import KEYWORDS
from evalharness.metric.code.languages import LanguageName
from evalharness.metric.code.syntax import syntax_of

ORDERS = (1, 2, 3, 4)

NGRAM_COLUMNS = (
    "answer_tokens",
    "reference_tokens",
    *(f"matches_{n}" for n in ORDERS),
    *(f"ngrams_{n}" for n in ORDERS),
)
WEIGHTED_COLUMNS = (*(f"recalled_{n}" for n in ORDERS), *(f"expected_{n}" for n in ORDERS))
AST_COLUMNS = ("subtrees_matched", "subtrees")
DATAFLOW_COLUMNS = ("edges_matched", "edges")

#: What a word that is no keyword weighs, a keyword weighing 1.
_WORD_WEIGHT = 0.2

#: What takes the place of no match at all in an order: smoothing method 1 of Chen and Cherry 2014, as in nltk.
_NO_MATCH = 0.1


def ngram_counts(answer: str, references: Sequence[str]) -> list[float]:
    """Count as BLEU does, over words between blanks: an n-gram may match any reference; the nearest length counts.

    An answer too short for an order counts as one n-gram of it that does not match, as in nltk.
    """
    words = answer.split()
    others = [reference.split() for reference in references]
    nearest = min((len(other) for other in others), key=lambda length: (abs(length - len(words)), length))
    matches, ngrams = [], []
    for n in ORDERS:
        counts = _ngrams(words, n)
        most: Counter[tuple[str, ...]] = Counter()
        for other in others:
            most |= _ngrams(other, n)
        matches.append(float((counts & most).total()))
        ngrams.append(float(max(1, counts.total())))
    return [float(len(words)), float(nearest), *matches, *ngrams]


def weighted_counts(language: LanguageName, answer: str, references: Sequence[str], *, compat: bool) -> list[float]:
    """Count how many of the reference's n-grams the answer has; single words weigh 1 if keywords, else 0.2.

    Of several references, the one counts of whose n-grams the answer has the greatest share; if `compat`, all.
    """
    every = [_recalled(KEYWORDS[language], answer.split(), reference.split()) for reference in references]
    return _sums(every) if compat else max(every, key=lambda counts: float(weighted_value(np.array(counts))))


def _recalled(keywords: frozenset[str], words: list[str], reference: list[str]) -> list[float]:
    """Return what is recalled and what is expected, an order after the other.

    A reference too short for an order counts as one n-gram of it that is not recalled, as in the released evaluator.
    """
    recalled: list[float] = []
    expected: list[float] = []
    for n in ORDERS:
        wanted = _ngrams(reference, n)
        found = wanted & _ngrams(words, n)
        for counts, column in ((found, recalled), (wanted, expected)):
            if n == 1:
                weights = (1.0 if ngram[0] in keywords else _WORD_WEIGHT for ngram in counts)
                column.append(sum(weight * count for weight, count in zip(weights, counts.values(), strict=True)))
            else:
                column.append(float(counts.total()))
    return [*recalled, *(max(1.0, count) for count in expected)]


def _ngrams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(n)), strict=False))


def ast_counts(language: LanguageName, answer: str, references: Sequence[str], *, compat: bool) -> list[float]:
    """Count the subtrees of the reference's syntax tree, and those that the answer's has as well.

    Of several references, the nearest counts, or, if `compat`, all.
    """
    chosen = references if compat else [_nearest(language, answer, references)]
    return _sums([_subtrees(language, answer, reference) for reference in chosen])


def dataflow_counts(language: LanguageName, answer: str, references: Sequence[str], *, compat: bool) -> list[float]:
    """Count the edges of the reference's data flow, and those that the answer's has as well, each as often as there.

    Of several references, the nearest counts, or, if `compat`, all.
    """
    chosen = references if compat else [_nearest(language, answer, references)]
    return _sums([_edges(language, answer, reference) for reference in chosen])


def _subtrees(language: LanguageName, answer: str, reference: str) -> list[float]:
    there = set(syntax_of(language, answer.strip()).subtrees)
    wanted = syntax_of(language, reference.strip()).subtrees
    return [float(sum(subtree in there for subtree in wanted)), float(len(wanted))]


def _edges(language: LanguageName, answer: str, reference: str) -> list[float]:
    there = Counter(flow_of(language, answer.strip()))
    wanted = Counter(flow_of(language, reference.strip()))
    return [float((wanted & there).total()), float(wanted.total())]


def _nearest(language: LanguageName, answer: str, references: Sequence[str]) -> str:
    """Return the reference with the greatest share of matching subtrees; among such, of matching edges; then the first."""

    def nearness(reference: str) -> tuple[float, float]:
        matched, subtrees = _subtrees(language, answer, reference)
        flowing, edges = _edges(language, answer, reference)
        return (matched / subtrees, flowing / edges if edges else 0.0)

    return references[0] if len(references) == 1 else max(references, key=nearness)


def _sums(rows: Sequence[Sequence[float]]) -> list[float]:
    return [sum(column) for column in zip(*rows, strict=True)]


def ngram_value(totals: FloatArray) -> FloatArray:
    """Map (..., 10) sums of `ngram_counts` to BLEU, 0 to 1."""
    matches, ngrams = totals[..., 2:6], totals[..., 6:10]
    words = np.where(totals[..., 0] > 0, totals[..., 0], 1.0)  # without any, nothing matches
    penalty = np.exp(np.minimum(0.0, 1.0 - totals[..., 1] / words))
    scores: FloatArray = penalty * _geometric_mean(matches, ngrams)
    return scores


def weighted_value(totals: FloatArray) -> FloatArray:
    """Map (..., 8) sums of `weighted_counts` to the geometric mean of the recalls, 0 to 1.

    There is no brevity penalty, as recall needs none. The released evaluator multiplies by one that takes every
    reference to be two words long, by a slip, and so is 1 unless answers are that short.
    """
    return _geometric_mean(totals[..., :4], totals[..., 4:8])


def _geometric_mean(matches: FloatArray, wanted: FloatArray) -> FloatArray:
    """Return the mean over orders of the smoothed shares; 0 where not even a single word matches."""
    smoothed = np.where(matches > 0, matches, _NO_MATCH)
    means: FloatArray = np.exp(np.log(smoothed / wanted).mean(axis=-1))
    return np.where(matches[..., 0] > 0, means, 0.0)


def share_value(totals: FloatArray) -> FloatArray:
    """Map (..., 2) sums of matches and what could have matched to shares; NaN where nothing could."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: FloatArray = totals[..., 0] / totals[..., 1]
    return shares
