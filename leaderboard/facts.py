"""What the newest run says about each model, and which models a visitor wants to see."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from evalharness.index.queries import IndexedRun

#: Shown, and chosen in filters, where a run does not say.
UNKNOWN = "not stated"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model as its newest committed run (run_id, at place) describes it; speed and memory are of that run, on `machine`.

    step: the training step of a checkpoint within its family.
    """

    model: str
    place: str
    run_id: str
    family: str
    architecture: str
    step: int | None
    licence: str
    precision: str
    backend: str
    date: str
    n_parameters: int | None
    n_training_tokens: int | None
    tokens_per_second: float | None
    peak_bytes: int | None
    machine: str


def facts_of(runs: Iterable[IndexedRun]) -> dict[str, ModelFacts]:
    """Return the facts of every model with a committed run; runs are given newest first."""
    found: dict[str, ModelFacts] = {}
    for run in runs:
        if run.state == "committed" and run.model not in found:
            found[run.model] = _facts(run)
    return found


def _facts(run: IndexedRun) -> ModelFacts:
    return ModelFacts(
        model=run.model,
        place=run.place,
        run_id=run.run_id,
        architecture=run.architecture or UNKNOWN,
        step=run.step,
        family=run.family or UNKNOWN,
        licence=run.licence or UNKNOWN,
        precision=" ".join(part for part in (run.dtype, run.quantisation) if part) or UNKNOWN,
        backend=run.backend or UNKNOWN,
        date=(run.finished or run.created or "")[:10],
        n_parameters=run.n_parameters,
        n_training_tokens=run.n_training_tokens,
        tokens_per_second=run.tokens_per_second,
        # a device's memory is what runs out where there is a device
        peak_bytes=run.peak_device_bytes or run.peak_memory_bytes,
        machine=run.machine or UNKNOWN,
    )


@dataclass(frozen=True, slots=True)
class Filters:
    """What a visitor asks for; an empty collection or None asks for nothing.

    choices: by the name of a field of `ModelFacts`, the values that are wanted. since: ISO date of the run.
    """

    choices: Mapping[str, Collection[str]]
    least_parameters: float | None = None
    most_parameters: float | None = None
    since: str | None = None

    @property
    def is_empty(self) -> bool:
        """Whether all models pass."""
        asked = (self.least_parameters, self.most_parameters, self.since, *self.choices.values())
        return not any(asked)

    def passes(self, facts: ModelFacts) -> bool:
        """Whether a model is wanted; one of unknown size is not, where a size is asked for."""
        if any(wanted and getattr(facts, name) not in wanted for name, wanted in self.choices.items()):
            return False
        if self.since and facts.date < self.since:
            return False
        size = facts.n_parameters
        if self.least_parameters and (size is None or size < self.least_parameters):
            return False
        return not (self.most_parameters and (size is None or size > self.most_parameters))


def is_found(model: str, search: str) -> bool:
    """Whether every word of a search is part of a model's name, whatever the case."""
    return all(word in model.casefold() for word in search.casefold().split())
