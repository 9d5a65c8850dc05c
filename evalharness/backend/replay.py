"""A backend that answers from a file of predictions, so that what another program produced is scored like a live model.

The file is JSON lines, one prediction a line::

    {"document_id": "7", "text": "The answer is 42."}
    {"task": "arc", "document_id": "Q1", "logprobs": [-3.2, -1.1, -4.0, -5.9], "n_tokens": [2, 2, 1, 3]}

text answers a generation; logprobs answers scoring, one number a scored request of the document (for multiple choice: a
choice), whatever steps came before.
task: only for documents of this task; without it, for any task's. repeat: which of several sampled answers, from 0. slot:
which generation of a task with several steps, from 0. n_tokens and is_greedy: one a slot, where they are known.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, assert_never

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from evalharness.backend.fake import text_before_stop
from evalharness.backend.protocol import Backend, EngineSettings, ModelIdentity, TokenCounts
from evalharness.errors import ModelError, Problem
from evalharness.model.spec import ModelSpec
from evalharness.request import (
    Compress,
    Failed,
    Generate,
    Generated,
    Request,
    RequestKey,
    Response,
    Score,
    Scored,
    ScoreText,
    TextScored,
)
from evalharness.yaml_source import problems_of

#: How many mistakes of a predictions file are told at once.
MAX_PROBLEMS = 20
#: How many unused predictions an event names.
MAX_NAMED = 20
#: Rounding may lift the log-probability of a certain token this far above 0.
_ROUNDING = 1e-6

_Slot = tuple[str | None, str, int, int | None]


class Prediction(BaseModel):
    """One line of a predictions file; see the module's docstring."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    task: str | None = None
    document_id: str
    repeat: int = Field(default=0, ge=0)
    slot: int = Field(default=0, ge=0)
    text: str | None = None
    logprobs: tuple[float, ...] | None = None
    n_tokens: tuple[int, ...] | None = None
    is_greedy: tuple[bool, ...] | None = None

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
        if (self.text is None) == (self.logprobs is None):
            raise ValueError("a prediction holds either text or logprobs\ngive one of them")
        for name, values in (("n_tokens", self.n_tokens), ("is_greedy", self.is_greedy)):
            if values is not None and len(values) != len(self.logprobs or ("text",)):
                raise ValueError(
                    f"{name} has {len(values)} values\ngive as many as there are logprobs (one for a text)"
                )
        return self

    @property
    def place(self) -> _Slot:
        """What this prediction answers; logprobs cover all slots of a document."""
        return self.task, self.document_id, self.repeat, None if self.text is None else self.slot


def open_backend(spec: ModelSpec, settings: EngineSettings) -> Backend:
    """Open the predictions file `spec.path`.

    Raises ModelError: no such file, or lines that are no predictions or answer the same request twice.
    """
    if spec.options:
        raise ModelError.at(f"model {spec.name}", f"backend replay has no options, got {sorted(spec.options)}")
    path = Path(spec.path).expanduser()
    try:
        content = path.read_bytes()
    except OSError as fault:
        fix = "give the path of a .jsonl file of predictions"
        reason = (fault.strerror or str(fault)).lower()
        raise ModelError.at(spec.path or f"model {spec.name}", f"cannot be read: {reason}", fix) from None
    predictions = read_predictions(path, content)
    identity = ModelIdentity(
        name=spec.name, backend="replay", path=spec.path, weights=hashlib.sha256(content).hexdigest()
    )
    return ReplayBackend(identity, predictions, settings)


def read_predictions(path: Path, content: bytes) -> dict[_Slot, Prediction]:
    """Read the lines of a predictions file by what they answer.

    Raises ModelError with file and line of each mistake, and both lines of a prediction given twice.
    """
    predictions: dict[_Slot, Prediction] = {}
    lines: dict[_Slot, int] = {}
    problems: list[Problem] = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        prediction = _parsed(line, where, problems)
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


