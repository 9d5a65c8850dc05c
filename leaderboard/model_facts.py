"""What is known of a model beside its scores, as rows of tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from evalharness.index.queries import IndexedResult
from evalharness.run.digits import shown_interval, shown_value
from evalharness.run.record import ModelRecord
from leaderboard.inert import cell
from leaderboard.pages import link

#: The card's fields that are shown, with their names for readers.
_CARD = {
    "family": "family",
    "developer": "developer",
    "licence": "licence",
    "parameters": "parameters",
    "training_tokens": "training tokens",
    "step": "training step",
    "release_date": "released",
    "languages": "languages",
    "links": "links",
}


def card_rows(model: ModelRecord) -> list[dict[str, str]]:
    """Return what the card says; what it does not say is named as not stated."""
    return [{"what": name, "is": cell(_told(model.card.get(field)))} for field, name in _CARD.items()]


def transparency_rows(model: ModelRecord) -> list[dict[str, str]]:
    """Return the card's answers about how the model was made, domain by domain."""
    answers = model.card.get("transparency") or {}
    return [
        {"domain": domain, "indicator": cell(str(indicator)), "answer": cell(str(answer))}
        for domain in ("upstream", "model", "downstream")
        for indicator, answer in (answers.get(domain) or {}).items()
    ]


def metric_rows(results: Iterable[IndexedResult]) -> list[dict[str, Any]]:
    """Return a row a task and metric, headline metrics first within a task, with links to run and samples."""
    ordered = sorted(results, key=lambda each: (each.task, not each.is_headline, each.metric))
    return [
        {
            "task": cell(each.task),
            "metric": cell(each.metric),
            "value": shown_value(each.value, each.low, each.high),
            "interval": shown_interval(each.low, each.high) if each.value is not None else cell(each.absence),
            "n": each.n,
            "failed": each.n_failed,
            "shots": each.shots,
            "limited to": each.n_documents_limit,
            "samples": link("samples", run=each.run_id, task=each.task),
        }
        for each in ordered
    ]


def _told(value: Any) -> str:
    if value in (None, "", [], ()):
        return "not stated"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
