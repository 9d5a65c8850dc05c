"""The answers that people are shown: what models generated in stored runs, by what was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from evalharness.request import Message, Prompt
from evalharness.run.store import ResultStore

_COLUMNS = ("document_id", "input_hash", "prompt", "responses", "n_step_slots")


@dataclass(frozen=True, slots=True)
class AnsweredTask:
    """One model's answers to one generate task: those of the run that speaks for it, which lies in `place`."""

    task: str
    model: str
    run_id: str
    place: str


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What a model wrote in answer to one document, before any filter; the first of repeats."""

    document_id: str
    input_hash: str
    prompt: Prompt
    text: str


def read_answers(store: ResultStore, answered: AnsweredTask) -> Mapping[str, StoredAnswer]:
    """Return the answers by `input_hash`; documents that were not answered are left out.

    Raises StoreError when the run's samples cannot be read.
    """
    found: dict[str, StoredAnswer] = {}
    for sample in store.samples(answered.place, answered.task, _COLUMNS):
        last = [response for repeat in sample["responses"][:1] for response in repeat[sample["n_step_slots"] :]][:1]
        if last and last[0]["kind"] == "generated":
            answer = StoredAnswer(
                sample["document_id"], sample["input_hash"], _prompt(sample["prompt"]), last[0]["text"]
            )
            found.setdefault(answer.input_hash, answer)
    return found


def _prompt(stored: str | list[dict[str, str]]) -> Prompt:
    if isinstance(stored, str):
        return stored
    return tuple(Message(turn["role"], turn["text"]) for turn in stored)  # type: ignore[arg-type]  # checked when written
