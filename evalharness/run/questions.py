"""What metrics ask models about answers: the questions of a task's metrics, and a trial of them before any model is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from evalharness.errors import MetricError, Problem, UserError
from evalharness.metric.base import Asks, Metric
from evalharness.request import (
    Generate,
    Generated,
    Prompt,
    Request,
    RequestKey,
    Sample,
    Score,
    StepAnswer,
    derived_seed,
)
from evalharness.task.loading import LoadedTask
from evalharness.task.prompts import Asked
from evalharness.task.spec import MetricSpec

#: What two questions are compared by: all of them but who asks.
_NOBODY = RequestKey("", "")

Metrics = Sequence[tuple[MetricSpec, Metric]]


def asking(metrics: Metrics) -> Iterator[tuple[int, MetricSpec, Asks]]:
    """Yield position, specification and metric of those that ask a model."""
    for position, (spec, metric) in enumerate(metrics):
        if isinstance(metric, Asks):
            yield position, spec, metric


def questions(label: str, metric: Asks, view: Sample, repeat: int, *, chat: bool, seed: int) -> list[Request]:
    """Return what a metric asks about one answer, with whole keys, as turns (chat) or as text.

    Raises whatever the metric raises.
    """
    key = RequestKey(view.task, view.document.id, 0, repeat, label)
    return [
        _completed(request, dataclasses.replace(key, slot=slot), chat=chat, seed=seed)
        for slot, request in enumerate(metric.requests(view))
    ]


def _completed(request: Request, key: RequestKey, *, chat: bool, seed: int) -> Request:
    if isinstance(request, Generate):
        # Without the metric's label: two metrics that ask the same shall get the same answer.
        own = derived_seed(seed, "question", key.task, key.document_id, key.repeat, key.slot)
        return dataclasses.replace(request, key=key, prompt=_prompt(request.prompt, chat=chat), seed=own)
    if isinstance(request, Score):
        return dataclasses.replace(request, key=key, prompt=_prompt(request.prompt, chat=chat))
    return dataclasses.replace(request, key=key)


def _prompt(prompt: Prompt, *, chat: bool) -> Prompt:
    return prompt if chat or isinstance(prompt, str) else "\n\n".join(turn.text for turn in prompt)


def content_of(request: Request) -> Request:
    """Return a request without what does not bear on its answer; equal contents need be asked once."""
    if isinstance(request, Generate) and request.decoding.temperature == 0:
        return dataclasses.replace(request, key=_NOBODY, seed=0)
    return dataclasses.replace(request, key=_NOBODY)


def trial_questions(
    asked: Sequence[Asked], label: str, metric: Asks, *, task: LoadedTask, chat: bool
) -> Iterator[Request]:
    """Yield what a metric would ask about every document if the model answered with the first reference."""
    for item in asked:
        yield from questions(label, metric, _trial_sample(task, item), 0, chat=chat, seed=0)


def _trial_sample(task: LoadedTask, asked: Asked) -> Sample:
    spec = task.spec
    text = asked.references[0] if asked.references else ""
    steps = [StepAnswer(step.name, asked.prompt, text, text) for step in spec.all_steps] if spec.steps else []
    generated = Generated(RequestKey(spec.name, asked.document.id), text, 0, "eos")
    return Sample(
        task=spec.name,
        document=asked.document,
        prompt=asked.prompt,
        references=asked.references,
        responses=((generated,) * len(spec.all_steps),),
        input_hash=asked.input_hash,
        choices=asked.choices,
        answers=(text,),
        n_step_slots=len(spec.all_steps) - 1,
        steps=(tuple(steps),) if steps else (),
    )


def refuse_unaskable(task: LoadedTask, metrics: Metrics, asked: Sequence[Asked]) -> None:
    """Let every metric that asks a model put its questions about every document, to find faults before a model is asked.

    Raises MetricError with the first fault of each metric: a template names a column that is not there, or fails.
    """
    problems: list[Problem] = []
    for position, spec, metric in asking(metrics):
        where = task.where("metrics", position)
        try:
            for _ in trial_questions(asked, spec.label, metric, task=task, chat=False):
                pass
        except UserError as fault:
            problems += [Problem(where, f"metric `{spec.label}`: {one.what}", one.fix) for one in fault.problems]
    if problems:
        raise MetricError(problems)
