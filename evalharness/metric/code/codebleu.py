"""CodeBLEU and its four parts, as metrics: words, keywords, syntax and data flow of generated code.

The metrics of one sample share their work: each text is parsed once. An answer that the filters did not find (None) counts
as an empty one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from evalharness.metric.base import STRICT, Aggregation, FloatArray, ZeroToOne, signature_of
from evalharness.metric.code.languages import LanguageName, ParsedLanguage, parser_versions
from evalharness.metric.code.parts import (
    AST_COLUMNS,
    DATAFLOW_COLUMNS,
    NGRAM_COLUMNS,
    WEIGHTED_COLUMNS,
    ast_counts,
    dataflow_counts,
    ngram_counts,
    ngram_value,
    share_value,
    weighted_counts,
    weighted_value,
)
from evalharness.metric.reading import answer_of, references_of
from evalharness.request import OutputKind, Sample

_GENERATE: frozenset[OutputKind] = frozenset({"generate"})

Weight = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, config=STRICT)
class CodeBleu(ZeroToOne):
    """CodeBLEU of the corpus, 0 to 1: the weighted mean of four parts, each taken over the whole corpus.

    language: what answers and references are written in. alpha, beta, gamma, theta: the weights of `codebleu_ngram`,
    `codebleu_weighted_ngram`, `codebleu_ast` and `codebleu_dataflow`; they add up to 1. Where no reference has any data
    flow, the other three parts share its weight (and `codebleu_dataflow`, beside it, is absent and says why); where no
    edge of it matches, the part is 0.
    compat: in these two cases the data flow counts as 1, and counts of several references are added up, both as in the
    package codebleu 0.7.0; without it, the nearest reference counts.
    Source: Ren et al. 2020, "CodeBLEU: a method for automatic evaluation of code synthesis", arXiv:2009.10297.
    """

    language: ParsedLanguage
    alpha: Weight = 0.25
    beta: Weight = 0.25
    gamma: Weight = 0.25
    theta: Weight = 0.25
    compat: bool = False

    name: ClassVar[str] = "codebleu"
    columns: ClassVar[tuple[str, ...]] = (*NGRAM_COLUMNS, *WEIGHTED_COLUMNS, *AST_COLUMNS, *DATAFLOW_COLUMNS)
    outputs: ClassVar[frozenset[OutputKind]] = _GENERATE
    aggregation: ClassVar[Aggregation] = "corpus"

    @model_validator(mode="after")
    def _weights_add_up(self) -> CodeBleu:
        total = self.alpha + self.beta + self.gamma + self.theta
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"alpha, beta, gamma and theta add up to {total:g}; they must add up to 1")
        return self

    def row(self, sample: Sample) -> Sequence[float]:
        """Return the counts of all four parts, one part after the other."""
        answer, references = answer_of(sample) or "", references_of(sample)
        counts = ngram_counts(answer, references)
        for count in (weighted_counts, ast_counts, dataflow_counts):
            counts += count(self.language, answer, references, compat=self.compat)
        return counts

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., 22) sums to (...) means of the parts."""
        ends = np.cumsum([len(NGRAM_COLUMNS), len(WEIGHTED_COLUMNS), len(AST_COLUMNS)])
        ngram, weighted, ast, dataflow = np.split(totals, ends, axis=-1)
        rest = self.alpha * ngram_value(ngram) + self.beta * weighted_value(weighted) + self.gamma * share_value(ast)
        share = share_value(dataflow)
        if self.compat:
            return rest + self.theta * np.where(dataflow[..., 0] > 0, share, 1.0)
        with np.errstate(invalid="ignore", divide="ignore"):  # theta 1 without any data flow: NaN, so absent
            without = rest / np.float64(self.alpha + self.beta + self.gamma)
        found: FloatArray = np.where(dataflow[..., 1] > 0, rest + self.theta * share, without)
        return found

    def signature(self) -> str:
        """Name all parameters and the versions of the parser."""
        return signature_of(self, **parser_versions(self.language))


