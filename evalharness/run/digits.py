"""How numbers are shown: with the digits that their interval leaves meaningful, and no more."""

from __future__ import annotations

import math

_MOST_DECIMALS = 6
_PLAIN_FORMAT = ".4g"
_HUGE = 1e7


def decimals_of(low: float, high: float) -> int:
    """Return how many decimals show half the interval's width with two significant digits, 0 to 6.

    An interval without width says nothing about precision; four decimals then.
    """
    half = (high - low) / 2
    if half <= 0:
        return 4
    return min(max(1 - math.floor(math.log10(half)), 0), _MOST_DECIMALS)


def shown_value(value: float | None, low: float | None, high: float | None) -> str:
    """Return a value as text, its decimals from the interval's width; ``-`` for an unknown one."""
    if value is None:
        return "-"
    if low is None or high is None or _is_huge(value, high):
        return format(value, _PLAIN_FORMAT)
    return f"{value:.{decimals_of(low, high)}f}"


def shown_interval(low: float | None, high: float | None) -> str:
    """Return an interval as text, such as ``[0.51, 0.76]``; ``-`` where there is none."""
    if low is None or high is None:
        return "-"
    if _is_huge(low, high):
        return f"[{low:{_PLAIN_FORMAT}}, {high:{_PLAIN_FORMAT}}]"
    decimals = decimals_of(low, high)
    return f"[{low:.{decimals}f}, {high:.{decimals}f}]"


def _is_huge(*numbers: float) -> bool:
    """Say whether numbers are shown with an exponent: their digits would fill the table."""
    return any(abs(number) >= _HUGE for number in numbers)
