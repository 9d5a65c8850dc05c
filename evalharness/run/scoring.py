"""From responses to samples, and from samples to the metrics' rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from evalharness.errors import EngineError
from evalharness.metric.base import Asks, Metric, Prepares
from evalharness.request import Failed, Generated, Prompt, Request, RequestKey, Response, Sample, StepAnswer
from evalharness.run.execution import execute
from evalharness.run.preparation import PreparedTask
from evalharness.run.progress import PartWatch, Progress, Silent
from evalharness.run.record import SampleRecord
from evalharness.sandbox import Sandbox
from evalharness.task.filters import Answers
from evalharness.task.prompts import Asked

Responses = Mapping[RequestKey, Response]


def step_requests(
    prepared: PreparedTask, asked: Asked, step: int, repeat: int, responses: Responses
) -> list[Request] | Failed:
    """Return what a step asks of the model; or why it cannot be asked, under the key of its first request.

    An earlier step may have failed, or answered what its filters or the step's prompt cannot be made of. That is found out
    only after the model has answered, and must not cost the answers of all other documents.
    """
    spec = prepared.task.spec
    key = RequestKey(spec.name, asked.document.id, step, repeat)
    try:
        history = _history(prepared, asked, step, repeat, responses)
        if isinstance(history, str):
            return Failed(key, history)
        return prepared.prompter.requests(asked, step, repeat, history)
    except Exception as fault:  # noqa: BLE001  # see above; the document is counted as failed
        return Failed(key, f"step `{spec.all_steps[step].name}` cannot be asked: {type(fault).__name__}: {fault}")


def _history(
    prepared: PreparedTask, asked: Asked, step: int, repeat: int, responses: Responses
) -> list[StepAnswer] | str:
    """Return what the steps before `step` asked and got, or why one of them got nothing."""
    history: list[StepAnswer] = []
    for position in range(step):
        (request,) = prepared.prompter.requests(asked, position, repeat, history)
        response = responses[request.key]
        if isinstance(response, Failed):
            return response.error
        if not isinstance(response, Generated):
            return "an earlier step generated no text"
        answers: Answers = (response.text,)
        for item in prepared.filters[position]:
            answers = item.apply(answers, asked.choices)
        prompt: Prompt = getattr(request, "prompt", "")
        history.append(StepAnswer(prepared.task.spec.all_steps[position].name, prompt, response.text, answers[0]))
    return history


def make_samples(
    prepared: PreparedTask, responses: Responses, progress: Progress | None = None, sandbox: Sandbox | None = None
) -> list[SampleRecord]:
    """Score every document of a task whose metrics ask no model; see `answered_samples` and `score_samples`."""
    return score_samples(prepared, answered_samples(prepared, responses, progress, sandbox), progress)


def answered_samples(
    prepared: PreparedTask, responses: Responses, progress: Progress | None = None, sandbox: Sandbox | None = None
) -> list[Sample]:
    """Return a sample a document, with its answers; one that cannot be scored says why.

    progress: told how many programs the sandbox has dealt with. sandbox: where the answers of a task with `execute` are run;
    without one they are not, and metrics of execution fail.
    """
    progress = progress or Silent()
    samples = [_answered(prepared, _sample(prepared, asked, responses)) for asked in prepared.asked]
    if prepared.task.spec.steps and any(isinstance(metric, Asks) for _, metric in prepared.metrics):
        samples = [
            _with_steps(prepared, asked, sample, responses)
            for asked, sample in zip(prepared.asked, samples, strict=True)
        ]
    if prepared.programs is not None and sandbox is not None:
        samples = execute(
            prepared.programs, samples, sandbox, PartWatch(progress, f"{prepared.name}: running programs")
        )
    return samples


def score_samples(
    prepared: PreparedTask, samples: Sequence[Sample], progress: Progress | None = None
) -> list[SampleRecord]:
    """Return the samples with the metrics' rows; one that cannot be scored says why.

    progress: told how many texts the slow metrics have dealt with, and documents are scored.
    """
    progress = progress or Silent()
    for spec, metric in prepared.metrics:
        if isinstance(metric, Prepares):
            shown = [view for sample in samples for view in _scorable_views(prepared, spec.label, metric, sample)]
            metric.prepare(shown, PartWatch(progress, f"{prepared.name}: {spec.label}"))
    progress.part(f"{prepared.name}: scoring documents", len(samples))
    records = []
    for sample in samples:
        records.append(_scored(prepared, sample))
        progress.advance()
    return records


def _sample(prepared: PreparedTask, asked: Asked, responses: Responses) -> Sample:
    spec = prepared.task.spec
    n_before = len(spec.all_steps) - 1
    prompt: Prompt = asked.prompt
    by_repeat: list[tuple[Response, ...]] = []
    for repeat in range(spec.repeats):
        before = [responses[RequestKey(spec.name, asked.document.id, step, repeat)] for step in range(n_before)]
        requests = step_requests(prepared, asked, n_before, repeat, responses)
        if isinstance(requests, Failed):
            by_repeat.append((*before, requests))
            continue
        prompt = getattr(requests[0], "prompt", asked.prompt)
        by_repeat.append((*before, *(responses[request.key] for request in requests)))
    sample = Sample(
        task=spec.name,
        document=asked.document,
        prompt=prompt,
        references=asked.references,
        responses=tuple(by_repeat),
        input_hash=asked.input_hash,
        choices=asked.choices,
        reference_indices=asked.reference_indices,
        n_step_slots=n_before,
        cluster=asked.cluster,
    )
    failed = [response for group in by_repeat for response in group if isinstance(response, Failed)]
    if failed:
        others = {response.error for response in failed} - {failed[0].error}
        more = f" (and {len(others)} other reason{'s' if len(others) > 1 else ''})" if others else ""
        return dataclasses.replace(sample, error=failed[0].error + more)
    return sample


def _answered(prepared: PreparedTask, sample: Sample) -> Sample:
    """Return the sample with its answers, one a repeat, or with the reason why the filters failed."""
    if sample.error:
        return sample
    try:
        texts = [group[-1] for group in sample.responses]
        answers: Answers = tuple(response.text for response in texts if isinstance(response, Generated))
        for item in prepared.filters[-1]:
            answers = item.apply(answers, sample.choices)
    except Exception as fault:  # noqa: BLE001  # one odd document must not lose the others; it is counted as failed
        return dataclasses.replace(sample, error=f"scoring failed: {type(fault).__name__}: {fault}")
    return dataclasses.replace(sample, answers=answers)


def _with_steps(prepared: PreparedTask, asked: Asked, sample: Sample, responses: Responses) -> Sample:
    """Return the sample with the prompts and answers of all steps, the last one included."""
    if sample.error:
        return sample
    last = len(prepared.task.spec.all_steps) - 1
    steps: list[tuple[StepAnswer, ...]] = []
    for repeat, group in enumerate(sample.responses):
        history = _history(prepared, asked, last, repeat, responses)
        if isinstance(history, str):
            raise EngineError(f"{sample.document.id}: a sample without error has a step without answer: {history}")
        (request, *_) = prepared.prompter.requests(asked, last, repeat, history)
        text = group[-1].text if isinstance(group[-1], Generated) else ""
        answer = sample.answers[min(repeat, len(sample.answers) - 1)] if sample.answers else None
        name, prompt = prepared.task.spec.all_steps[last].name, getattr(request, "prompt", asked.prompt)
        steps.append((*history, StepAnswer(name, prompt, text, answer)))
    return dataclasses.replace(sample, steps=tuple(steps))


def _found_by(prepared: PreparedTask, label: str, sample: Sample) -> Sample:
    """Return the sample with the answers that the metric's own filters find, if it has any."""
    own = prepared.metric_filters.get(label)
    if own is None:
        return sample
    answers: Answers = tuple(group[-1].text for group in sample.responses if isinstance(group[-1], Generated))
    for item in own:
        answers = item.apply(answers, sample.choices)
    return dataclasses.replace(sample, answers=answers)


