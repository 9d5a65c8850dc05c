"""All runs of the store, the unfinished and the corrupt ones too, each with its reason."""

from __future__ import annotations

import streamlit as st

from leaderboard import source
from leaderboard.grid import grid_height
from leaderboard.run_list import STATES, kept_runs, run_row, runs_as_csv


def main() -> None:
    """Draw the page."""
    st.title("Runs")
    runs = source.runs()
    if not runs:
        st.info("No run yet. Start one with: evalharness run -m zoo-llama-base -t demo")
        return
    left, right = st.columns([3, 4], vertical_alignment="bottom")
    text = left.text_input("Containing", key="text", bind="query-params", placeholder="in run, model, machine, reason")
    state = right.segmented_control("State", STATES, default="all", required=True, key="state", bind="query-params")
    found = kept_runs(runs, state, text)
    counts = [f"{sum(run.state == each for run in runs):,} {each}" for each in STATES[1:]]
    st.caption(f"{len(found):,} of {len(runs):,} runs ({', '.join(counts)}), newest first")
    st.dataframe(
        [run_row(run) for run in found],
        width="stretch",
        height=grid_height(len(found)),
        hide_index=True,
        column_config={
            "run": st.column_config.LinkColumn(display_text=r"run=(.+)$", pinned=True),
            "wall s": st.column_config.NumberColumn(format="%.1f"),
            "tokens/s": st.column_config.NumberColumn(format="%.0f"),
            "peak GiB": st.column_config.NumberColumn(format="%.2f"),
        },
    )
    st.download_button("CSV", lambda: runs_as_csv(found), file_name="runs.csv", mime="text/csv", on_click="ignore")


main()
