"""Metrics over repeats by all draws, counted one by one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from rows.row import Row, ours, sample
from rows.texts import Texts


def repeats(found: dict[str, Texts]) -> Iterator[Row]:
    """Compare metrics over repeats with all draws, counted one by one."""
    rng = np.random.default_rng(7)
    data, name = found["gsm8k numbers"], "GSM8K final numbers, 8 drawn repeats"
    drawn = [[refs[0] if rng.random() < p else str(rng.integers(20)) for _ in range(8)]
             for refs, p in zip(data.references, rng.random(len(data.answers)), strict=True)]  # fmt: skip
    samples = [sample(answers, refs) for answers, refs in zip(drawn, data.references, strict=True)]
    right = [[answer == refs[0] for answer in answers] for answers, refs in zip(drawn, data.references, strict=True)]
    for k in (1, 3, 8):
        counts = [sum(one) for one in right]
        product = [1.0 if 8 - c < k else 1 - np.prod(1 - k / np.arange(8 - c + 1, 9)) for c in counts]
        mine = ours("pass_at_k", {"k": k}, samples)
        by = "product formula of Chen et al. 2021"
        yield Row("pass_at_k", f"k={k}", name, mine, float(np.mean(product)), by)
        draws = [np.mean([all(draw) for draw in itertools.combinations(one, k)]) for one in right]
        yield Row(
            "pass_power_k", f"k={k}", name, ours("pass_power_k", {"k": k}, samples), float(np.mean(draws)), "all draws"
        )
        draws = [np.mean([max(draw) for draw in itertools.combinations(one, k)]) for one in right]
        yield Row("best_of_k", f"k={k}", name, ours("best_of_k", {"k": k}, samples), float(np.mean(draws)), "all draws")
    voted = [max(answers, key=answers.count) == refs[0] for answers, refs in zip(drawn, data.references, strict=True)]
    yield Row(
        "maj_at_k", "k=8", name, ours("maj_at_k", {}, samples), float(np.mean(voted)), "votes counted by list.count"
    )
    pairs = [np.mean([a == b for a, b in itertools.combinations(answers, 2)]) for answers in drawn]
    yield Row("agreement", "", name, ours("agreement", {}, samples), float(np.mean(pairs)), "all pairs")
