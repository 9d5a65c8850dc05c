"""The metric contract: a row of sufficient statistics a sample, and a value of their sums.

"The value of the sum of rows" (sacreBLEU's split, generalised) lets one vectorised bootstrap serve every metric, single,
paired and clustered, and lets a stored run be compared years later without its model or its texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict

from evalharness.request import OutputKind, Sample

FloatArray = npt.NDArray[np.float64]

#: How the parameters of a metric are checked: `true` is not 1, "2" is not 2, and an unknown name is an error.
STRICT = ConfigDict(strict=True, extra="forbid")

#: How the sampling error of a metric is found: a mean of per-sample values (columns ``(sum, count)``), a ratio of sums whose
#: logarithm is linearised (columns ``(logprob, units)``), or anything else by bootstrap on rows.
Aggregation = Literal["mean", "ratio", "corpus"]


@runtime_checkable
class Metric(Protocol):
    """A frozen dataclass whose fields are its parameters and its signature.

    name: as written in YAML. columns: names of the k statistics of `row`. bounds: least and greatest possible value.
    outputs: the task outputs it can score. unit: "fraction", "percent", "nats", "bits", "perplexity"... for display.
    """

    name: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    higher_is_better: ClassVar[bool]
    bounds: ClassVar[tuple[float, float]]
    outputs: ClassVar[frozenset[OutputKind]]
    aggregation: ClassVar[Aggregation]
    unit: ClassVar[str]

    def row(self, sample: Sample) -> Sequence[float]:
        """Return the (k,) sufficient statistics of one sample with one repeat: ``sample.answers[0]``, ``responses[0]``."""
        ...

    def value(self, totals: FloatArray) -> FloatArray:
        """Map (..., k) column sums to (...) metric values."""
        ...

    def signature(self) -> str:
        """Return name, all parameters and the version of the library that computes it, such as ``bleu|tok:13a|...``."""
        ...


def signature_of(metric: Any, **facts: Any) -> str:
    """Join a metric's name, its dataclass fields and further facts (library versions) into one line.

    Booleans are written yes and no; fields keep their declared order; facts follow in the order given.
    """
    import dataclasses

    def text(value: Any) -> str:
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)

    fields = {f.name: getattr(metric, f.name) for f in dataclasses.fields(metric)}
    return "|".join([metric.name, *(f"{key}:{text(value)}" for key, value in {**fields, **facts}.items())])
