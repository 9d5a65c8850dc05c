"""Predictions: what somebody or something answered, apart from who is asked; one JSON object a line in a file.

::

    {"document_id": "7", "text": "The answer is 42."}
    {"task": "arc", "document_id": "Q1", "logprobs": [-3.2, -1.1, -4.0, -5.9], "n_tokens": [2, 2, 1, 3]}
    {"document_id": "8", "logits": [2.5, -1.75], "labels": ["fine", "toxic"]}

text answers a generation; logprobs answers scoring, one number a scored request of the document (for multiple choice: a
choice), whatever steps came before; logits with labels answers a classification; error says why there is no answer, and the
document is counted as failed.
task: only for documents of this task; without it, for any task's. repeat: which of several sampled answers, from 0. slot:
which generation of a task with several steps, or which classification, from 0. The other fields are those of a response, one
a log-probability (one for a text or a classification), where they are known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from evalharness.errors import ModelError, Problem
from evalharness.yaml_source import problems_of

#: How many mistakes of a predictions file are told at once.
MAX_PROBLEMS = 20
#: Rounding may lift the log-probability of a certain token this far above 0.
_ROUNDING = 1e-6

#: Task (None: any), document, repeat, and slot (None: all slots of a document's log-probabilities).
Place = tuple[str | None, str, int, int | None]

#: Counts that a response gives beside its answer.
_COUNTS = ("n_tokens", "n_bytes", "n_words", "n_prompt_tokens", "truncated_tokens")


class Prediction(BaseModel):
    """One line of a predictions file; see the module's docstring."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    task: str | None = None
    document_id: str
    repeat: int = Field(default=0, ge=0)
    slot: int = Field(default=0, ge=0)
    text: str | None = None
    logprobs: tuple[float, ...] | None = None
    logits: tuple[float, ...] | None = Field(default=None, min_length=1)
    labels: tuple[str, ...] | None = None
    error: str | None = None
    n_tokens: tuple[int, ...] | None = None
    n_bytes: tuple[int, ...] | None = None
    n_words: tuple[int, ...] | None = None
    n_prompt_tokens: tuple[int, ...] | None = None
    truncated_tokens: tuple[int, ...] | None = None
    is_greedy: tuple[bool, ...] | None = None
    stopped_by: Literal["eos", "stop", "length"] | None = None

    @field_validator("document_id", mode="before")
    @classmethod
    def _number_as_text(cls, value: object) -> object:
        """Accept the numbers that many datasets use as ids."""
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("logprobs")
    @classmethod
    def _natural_logarithms(cls, value: tuple[float, ...] | None) -> tuple[float, ...] | None:
        for number in value or ():
            if number > _ROUNDING:
                raise ValueError(f"{number} is above 0\ngive natural logarithms of probabilities, not probabilities")
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Prediction:
        if sum(part is not None for part in (self.text, self.logprobs, self.logits, self.error)) != 1:
            raise ValueError("a prediction holds one of text, logprobs and logits\ngive one of them, or an error")
        if len(self.logits or ()) != len(self.labels or ()):
            raise ValueError("logits and labels differ in number\ngive one label a logit")
        for name in (*_COUNTS, "is_greedy"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.logprobs or ("text",)):
                raise ValueError(
                    f"{name} has {len(values)} values\ngive as many as there are logprobs (one for a text)"
                )
        return self

    @property
    def place(self) -> Place:
        """What this prediction answers; logprobs cover all slots of a document."""
        return self.task, self.document_id, self.repeat, self.slot if self.logprobs is None else None


@dataclass(frozen=True, slots=True)
class Found:
    """An answer as a file holds it, before it is known which of a task's documents it belongs to.

    where: file and line. answer: fields of `Prediction` but for the document's id. document_id: as the file has it, None where
    it has none. row: the document's number in its split, where the file has that. is_counted: document_id is a count, and no id
    of the data. columns: the document itself.
    continuations: the texts that the log-probabilities are of. target: the correct text, as the file's maker saw it.
    """

    where: str
    answer: Mapping[str, Any]
    document_id: str | None = None
    row: int | None = None
    is_counted: bool = False
    columns: Mapping[str, Any] | None = None
    continuations: tuple[str, ...] | None = None
    target: str | None = None


def read_predictions(path: Path, content: bytes) -> dict[Place, Prediction]:
    """Read the lines of a predictions file by what they answer.

    Raises ModelError with file and line of each mistake, and both lines of a prediction given twice.
    """
    predictions: dict[Place, Prediction] = {}
    lines: dict[Place, int] = {}
    problems: list[Problem] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        data = parsed_line(line, where, problems)
        prediction = None if data is None else checked(data, where, problems)
        if prediction is not None and prediction.place in lines:
            what = f"document {prediction.document_id!r} is answered twice: on lines {lines[prediction.place]} and {number}"
            problems.append(Problem(where, what, "remove one line, or tell them apart by task, repeat or slot"))
        elif prediction is not None:
            lines[prediction.place] = number
            predictions[prediction.place] = prediction
        if len(problems) >= MAX_PROBLEMS:
            break
    if problems:
        raise ModelError(problems)
    return predictions


def parsed_line(line: bytes, where: str, problems: list[Problem]) -> dict[str, Any] | None:
    """Read one line as a JSON object; None after its mistake was added to `problems`."""
    try:
        data = json.loads(line.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as fault:
        problems.append(Problem(where, f"not a line of JSON: {fault}", "write one JSON object a line, in UTF-8"))
        return None
    if not isinstance(data, dict):
        problems.append(Problem(where, "not a JSON object", 'write {"document_id": ..., "text": ...}'))
        return None
    return data


def checked(data: Mapping[str, Any], where: str, problems: list[Problem]) -> Prediction | None:
    """Make a prediction of its fields; None after their mistakes were added to `problems`."""
    try:
        return Prediction.model_validate(data)
    except ValidationError as fault:
        problems.extend(problems_of(fault, Prediction, lambda location: where))
        return None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")
