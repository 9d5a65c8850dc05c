"""Which tokens are computed together when rows begin alike: stems once, branches packed behind them. Free of torch.

The rows' prefix tree is never built: sorted rows and the lengths of their common prefixes with their neighbours hold all of it.
A part of the tree with few tokens becomes a *block*, one sequence in which a token sees its own ancestors alone. What many
blocks share becomes a *stem*, whose keys and values are kept while they are computed. Blocks and stems are cut into *packs*,
one forward each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from evalharness.engine.texts import Ids

#: An interval of sorted rows, and how many of their first tokens are in stems: (lo, hi, base, chain of stems).
_Branch = tuple[int, int, int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Read:
    """Where a pack predicts targets [first, first + len(offsets)) of a row's query: offsets into the block, then the pack."""

    row: int
    query: int
    first: int
    offsets: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """Tokens computed as one sequence.

    ids, positions: of n tokens, positions counted from the rows' beginnings. ends: token i sees token j <= i where
    i < ends[j]; None where each sees all before it. chain: stems that all tokens see too, outermost first. stem: the number
    under which keys and values are kept, if they are.
    """

    ids: Ids
    positions: range | tuple[int, ...]
    ends: tuple[int, ...] | None
    chain: tuple[int, ...]
    stem: int | None
    reads: tuple[Read, ...]


@dataclass(frozen=True, slots=True)
class Pack:
    """Blocks of one forward; blocks with a common chain stand side by side. frees: stems that nothing needs afterwards."""

    blocks: tuple[Block, ...]
    frees: tuple[int, ...] = ()

    @property
    def n_tokens(self) -> int:
        """Tokens that the model reads."""
        return sum(len(block.ids) for block in self.blocks)


@dataclass(frozen=True, slots=True)
class PackLimits:
    """What a plan is made for; all in tokens.

    pack_tokens: of one forward. block_tokens: a part of the tree of so few is one block, and a longer one is cut where it
    branches. merged_tokens: neighbours of fewer make one block, though they share little. stem_tokens: what is shared is
    kept from this length on. kept_tokens: stems kept at a time, beyond one chain.
    """

    pack_tokens: int
    block_tokens: int = 256
    merged_tokens: int = 64
    stem_tokens: int = 16
    kept_tokens: int = 2048


def plan_packs(rows: Sequence[Ids], spans: Sequence[Sequence[tuple[int, int]]], limits: PackLimits) -> Iterator[Pack]:
    """Plan the forwards that compute all distinct rows; a pure function of its arguments.

    spans[r]: (at, n) of each query of row r, whose n targets are predicted from position `at` on. Every target of every
    query is read exactly once over all packs. A pack's stems are computed in earlier packs, and freed in no earlier one.
    """
    yield from _Planner(rows, spans, limits).packs()


def needed_packs(packs: Sequence[Pack], rows: Collection[int]) -> set[int]:
    """Find the packs that have to be computed for the answers of `rows`, stems included."""
    needed: set[int] = set()
    stems: set[int] = set()
    for index in reversed(range(len(packs))):
        blocks = packs[index].blocks
        if any(block.stem in stems or any(read.row in rows for read in block.reads) for block in blocks):
            needed.add(index)
            stems.update(stem for block in blocks for stem in block.chain)
    return needed


@dataclass(slots=True)
class _Group:
    """Stems computed together, and the branches behind each."""

    blocks: list[Block] = field(default_factory=list)
    branches: list[_Branch] = field(default_factory=list)
    n_tokens: int = 0


