"""How much a generated answer must be edited to become its reference: TER, by sacrebleu."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property, lru_cache, partial
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
from pydantic import model_validator
from pydantic.dataclasses import dataclass

from evalharness.metric.base import STRICT, UNWATCHED, Aggregation, FloatArray, Watch, signature_of
from evalharness.metric.parallel import computed
from evalharness.metric.reading import TextPair, text_pair, text_pairs
from evalharness.request import OutputKind, Sample

#: A pair of w words takes about this many seconds times w^2.5 on one core. How the texts differ matters as much: pairs of 75
#: words took 0.04 s (unrelated ones) to 0.17 s (a model's answers to GSM8K).
_SECONDS, _GROWTH = 2e-6, 2.5
#: Texts of more words than this on average, and work of more seconds, are worth a word before it begins.
_LONG_WORDS, _LONG_SECONDS = 50, 20.0


@dataclass(frozen=True, config=STRICT)
class Ter:
    """TER of the corpus: 100 times the edits that make answers equal references, over the references' words; by sacrebleu.

    Edits are insertions, deletions and substitutions of words, and shifts of runs of words; the value may exceed 100. Of
    several references, the edits to the nearest and the mean of the lengths count. Lower case is compared unless
    case_sensitive. normalized: split off punctuation as Tercom does. no_punct: drop punctuation. asian_support: with either,
    also treat Chinese, Japanese and Korean characters; Chinese wants ``normalized: true, asian_support: true``.
    An answer that the filters did not find counts as an empty one. An empty reference with a non-empty answer counts as 100
    only where the whole corpus is so.
    Source: Snover et al. 2006, "A study of translation edit rate with targeted human annotation"; the beam search of
    sacrebleu, which follows Tercom.
    """

    normalized: bool = False
    no_punct: bool = False
    asian_support: bool = False
    case_sensitive: bool = False

    name: ClassVar[str] = "ter"
    columns: ClassVar[tuple[str, ...]] = ("edits", "reference_words")
    higher_is_better: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    outputs: ClassVar[frozenset[OutputKind]] = frozenset({"generate"})
    aggregation: ClassVar[Aggregation] = "ratio"
    unit: ClassVar[str] = "percent"

    @model_validator(mode="after")
    def _options_have_effect(self) -> Ter:
        if self.asian_support and not (self.normalized or self.no_punct):
            raise ValueError("asian_support does nothing without `normalized` or `no_punct`")
        return self

    @cached_property
    def _known(self) -> dict[TextPair, tuple[float, float]]:
        return {}

    @property
    def _options(self) -> tuple[bool, bool, bool, bool]:
        return (self.normalized, self.no_punct, self.asian_support, self.case_sensitive)

    def prepare(self, samples: Sequence[Sample], watch: Watch = UNWATCHED) -> None:
        """Compute the rows of all samples, on all cores where that takes long; the search for shifts is slow."""
        pairs = [pair for pair in text_pairs(samples) if pair not in self._known]
        n_words = [max(len(text.split()) for text in (answer, *references)) for answer, references in pairs]
        seconds = _SECONDS * sum(n**_GROWTH for n in n_words)
        if seconds > _LONG_SECONDS and sum(n_words) > _LONG_WORDS * len(pairs):
            watch.note(_warning(sum(n_words) / len(pairs), seconds))
        rows = computed(partial(_edits, self._options), pairs, watch, seconds=seconds)
        self._known.update(zip(pairs, rows, strict=True))

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (edits to the nearest reference, mean words of the references)."""
        pair = text_pair(sample)
        if pair not in self._known:
            return _edits(self._options, pair)
        return self._known[pair]

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., 2) sums to (...) percentages; without reference words, 100 if there is any edit, else 0."""
        edits, words = totals[..., 0], totals[..., 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = np.where(words > 0, edits / words, (edits > 0).astype(np.float64))
        percentages: FloatArray = 100 * rate
        return percentages

    def signature(self) -> str:
        """Name all parameters and the version of sacrebleu."""
        return signature_of(self, sacrebleu=version("sacrebleu"))


def _warning(mean_words: float, seconds: float) -> str:
    cores = len(os.sched_getaffinity(0))
    spread = str(timedelta(seconds=round(seconds / cores)))
    what = f"texts of {mean_words:.0f} words on average; the search for shifts, which grows faster than their square,"
    return f"{what} will take roughly {spread} (hours:minutes:seconds) on {cores} core{'s' if cores > 1 else ''}"


@lru_cache(maxsize=16)
def _scorer(options: tuple[bool, bool, bool, bool]) -> Any:
    from sacrebleu.metrics.ter import TER

    normalized, no_punct, asian_support, case_sensitive = options
    return TER(normalized=normalized, no_punct=no_punct, asian_support=asian_support, case_sensitive=case_sensitive)


def _edits(options: tuple[bool, bool, bool, bool], pair: TextPair) -> tuple[float, float]:
    answer, references = pair
    edits, words = _scorer(options)._extract_corpus_statistics([answer], [[text] for text in references])[0]
    return (float(edits), float(words))
