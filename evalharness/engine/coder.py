"""Arithmetic coding in exact integers: Witten, Neal and Cleary 1987, "Arithmetic coding for data compression", CACM 30(6).

A symbol is a slice [low, high) of a whole `total`: its cumulative frequencies. Encoder and decoder must be given the same
slices in the same order; then the decoder gives back the symbols, and the code is within a few bits of their
summed -log2((high - low) / total).
"""

from __future__ import annotations

#: Bits of the two registers. They stay at least 2**60 apart, so that even a slice of width one of the largest whole loses
#: less than 2**-8 of its width to rounding.
_BITS = 62
_TOP = (1 << _BITS) - 1
_HALF = 1 << (_BITS - 1)
_QUARTER = 1 << (_BITS - 2)

#: The largest whole that a slice may be part of.
MAX_TOTAL = 1 << 52


class ArithmeticEncoder:
    """Turns slices into bytes."""

    def __init__(self) -> None:
        self._low, self._high = 0, _TOP
        self._bits: list[int] = []
        self._n_pending = 0  # bits whose value is the opposite of the next one that is known

    def encode(self, low: int, high: int, total: int) -> None:
        """Write the symbol whose slice is [low, high) of `total`; raises ValueError for a slice that is none."""
        _check(low, high, total)
        width = self._high - self._low + 1
        self._high = self._low + width * high // total - 1
        self._low += width * low // total
        while True:
            if self._high < _HALF:
                self._emit(0)
            elif self._low >= _HALF:
                self._emit(1)
                self._low -= _HALF
                self._high -= _HALF
            elif self._low >= _QUARTER and self._high < _HALF + _QUARTER:
                self._n_pending += 1
                self._low -= _QUARTER
                self._high -= _QUARTER
            else:
                return
            self._low = 2 * self._low
            self._high = 2 * self._high + 1

    def finish(self) -> bytes:
        """Return all that was written, filled up with zero bits to a whole byte; nothing can be encoded afterwards."""
        self._n_pending += 1
        self._emit(0 if self._low < _QUARTER else 1)
        bits = self._bits + [0] * (-len(self._bits) % 8)
        return int("".join(map(str, bits)), 2).to_bytes(len(bits) // 8, "big")

    def _emit(self, bit: int) -> None:
        self._bits.append(bit)
        self._bits += [1 - bit] * self._n_pending
        self._n_pending = 0


class ArithmeticDecoder:
    """Turns bytes back into symbols: `target` says which slice comes next, `consume` takes it off."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0  # bits read
        self._low, self._high = 0, _TOP
        self._code = 0
        for _ in range(_BITS):
            self._code = 2 * self._code + self._next_bit()

    def target(self, total: int) -> int:
        """Return a number in [0, total) that lies in the next symbol's slice."""
        _check(0, total, total)
        width = self._high - self._low + 1
        return ((self._code - self._low + 1) * total - 1) // width

    def consume(self, low: int, high: int, total: int) -> None:
        """Take off the symbol whose slice is [low, high) of `total`; raises ValueError for a slice that is none."""
        _check(low, high, total)
        width = self._high - self._low + 1
        self._high = self._low + width * high // total - 1
        self._low += width * low // total
        while True:
            if self._high < _HALF:
                shift = 0
            elif self._low >= _HALF:
                shift = _HALF
            elif self._low >= _QUARTER and self._high < _HALF + _QUARTER:
                shift = _QUARTER
            else:
                return
            self._low = 2 * (self._low - shift)
            self._high = 2 * (self._high - shift) + 1
            self._code = 2 * (self._code - shift) + self._next_bit()

    def _next_bit(self) -> int:
        """Return the next bit; behind the end all are zero."""
        byte, bit = divmod(self._at, 8)
        self._at += 1
        return self._data[byte] >> (7 - bit) & 1 if byte < len(self._data) else 0


def _check(low: int, high: int, total: int) -> None:
    if not 0 <= low < high <= total <= MAX_TOTAL:
        raise ValueError(f"[{low}, {high}) of {total} is not a slice that can be coded")
