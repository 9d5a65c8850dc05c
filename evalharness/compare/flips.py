"""What two runs answered to the documents on which they differ."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from evalharness.compare.comparison import Comparison
from evalharness.run.samples import COLUMNS
from evalharness.run.store import ResultStore

#: Everything but the documents' own columns, of which the prompt shows what the model saw.
_COLUMNS = tuple(name for name in COLUMNS if name not in ("document", "is_chat"))


@dataclass(frozen=True, slots=True)
class ChangedSample:
    """One document in both runs, as `ResultStore.samples` yields it; outcome: what happened to the candidate."""

    candidate_run: str
    task: str
    metric: str
    outcome: Literal["won", "lost"]
    baseline: Mapping[str, Any]
    candidate: Mapping[str, Any]


def changed_samples(store: ResultStore, comparison: Comparison, n: int) -> Iterator[ChangedSample]:
    """Yield up to n lost and n won documents of every metric, the lost first; texts of no others are kept.

    Raises StoreError when samples cannot be read.
    """
    for compared in comparison.candidates:
        for each in compared.metrics:
            outcomes: dict[str, Literal["won", "lost"]] = {
                **dict.fromkeys(each.lost[:n], "lost"),
                **dict.fromkeys(each.won[:n], "won"),
            }
            if not outcomes:
                continue
            one, other = (
                _samples(store, where, each.task, outcomes)
                for where in (comparison.baseline.where, compared.candidate.where)
            )
            for document, outcome in outcomes.items():
                yield ChangedSample(
                    compared.candidate.run_id, each.task, each.metric, outcome, one[document], other[document]
                )


def _samples(store: ResultStore, where: str, task: str, wanted: Collection[str]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for sample in store.samples(where, task, _COLUMNS):
        if sample["document_id"] in wanted:
            found[sample["document_id"]] = sample
            if len(found) == len(wanted):
                break
    return found
