"""Whether a model can answer the requests that tasks and metrics have for it, said in words where it cannot."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from evalharness.backend.protocol import Backend
from evalharness.errors import ModelError, Problem
from evalharness.model.spec import ModelSpec
from evalharness.run.preparation import PreparedTask

#: What a model must be able to do for a request, in words.
_VERBS = {
    "Generate": "generate text",
    "Score": "score continuations",
    "ScoreText": "score whole texts",
    "Compress": "compress texts",
    "Classify": "classify texts",
}


def lacking_verbs(kinds: AbstractSet[type], backend: Backend, spec: ModelSpec) -> str:
    """Say what of `kinds` the backend cannot answer, such as ``generate text, which a masked model cannot do``."""
    lacking = sorted(kind.__name__ for kind in kinds - backend.capabilities)
    if not lacking:
        return ""
    architecture = (backend.identity().architecture or spec.backend).replace("_", "-")
    return " and ".join(_VERBS.get(name, name) for name in lacking) + f", which a {architecture} model cannot do"


def check_capabilities(backend: Backend, spec: ModelSpec, tasks: Sequence[PreparedTask]) -> None:
    """Refuse, all at once, the tasks that need a kind of request which the backend cannot answer."""
    problems = []
    for task in tasks:
        lacking = lacking_verbs(task.request_types, backend, spec)
        if lacking:
            what = f"task `{task.name}` needs a model to {lacking}"
            problems.append(Problem(spec.name, what, "leave this task out, or evaluate another model on it"))
    if problems:
        raise ModelError(problems)
