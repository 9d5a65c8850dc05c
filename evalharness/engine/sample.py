"""Choosing the next token of each row by its own rules and its own random stream.

Every row has its own generator, so that which rows share a batch cannot change what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from evalharness.request import Decoding

#: torch.Generator takes seeds below 2**63.
_SEED_MASK = (1 << 63) - 1


def generator_for(seed: int) -> torch.Generator:
    """Make a row's random stream; it lives on the CPU, so that each device draws the same numbers."""
    stream = torch.Generator(device="cpu")
    stream.manual_seed(seed & _SEED_MASK)
    return stream


def penalise(
    scores: torch.Tensor, seen: torch.Tensor, counts: torch.Tensor, decodings: Sequence[Decoding]
) -> torch.Tensor:
    """Apply the penalties of each row to (B, V) logits.

    seen: (B, V) bool, tokens of prompt or answer. counts: (B, V) how often each token was generated.
    Repetition divides positive logits and multiplies negative ones (Keskar et al. 2019, arXiv:1909.05858, in the form that
    transformers uses, where a penalty above 1 always lowers); frequency and presence subtract, as OpenAI's API defines.
    """
    column = {
        name: torch.tensor([getattr(decoding, name) for decoding in decodings], device=scores.device)[:, None]
        for name in ("repetition_penalty", "frequency_penalty", "presence_penalty")
    }
    repetition = column["repetition_penalty"]
    lowered = torch.where(scores < 0, scores * repetition, scores / repetition)
    scores = torch.where(seen, lowered, scores)
    return scores - counts * column["frequency_penalty"] - (counts > 0) * column["presence_penalty"]


def draw(scores: torch.Tensor, decodings: Sequence[Decoding], streams: Sequence[torch.Generator]) -> torch.Tensor:
    """Draw one token a row from (B, V) logits: temperature, then top-k, then top-p, then inverse transform sampling.

    top_p keeps the smallest set of most probable tokens whose probability reaches it, at least one. Returns (B,) ids.
    """
    temperature = torch.tensor([decoding.temperature for decoding in decodings], device=scores.device)[:, None]
    ranked, ids = torch.sort(scores.float() / temperature, dim=-1, descending=True, stable=True)
    top_k = torch.tensor([decoding.top_k or scores.shape[-1] for decoding in decodings], device=scores.device)[:, None]
    rank = torch.arange(scores.shape[-1], device=scores.device)[None, :]
    ranked = ranked.masked_fill(rank >= top_k, -torch.inf)
    probabilities = torch.softmax(ranked.double(), dim=-1)
    before = probabilities.cumsum(-1) - probabilities
    top_p = torch.tensor([decoding.top_p for decoding in decodings], device=scores.device, dtype=torch.float64)[:, None]
    probabilities = probabilities.masked_fill((before >= top_p) & (rank > 0), 0.0)
    cumulative = probabilities.cumsum(-1)
    point = torch.stack([torch.rand((), generator=stream, dtype=torch.float64) for stream in streams])
    threshold = point.to(scores.device)[:, None] * cumulative[:, -1:]
    # The first token whose cumulative probability exceeds the point; a point is below 1, so there is one unless all are NaN.
    chosen = (cumulative <= threshold).sum(-1, keepdim=True).clamp_max(scores.shape[-1] - 1)
    return ids.gather(-1, chosen).squeeze(-1)