def _parsed(line: bytes, where: str, problems: list[Problem]) -> Prediction | None:
    """Read one line; None after its mistakes were added to `problems`."""
    try:
        data = json.loads(line.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as fault:
        problems.append(Problem(where, f"not a line of JSON: {fault}", "write one JSON object a line, in UTF-8"))
        return None
    if not isinstance(data, dict):
        problems.append(Problem(where, "not a JSON object", 'write {"document_id": ..., "text": ...}'))
        return None
    try:
        return Prediction.model_validate(data)
    except ValidationError as fault:
        problems.extend(problems_of(fault, Prediction, lambda location: where))
        return None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


class ReplayBackend:
    """Answers from predictions; a request without one is `Failed`."""

    capabilities: frozenset[type] = frozenset({Generate, Score, ScoreText})

    def __init__(
        self, identity: ModelIdentity, predictions: Mapping[_Slot, Prediction], settings: EngineSettings
    ) -> None:
        self._identity = identity
        self._predictions = predictions
        self._settings = settings
        self._used: set[_Slot] = set()
        self._told_unused: set[_Slot] = set()
        self._asked_slots: set[int | None] = set()
        self._assumed: set[str] = set()
        self._first_slots: Mapping[tuple[str, str, int], int] = {}

    def identity(self) -> ModelIdentity:
        """Say which file answered; its content's hash stands for the weights."""
        return self._identity

    def run(self, requests: Sequence[Request], answered: Collection[RequestKey] = ()) -> Iterator[Response]:
        """Answer every request whose key is not in `answered`, in order.

        The answered ones are looked up too, so that a resumed run does not call their predictions unused. At the end, the
        predictions that no request asked for are told as the event ``unused_predictions``: often a wrong task name or id.
        """
        done = frozenset(answered)
        self._first_slots = _first_slots(requests)
        for request in requests:
            response = self._respond(request)
            if request.key not in done:
                yield response
        unused = [place for place in self._unused() if place not in self._told_unused]
        if unused:
            self._told_unused.update(unused)
            named = [{"task": task, "document_id": document_id} for task, document_id, *_ in unused[:MAX_NAMED]]
            self._settings.on_event("unused_predictions", {"count": len(unused), "first": named})

    def count_tokens(self, requests: Sequence[Request]) -> TokenCounts | None:
        """Return None: the tokenizer of whoever made the predictions is not known."""
        return None

    def statistics(self) -> Mapping[str, float]:
        """Return how many predictions were used and how many no request asked for."""
        return {
            "used_predictions": float(len(self._used)),
            "unused_predictions": float(len(self._unused())),
        }

    def close(self) -> None:
        """Do nothing: there is nothing to free."""

    def _unused(self) -> list[_Slot]:
        """Return the predictions that were not used, of those slots that were asked for.

        The steps of a task are asked one after another, and one that a resumed run has complete is not asked again: about
        its predictions nothing can be said.
        """
        return [place for place in self._predictions if place not in self._used and place[-1] in self._asked_slots]

    def _respond(self, request: Request) -> Response:
        match request:
            case Generate():
                prediction = self._find(request.key, request.key.slot)
                return _missing(request.key) if prediction is None else self._generated(request, prediction)
            case Score():
                prediction = self._find(request.key, None)
                return _missing(request.key) if prediction is None else self._scored(request, prediction)
            case ScoreText():
                prediction = self._find(request.key, None)
                return _missing(request.key) if prediction is None else self._text_scored(request, prediction)
            case Compress():
                return Failed(request.key, "predictions cannot compress a text: that needs a model's probabilities")
            case _:
                assert_never(request)

    def _find(self, key: RequestKey, slot: int | None) -> Prediction | None:
        """Find the prediction for `key`; one that names the task is stronger than one that does not."""
        self._asked_slots.add(slot)
        for task in (key.task, None):
            place = (task, key.document_id, key.repeat, slot)
            if place in self._predictions:
                self._used.add(place)
                return self._predictions[place]
        return None

    def _generated(self, request: Generate, prediction: Prediction) -> Generated:
        given = prediction.text or ""
        text = text_before_stop(given, request.decoding.stop)
        return Generated(
            key=request.key,
            text=text,
            n_tokens=self._tokens_of(prediction, 0, given),
            stopped_by="stop" if text != given else "eos",
        )

    def _scored(self, request: Score, prediction: Prediction) -> Response:
        index = self._index_of(request.key)
        logprob = _logprob_of(request.key, index, prediction)
        if isinstance(logprob, Failed):
            return logprob
        if prediction.is_greedy is None:
            self._assume("is_greedy", "not in the predictions; taken as false")
        return Scored(
            key=request.key,
            logprob=logprob,
            n_tokens=self._tokens_of(prediction, index, request.continuation),
            n_bytes=len(request.continuation.encode()),
            is_greedy=prediction.is_greedy is not None and prediction.is_greedy[index],
        )

    def _text_scored(self, request: ScoreText, prediction: Prediction) -> Response:
        index = self._index_of(request.key)
        logprob = _logprob_of(request.key, index, prediction)
        if isinstance(logprob, Failed):
            return logprob
        return TextScored(
            key=request.key,
            logprob=logprob,
            n_tokens=self._tokens_of(prediction, index, request.text),
            n_bytes=len(request.text.encode()),
            n_words=len(re.split(r"\s+", request.text)),
        )

    def _index_of(self, key: RequestKey) -> int:
        """Count which of its document's scored requests this is, from 0; slots of earlier steps do not count."""
        return key.slot - self._first_slots[key.task, key.document_id, key.repeat]

    def _tokens_of(self, prediction: Prediction, index: int, text: str) -> int:
        if prediction.n_tokens is not None:
            return prediction.n_tokens[index]
        self._assume("n_tokens", "not in the predictions; whitespace-separated words were counted")
        return max(1, len(text.split()))

    def _assume(self, what: str, how: str) -> None:
        """Put on record, once, that a field of the responses was not in the file."""
        if what not in self._assumed:
            self._assumed.add(what)
            self._settings.on_event("assumed", {"field": what, "how": how})


def _missing(key: RequestKey) -> Failed:
    repeat = f", repeat {key.repeat}" if key.repeat else ""
    return Failed(key, f"no prediction for document {key.document_id!r} of task {key.task!r}{repeat}")


def _first_slots(requests: Sequence[Request]) -> dict[tuple[str, str, int], int]:
    """Return the lowest slot of the scored requests of each (task, document, repeat)."""
    first: dict[tuple[str, str, int], int] = {}
    for request in requests:
        key = request.key
        if not isinstance(request, Generate):
            place = (key.task, key.document_id, key.repeat)
            first[place] = min(key.slot, first.get(place, key.slot))
    return first


def _logprob_of(key: RequestKey, index: int, prediction: Prediction) -> float | Failed:
    logprobs = prediction.logprobs or ()
    if index >= len(logprobs):
        return Failed(key, f"the prediction has {len(logprobs)} logprobs, this is request {index + 1} of its document")
    return logprobs[index]
