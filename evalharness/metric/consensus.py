"""What several answers to one document say together: agreement, votes, the best of k, and pass@k.

These metrics see all repeats of a document at once (``repeats: n`` of a task) and use another metric to judge single answers:
`metric`, with its `parameters`, which must be a mean over samples (exact_match by default).
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator
from pydantic.dataclasses import dataclass

from evalharness.errors import MetricError
from evalharness.metric.base import STRICT, UNWATCHED, Asks, Mean, Prepares, SumMetric, Watch, ZeroToOne, signature_of
from evalharness.metric.registry import build_metric
from evalharness.request import OutputKind, Sample
from evalharness.stats.repeats import expected_best, pass_at_k, pass_power_k

_GENERATE: frozenset[OutputKind] = frozenset({"generate"})


def _frozen(given: Any) -> Any:
    """Turn a mapping into sorted pairs, and lists in it into tuples: what a frozen metric can hold and hash."""
    if isinstance(given, Mapping):
        return tuple(sorted((str(key), _frozen(value)) for key, value in given.items()))
    return tuple(map(_frozen, given)) if isinstance(given, list | tuple) else given


Parameters = Annotated[tuple[tuple[str, Any], ...], BeforeValidator(_frozen)]
Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=STRICT)
class Agreement(Mean, ZeroToOne):
    """Mean over documents of the share of pairs of repeats whose answers are equal; an answer not found equals none.

    It says how stable answers are, not whether they are right. Needs at least 2 repeats.
    Source: the extent of agreement P_i of Fleiss 1971, "Measuring nominal scale agreement among many raters",
    Psychological Bulletin 76, with repeats as raters.
    """

    name: ClassVar[str] = "agreement"
    columns: ClassVar[tuple[str, ...]] = ("agreement", "count")
    outputs: ClassVar[frozenset[OutputKind]] = _GENERATE

    sees_all_repeats: ClassVar[bool] = True
    least_repeats: ClassVar[int] = 2

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (share of equal pairs, 1)."""
        n = _n_repeats(self.name, sample, self.least_repeats)
        equal = sum(math.comb(count, 2) for answer, count in Counter(sample.answers).items() if answer is not None)
        return (equal / math.comb(n, 2), 1.0)


@dataclass(frozen=True, config=STRICT)
class _Judged(Mean):
    """What the metrics of k answers have in common: `metric`, with its `parameters`, judges each answer alone."""

    k: Count | None = None
    metric: str = "exact_match"
    parameters: Parameters = ()

    name: ClassVar[str]
    outputs: ClassVar[frozenset[OutputKind]] = _GENERATE
    sees_all_repeats: ClassVar[bool] = True

    @model_validator(mode="after")
    def _metric_judges_single_answers(self) -> Self:
        _ = self._judge
        return self

    @cached_property
    def _judge(self) -> SumMetric:
        return _judge(self.metric, self.parameters)

    @property
    def least_repeats(self) -> int:
        """How often a document must be asked."""
        return self.k or 1

    @property
    def document_fields(self) -> tuple[str, ...]:
        """What the judging metric reads of a document."""
        return getattr(self._judge, "document_fields", ())

    def prepare(self, samples: Sequence[Sample], watch: Watch = UNWATCHED) -> None:
        """Let the judging metric see all single answers."""
        if isinstance(self._judge, Prepares):
            self._judge.prepare([view for sample in samples for view in _views(sample)], watch)

    def signature(self) -> str:
        """Name all parameters, and the metric that judges with its own signature."""
        return signature_of(self, judged_by=self._judge.signature().replace("|", ","))


@dataclass(frozen=True, config=STRICT)
class _JudgedInItsUnit(_Judged):
    """A mean of values of the judging metric itself: what is said of those holds for it too."""

    @property
    def higher_is_better(self) -> bool:
        """As the judging metric has it."""
        return self._judge.higher_is_better

    @property
    def bounds(self) -> tuple[float, float]:
        """Those of the judging metric."""
        return self._judge.bounds

    @property
    def unit(self) -> str:
        """That of the judging metric."""
        return self._judge.unit


