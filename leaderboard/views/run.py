"""One run: where its numbers come from, how to make it again, what it took, and its results."""

from __future__ import annotations

import streamlit as st

from evalharness.index.queries import IndexedRun
from evalharness.run.record import RunRecord, encode_record
from leaderboard import stored
from leaderboard.inert import block, cell, title
from leaderboard.linking import page_link
from leaderboard.run_facts import event_rows, fact_rows, reproduction, result_rows, stage_rows


def main() -> None:
    """Draw the page."""
    name = st.query_params.get("run")
    run = stored.run_named(name)
    if run is None:
        st.title("Run")
        st.info("The store has no run of this id." if name else "Name a run in the address, or choose one.")
        page_link("runs", "all runs")
        return
    title("Run", f"Run {run.run_id}")
    if run.state != "committed":
        (st.error if run.state == "corrupt" else st.info)(f"This run is {run.state}.")
        st.text(cell(run.model))
        block("Reason", run.reason or "none is known", key="reason")
        block("Directory", run.place, key="place")
        return
    with stored.faults_told():
        _draw(run, stored.record(run.place))


def _draw(run: IndexedRun, record: RunRecord) -> None:
    st.text(f"{cell(record.model.name)} · {record.status} · finished {record.finished:%Y-%m-%d %H:%M} UTC")
    n_failed = sum(task.n_failed for task in record.tasks)
    if n_failed:
        st.warning(f"{n_failed:,} of {sum(task.n_documents for task in record.tasks):,} documents could not be scored.")
    samples, download = st.columns([1, 1])
    with samples:
        page_link("samples", "its samples", run=run.run_id)
    download.download_button(
        "run.json",
        lambda: encode_record(record),
        file_name=f"{run.run_id}.json",
        mime="application/json",
        on_click="ignore",
    )
    st.subheader("Results")
    st.dataframe(
        result_rows(record),
        hide_index=True,
        width="stretch",
        column_config={"samples": st.column_config.LinkColumn(display_text="look")},
    )
    block("To make this run again", reproduction(record), key="command")
    st.caption("evalharness runs reproduce says beside it what has changed since.")
    left, right = st.columns(2)
    facts = fact_rows(record)
    for column, names in ((left, ("Model", "Settings")), (right, ("Code and libraries", "Machine"))):
        for heading in names:
            column.subheader(heading)
            column.dataframe(facts[heading], hide_index=True, width="stretch")
    left.subheader("What it took")
    left.dataframe(stage_rows(record), hide_index=True, width="stretch")
    if record.judges:
        st.subheader("Judges")
        st.dataframe(facts["Judges"], hide_index=True, width="stretch")
    if record.events:
        st.subheader("Events")
        st.dataframe(event_rows(record), hide_index=True, width="stretch")
    block("Directory", run.place, key="place")


main()
