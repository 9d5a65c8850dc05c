"""All results as one table: a row a run, task and metric, with its interval, and the runs that could not be read."""

from __future__ import annotations

import streamlit as st

from leaderboard import source


def main() -> None:
    """Draw the page."""
    st.title("Leaderboard")
    runs = source.runs()
    rows = source.headlines()
    if not rows:
        st.info("No finished run yet. Start one with: evalharness run -m zoo-llama-base -t demo")
    else:
        st.dataframe(
            [
                {
                    "model": row.model,
                    "task": row.task,
                    "metric": row.metric,
                    "value": row.value,
                    "low": row.low,
                    "high": row.high,
                    "n": row.n,
                }
                for row in rows
            ],
            width="stretch",
        )
    for run in runs:
        if run.state != "committed":
            st.text(f"{run.run_id}: {run.state}: {run.reason}")


main()
