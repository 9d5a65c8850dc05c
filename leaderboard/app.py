"""The leaderboard: stored runs as a table, read from the run directories (``streamlit run leaderboard/app.py``).

It reads records only: no engine, no torch. Model output is never rendered as markup.
"""

from __future__ import annotations

import os

import streamlit as st

from evalharness.run.export import rows_of
from evalharness.run.store import ResultStore


def main() -> None:
    """Draw the page: one row a run, task and metric, with its interval, and the runs that could not be read."""
    st.set_page_config(page_title="evalharness", layout="wide")
    st.title("evalharness")
    entries = ResultStore(os.environ.get("EVALHARNESS_RESULTS") or "results").runs()
    records = [entry.record for entry in entries if entry.record is not None]
    if not records:
        st.info("No finished run yet. Start one with: evalharness run -m zoo-llama-base -t demo")
    st.dataframe(rows_of(records), width="stretch")
    for entry in entries:
        if entry.record is None:
            st.text(f"{entry.run_id}: {entry.state}: {entry.reason}")


main()
