"""What a score costs: which models nothing cheaper beats, as far as their intervals tell."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from leaderboard.facts import ModelFacts

Cost = Literal["parameters", "tokens per second", "peak memory", "training tokens"]
COSTS: tuple[Cost, ...] = ("parameters", "tokens per second", "peak memory", "training tokens")

Efficiency = Literal["efficient", "possibly efficient", "beaten"]
EFFICIENCIES: tuple[Efficiency, ...] = ("efficient", "possibly efficient", "beaten")


@dataclass(frozen=True, slots=True)
class TradePoint:
    """One model: what it costs (x), its score (y) with its interval, and the machine that speed was measured on."""

    model: str
    x: float
    y: float
    low: float | None
    high: float | None
    machine: str
    efficiency: Efficiency = "beaten"


def cost_of(facts: ModelFacts, cost: Cost) -> float | None:
    """Return a model's cost in parameters, tokens a second, bytes or tokens; None where it is not known or not positive."""
    known = {
        "parameters": facts.n_parameters,
        "tokens per second": facts.tokens_per_second,
        "peak memory": facts.peak_bytes,
        "training tokens": facts.n_training_tokens,
    }[cost]
    return float(known) if known else None


def rated(points: Iterable[TradePoint], cost: Cost, *, rises: bool) -> list[TradePoint]:
    """Return the points with their efficiency, the cheapest first.

    Efficient: no model that costs as little has a better score, nor a cheaper one the same. Possibly efficient: the model's
    interval reaches the best score of those that cost as little. rises: whether a greater score is better. More tokens per
    second cost less.
    """
    sign = 1 if rises else -1
    sooner = -1 if cost == "tokens per second" else 1
    ordered = sorted(points, key=lambda point: (sooner * point.x, -sign * point.y, point.model))
    found: list[TradePoint] = []
    best_of_cheaper = -math.inf
    for _, group in itertools.groupby(ordered, key=lambda point: point.x):
        alike = list(group)
        best = max(best_of_cheaper, sign * alike[0].y)
        for point in alike:
            reach = point.high if rises else point.low
            efficiency: Efficiency = "beaten"
            if sign * point.y == best > best_of_cheaper:
                efficiency = "efficient"
            elif reach is not None and sign * reach >= best:
                efficiency = "possibly efficient"
            found.append(replace(point, efficiency=efficiency))
        best_of_cheaper = best
    return found
