"""The arithmetic coder alone: whatever goes in comes out, and is as short as it can be."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.engine.coder import MAX_TOTAL, ArithmeticDecoder, ArithmeticEncoder

#: A symbol and the frequencies of all symbols at its place, from level to lopsided.
frequency = st.one_of(st.integers(1, 5), st.integers(1, 2**30), st.just(2**44))
steps = st.lists(frequency, min_size=1, max_size=8).flatmap(
    lambda counts: st.tuples(st.just(counts), st.integers(0, len(counts) - 1))
)
messages = st.lists(steps, max_size=60)


def slice_of(counts: list[int], symbol: int) -> tuple[int, int, int]:
    low = sum(counts[:symbol])
    return low, low + counts[symbol], sum(counts)


def encoded(message: list[tuple[list[int], int]]) -> bytes:
    encoder = ArithmeticEncoder()
    for counts, symbol in message:
        encoder.encode(*slice_of(counts, symbol))
    return encoder.finish()


@given(messages)
def test_what_was_encoded_is_decoded(message):
    decoder = ArithmeticDecoder(encoded(message))
    for counts, symbol in message:
        target = decoder.target(sum(counts))
        found = next(i for i in range(len(counts)) if target < sum(counts[: i + 1]))
        assert found == symbol
        decoder.consume(*slice_of(counts, found))


@given(messages)
def test_the_code_is_within_a_few_bits_of_the_ideal(message):
    ideal = sum(math.log2(sum(counts) / counts[symbol]) for counts, symbol in message)
    # two bits to say where in the last interval, seven to fill the byte, and the rounding of 60 slices
    assert ideal - 0.5 <= 8 * len(encoded(message)) <= ideal + 2 + 7 + 0.5


def test_a_certain_message_costs_one_byte_whatever_its_length():
    assert len(encoded([([7], 0)] * 10_000)) == 1


def test_what_follows_the_code_does_not_matter_to_its_symbols():
    message = [([3, 1, 4], i % 3) for i in range(50)]
    for tail in (b"", b"\x00\x00", b"\xff" * 9):
        decoder = ArithmeticDecoder(encoded(message) + tail)
        for counts, symbol in message:
            low, high, total = slice_of(counts, symbol)
            assert low <= decoder.target(total) < high
            decoder.consume(low, high, total)


@pytest.mark.parametrize(("low", "high", "total"), [(0, 0, 4), (2, 1, 4), (-1, 1, 4), (0, 5, 4), (0, 1, MAX_TOTAL + 1)])
def test_a_slice_that_is_none_is_refused(low, high, total):
    with pytest.raises(ValueError, match="not a slice"):
        ArithmeticEncoder().encode(low, high, total)
    with pytest.raises(ValueError, match="not a slice"):
        ArithmeticDecoder(b"").consume(low, high, total)
