"""How a score moved: over the checkpoints of one training run, or over the runs of one model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from evalharness.index.queries import IndexedResult
from leaderboard.facts import UNKNOWN, ModelFacts

Axis = Literal["training step", "training tokens", "date of the run"]
STEP: Axis = "training step"
TOKENS: Axis = "training tokens"
DATE: Axis = "date of the run"
AXES = (STEP, TOKENS, DATE)


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One result. x: a step, tokens, or a time in ISO 8601. part: points of one version of the task have one number."""

    x: float | str
    part: int
    model: str
    value: float
    low: float | None
    high: float | None
    n: int
    is_limited: bool


def siblings(facts: Mapping[str, ModelFacts], model: str) -> list[str]:
    """Return the checkpoints of one training run: of the model's family, architecture and size; itself at least."""
    own = facts[model]
    if own.family == UNKNOWN:
        return [model]
    of_same = (own.family, own.architecture, own.n_parameters)
    return sorted(
        name for name, each in facts.items() if (each.family, each.architecture, each.n_parameters) == of_same
    )


def trend(results: Iterable[IndexedResult], axis: Axis, facts: Mapping[str, ModelFacts]) -> list[TrendPoint]:
    """Return the points of one task's headline results in order of x, without those of unknown x or value.

    Of each checkpoint its newest result counts; over dates, all. A new part begins wherever the task's version changes:
    values on both sides of that place do not compare.
    """
    placed = [(_position(result, axis, facts), result) for result in results if result.value is not None]
    known = [(x, result) for x, result in placed if x is not None]
    if axis != DATE:
        newest: dict[str, tuple[float | str, IndexedResult]] = {}
        for x, result in sorted(known, key=lambda pair: pair[1].created):
            newest[result.model] = (x, result)
        known = list(newest.values())
    known.sort(key=lambda pair: (pair[0], pair[1].created))
    points: list[TrendPoint] = []
    before: IndexedResult | None = None
    for x, result in known:
        part = points[-1].part if points else 0
        if before is not None and _version(before) != _version(result):
            part += 1
        points.append(
            TrendPoint(
                x,
                part,
                result.model,
                result.value or 0.0,
                result.low,
                result.high,
                result.n,
                result.n_documents_limit is not None,
            )
        )
        before = result
    return points


def usual_axis(facts: Mapping[str, ModelFacts], checkpoints: Iterable[str]) -> Axis:
    """Return the axis on which the checkpoints differ: steps, else tokens, else the dates of runs."""
    known = [facts[name] for name in checkpoints]
    if len({each.step for each in known} - {None}) > 1:
        return STEP
    return TOKENS if len({each.n_training_tokens for each in known} - {None}) > 1 else DATE


def by_task(results: Iterable[IndexedResult]) -> dict[str, list[IndexedResult]]:
    """Gather results by task, in the order given."""
    found: dict[str, list[IndexedResult]] = defaultdict(list)
    for result in results:
        found[result.task].append(result)
    return dict(found)


def _position(result: IndexedResult, axis: Axis, facts: Mapping[str, ModelFacts]) -> float | str | None:
    if axis == DATE:
        return result.created
    about = facts.get(result.model)
    if about is None:
        return None
    return about.step if axis == STEP else about.n_training_tokens


def _version(result: IndexedResult) -> tuple[str | None, str, str | None]:
    # documents of a limited run are others each time, but the task is the same
    return result.fingerprint, result.signature, None if result.n_documents_limit is not None else result.data_hash
