"""Models opened before any is asked, or refused together: the evaluated ones, and those that metrics ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

from evalharness.backend import open_backend
from evalharness.backend.protocol import Backend, BackendFactory, EngineSettings
from evalharness.errors import ModelError, Problem, UserError
from evalharness.model.spec import ModelSpec
from evalharness.run.capabilities import check_capabilities
from evalharness.run.judging import Judge, open_judges
from evalharness.run.preparation import PreparedTask, RunSettings


def open_models(
    spec: ModelSpec,
    tasks: Sequence[PreparedTask],
    settings: RunSettings,
    opener: BackendFactory,
    engine: EngineSettings,
) -> tuple[tuple[Judge, ...], Backend]:
    """Look at the models that metrics ask, and open the evaluated one with `opener`.

    Raises UserError with the problems of all of them: hours later would be too late to learn that a judge cannot be found.
    """
    problems: list[Problem] = []
    judges: tuple[Judge, ...] = ()
    try:
        judges = open_judges(tasks, settings)
    except UserError as fault:
        problems.extend(fault.problems)
    try:
        backend = opener(spec, engine)
    except UserError as fault:
        raise ModelError([*problems, *fault.problems]) from fault
    try:
        check_capabilities(backend, spec, tasks)
    except ModelError as fault:
        problems.extend(fault.problems)
    if problems:
        backend.close()
        raise ModelError(problems)
    return judges, backend


def refuse_early(
    specs: Sequence[ModelSpec], tasks: Mapping[bool, Sequence[PreparedTask]], settings: RunSettings
) -> None:
    """Open every model and see that it can answer its tasks (`tasks`: by whether it uses chat turns), before any is asked.

    A mistake in the last of several models must not show up only after the others ran for hours. Raises ModelError with the
    problems of all models.
    """
    problems: list[Problem] = []
    try:
        open_judges(next(iter(tasks.values())), settings)  # they are the same whatever the prompts
    except UserError as fault:
        problems.extend(fault.problems)
    for spec in specs:
        try:
            with closing(open_backend(spec, EngineSettings())) as backend:
                check_capabilities(backend, spec, tasks[spec.uses_chat])
        except ModelError as fault:
            problems.extend(fault.problems)
    if problems:
        raise ModelError(problems)
