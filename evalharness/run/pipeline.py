"""One evaluation of one model, from prepared tasks to a committed run: the only place that knows all stages."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from evalharness.backend import open_backend
from evalharness.backend.protocol import Backend, BackendFactory, EngineSettings
from evalharness.errors import EngineError, ModelError, Problem
from evalharness.model.spec import ModelSpec
from evalharness.request import (
    Classified,
    Compressed,
    Failed,
    Generated,
    Request,
    RequestKey,
    Response,
    Scored,
    TextScored,
)
from evalharness.run.journal import Journal
from evalharness.run.masking import mask_arguments
from evalharness.run.preparation import PreparedTask, RunSettings
from evalharness.run.progress import Progress, Silent
from evalharness.run.provenance import collect, harness_git_state, package_versions, peak_memory_bytes
from evalharness.run.record import Event, GroupRecord, ModelRecord, RunRecord, SampleRecord, TaskRecord, TokenTotals
from evalharness.run.results import group_record, task_record
from evalharness.run.scoring import make_samples, step_requests
from evalharness.run.store import ResultStore, RunDirectory, plan_fingerprint
from evalharness.sandbox import Sandbox, open_sandbox
from evalharness.task.loading import Selection
from evalharness.task.prompts import describe, unaskable
from evalharness.task.spec import GroupSpec


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done, apart from the model.

    tasks: prepared for the model's kind of prompt. groups: members by name, with their specs. command: the arguments given.
    """

    tasks: Sequence[PreparedTask]
    settings: RunSettings
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    group_specs: Mapping[str, GroupSpec] = field(default_factory=dict)
    command: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, selection: Selection, tasks: Sequence[PreparedTask], settings: RunSettings, command: Sequence[str]
    ) -> Work:
        """Combine a selection with its prepared tasks."""
        return cls(tasks, settings, selection.groups, selection.specs, tuple(command))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A committed run: its record, where it lies, and how many responses came from an earlier, interrupted attempt."""

    record: RunRecord
    where: str
    n_resumed: int


class _Clock:
    """Wall seconds by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun


def evaluate(
    spec: ModelSpec,
    work: Work,
    store: ResultStore,
    progress: Progress | None = None,
    opener: BackendFactory = open_backend,
) -> Outcome:
    """Ask one model all prepared tasks, score the answers, and commit the run.

    opener: opens what answers for `spec`, by default the backend that `spec` names.

    An unfinished run of the same work is resumed unless the settings forbid it: its responses are kept and the rest is asked
    with the same batch plan. Raises ModelError before any work if the model cannot answer a kind of request that a task
    needs; SandboxError if a task runs programs and no sandbox works; StoreError if results cannot be written.
    """
    progress = progress or Silent()
    clock = _Clock()
    events: list[Event] = []
    journals: list[Journal] = []

    def on_event(name: str, fields: Mapping[str, Any]) -> None:
        events.append(Event(name=name, fields=dict(fields)))
        for journal in journals:
            journal.note(name, fields)

    progress.stage(f"loading {spec.name}")
    with clock.stage("open"):
        backend = opener(spec, EngineSettings(work.settings.batch_tokens, on_event))
    with closing(backend), ExitStack() as exits:
        with clock.stage("open"):
            check_capabilities(backend, spec, work.tasks)
            sandbox = exits.enter_context(_sandbox_for(work))
            directory = _directory(spec, backend, work, store)
        with directory.journal() as journal:
            journals.append(journal)
            responses = journal.responses()
            n_resumed = len(responses)
            if n_resumed:
                progress.note(f"resuming {directory.where}: {n_resumed} responses are kept")
            events[:0] = [Event(name=item["name"], fields=item["fields"]) for item in journal.events()]
            with clock.stage("model"):
                _ask_all(backend, work.tasks, responses, journal, progress)
            with clock.stage("score"):
                progress.stage("scoring")
                samples = {task.name: make_samples(task, responses, progress, sandbox) for task in work.tasks}
                results = [
                    task_record(
                        task, samples[task.name], level=work.settings.level, seed=work.settings.seed, progress=progress
                    )
                    for task in work.tasks
                ]
            if sandbox is not None:
                events.append(Event(name="sandbox", fields=dataclasses.asdict(sandbox.record)))
            record = _record(spec, backend, work, directory, results, clock, events)
            directory.commit(record, [sample for found in samples.values() for sample in found])
    return Outcome(record, directory.where, n_resumed)


