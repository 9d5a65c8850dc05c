"""Packs compute every prefix with its own ancestors, read every target once, and keep stems as long as they are needed."""

from __future__ import annotations

from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.engine.prefix import Pack, PackLimits, needed_packs, plan_packs

ROWS = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple), min_size=1, max_size=25, unique=True)
LIMITS = st.builds(
    PackLimits, st.integers(1, 20), st.integers(1, 12), st.integers(1, 8), st.integers(1, 4), st.integers(1, 12)
)


def spans_of(rows: list[tuple[int, ...]]) -> list[list[tuple[int, int]]]:
    """All of a row, and its last token once more, which another query may ask for."""
    return [[(0, len(row)), (len(row) - 1, 1)] for row in rows]


def plan(rows: list[tuple[int, ...]], limits: PackLimits) -> list[Pack]:
    return list(plan_packs([array("i", row) for row in rows], spans_of(rows), limits))


def seen_texts(packs: list[Pack]) -> dict[tuple[int, int, int], tuple[int, ...]]:
    """The tokens that each read's state has seen, its own included, in order: what a model would compute it from."""
    stems: dict[int, tuple[int, ...]] = {}
    found: dict[tuple[int, int, int], tuple[int, ...]] = {}
    for pack in packs:
        for block in pack.blocks:
            before = sum((stems[stem] for stem in block.chain), ())
            ends = block.ends or (len(block.ids),) * len(block.ids)
            for read in block.reads:
                for i, offset in enumerate(read.offsets):
                    visible = [j for j in range(offset + 1) if offset < ends[j]]
                    assert [block.positions[j] for j in visible] == list(range(len(before), len(before) + len(visible)))
                    spot = (read.row, read.query, read.first + i)
                    assert spot not in found
                    found[spot] = (*before, *(block.ids[j] for j in visible))
            if block.stem is not None:
                assert block.ends is None
                stems[block.stem] = tuple(block.ids)
        for stem in pack.frees:
            del stems[stem]
    assert not stems
    return found


@given(ROWS, LIMITS)
@settings(deadline=None, max_examples=300)
def test_every_target_is_read_once_behind_exactly_its_own_prefix(rows, limits):
    found = seen_texts(plan(rows, limits))
    assert found == {
        (r, query, i): row[: at + i + 1]
        for r, row in enumerate(rows)
        for query, (at, n) in enumerate(spans_of(rows)[r])
        for i in range(n)
    }


@given(ROWS, LIMITS)
@settings(deadline=None, max_examples=100)
def test_no_pack_is_larger_than_asked_for(rows, limits):
    assert all(pack.n_tokens <= limits.pack_tokens for pack in plan(rows, limits))


@given(ROWS, LIMITS, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100)
def test_packs_do_not_depend_on_the_order_of_the_rows(rows, limits, random):
    shuffled = random.sample(rows, len(rows))
    there = [[(block.ids, block.ends, block.chain) for block in pack.blocks] for pack in plan(rows, limits)]
    assert there == [[(block.ids, block.ends, block.chain) for block in pack.blocks] for pack in plan(shuffled, limits)]


@given(ROWS, LIMITS, st.data())
@settings(deadline=None, max_examples=100)
def test_packs_for_some_rows_suffice_for_them(rows, limits, data):
    wanted = data.draw(st.sets(st.integers(0, len(rows) - 1)))
    packs = plan(rows, limits)
    needed = needed_packs(packs, wanted)
    computed: set[int] = set()
    read = set()
    for index in sorted(needed):
        for block in packs[index].blocks:
            assert set(block.chain) <= computed
            read |= {(one.row, one.query, one.first + i) for one in block.reads for i in range(len(one.offsets))}
        computed |= {block.stem for block in packs[index].blocks if block.stem is not None}
    assert read >= {(r, q, i) for r in wanted for q, (_, n) in enumerate(spans_of(rows)[r]) for i in range(n)}


def test_a_shared_header_is_computed_once():
    header = tuple(range(100, 150))
    rows = [(*header, 200 + document, *options) for document in range(20) for options in ((1, 2), (1, 3), (4,))]
    packs = plan(rows, PackLimits(pack_tokens=64, block_tokens=16, merged_tokens=8, stem_tokens=8))
    assert sum(pack.n_tokens for pack in packs) == 50 + 20 * 5


def test_rows_that_extend_one_another_a_thousand_times_are_planned():
    rows = [tuple(range(length)) for length in range(1, 1200)]
    packs = plan(rows, PackLimits(pack_tokens=64))
    assert (
        sum(pack.n_tokens for pack in packs) < 10 * 1200
    )  # 16 tokens are shared at least before a stem is worth its while
