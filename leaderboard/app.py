"""The leaderboard's entry: which pages there are (``streamlit run leaderboard/app.py``, or ``evalharness board``)."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

# Streamlit puts this folder on the path; the pages import `leaderboard`, which lies one above it, here and in the wheel.
_ABOVE = str(Path(__file__).resolve().parents[1])
if _ABOVE not in sys.path:
    sys.path.insert(0, _ABOVE)

from leaderboard.access import access, demand_sign_in  # noqa: E402  # needs the path above
from leaderboard.pages import PAGES  # noqa: E402  # needs the path above


def main() -> None:
    """Draw the page that the URL names."""
    # A local icon: Streamlit would fetch the one of a `:material/...:` name from another site.
    st.set_page_config(page_title="evalharness", page_icon=str(Path(__file__).parent / "icon.svg"), layout="wide")
    if access().reading == "signed-in":
        demand_sign_in(key="board")
    folder = Path(__file__).parent / "views"
    pages = [
        st.Page(
            folder / f"{page.view}.py",
            title=page.title,
            url_path=page.view,
            default=page is PAGES[0],
            visibility="visible" if page.in_menu else "hidden",
        )
        for page in PAGES
    ]
    page = st.navigation(pages, position="top")
    st.set_page_config(page_title=f"{page.title} · evalharness")
    page.run()


main()
