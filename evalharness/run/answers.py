"""A run's responses as predictions: all that scoring looks at, so that scoring them anew gives the same numbers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

#: What a prediction keeps of a response, beside its answer; one a log-probability, one for a text.
_COUNTS = ("n_tokens", "n_bytes", "n_words", "n_prompt_tokens", "truncated_tokens", "is_greedy")


def to_predictions(samples: Iterable[Mapping[str, Any]]) -> str:
    """Return samples, as `read_samples` gives them, as lines of JSON that `Prediction` describes.

    A document that failed is a line with its error, so that it fails again. In ASCII: models do produce lone surrogates.
    """
    return "".join(
        json.dumps(row, sort_keys=True, allow_nan=False) + "\n"
        for sample in samples
        for repeat in sample["responses"]
        for row in _rows(repeat, int(sample["n_step_slots"]))
    )


def _rows(responses: Sequence[Mapping[str, Any]], n_step_slots: int) -> Iterator[dict[str, Any]]:
    """Yield the predictions of one document and repeat; what comes after an error was not asked."""
    for group in (*([each] for each in responses[:n_step_slots]), responses[n_step_slots:]):
        if not group:
            continue
        task, document_id, slot, repeat = group[0]["key"]
        row: dict[str, Any] = {"task": task, "document_id": document_id, "repeat": repeat}
        error = next((each["error"] for each in group if each["kind"] == "failed"), None)
        if error is not None:
            yield {**row, "slot": slot, "error": error}
            return
        counts = {name: [each[name] for each in group] for name in _COUNTS if name in group[0]}
        if group[0]["kind"] == "generated":
            yield {**row, **counts, "slot": slot, "text": group[0]["text"], "stopped_by": group[0]["stopped_by"]}
        else:
            yield {**row, **counts, "logprobs": [each["logprob"] for each in group]}
