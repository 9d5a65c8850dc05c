"""Points with their intervals as a picture in SVG, of shapes and texts alone: colours and fonts come from the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as Xml

#: Rows of one picture: more are not read.
MOST_ROWS = 30
_WIDTH, _LABELS, _MARGIN = 760, 250, 16
_ROW_PIXELS, _AXIS_PIXELS = 22, 28
_LABEL_CHARACTERS = 34


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """One line of a picture, from the top; low, high: None where there is no interval. is_strong: drawn to stand out."""

    label: str
    value: float
    low: float | None
    high: float | None
    said: str
    is_strong: bool = False


def ticks(low: float, high: float) -> list[float]:
    """Return three to nine round numbers within [low, high], at steps of 1, 2 or 5 times a power of ten."""
    if not low < high:
        return [low]
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * next(each for each in (1, 2, 5, 10) if each * power >= raw)
    return [round(n * step, 12) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def interval_picture(rows: Sequence[IntervalRow], title: str, *, reference: float | None = None) -> str:
    """Return rows from top to bottom as an SVG element; reference: where a dashed line stands.

    Texts are escaped by the writer; they must hold no control characters.
    """
    numbers = [each for row in rows for each in (row.value, row.low, row.high) if each is not None]
    if reference is not None:
        numbers.append(reference)
    low, high = min(numbers), max(numbers)
    room = (high - low or abs(high) or 1.0) * 0.04
    low, high = low - room, high + room

    def across(value: float) -> str:
        return f"{_LABELS + (value - low) / (high - low) * (_WIDTH - _LABELS - _MARGIN):.1f}"

    bottom = _ROW_PIXELS * len(rows) + 4
    height = bottom + _AXIS_PIXELS
    root = Xml.Element("svg", {"viewBox": f"0 0 {_WIDTH} {height}", "role": "img", "aria-label": title})
    for tick in ticks(low, high):
        x = across(tick)
        Xml.SubElement(root, "line", {"class": "grid", "x1": x, "x2": x, "y1": "0", "y2": str(bottom)})
        label = Xml.SubElement(root, "text", {"class": "tick", "x": x, "y": str(bottom + 14)})
        label.text = f"{tick:g}"
    if reference is not None:
        x = across(reference)
        Xml.SubElement(root, "line", {"class": "reference", "x1": x, "x2": x, "y1": "0", "y2": str(bottom)})
    for place, row in enumerate(rows):
        _draw_row(root, row, y=_ROW_PIXELS * place + _ROW_PIXELS / 2 + 2, across=across)
    return Xml.tostring(root, encoding="unicode")


def _draw_row(root: Xml.Element, row: IntervalRow, *, y: float, across: Callable[[float], str]) -> None:
    group = Xml.SubElement(root, "g", {"class": "strong" if row.is_strong else "weak"})
    Xml.SubElement(group, "title").text = f"{row.label}: {row.said}"
    label = Xml.SubElement(group, "text", {"class": "label", "x": str(_LABELS - 10), "y": f"{y + 4:g}"})
    is_long = len(row.label) > _LABEL_CHARACTERS
    label.text = f"{row.label[: _LABEL_CHARACTERS - 1]}…" if is_long else row.label
    if row.low is not None and row.high is not None:
        ends = {"x1": across(row.low), "x2": across(row.high), "y1": f"{y:g}", "y2": f"{y:g}"}
        Xml.SubElement(group, "line", {"class": "bar", **ends})
    Xml.SubElement(group, "circle", {"cx": across(row.value), "cy": f"{y:g}", "r": "4"})
