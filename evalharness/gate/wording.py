"""How a gate writes its numbers: gains in points of a range or in percent, positive where the candidate is better."""

from __future__ import annotations

import math

_MINUS = "\N{MINUS SIGN}"
_MOST_DECIMALS = 4


def amount(value: float, scale: str, unit: str, *, signed: bool = True) -> str:
    """Return a gain in words: ``-3.1 points`` of a range of 100, ``-2.0 %`` of a ratio, or a number in the metric's unit.

    A log-ratio g of a perplexity is written as the share 1 - exp(-g) by which it is better: -2 % is a perplexity 2 % greater.
    """
    number, suffix = shown_on(value, scale, unit)
    text = _digits(number, signed=signed)
    return f"{text} {suffix}" if suffix else text


def bounds(low: float, high: float, scale: str, unit: str) -> str:
    """Return an interval in the same words, such as ``[-4.9, -1.3]``."""
    ends = [shown_on(end, scale, unit)[0] for end in (low, high)]
    decimals = max(_decimals(end) for end in ends)
    return f"[{', '.join(_digits(end, decimals=decimals) for end in ends)}]"


def shown_on(value: float, scale: str, unit: str) -> tuple[float, str]:
    """Return a gain as the number and the word that people read."""
    if scale == "log-ratio":
        return -100 * math.expm1(-value), "%"
    if scale == "relative":
        return 100 * value, "%"
    if scale == "share" or unit == "fraction":
        return 100 * value, "points"
    return value, "points" if unit == "percent" else unit


def counted(n: int, noun: str) -> str:
    """Return a number of things, such as ``1 task`` or ``3 tasks``."""
    return f"{n:,} {noun if n == 1 else noun + 's'}"


def probability(p: float) -> str:
    """Return a p-value with two significant digits, never as zero."""
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}"


def _digits(number: float, *, signed: bool = True, decimals: int | None = None) -> str:
    text = f"{abs(number):.{_decimals(number) if decimals is None else decimals}f}"
    if not signed or float(text) == 0:
        return text
    return f"{_MINUS if number < 0 else '+'}{text}"


def _decimals(number: float) -> int:
    """One decimal for points; more for small numbers, so that two digits are seen."""
    if number == 0 or abs(number) >= 0.95:
        return 1
    return min(_MOST_DECIMALS, 1 - math.floor(math.log10(abs(number))))
