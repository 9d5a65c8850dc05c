"""Any metric of the `evaluate` library, by local path or hub id, computed over the whole corpus at once.

Such a metric is a Python program that comes with its path, so naming one in a task means running code. The registry builds it
only where a person says that they trust it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from pydantic import model_validator
from pydantic.dataclasses import dataclass

from evalharness.errors import MetricError
from evalharness.hub import hub_or_cache
from evalharness.metric.base import STRICT, UNWATCHED, Aggregation, FloatArray, Watch, signature_of
from evalharness.metric.consensus import Parameters
from evalharness.metric.reading import best_index, choice_logprobs, references_of
from evalharness.request import OutputKind, Sample

#: What the module is given for one answer: its prediction, and its reference or references.
_Pair = tuple[str | int | float, tuple[str | int | float, ...]]


@dataclass(frozen=True, config=STRICT)
class EvaluateMetric:
    """The number `key` of what a module of the `evaluate` library computes over all answers.

    path: a local folder or script, or a hub id. config: the module's configuration, if it has several. arguments: passed on
    to its `compute`. higher_is_better: the library does not say. interval: compute it a thousand times more on resampled
    answers; without, there is no interval. For `choose` the module gets the indices of the choice taken and the correct one;
    for `generate` the answers, an empty one where none was found, as numbers where it wants numbers. It gets all references
    of an answer where it takes lists of them, else the only one.
    The rows number the documents; the value needs the texts, which the metric keeps.
    """

    path: str
    key: str
    config: str | None = None
    arguments: Parameters = ()
    higher_is_better: bool = True
    interval: bool = False

    name: ClassVar[str] = "evaluate"
    columns: ClassVar[tuple[str, ...]] = ("document_number",)
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    outputs: ClassVar[frozenset[OutputKind]] = frozenset({"choose", "generate"})
    aggregation: ClassVar[Aggregation] = "rank"
    unit: ClassVar[str] = "as the module says"

    sees_all_repeats: ClassVar[bool] = True
    runs_foreign_code: ClassVar[bool] = True

    @model_validator(mode="after")
    def _can_be_computed(self) -> EvaluateMetric:
        if find_spec("evaluate") is None:
            raise ValueError("evaluate is not installed; pip install 'evalharness[metrics]'")
        if self.path.startswith((".", "/", "~")) and not Path(self.path).expanduser().exists():
            raise ValueError(f"there is no file or folder {self.path}")
        return self

    @property
    def interval_absence(self) -> str:
        """Why there is no interval, if there is none."""
        return "" if self.interval else "not asked for: `interval: true` computes the module a thousand times more"

    @cached_property
    def _module(self) -> Any:
        import evaluate

        folder = Path(self.path).expanduser()
        try:
            with hub_or_cache(self.path):
                return evaluate.load(str(folder) if folder.exists() else self.path, self.config, keep_in_memory=True)
        except (OSError, ValueError, ImportError) as error:
            fix = "name the local folder of the module, or a hub id that can be reached"
            raise MetricError.at("metric `evaluate`", f"{self.path} cannot be loaded: {error}", fix) from error

    @cached_property
    def _numbers(self) -> dict[tuple[_Pair, ...], int]:
        return {}

    def prepare(self, _samples: Sequence[Sample], _watch: Watch = UNWATCHED) -> None:
        """Load the module; raises MetricError if that fails."""
        _ = self._module

    @cached_property
    def _shape(self) -> tuple[bool, str]:
        """Whether the module takes lists of references, and the type of its values."""
        features = self._module.features
        wanted = (features[0] if isinstance(features, list) else features)["references"]
        takes_lists = type(wanted).__name__ in ("Sequence", "List", "LargeList")
        return takes_lists, getattr(wanted.feature if takes_lists else wanted, "dtype", "string")

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (the number of this document among all that the metric has seen).

        Raises ValueError where the module wants numbers and a text is none, or one reference and there are several.
        """
        takes_lists, kind = self._shape
        pairs = tuple((_as(kind, answer), tuple(_as(kind, text) for text in given)) for answer, given in _pairs(sample))
        if not takes_lists and any(len(several) != 1 for _, several in pairs):
            raise ValueError(f"{self.path} takes one reference an answer")
        return (float(self._numbers.setdefault(pairs, len(self._numbers))),)

    def value_of_rows(self, rows: FloatArray) -> float:
        """Map (n, 1) rows of this very metric to the module's number; raises MetricError if it gives none such."""
        takes_lists, _ = self._shape
        known = list(self._numbers)
        pairs = [pair for number in rows[:, 0] for pair in known[int(number)]]
        result = self._module.compute(
            predictions=[answer for answer, _ in pairs],
            references=[list(several) if takes_lists else several[0] for _, several in pairs],
            **dict(self.arguments),
        )
        if self.key not in result:
            raise MetricError.at("metric `evaluate`", f"{self.path} gives no `{self.key}`, only {', '.join(result)}")
        return float(result[self.key])

    def signature(self) -> str:
        """Name all parameters and the version of evaluate."""
        return signature_of(self, evaluate=version("evaluate"))


def _pairs(sample: Sample) -> tuple[_Pair, ...]:
    if sample.choices and not sample.answers:
        return ((best_index(choice_logprobs(sample)), sample.reference_indices),)
    return tuple((answer or "", references_of(sample)) for answer in sample.answers)


def _as(kind: str, given: str | int | float) -> str | int | float:
    """Convert to the module's type of value; raises ValueError where a text is no number."""
    if kind.startswith(("int", "uint")):
        return int(given)
    if kind.startswith("float"):
        return float(given)
    return str(given)
