"""Attention over packs: each token sees its own ancestors in its block, and the stems before it.

transformers' attention interface lets a function of ours take the place of a model's attention. It computes attention within
blocks, attention to each stem's kept keys and values, and joins the parts by their log-sum-exps: softmax over all keys is the
mean of the parts' softmaxes, weighted by the parts' sums (Milakov and Gimelshein 2018, arXiv:1805.02867). The Linear layers
see a pack as one sequence without padding.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface

from evalharness.engine.prefix import Block, Pack

NAME = "evalharness_packed"
#: What a model may hand to its attention without meaning anything that the packed one does not do.
_HARMLESS = frozenset(
    {
        "dropout",
        "scaling",
        "sliding_window",
        "position_ids",
        "is_causal",
        "use_cache",
        "output_attentions",
        "cache_position",
    }
)
#: Elements of a table of scores where no kernel returns the log-sum-exp: 256 MB of float32.
_TABLE_ELEMENTS = 1 << 26

#: (keys, values) of a stem, both (1, H, T, D), by attention module.
KeptStem = dict[Any, tuple[torch.Tensor, torch.Tensor]]


class UnsupportedAttention(Exception):  # noqa: N818 - not an error of the program: the model is answered in padded batches
    """What a model's attention does that the packed one does not."""


@dataclass(slots=True)
class _Tiles:
    """Blocks of similar length side by side: where their tokens lie in the pack.

    gather: (B * W) places in the pack, row by row. is_whole: one block is the whole pack. rows: of the (B * W) results, those
    that are tokens and not padding. to: their places in the pack. mask: (B, 1, W, W) additive, None for causal.
    """

    shape: tuple[int, int]
    gather: torch.Tensor
    is_whole: bool
    rows: torch.Tensor
    to: torch.Tensor
    mask: torch.Tensor | None


@dataclass(slots=True)
class Slots:
    """Rows that are being written, a slot each; the first n of them take part in a step.

    kept: keys and values (S, G, L, D) by attention module, made when first seen. lengths: tokens of the n rows, before the
    step. mask: (n, 1, 1, W) additive, W the longest row's tokens with the step's own.
    """

    n_slots: int
    slot_tokens: int
    kept: dict[Any, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)
    lengths: torch.Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    mask: torch.Tensor = field(default_factory=lambda: torch.zeros(0))

    def fill(self, slot: int, row: KeptStem) -> None:
        """Copy a row's keys and values into a slot."""
        for module, parts in row.items():
            if module not in self.kept:
                shapes = [(self.n_slots, part.shape[1], self.slot_tokens, part.shape[3]) for part in parts]
                keys, values = (part.new_zeros(shape) for part, shape in zip(parts, shapes, strict=True))
                self.kept[module] = keys, values
            for kept, part in zip(self.kept[module], parts, strict=True):
                kept[slot, :, : part.shape[2]] = part[0]

    def move(self, source: int, target: int, n_tokens: int) -> None:
        """Copy one slot's first tokens over another."""
        for parts in self.kept.values():
            for kept in parts:
                kept[target, :, :n_tokens] = kept[source, :, :n_tokens]

    def prepare(self, lengths: Sequence[int], dtype: torch.dtype, device: torch.device) -> None:
        """Say how many tokens each row that takes part in the next step has."""
        self.lengths = torch.tensor(lengths, device=device)
        column = torch.arange(max(lengths) + 1, device=device)
        self.mask = torch.zeros(len(lengths), len(column), dtype=dtype, device=device)
        self.mask = self.mask.masked_fill_(column > self.lengths[:, None], -math.inf)[:, None, None]


@dataclass(slots=True)
class PackLayout:
    """A pack as its attention sees it.

    links: (begin, end, stem), tokens [begin, end) see the stem. keeps: the same, for stems that are these tokens. stems: what
    is kept. longest: of the rows. slots: in their place, where every token of the pack continues a row of its own. calls: how
    often the attention was asked.
    """

    tiles: list[_Tiles]
    links: list[tuple[int, int, int]]
    keeps: list[tuple[int, int, int]]
    stems: dict[int, KeptStem]
    longest: int
    slots: Slots | None = None
    calls: int = 0


_LAYOUT: ContextVar[PackLayout] = ContextVar("pack_layout")


def pack_inputs(pack: Pack, device: torch.device) -> dict[str, torch.Tensor]:
    """Return ids and positions of a pack, both (1, T) int64."""
    ids = [token for block in pack.blocks for token in block.ids]
    positions = [position for block in pack.blocks for position in block.positions]
    return {
        "input_ids": torch.tensor([ids], device=device),
        "position_ids": torch.tensor([positions], device=device),
    }


