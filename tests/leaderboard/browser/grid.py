"""Streamlit's tables are drawn on a canvas: their cells have no elements, and are reached by where they lie."""

_MARKER_PIXELS, _ROW_PIXELS = 16, 33


def choose_row(page, row, *, grid=0):
    """Tick the box of a row, counted from 0."""
    _click(page, grid, _MARKER_PIXELS, _ROW_PIXELS * (row + 1.5))


def click_head(page, x, *, grid=0):
    """Click the head of the column that lies x pixels from the left."""
    _click(page, grid, x, _ROW_PIXELS / 2)


def _click(page, grid, x, y):
    canvas = page.get_by_test_id("stDataFrame").nth(grid)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.click(box["x"] + x, box["y"] + y)