@contextmanager
def _sandbox_for(work: Work) -> Iterator[Sandbox | None]:
    """Open a sandbox if a task runs programs, before the model is asked: without one its answers could not be judged."""
    if not any(task.programs for task in work.tasks):
        yield None
        return
    with open_sandbox(allow_unsafe=work.settings.unsafe_code_execution) as sandbox:
        yield sandbox


def refuse_early(specs: Sequence[ModelSpec], tasks: Mapping[bool, Sequence[PreparedTask]]) -> None:
    """Open every model and see that it can answer its tasks (`tasks`: by whether it uses chat turns), before any is asked.

    A mistake in the last of several models must not show up only after the others ran for hours. Raises ModelError with the
    problems of all models.
    """
    problems: list[Problem] = []
    for spec in specs:
        try:
            with closing(open_backend(spec, EngineSettings())) as backend:
                check_capabilities(backend, spec, tasks[spec.uses_chat])
        except ModelError as fault:
            problems.extend(fault.problems)
    if problems:
        raise ModelError(problems)


def check_capabilities(backend: Backend, spec: ModelSpec, tasks: Sequence[PreparedTask]) -> None:
    """Refuse, all at once, the tasks that need a kind of request which the backend cannot answer."""
    verbs = {
        "Generate": "generate text",
        "Score": "score continuations",
        "ScoreText": "score whole texts",
        "Compress": "compress texts",
        "Classify": "classify texts",
    }
    problems = []
    for task in tasks:
        lacking = sorted(kind.__name__ for kind in task.request_types - backend.capabilities)
        if lacking:
            architecture = backend.identity().architecture or spec.backend
            asks = " and ".join(verbs.get(name, name) for name in lacking)
            what = (
                f"task `{task.name}` needs a model to {asks}, which a {architecture.replace('_', '-')} model cannot do"
            )
            problems.append(Problem(spec.name, what, "leave this task out, or evaluate another model on it"))
    if problems:
        raise ModelError(problems)


def _directory(spec: ModelSpec, backend: Backend, work: Work, store: ResultStore) -> RunDirectory:
    """Return the unfinished run of the same work, or a new directory."""
    versions = package_versions()
    harness = harness_git_state()
    plan = {
        "harness": harness.commit if harness else None,
        "versions": {name: versions.get(name) for name in ("evalharness", "torch", "transformers", "tokenizers")},
        "model": dataclasses.asdict(backend.identity()),
        "tasks": {
            task.name: {
                "fingerprint": task.task.spec.fingerprint(),
                "data": task.data_hash,
                "shots": task.prompter.n_shots,
                "documents": len(task.asked),
            }
            for task in work.tasks
        },
        "requests": _requests_hash(work.tasks),
        "settings": _plain_settings(work.settings),
    }
    slug = spec.name
    if work.settings.resume:
        unfinished = store.find_unfinished(slug, plan_fingerprint(plan))
        if unfinished is not None:
            return unfinished
    return store.begin(slug, plan)


def _plain_settings(settings: RunSettings) -> dict[str, Any]:
    names = ("limit", "shots", "seed", "batch_tokens", "level", "unsafe_code_execution", "trust_metric_code")
    return {name: getattr(settings, name) for name in names}