def _scorable_views(prepared: PreparedTask, label: str, metric: Metric, sample: Sample) -> list[Sample]:
    """Return what the metric will see of a sample; nothing of one that cannot be scored."""
    try:
        return [] if sample.error else views(label, metric, _found_by(prepared, label, sample))
    except ValueError:
        return []  # said when the sample is scored


def _scored(prepared: PreparedTask, sample: Sample) -> SampleRecord:
    if sample.error:
        return SampleRecord(sample, {})
    rows: dict[str, list[float]] = {}
    for spec, metric in prepared.metrics:
        try:
            rows[spec.label] = _row(spec.label, metric, _found_by(prepared, spec.label, sample))
        except Exception as fault:  # noqa: BLE001  # one odd document must not lose the others; it is counted as failed
            error = f"metric `{spec.label}`: scoring failed: {type(fault).__name__}: {fault}"
            return SampleRecord(dataclasses.replace(sample, error=error), {})
    return SampleRecord(sample, rows)


def _row(label: str, metric: Metric, sample: Sample) -> list[float]:
    """Return the mean of the rows of all repeats: documents weigh the same, however often each was asked."""
    rows = np.array([metric.row(view) for view in views(label, metric, sample)], dtype=np.float64)  # (repeats, k)
    if rows.shape[1:] != (len(metric.columns),):
        raise ValueError(
            f"metric {metric.name} gave {rows.shape[1:]} numbers for the columns {', '.join(metric.columns)}"
        )
    if not np.isfinite(rows).all():
        raise ValueError(f"metric {metric.name} gave a number that is not finite")
    return [float(x) for x in rows.mean(axis=0)]


def views(label: str, metric: Metric, sample: Sample) -> list[Sample]:
    """Return what a metric is shown: one sample a repeat, or all repeats as one for a metric that compares them.

    After a vote over all repeats only one answer is left, and one view. A view holds the metric's own judgements alone.
    Raises ValueError if there are neither one answer nor one a repeat.
    """
    found = _views(metric, sample)
    if not sample.judgements:
        return found
    own = sample.judgements.get(label, ())
    return [
        dataclasses.replace(view, judgements={label: own[i : i + 1]} if own else {}) for i, view in enumerate(found)
    ]


def _views(metric: Metric, sample: Sample) -> list[Sample]:
    if len(sample.responses) == 1 or getattr(metric, "sees_all_repeats", False):
        return [sample]
    if not sample.answers:
        return [dataclasses.replace(sample, responses=(group,)) for group in sample.responses]
    if len(sample.answers) not in (1, len(sample.responses)):
        raise ValueError(f"the filters made {len(sample.answers)} answers of {len(sample.responses)} repeats")
    return [
        dataclasses.replace(
            sample,
            answers=(answer,),
            responses=(group,),
            executions=sample.executions[i : i + 1],
            steps=sample.steps[i : i + 1],
            prompt=sample.steps[i][-1].prompt if sample.steps else sample.prompt,
        )
        for i, (answer, group) in enumerate(zip(sample.answers, sample.responses, strict=False))
    ]
