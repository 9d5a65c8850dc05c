"""Which runs are compared where a visitor names models: of each model, one run that shares most tasks with the first's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalharness.index.queries import IndexedResult

#: The baseline and up to five candidates.
MOST_SIDES = 6


@dataclass(frozen=True, slots=True)
class Side:
    """One run of a comparison. n_runs: how many runs speak for the model; a comparison takes one."""

    model: str
    run_id: str
    place: str
    n_runs: int = 1


def sides_of(models: Sequence[str], headlines: Sequence[IndexedResult]) -> list[Side]:
    """Return a side a model, in order; a model without results is left out.

    headlines: of all models on all tasks, each from the run that speaks for the model there. Of the first model the run with
    most tasks is taken, of the others the one that shares most tasks with it; of equals the newest.
    """
    sides: list[Side] = []
    tasks_of_first: set[str] = set()
    for model in models:
        runs: dict[tuple[str, str], set[str]] = {}
        for each in headlines:
            if each.model == model:
                runs.setdefault((each.run_id, each.place), set()).add(each.task)
        if not runs:
            continue
        wanted = tasks_of_first
        (run_id, place), tasks = max(
            runs.items(), key=lambda item: (len(item[1] & wanted) if wanted else len(item[1]), item[0])
        )
        tasks_of_first = tasks_of_first or tasks
        sides.append(Side(model, run_id, place, len(runs)))
    return sides
