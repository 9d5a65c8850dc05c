"""Chance, and what is held out: both depend on nothing but their arguments."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1


class Dice:
    """A deterministic source of chance (splitmix64), the same on every Python version and platform.

    The committed test documents must come out of this package again years later; the standard library and numpy
    promise no such thing for their higher-level draws.
    Source of the constants: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (OOPSLA 2014).
    """

    def __init__(self, *seed: object) -> None:
        """Seed the dice from any values; equal text forms give equal dice."""
        self._state = int.from_bytes(hashlib.sha256(repr(seed).encode()).digest()[:8], "big")

    def below(self, n: int) -> int:
        """Draw an integer from 0 to n - 1 (the bias of the remainder is under n / 2**64)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return (z ^ (z >> 31)) % n

    def between(self, low: int, high: int) -> int:
        """Draw an integer from low to high, both included."""
        return low + self.below(high - low + 1)

    def pick(self, values: Sequence[T]) -> T:
        """Draw one value."""
        return values[self.below(len(values))]

    def sample(self, values: Sequence[T], count: int) -> list[T]:
        """Draw `count` distinct positions, in random order."""
        rest = list(values)
        return [rest.pop(self.below(len(rest))) for _ in range(count)]


def is_held_out(key: str, percent: int = 10) -> bool:
    """Whether the item with this key belongs to the tests (about `percent` of all keys) and never to training."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 100 < percent
