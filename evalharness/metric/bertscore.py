"""How near a generated answer is to its references in an encoder's eyes: BERTScore, by bert-score.

bert-score and torch are imported when the first sample is scored. Two things that bert-score 0.3.13 cannot do with current
versions of transformers are mended here: empty texts, which ask the tokenizer for a method that is gone, and texts longer than
the positions of a model whose tokenizer names no limit.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from evalharness.errors import MetricError
from evalharness.hub import hub_or_cache, why_out_of_reach
from evalharness.metric.base import STRICT, UNWATCHED, Mean, Watch, signature_of
from evalharness.metric.reading import TextPair, text_pair, text_pairs
from evalharness.request import OutputKind, Sample

_BATCH = 64
_PARTS = ("precision", "recall", "f1")


@dataclass(frozen=True, config=STRICT)
class BertScore(Mean):
    """Mean BERTScore of answers with their best reference, without idf weights and without rescaling.

    model: a local folder or hub id of an encoder. n_layers: the hidden layer that is compared; needed for local folders, else
    the one that bert-score recommends for the model. part: `precision`, `recall` or `f1`. Of several references the best
    counts, for each part separately. An empty text, answer or reference, scores 0.
    Values of different models do not compare. Rows of a batch and of a single sample agree to about 1e-6.
    Source: Zhang et al. 2020, "BERTScore: evaluating text generation with BERT", arXiv:1904.09675, as bert-score computes it.
    """

    model: str
    n_layers: Annotated[int, Field(ge=1)] | None = None
    part: Literal["precision", "recall", "f1"] = "f1"

    name: ClassVar[str] = "bertscore"
    columns: ClassVar[tuple[str, ...]] = ("bertscore", "count")
    higher_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)
    outputs: ClassVar[frozenset[OutputKind]] = frozenset({"generate"})
    unit: ClassVar[str] = "fraction"

    @model_validator(mode="after")
    def _can_be_computed(self) -> BertScore:
        if find_spec("bert_score") is None:
            raise ValueError("bert-score is not installed; pip install 'evalharness[metrics]'")
        folder = Path(self.model).expanduser()
        if folder.is_dir():
            if not (folder / "config.json").is_file():
                raise ValueError(f"{self.model} holds no model: there is no config.json")
            if self.n_layers is None:
                raise ValueError("a local model needs `n_layers`; bert-score knows the best layer of hub models only")
        elif self.model.startswith((".", "/", "~")):
            raise ValueError(f"there is no folder {self.model}")
        elif reason := why_out_of_reach(self.model, "config.json"):
            raise ValueError(f"{reason}; name a local folder and `n_layers`, or a hub model that can be reached")
        return self

    @cached_property
    def _known(self) -> dict[TextPair, tuple[float, ...]]:
        return {}

    @cached_property
    def _scorer(self) -> Any:
        from bert_score import BERTScorer

        folder = Path(self.model).expanduser()
        talk = logging.getLogger("transformers")
        level = talk.level
        talk.setLevel(logging.ERROR)  # heads that an encoder leaves unused are listed as unexpected
        try:
            with hub_or_cache(self.model):
                scorer = BERTScorer(
                    model_type=str(folder) if folder.is_dir() else self.model,
                    num_layers=self.n_layers,
                    batch_size=_BATCH,
                )
        except (OSError, KeyError, ValueError, AssertionError) as error:
            fix = "name a local folder and `n_layers`, or a hub model that can be reached"
            raise MetricError.at("metric `bertscore`", f"model {self.model} cannot be used: {error}", fix) from error
        finally:
            talk.setLevel(level)
        tokenizer = scorer._tokenizer
        if not hasattr(tokenizer, "build_inputs_with_special_tokens"):
            tokenizer.build_inputs_with_special_tokens = lambda _ids: tokenizer.encode("")
        positions = getattr(scorer._model.config, "max_position_embeddings", tokenizer.model_max_length)
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions)
        return scorer

    def prepare(self, samples: Sequence[Sample], watch: Watch = UNWATCHED) -> None:
        """Score all samples in batches, texts that occur more than once only once; raises MetricError without the model."""
        pairs = [pair for pair in text_pairs(samples) if pair not in self._known]
        watch.expect(len(pairs))
        for start in range(0, len(pairs), 4 * _BATCH):
            block = pairs[start : start + 4 * _BATCH]
            self._known.update(zip(block, self._scores(block), strict=True))
            watch.advance(len(block))

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (the part of BERTScore with the best reference, 1)."""
        pair = text_pair(sample)
        scores = self._known[pair] if pair in self._known else self._scores([pair])[0]
        return (scores[_PARTS.index(self.part)], 1.0)

    def _scores(self, pairs: Sequence[TextPair]) -> list[tuple[float, ...]]:
        """Return precision, recall and F1 of every pair, each with the reference that is best for it."""
        answers = [answer for answer, references in pairs for _ in references]
        references = [reference for _, several in pairs for reference in several]
        found = [part.tolist() for part in self._scorer.score(answers, references)]
        scores, start = [], 0
        for _, several in pairs:
            scores.append(tuple(float(max(part[start : start + len(several)])) for part in found))
            start += len(several)
        return scores

    def signature(self) -> str:
        """Name all parameters and the versions of bert-score and transformers."""
        facts = {"bert_score": version("bert-score"), "transformers": version("transformers")}
        return signature_of(self, idf=False, rescaled=False, **facts)