@dataclass(frozen=True, config=STRICT)
class MajorityAtK(_JudgedInItsUnit):
    """maj@k: the mean of `metric` for the most frequent of the first k answers, the earliest on ties (self-consistency).

    k: None for all repeats. Answers are equal if they are so after the normalisation of `exact_match`, where that is the
    metric. Answers that were not found do not vote; without any vote the answer is not found.
    Source: Wang et al. 2023, "Self-consistency improves chain of thought reasoning in language models", arXiv:2203.11171.
    """

    name: ClassVar[str] = "maj_at_k"
    columns: ClassVar[tuple[str, ...]] = ("voted", "count")

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (the metric of the voted answer, 1)."""
        n = _n_repeats(self.name, sample, self.least_repeats)
        normalise = getattr(self._judge, "normalise", str)
        found = [i for i in range(self.k or n) if sample.answers[i] is not None]
        votes = Counter(normalise(sample.answers[i]) for i in found)
        voted = max(found, key=lambda i: votes[normalise(sample.answers[i])], default=0)  # `max` keeps the first
        return (_scores(self._judge, [_views(sample)[voted]])[0], 1.0)


@dataclass(frozen=True, config=STRICT)
class BestOfK(_JudgedInItsUnit):
    """best-of-k: mean over documents of the expected best value of `metric` among k of the n answers, drawn at random.

    k: None for all repeats, the plain best. Unbiased: sum over ranks i of x_(i) C(i - 1, k - 1) / C(n, k), with values x in
    ascending order. The choice knows the reference: it bounds what a perfect re-ranker would reach.
    Source: the estimator of pass@k (see `PassAtK`) for values other than 0 and 1.
    """

    name: ClassVar[str] = "best_of_k"
    columns: ClassVar[tuple[str, ...]] = ("best", "count")

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (the expected best value, 1)."""
        n = _n_repeats(self.name, sample, self.least_repeats)
        scores = sorted(_scores(self._judge, _views(sample)), reverse=not self._judge.higher_is_better)
        return (expected_best(scores, self.k or n), 1.0)


@dataclass(frozen=True, config=STRICT)
class PassAtK(_Judged, ZeroToOne):
    """pass@k: mean over documents of the probability that one of k answers, drawn from the n given, succeeds.

    A success is an answer for which `metric`, which must be 0 or 1, is 1. With c successes it is 1 - C(n - c, k) / C(n, k),
    unbiased, not 1 - (1 - c / n)^k.
    Source: Chen et al. 2021, "Evaluating large language models trained on code", arXiv:2107.03374, section 2.1.
    """

    k: Count = 1

    name: ClassVar[str] = "pass_at_k"
    columns: ClassVar[tuple[str, ...]] = ("passed", "count")

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (the probability that one of k passes, 1)."""
        n = _n_repeats(self.name, sample, self.k)
        return (pass_at_k(n, _successes(self.name, self._judge, sample), self.k), 1.0)


@dataclass(frozen=True, config=STRICT)
class PassPowerK(_Judged, ZeroToOne):
    """pass^k: mean over documents of the probability that all of k answers, drawn from the n given, succeed.

    C(c, k) / C(n, k) with c successes among n, see `PassAtK`.
    Source: Yao et al. 2024, "tau-bench: a benchmark for tool-agent-user interaction in real-world domains", arXiv:2406.12045.
    """

    k: Count = 1

    name: ClassVar[str] = "pass_power_k"
    columns: ClassVar[tuple[str, ...]] = ("passed", "count")

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (the probability that all of k pass, 1)."""
        n = _n_repeats(self.name, sample, self.k)
        return (pass_power_k(n, _successes(self.name, self._judge, sample), self.k), 1.0)


def _judge(name: str, parameters: Sequence[tuple[str, Any]]) -> SumMetric:
    """Build the metric that judges single answers; raises ValueError if there is none such."""
    try:
        judge = build_metric(name, dict(parameters), where="")
    except MetricError as error:
        raise ValueError("; ".join(problem.what for problem in error.problems)) from None
    if isinstance(judge, Asks):
        raise ValueError(f"`{name}` asks a model, and cannot judge for another metric")
    fitting = isinstance(judge, SumMetric) and judge.aggregation == "mean" and "generate" in judge.outputs
    if not isinstance(judge, SumMetric) or not fitting or getattr(judge, "sees_all_repeats", False):
        raise ValueError(f"`{name}` does not judge single answers; only a mean over answers does, such as exact_match")
    return judge


def _n_repeats(name: str, sample: Sample, least: int) -> int:
    n = len(sample.answers)
    if n < least:
        raise ValueError(f"{name} needs at least {least} answers a document, there {'is' if n == 1 else 'are'} {n}")
    return n


def _views(sample: Sample) -> list[Sample]:
    """Return one sample a repeat; after a vote there is one answer, and one sample."""
    return [
        dataclasses.replace(sample, answers=(answer,), responses=(group,), executions=sample.executions[i : i + 1])
        for i, (answer, group) in enumerate(zip(sample.answers, sample.responses, strict=False))
    ]


def _scores(judge: SumMetric, views: Sequence[Sample]) -> list[float]:
    """Return the judging metric's value of each answer alone."""
    return [float(judge.value(np.asarray(judge.row(view), dtype=np.float64))) for view in views]


def _successes(name: str, judge: SumMetric, sample: Sample) -> int:
    scores = _scores(judge, _views(sample))
    if any(score not in (0.0, 1.0) for score in scores):
        raise ValueError(f"{name} counts successes, but {judge.name} gave {next(s for s in scores if s not in (0, 1))}")
    return int(sum(scores))