def pack_layout(pack: Pack, stems: dict[int, KeptStem], *, dtype: torch.dtype, device: torch.device) -> PackLayout:
    """Describe a pack for `packed_attention`; `stems` holds what is kept, and receives what this pack keeps."""
    links: list[tuple[int, int, int]] = []
    keeps: list[tuple[int, int, int]] = []
    classes: dict[tuple[int, bool], list[tuple[int, Block]]] = {}
    at = 0
    for block in pack.blocks:
        n_tokens = len(block.ids)
        for stem in block.chain:
            last = next((i for i in range(len(links)) if links[i][2] == stem and links[i][1] == at), None)
            if last is None:
                links.append((at, at + n_tokens, stem))
            else:
                links[last] = (links[last][0], at + n_tokens, stem)
        if block.stem is not None:
            keeps.append((at, at + n_tokens, block.stem))
        classes.setdefault((_width_class(n_tokens), block.ends is None), []).append((at, block))
        at += n_tokens
    for _, _, stem in keeps:
        stems[stem] = {}
    tiles = [_tiles(found, at, is_chain, dtype, device) for (_, is_chain), found in sorted(classes.items())]
    longest = max(max(block.positions) + 1 for block in pack.blocks)
    return PackLayout(tiles, links, keeps, stems, longest)


def _width_class(n_tokens: int) -> int:
    """Round up to a half of a power of two, so that padding adds a third at most to the tokens that attention sees."""
    power = 1 << max(3, (n_tokens - 1).bit_length())
    return power * 3 // 4 if n_tokens <= power * 3 // 4 else power


def _tiles(
    blocks: Sequence[tuple[int, Block]], n_tokens: int, is_chain: bool, dtype: torch.dtype, device: torch.device
) -> _Tiles:
    lengths = torch.tensor([len(block.ids) for _, block in blocks])
    starts = torch.tensor([start for start, _ in blocks])
    width = int(lengths.max())
    column = torch.arange(width)
    is_token = column < lengths[:, None]
    places = torch.where(is_token, starts[:, None] + column, 0).flatten()
    rows = is_token.flatten().nonzero().squeeze(-1)
    return _Tiles(
        shape=(len(blocks), width),
        gather=places.to(device),
        is_whole=len(blocks) == 1 and width == n_tokens,
        rows=rows.to(device),
        to=places[rows].to(device),
        mask=None if is_chain else _ancestors([block for _, block in blocks], width, dtype).to(device),
    )


def _ancestors(blocks: Sequence[Block], width: int, dtype: torch.dtype) -> torch.Tensor:
    """Return the additive mask (B, 1, W, W): token i sees j <= i where i < ends[j]; padding sees itself, to stay finite."""
    ends = torch.zeros(len(blocks), width, dtype=torch.long)
    for b, block in enumerate(blocks):
        ends[b, : len(block.ids)] = torch.tensor(block.ends)
    i = torch.arange(width)
    sees = (i[None, :] <= i[:, None]) & (i[:, None] < ends[:, None, :])
    sees |= torch.eye(width, dtype=torch.bool)
    return torch.zeros(sees.shape, dtype=dtype).masked_fill_(~sees, -math.inf)[:, None]


def configs_of(model: Any) -> list[Any]:
    """Return every config that says which attention a module of `model` uses."""
    return list({id(module.config): module.config for module in model.modules() if hasattr(module, "config")}.values())


@contextmanager
def packed(configs: Sequence[Any], layout: PackLayout) -> Iterator[None]:
    """Let the models of `configs` attend as `layout` says, and as before afterwards."""
    before = [config._attn_implementation for config in configs]
    token = _LAYOUT.set(layout)
    try:
        for config in configs:
            config._attn_implementation_internal = NAME
        yield
    finally:
        for config, name in zip(configs, before, strict=True):
            config._attn_implementation_internal = name
        _LAYOUT.reset(token)


