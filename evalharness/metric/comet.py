"""How good a translation is in the eyes of a trained model: COMET, by unbabel-comet in an environment of its own.

`comet_environment` finds that environment, `comet_process` talks to a process in it, and `comet_worker` is what runs there.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from evalharness.hub import why_out_of_reach
from evalharness.metric.base import STRICT, UNWATCHED, Mean, Watch, signature_of
from evalharness.metric.comet_environment import comet_python, comet_version
from evalharness.metric.comet_process import CometAnswer, ask_comet
from evalharness.metric.reading import answer_of, references_of
from evalharness.request import OutputKind, Sample

DEVICE_VARIABLE = "EVALHARNESS_COMET_DEVICE"

_BATCH = 16  # unbabel-comet's own default

#: A source, an answer and a reference; None where the model is given none.
_Segment = tuple[str | None, str, str | None]

_COMBINE: dict[str, Callable[[Sequence[float]], float]] = {
    "mean": lambda scores: math.fsum(scores) / len(scores),
    "max": max,
    "first": lambda scores: scores[0],
    "none": lambda scores: scores[0],
}


@dataclass(frozen=True, config=STRICT)
class Comet(Mean):
    """Mean COMET of answers: the system score of the same segments, as unbabel-comet defines it.

    model: a hub id such as Unbabel/wmt22-comet-da, or a local checkpoint: a .ckpt file, or the folder above `checkpoints/` that
    holds hparams.yaml. source: the column of a document that holds the source; null for a model that reads none. references:
    COMET is defined with one reference; of several the `mean` counts, as its authors recommend, or the `max`, or the `first`;
    `none` keeps references from a model that can do without (quality estimation). A model that reads no reference is given none
    in any case. part: its score, or one that it gives beside it.
    Scores of different models do not compare, and not every model keeps them between 0 and 1. An answer that was not found is
    an empty text, and gets what the model gives that. Rows of a batch and of a single sample agree to about 1e-6.
    Source: Rei et al. 2020, "COMET: a neural framework for MT evaluation", EMNLP, as unbabel-comet's `predict` computes it in
    single precision. The mean over references: Rei et al. 2020, "Unbabel's participation in the WMT20 metrics shared task".
    """

    model: str
    source: str | None
    references: Literal["mean", "max", "first", "none"] = "mean"
    part: Literal["score", "src_scores", "ref_scores", "unified_scores", "mqm_scores"] = "score"

    name: ClassVar[str] = "comet"
    columns: ClassVar[tuple[str, ...]] = ("comet", "count")
    higher_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    outputs: ClassVar[frozenset[OutputKind]] = frozenset({"generate"})
    unit: ClassVar[str] = "as the model says"

    @model_validator(mode="after")
    def _can_be_computed(self) -> Comet:
        comet_version(comet_python())
        _ = self._checkpoint
        if self.source is None and self.references == "none":
            raise ValueError("without source and references there is nothing to compare an answer with")
        return self

    @property
    def document_fields(self) -> tuple[str, ...]:
        """The column with the source."""
        return () if self.source is None else (self.source,)

    @cached_property
    def _checkpoint(self) -> str:
        """What the worker is to load: the path of a local checkpoint, or the hub id; raises ValueError."""
        place = Path(self.model).expanduser().absolute()
        if not place.exists():
            if self.model.startswith((".", "/", "~")) or self.model.endswith(".ckpt"):
                raise ValueError(f"there is no checkpoint {self.model}")
            # names without a slash are those of models before the hub, which unbabel-comet has from elsewhere
            if "/" in self.model and (reason := why_out_of_reach(self.model, "hparams.yaml")):
                raise ValueError(f"{reason}; name a local checkpoint, or a hub model that can be reached")
            return self.model
        file = place if place.is_file() else place / "checkpoints" / "model.ckpt"
        if place.is_dir() and not file.is_file():
            found = sorted(place.glob("checkpoints/*.ckpt"))
            if len(found) != 1:
                raise ValueError(f"{self.model} holds {len(found)} files checkpoints/*.ckpt; name the file")
            (file,) = found
        if not (file.parent.parent / "hparams.yaml").is_file():
            raise ValueError(f"{file} is no COMET checkpoint: there is no {file.parent.parent / 'hparams.yaml'}")
        return str(file)

    @cached_property
    def _known(self) -> dict[_Segment, float | None]:
        return {}

    @cached_property
    def _facts(self) -> dict[str, str]:
        return {}

    def prepare(self, samples: Sequence[Sample], watch: Watch = UNWATCHED) -> None:
        """Score all samples in one worker, equal segments once; raises MetricError if the worker cannot."""
        found: dict[_Segment, None] = {}
        for sample in samples:
            try:
                found.update(dict.fromkeys(self._segments(sample)))
            except ValueError:
                continue  # said when the sample is scored
        self._ask([segment for segment in found if segment not in self._known], watch)

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (COMET, 1); raises ValueError where the model gives no finite number, or the sample lacks a text."""
        segments = self._segments(sample)
        unknown = [segment for segment in segments if segment not in self._known]
        if unknown:
            self._ask(list(dict.fromkeys(unknown)), UNWATCHED)
        scores = [self._known[segment] for segment in segments]
        finite = [score for score in scores if score is not None]
        if len(finite) != len(scores):
            raise ValueError("COMET gave no finite number")
        return (_COMBINE[self.references](finite), 1.0)

    def _segments(self, sample: Sample) -> list[_Segment]:
        """Return what the model reads of a sample, once a reference; raises ValueError where a text is missing or broken."""
        source = None if self.source is None else sample.document.fields.get(self.source)
        if self.source is not None and not isinstance(source, str):
            raise ValueError(f"the document has no text in its column `{self.source}`, where the source should be")
        references = (None,) if self.references == "none" else references_of(sample)
        if self.references == "first":
            references = references[:1]
        answer = answer_of(sample) or ""
        for text in (source, answer, *references):
            (text or "").encode()  # half a surrogate pair would end the worker, and with it all other segments
        return [(source, answer, reference) for reference in references]

    def _ask(self, segments: Sequence[_Segment], watch: Watch) -> None:
        if segments or not self._facts:
            answer = self._worker_answer(segments, watch)
            self._facts.update(answer.facts)
            self._known.update(zip(segments, answer.scores, strict=True))

    def _worker_answer(self, segments: Sequence[_Segment], watch: Watch) -> CometAnswer:
        header = {
            "model": self._checkpoint,
            "part": self.part,
            "device": os.environ.get(DEVICE_VARIABLE, "auto"),
            "batch_size": _BATCH,
            "has_source": self.source is not None,
            "has_reference": self.references != "none",
        }
        return ask_comet(comet_python(), header, [_as_comet_names(segment) for segment in segments], watch)

    def signature(self) -> str:
        """Name all parameters, the versions in the other environment, the checkpoint's sha256, and what the model reads.

        These are asked of the worker; one is started where none has run yet. Raises MetricError if that fails.
        """
        self._ask((), UNWATCHED)
        return signature_of(self, **dict(sorted(self._facts.items())))


def _as_comet_names(segment: _Segment) -> Mapping[str, str]:
    named = dict(zip(("src", "mt", "ref"), segment, strict=True))
    return {name: text for name, text in named.items() if text is not None}
