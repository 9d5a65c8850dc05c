"""How tall the grids of tables are."""

from __future__ import annotations

from typing import Literal

_MOST_ROWS_SEEN = 18
_PIXELS = 640


def grid_height(n_rows: int) -> int | Literal["content"]:
    """Return the height for a number of rows: as tall as they need, or a part of the page that scrolls."""
    return "content" if n_rows <= _MOST_ROWS_SEEN else _PIXELS
