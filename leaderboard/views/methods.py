"""How every number on the pages is computed."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

_TEXT = Path(__file__).resolve().parents[1] / "methods.md"


def main() -> None:
    """Draw the page."""
    st.title("Methods")
    st.markdown(_TEXT.read_text(encoding="utf-8"))


main()
