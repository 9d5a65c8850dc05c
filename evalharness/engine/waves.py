"""Which rows are generated together: those that begin alike, so many that slots stay filled. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalharness.engine.prefix import common_length
from evalharness.engine.texts import Ids


@dataclass(frozen=True, slots=True)
class Wave:
    """Rows generated together, in this order, a slot each. n_shared: tokens that all prompts begin with, kept once.

    slot_tokens: room of a slot, for the longest row's own tokens and its new ones.
    """

    rows: tuple[int, ...]
    n_shared: int
    n_slots: int
    slot_tokens: int


@dataclass(frozen=True, slots=True)
class WaveLimits:
    """most_slots: rows written at a time. kept_tokens: of all slots together. refills: times that a wave fills its slots.

    shared_tokens: prompts share a wave's stem from so many tokens on.
    """

    most_slots: int = 32
    kept_tokens: int = 8192
    refills: int = 4
    shared_tokens: int = 32


def plan_waves(prompts: Sequence[Ids], new_tokens: Sequence[int], limits: WaveLimits) -> list[Wave]:
    """Cut rows into waves, each in one; a pure function of its arguments, whatever the order of the prompts."""
    as_bytes = [np.asarray(prompt, dtype=">i4").tobytes() for prompt in prompts]
    order = sorted(range(len(prompts)), key=lambda i: (as_bytes[i], new_tokens[i], i))
    arrays = [np.frombuffer(prompts[i], dtype=np.int32) for i in order]
    groups: list[list[int]] = []
    shared: list[int] = []
    alone: list[int] = []
    at = 0
    while at < len(order):
        # The last token is each row's own: what it predicts is the row's first new token.
        depth, end = len(arrays[at]) - 1, at + 1
        while end < len(order):
            common = min(depth, common_length(arrays[end - 1], arrays[end]), len(arrays[end]) - 1)
            if common < max(limits.shared_tokens, depth // 2 if end > at + 1 else 0):
                break
            depth, end = common, end + 1
        if end == at + 1:
            alone.append(order[at])
        else:
            groups.append(order[at:end])
            shared.append(depth)
        at = end
    if alone:
        groups.append(alone)
        shared.append(0)
    return [
        wave
        for rows, n_shared in zip(groups, shared, strict=True)
        for wave in _waves(rows, n_shared, [len(prompt) for prompt in prompts], new_tokens, limits)
    ]


def _waves(
    rows: list[int], n_shared: int, lengths: Sequence[int], new_tokens: Sequence[int], limits: WaveLimits
) -> list[Wave]:
    rows = sorted(rows, key=lambda i: -(lengths[i] + new_tokens[i]))
    waves = []
    while rows:
        slot_tokens = lengths[rows[0]] - n_shared + new_tokens[rows[0]]
        n_slots = min(limits.most_slots, max(1, limits.kept_tokens // slot_tokens))
        chosen, rows = rows[: n_slots * limits.refills], rows[n_slots * limits.refills :]
        waves.append(Wave(tuple(chosen), n_shared, min(n_slots, len(chosen)), slot_tokens))
    return waves