def _requests_hash(tasks: Sequence[PreparedTask]) -> str:
    digest = hashlib.sha256()
    for task in tasks:
        for request in task.first_requests():
            text = json.dumps(describe(request), sort_keys=True, ensure_ascii=False)
            digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _ask_all(
    backend: Backend,
    tasks: Sequence[PreparedTask],
    responses: dict[RequestKey, Response],
    journal: Journal,
    progress: Progress,
) -> None:
    """Ask step after step; a later step is asked once all earlier answers are there."""
    for step in range(max(len(task.task.spec.all_steps) for task in tasks)):
        requests: list[Request] = []
        for task in tasks:
            if step < len(task.task.spec.all_steps):
                requests.extend(_askable(_step_requests(task, step, responses, journal), responses, journal))
        answered = {request.key for request in requests if request.key in responses}
        progress.stage(
            "asking the model" if step == 0 else f"asking the model, step {step + 1}", len(requests) - len(answered)
        )
        expected = {request.key for request in requests} - answered
        for response in backend.run(requests, answered) if expected else ():
            if response.key in answered:
                continue
            if response.key not in expected:
                raise EngineError(f"the backend answered {response.key} twice, or was not asked it")
            expected.remove(response.key)
            journal.append(response)
            responses[response.key] = response
            progress.advance(_n_tokens(response))
        if expected:
            raise EngineError(f"the backend left {len(expected)} requests unanswered, such as {min(expected)}")


def _askable(requests: Iterator[Request], responses: dict[RequestKey, Response], journal: Journal) -> Iterator[Request]:
    """Yield the requests that can be asked; the others fail at once, each with its reason."""
    for request in requests:
        reason = unaskable(request)
        if reason is None:
            yield request
        elif request.key not in responses:
            failed = Failed(request.key, reason)
            journal.append(failed)
            responses[request.key] = failed


def _step_requests(
    task: PreparedTask, step: int, responses: dict[RequestKey, Response], journal: Journal
) -> Iterator[Request]:
    if step == 0:
        yield from task.first_requests()
        return
    for asked in task.asked:
        for repeat in range(task.task.spec.repeats):
            requests = step_requests(task, asked, step, repeat, responses)
            if isinstance(requests, Failed):
                journal.append(requests)
                responses.setdefault(requests.key, requests)
            else:
                yield from requests


def _n_tokens(response: Response) -> int:
    match response:
        case Generated():
            return response.n_prompt_tokens + response.n_tokens
        case Scored():
            return response.n_prompt_tokens + response.n_tokens
        case TextScored() | Compressed() | Classified():
            return response.n_tokens
        case Failed():
            return 0


def _record(
    spec: ModelSpec,
    backend: Backend,
    work: Work,
    directory: RunDirectory,
    results: Sequence[TaskRecord],
    clock: _Clock,
    events: Sequence[Event],
) -> RunRecord:
    counters = backend.statistics()
    prompt, generated = int(counters.get("prompt_tokens", 0)), int(counters.get("generated_tokens", 0))
    seconds = counters.get("device_seconds", 0.0)
    peak = counters.get("peak_device_bytes")
    groups = [
        group_record(work.group_specs[name], members, results, level=work.settings.level)
        for name, members in work.groups.items()
    ]
    return RunRecord(
        run_id=directory.run_id,
        plan_fingerprint=directory.plan_fingerprint,
        created=directory.created,
        finished=datetime.now(UTC),
        status="partial" if any(task.n_failed for task in results) else "complete",
        model=ModelRecord(
            name=spec.name,
            identity=dataclasses.asdict(backend.identity()),
            spec=spec.model_dump(mode="json", exclude={"card"}),
            card=spec.card.model_dump(mode="json"),
        ),
        tasks=tuple(results),
        groups=tuple(group for group in groups if isinstance(group, GroupRecord)),
        settings={
            **_plain_settings(work.settings),
            "chat": spec.uses_chat,
            "task_files": {task.name: str(task.task.source.path) for task in work.tasks},
            "engine": dict(counters),
        },
        command=mask_arguments(work.command),
        provenance=collect(spec.path),
        stages=clock.seconds,
        tokens=TokenTotals(
            prompt_tokens=prompt,
            generated_tokens=generated,
            tokens_per_second=(prompt + generated) / seconds if seconds else None,
        ),
        peak_memory_bytes=peak_memory_bytes(),
        peak_device_bytes=int(peak) if peak else None,
        events=tuple(events),
    )


__all__ = ["Outcome", "SampleRecord", "Work", "check_capabilities", "evaluate"]