def packed_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attend over a pack: query (1, H, T, D), key and value (1, G, T, D) with H a multiple of G; returns (1, T, H, D).

    Raises `UnsupportedAttention` for whatever else a model asks of its attention.
    """
    layout = _LAYOUT.get()
    _refuse_others(module, query, key, attention_mask, others, layout)
    layout.calls += 1
    for begin, end, stem in layout.keeps:
        layout.stems[stem][module] = key[:, :, begin:end].contiguous(), value[:, :, begin:end].contiguous()
    groups = query.shape[1] // key.shape[1]
    if layout.slots is None:
        output, log_sums = _within_blocks(layout, query, key, value, scaling, groups)
    else:
        output, log_sums = _over_slots(layout.slots, module, query, key, value, scaling)
    for begin, end, stem in layout.links:
        keys, values = layout.stems[stem][module]
        part, sums = _to_stem(query[:, :, begin:end], keys, values, scaling, groups)
        # Both are means of values; the stem's share of the whole is its share of the sum of exponentials.
        share = torch.sigmoid(sums - log_sums[:, :, begin:end])[..., None].to(part.dtype)
        output[:, begin:end] = torch.lerp(output[:, begin:end], part.transpose(1, 2), share.transpose(1, 2))
        log_sums[:, :, begin:end] = torch.logaddexp(sums, log_sums[:, :, begin:end])
    return output, None


def _refuse_others(
    module: Any, query: torch.Tensor, key: torch.Tensor, mask: Any, others: dict[str, Any], layout: PackLayout
) -> None:
    strange = sorted(name for name, value in others.items() if value is not None and name not in _HARMLESS)
    if strange:
        raise UnsupportedAttention(f"attention takes {', '.join(strange)}")
    window = others.get("sliding_window")
    if window is not None and layout.longest > window:
        raise UnsupportedAttention(f"a sliding window of {window} tokens")
    if mask is not None or others.get("is_causal") is False or getattr(module, "is_causal", True) is False:
        raise UnsupportedAttention("attention that is not causal")
    if others.get("dropout") or query.shape[0] != 1 or query.shape[2] != key.shape[2]:
        raise UnsupportedAttention("attention over something else than the pack")


def _within_blocks(
    layout: PackLayout, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None, groups: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (1, T, H, D) and its log-sum-exps (1, H, T)."""
    key, value = (part.repeat_interleave(groups, dim=1) if groups > 1 else part for part in (key, value))
    if len(layout.tiles) == 1 and layout.tiles[0].is_whole:
        part, sums = attend(query, key, value, scaling, mask=layout.tiles[0].mask, causal=layout.tiles[0].mask is None)
        return part.transpose(1, 2), sums
    output = torch.empty_like(value.transpose(1, 2), memory_format=torch.contiguous_format)
    log_sums = torch.empty(query.shape[:3], dtype=torch.float32, device=query.device)
    by_token = [part[0].transpose(0, 1) for part in (query, key, value)]  # each (T, H, D)
    for tiles in layout.tiles:
        n_rows, width = tiles.shape
        q, k, v = (
            part.index_select(0, tiles.gather).view(n_rows, width, *part.shape[1:]).transpose(1, 2) for part in by_token
        )
        part, sums = attend(q, k, v, scaling, mask=tiles.mask, causal=tiles.mask is None)
        output[0, tiles.to] = part.transpose(1, 2).reshape(n_rows * width, *output.shape[2:])[tiles.rows]
        log_sums[0, :, tiles.to] = sums.transpose(0, 1).reshape(-1, n_rows * width)[:, tiles.rows]
    return output, log_sums


def _over_slots(
    slots: Slots, module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keep each token's key and value in its slot, and attend to the slot; returns (1, n, H, D) and (1, H, n)."""
    keys, values = slots.kept[module]
    n_rows, n_heads, n_groups = query.shape[2], query.shape[1], key.shape[1]
    row = torch.arange(n_rows, device=query.device)
    keys[row, :, slots.lengths] = key[0].transpose(0, 1)
    values[row, :, slots.lengths] = value[0].transpose(0, 1)
    width = slots.mask.shape[-1]
    folded = query[0].transpose(0, 1).reshape(n_rows, n_groups, n_heads // n_groups, -1)
    mask = slots.mask.expand(-1, -1, n_heads // n_groups, -1)
    part, sums = attend(folded, keys[:n_rows, :, :width], values[:n_rows, :, :width], scaling, mask=mask, causal=False)
    return part.reshape(1, n_rows, n_heads, -1), sums.reshape(n_rows, n_heads).T[None].contiguous()


def _to_stem(
    query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, scaling: float | None, groups: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend from (1, H, T, D) to all of a stem; heads that share keys become further queries."""
    _, n_heads, n_tokens, size = query.shape
    folded = query.reshape(1, n_heads // groups, groups * n_tokens, size) if groups > 1 else query
    part, sums = attend(folded, keys, values, scaling, mask=None, causal=False)
    return part.reshape(1, n_heads, n_tokens, part.shape[-1]), sums.reshape(1, n_heads, n_tokens)


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
    *,
    mask: torch.Tensor | None,
    causal: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend from (B, H, T, D) to (B, H, S, D); returns (B, H, T, D) and the float32 log-sum-exps of the scores (B, H, T)."""
    if query.device.type == "cpu":
        output, log_sums = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, is_causal=causal, attn_mask=mask, scale=scaling
        )
        return output, log_sums
    return attend_plainly(query, key, value, scaling, mask=mask, causal=causal)


def attend_plainly(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    scaling: float | None,
    *,
    mask: torch.Tensor | None,
    causal: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Do the same as `attend` with matrix products alone, some queries at a time, for devices without such a kernel."""
    scaling = 1 / math.sqrt(query.shape[-1]) if scaling is None else scaling
    n_queries, n_keys = query.shape[2], key.shape[2]
    step = max(1, _TABLE_ELEMENTS // (query.shape[0] * query.shape[1] * n_keys))
    parts, sums = [], []
    column = torch.arange(n_keys, device=query.device)
    for start in range(0, n_queries, step):
        scores = (query[:, :, start : start + step] @ key.transpose(-1, -2)).float() * scaling
        if mask is not None:
            scores = scores + mask[:, :, start : start + step]
        if causal:
            row = torch.arange(start, start + scores.shape[2], device=query.device)
            scores = scores.masked_fill(column > row[:, None], -math.inf)
        log_sums = torch.logsumexp(scores, -1)
        parts.append(torch.exp(scores - log_sums[..., None]).to(value.dtype) @ value)
        sums.append(log_sums)
    return torch.cat(parts, 2), torch.cat(sums, 2)


AttentionInterface.register(NAME, packed_attention)
