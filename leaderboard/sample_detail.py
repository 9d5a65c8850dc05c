"""One sample drawn as a whole: what was asked and answered, choices, programs, judgements and scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from leaderboard.inert import block, cell, cut
from leaderboard.sample_list import choice_rows, measure_rows, prompt_text, response_text


def draw_sample(sample: Mapping[str, Any]) -> None:
    """Draw a stored sample, all of whose texts are strangers'."""
    st.text(f"{cut(sample['task'], 200).text} · document {cut(sample['document_id'], 200).text}")
    if sample["error"]:
        st.error("This document could not be scored.")
        block("Reason", sample["error"], key="error")
    asked, answered = st.columns(2)
    with asked:
        block("Prompt, as the model read it", prompt_text(sample["prompt"]), key="prompt")
    with answered:
        _draw_answers(sample)
    choices = choice_rows(sample)
    if choices:
        st.caption("Choices")
        st.dataframe(choices, hide_index=True, width="stretch")
    _draw_executions(sample)
    _draw_judgements(sample)
    _draw_scores(sample)
    with st.expander("Document, and how long each response was"):
        st.dataframe(measure_rows(sample), hide_index=True, width="stretch")
        document = json.dumps(sample["document"]["fields"], indent=2, ensure_ascii=False, sort_keys=True)
        block("The document's columns", document, key="document", language="json")
        st.caption("Hash of what was asked, by which runs are paired")
        st.code(cut(sample["input_hash"], 200).text, language=None)


def _draw_answers(sample: Mapping[str, Any]) -> None:
    for i, reference in enumerate(sample["references"]):
        block("Reference" if i == 0 else "or", reference, key=f"reference-{i}")
    for i, answer in enumerate(sample["answers"]):
        label = "Answer that was scored" if len(sample["answers"]) == 1 else f"Answer {i + 1} that was scored"
        block(label, "(none found)" if answer is None else answer, key=f"answer-{i}")
    if choice_rows(sample):
        return
    for repeat, responses in enumerate(sample["responses"]):
        for slot, response in enumerate(responses):
            step = f", step {slot + 1}" if sample["n_step_slots"] else ""
            again = f", repeat {repeat + 1}" if len(sample["responses"]) > 1 else ""
            block(f"Response of the model{again}{step}", response_text(response), key=f"response-{repeat}-{slot}")


def _draw_executions(sample: Mapping[str, Any]) -> None:
    for i, execution in enumerate(sample["executions"]):
        said = [f"{cut(execution['verdict'], 100).text}, {execution['seconds']:.2f} s", execution["detail"]]
        block(f"Program {i + 1}", "\n".join(filter(None, said)), key=f"execution-{i}")
        if execution["stderr"]:
            block("What it wrote to standard error", execution["stderr"], key=f"stderr-{i}")


def _draw_judgements(sample: Mapping[str, Any]) -> None:
    for label, answers in sorted(sample["judgements"].items()):
        for i, questions in enumerate(answers):
            for j, response in enumerate(questions):
                which = f"answer {i + 1}, question {j + 1}"
                st.caption(f"Judgement of {which}, for the metric")
                st.text(cell(label))
                block("What the judge wrote", response_text(response), key=f"judgement-{label}-{i}-{j}")


def _draw_scores(sample: Mapping[str, Any]) -> None:
    if sample["scores"]:
        st.caption("Statistics that each metric keeps of this document")
        rows = [
            {"metric": cell(name), "statistics": ", ".join(f"{each:.6g}" for each in row)}
            for name, row in sorted(sample["scores"].items())
        ]
        st.dataframe(rows, hide_index=True, width="stretch")