@dataclass(frozen=True, config=STRICT)
class CodeBleuNgram(ZeroToOne):
    """The first part of CodeBLEU, 0 to 1: BLEU of the corpus over words between blanks, with no tokenizer at all.

    Smoothed as nltk's method 1: 0.1 in place of no match of an order.
    Source: Ren et al. 2020, arXiv:2009.10297; Papineni et al. 2002, "BLEU"; Chen and Cherry 2014, "A systematic comparison
    of smoothing techniques for sentence-level BLEU".
    """

    name: ClassVar[str] = "codebleu_ngram"
    columns: ClassVar[tuple[str, ...]] = NGRAM_COLUMNS
    outputs: ClassVar[frozenset[OutputKind]] = _GENERATE
    aggregation: ClassVar[Aggregation] = "corpus"

    def row(self, sample: Sample) -> Sequence[float]:
        """Return the lengths, and per order the n-grams that match and the n-grams of the answer."""
        return ngram_counts(answer_of(sample) or "", references_of(sample))

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., 10) sums to (...) scores."""
        return ngram_value(totals)

    def signature(self) -> str:
        """Name the smoothing."""
        return signature_of(self, tokenize="blanks", smooth="epsilon-0.1")


@dataclass(frozen=True, config=STRICT)
class CodeBleuWeightedNgram(ZeroToOne):
    """The second part of CodeBLEU, 0 to 1: the share of the references' n-grams that answers have, keywords weighing more.

    The geometric mean over n-grams of 1 to 4 words between blanks. Single words weigh 1 if they are keywords of `language`,
    else 0.2. It is a recall, as in the released evaluator; the paper speaks of a precision.
    compat: add up the counts of several references, instead of taking the nearest.
    Source: Ren et al. 2020, arXiv:2009.10297, section 3.1.
    """

    language: LanguageName
    compat: bool = False

    name: ClassVar[str] = "codebleu_weighted_ngram"
    columns: ClassVar[tuple[str, ...]] = WEIGHTED_COLUMNS
    outputs: ClassVar[frozenset[OutputKind]] = _GENERATE
    aggregation: ClassVar[Aggregation] = "corpus"

    def row(self, sample: Sample) -> Sequence[float]:
        """Return, per order, the n-grams of the reference that the answer has, then all of the reference."""
        return weighted_counts(self.language, answer_of(sample) or "", references_of(sample), compat=self.compat)

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., 8) sums to (...) scores."""
        return weighted_value(totals)

    def signature(self) -> str:
        """Name all parameters."""
        return signature_of(self, tokenize="blanks", smooth="epsilon-0.1")


@dataclass(frozen=True, config=STRICT)
class CodeBleuAst(ZeroToOne):
    """The third part of CodeBLEU, 0 to 1: the share of subtrees of the references' syntax that occur in the answers'.

    Names and values are no part of a subtree, nor are comments and Python's docstrings. What is no code of `language` has
    a tree as well, with its errors in it.
    compat: add up the counts of several references, instead of taking the nearest.
    Source: Ren et al. 2020, arXiv:2009.10297, section 3.2.
    """

    language: ParsedLanguage
    compat: bool = False

    name: ClassVar[str] = "codebleu_ast"
    columns: ClassVar[tuple[str, ...]] = AST_COLUMNS
    outputs: ClassVar[frozenset[OutputKind]] = _GENERATE
    aggregation: ClassVar[Aggregation] = "ratio"

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (subtrees of the reference that the answer has, subtrees of the reference)."""
        return ast_counts(self.language, answer_of(sample) or "", references_of(sample), compat=self.compat)

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., 2) sums to (...) shares."""
        return share_value(totals)

    def signature(self) -> str:
        """Name all parameters and the versions of the parser."""
        return signature_of(self, **parser_versions(self.language))


@dataclass(frozen=True, config=STRICT)
class CodeBleuDataflow(ZeroToOne):
    """The fourth part of CodeBLEU, 0 to 1: the share of edges of the references' data flow that the answers' have.

    An edge says from which variables a variable gets its value; variables are numbered, so that their names do not matter.
    Without any edge in any reference there is no value. compat: there is, and it is 0; and the counts of several references
    are added up, instead of taking the nearest; both as in the package codebleu 0.7.0.
    Source: Ren et al. 2020, arXiv:2009.10297, section 3.3; Guo et al. 2020, "GraphCodeBERT", arXiv:2009.08366.
    """

    language: ParsedLanguage
    compat: bool = False

    name: ClassVar[str] = "codebleu_dataflow"
    columns: ClassVar[tuple[str, ...]] = DATAFLOW_COLUMNS
    outputs: ClassVar[frozenset[OutputKind]] = _GENERATE
    aggregation: ClassVar[Aggregation] = "ratio"

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (edges of the reference that the answer has, edges of the reference)."""
        return dataflow_counts(self.language, answer_of(sample) or "", references_of(sample), compat=self.compat)

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., 2) sums to (...) shares; NaN where there are no edges, or 0 if `compat`."""
        shares = share_value(totals)
        return np.where(totals[..., 1] > 0, shares, 0.0) if self.compat else shares

    def signature(self) -> str:
        """Name all parameters and the versions of the parser."""
        return signature_of(self, **parser_versions(self.language))