class _Planner:
    def __init__(self, rows: Sequence[Ids], spans: Sequence[Sequence[tuple[int, int]]], limits: PackLimits) -> None:
        # As big-endian bytes, ids sort as the numbers do.
        as_bytes = [np.asarray(row, dtype=">i4").tobytes() for row in rows]
        self._order = sorted(range(len(rows)), key=as_bytes.__getitem__)
        self._rows = [rows[index] for index in self._order]
        self._spans = [spans[index] for index in self._order]
        self._limits = limits
        # shared[i]: tokens that sorted row i has in common with row i - 1.
        arrays = [np.frombuffer(row, dtype=np.int32) for row in self._rows]
        shared = [0, *(common_length(a, b) for a, b in pairwise(arrays))]
        self._shared = np.array(shared, dtype=np.int64)
        self._lengths = np.array([len(row) for row in self._rows], dtype=np.int64)
        self._new_before = np.concatenate([[0], np.cumsum(self._lengths - self._shared)])
        self._n_stems = 0

    def packs(self) -> Iterator[Pack]:
        pending: list[_Group | tuple[int, ...]] = [_Group(branches=[(0, len(self._rows), 0, ())])]
        waiting: Pack | None = None  # held back until it is known which stems are free after it
        while pending:
            task = pending.pop()
            if isinstance(task, tuple):
                if waiting is not None:
                    waiting = Pack(waiting.blocks, (*waiting.frees, *task))
                continue
            blocks, groups = self._expand(task.branches)
            for pack in (*self._cut(task.blocks), *self._cut(blocks)):
                if waiting is not None:
                    yield waiting
                waiting = pack
            kept = tuple(block.stem for block in task.blocks if block.stem is not None)
            pending += [kept, *reversed(groups)]
        if waiting is not None:
            yield waiting

    def _expand(self, branches: Sequence[_Branch]) -> tuple[list[Block], list[_Group]]:
        """Cut branches into blocks, and into groups of stems with what is behind them."""
        blocks: list[Block] = []
        groups = [_Group()]
        pending = list(reversed(branches))
        while pending:
            lo, hi, base, chain = pending.pop()
            n_tokens, depth = self._n_tokens(lo, hi, base), self._depth(lo, hi)
            if n_tokens <= (self._limits.pack_tokens if hi - lo == 1 else self._block_tokens()):
                blocks.append(self._block(lo, hi, base, chain))
            elif depth - base >= min(self._limits.stem_tokens, self._limits.pack_tokens):
                depth = min(depth, base + self._limits.pack_tokens)
                stem = self._stem(lo, hi, base, depth, chain)
                if groups[-1].blocks and groups[-1].n_tokens + depth - base > self._limits.kept_tokens:
                    groups.append(_Group())
                groups[-1].blocks.append(stem)
                groups[-1].n_tokens += depth - base
                begin = lo + int(hi - lo > 1 and self._lengths[lo] == depth)  # a row that is the stem and no more
                if hi - lo > 1 or self._lengths[lo] > depth:
                    groups[-1].branches.append((begin, hi, depth, (*chain, self._n_stems - 1)))
            else:
                pending += reversed([(begin, end, base, chain) for begin, end in self._children(lo, hi, base, depth)])
        return blocks, [group for group in groups if group.blocks]

    def _block_tokens(self) -> int:
        return min(self._limits.block_tokens, self._limits.pack_tokens)

    def _n_tokens(self, lo: int, hi: int, base: int) -> int:
        """Count the distinct tokens of sorted rows [lo, hi) beyond their first `base`."""
        return int(self._lengths[lo] - base + self._new_before[hi] - self._new_before[lo + 1])

    def _depth(self, lo: int, hi: int) -> int:
        """Count the tokens that sorted rows [lo, hi) have in common."""
        return int(self._lengths[lo] if hi - lo == 1 else self._shared[lo + 1 : hi].min())

    def _children(self, lo: int, hi: int, base: int, depth: int) -> Iterator[tuple[int, int]]:
        """Split rows where they branch at `depth`; small neighbours stay together."""
        cuts = [lo, *(lo + 1 + np.flatnonzero(self._shared[lo + 1 : hi] == depth)).tolist(), hi]
        most = min(self._limits.merged_tokens, self._block_tokens())
        begin = lo
        for cut, after in zip(cuts[1:], [*cuts[2:], None], strict=True):
            if after is None or self._n_tokens(begin, after, base) > most:
                yield begin, cut
                begin = cut

    def _stem(self, lo: int, hi: int, base: int, depth: int, chain: tuple[int, ...]) -> Block:
        reads = [
            Read(self._order[i], query, first - at, tuple(range(first - base, last - base)))
            for i in range(lo, hi)
            for query, (at, n) in enumerate(self._spans[i])
            if (first := max(at, base)) < (last := min(at + n, depth))
        ]
        self._n_stems += 1
        return Block(self._rows[lo][base:depth], range(base, depth), None, chain, self._n_stems - 1, tuple(reads))

    def _block(self, lo: int, hi: int, base: int, chain: tuple[int, ...]) -> Block:
        """Lay out rows [lo, hi) depth first: each adds the tokens that it does not share with the row before."""
        ids, positions, ends, reads = Ids("i"), list[int](), list[int](), list[Read]()
        path: list[int] = []  # offsets of the present row's tokens, from position base on
        for i in range(lo, hi):
            row, kept = self._rows[i], (int(self._shared[i]) - base if i > lo else 0)
            for offset in path[kept:]:
                ends[offset] = len(ids)
            n_new = len(row) - base - kept
            path[kept:] = range(len(ids), len(ids) + n_new)
            ids += row[base + kept :]
            positions += range(base + kept, len(row))
            ends += [0] * n_new
            for query, (at, n) in enumerate(self._spans[i]):
                if (first := max(at, base)) < at + n:
                    reads.append(Read(self._order[i], query, first - at, tuple(path[first - base : at + n - base])))
        for offset in path:
            ends[offset] = len(ids)
        is_chain = all(end == len(ids) for end in ends)
        return Block(ids, tuple(positions), None if is_chain else tuple(ends), chain, None, tuple(reads))

    def _cut(self, blocks: list[Block]) -> Iterator[Pack]:
        """Cut blocks into packs: those of one chain side by side, similar lengths together."""
        chosen: list[Block] = []
        n_tokens = 0
        for block in sorted(blocks, key=lambda block: (block.chain, -len(block.ids))):
            if chosen and n_tokens + len(block.ids) > self._limits.pack_tokens:
                yield Pack(tuple(chosen))
                chosen, n_tokens = [], 0
            chosen.append(block)
            n_tokens += len(block.ids)
        if chosen:
            yield Pack(tuple(chosen))


def common_length(a: np.ndarray, b: np.ndarray) -> int:
    """Count the equal elements at the beginning of two arrays."""
    n = min(len(a), len(b))
    differs = a[:n] != b[:n]
    return int(differs.argmax()) if differs.any() else n
