"""How much of its references' words, stems and synonyms a generated answer contains, in order: METEOR, by nltk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache, partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from evalharness.metric.base import STRICT, UNWATCHED, Aggregation, FloatArray, Watch, signature_of
from evalharness.metric.parallel import computed
from evalharness.metric.reading import TextPair, text_pair, text_pairs
from evalharness.metric.wordnet import VERSION, check_wordnet, load_wordnet, wordnet_folder
from evalharness.request import OutputKind, Sample

MeteorTokenizer = Literal["treebank", "wordpunct", "whitespace", "char"]

#: A pair takes about this many seconds on one core (measured on GSM8K); a worker first spends three on loading WordNet.
_SECONDS = 1e-3


class _Options(NamedTuple):
    synonyms: bool
    tokenizer: MeteorTokenizer
    alpha: float
    beta: float
    gamma: float


@dataclass(frozen=True, config=STRICT)
class Meteor:
    """Mean METEOR of answers with their best reference, times 100: nltk's, which is not METEOR 1.5.

    Lower-cased words match exactly, then by Porter stem, then, with synonyms, through WordNet 3.0, which is brought once by
    ``evalharness setup wordnet``; nltk looks words up there by their stems, so those that stemming maims find no synonym.
    alpha weighs recall in the mean of precision and recall, gamma and beta shape the penalty for scattered matches.
    tokenizer: what splits texts into words, and it moves the score a lot: `treebank` is nltk's
    ``word_tokenize(preserve_line=True)``, `wordpunct` its WordPunctTokenizer, `whitespace` splits at blanks, `char` takes
    every character but blanks, for Chinese. Identical texts score a little less than 100, a single identical word 50.
    An empty answer scores 0, and so does one that the filters did not find.
    Source: Lavie and Agarwal 2007, "Meteor: an automatic metric for MT evaluation with high levels of correlation with human
    judgments", as nltk.translate.meteor_score computes it.
    """

    synonyms: bool = True
    tokenizer: MeteorTokenizer = "treebank"
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.9
    beta: Annotated[float, Field(ge=0)] = 3.0
    gamma: Annotated[float, Field(ge=0, le=1)] = 0.5

    name: ClassVar[str] = "meteor"
    columns: ClassVar[tuple[str, ...]] = ("meteor", "count")
    higher_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, 100.0)
    outputs: ClassVar[frozenset[OutputKind]] = frozenset({"generate"})
    aggregation: ClassVar[Aggregation] = "mean"
    unit: ClassVar[str] = "percent"

    @model_validator(mode="after")
    def _can_be_computed(self) -> Meteor:
        if find_spec("nltk") is None:
            raise ValueError("nltk is not installed; pip install 'evalharness[metrics]'")
        if self.synonyms:
            check_wordnet()
        return self

    @cached_property
    def _known(self) -> dict[TextPair, float]:
        return {}

    @property
    def _options(self) -> _Options:
        return _Options(self.synonyms, self.tokenizer, self.alpha, self.beta, self.gamma)

    def prepare(self, samples: Sequence[Sample], watch: Watch = UNWATCHED) -> None:
        """Compute the scores of all samples, on all cores where there are many."""
        pairs = [pair for pair in text_pairs(samples) if pair not in self._known]
        scores = computed(partial(_score, self._options), pairs, watch, seconds=_SECONDS * len(pairs))
        self._known.update(zip(pairs, scores, strict=True))

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (METEOR with the best reference as a fraction, 1)."""
        pair = text_pair(sample)
        return (self._known[pair] if pair in self._known else _score(self._options, pair), 1.0)

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., 2) sums to (...) means times 100."""
        return 100 * totals[..., 0] / totals[..., 1]

    def signature(self) -> str:
        """Name all parameters, the version of nltk and that of WordNet."""
        return signature_of(self, nltk=version("nltk"), wordnet=VERSION if self.synonyms else "none")


class _NoSynonyms:
    """Stands in for WordNet: no word has a synonym."""

    def synsets(self, _word: str) -> list[Any]:
        return []


def _score(options: _Options, pair: TextPair) -> float:
    from nltk.translate.meteor_score import meteor_score

    answer, references = pair
    tokenize = _tokenizer(options.tokenizer)
    wordnet = load_wordnet(wordnet_folder()) if options.synonyms else _NoSynonyms()
    return float(
        meteor_score(
            [tokenize(reference) for reference in references],
            tokenize(answer),
            wordnet=wordnet,
            alpha=options.alpha,
            beta=options.beta,
            gamma=options.gamma,
        )
    )


@lru_cache(maxsize=8)
def _tokenizer(name: MeteorTokenizer) -> Callable[[str], list[str]]:
    match name:
        case "treebank":
            from nltk.tokenize import NLTKWordTokenizer

            return lambda text: list(NLTKWordTokenizer().tokenize(text))
        case "wordpunct":
            from nltk.tokenize import WordPunctTokenizer

            return lambda text: list(WordPunctTokenizer().tokenize(text))
        case "whitespace":
            return str.split
        case "char":
            return lambda text: [character for character in text if not character.isspace()]
