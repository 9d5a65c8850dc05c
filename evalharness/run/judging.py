"""The models that metrics ask (judges): found and checked before any model is asked, asked after the evaluated one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from evalharness.backend import open_backend
from evalharness.backend.protocol import Backend, EngineSettings, ModelIdentity
from evalharness.errors import MetricError, ModelError, Problem, UserError
from evalharness.metric.base import Asks, Metric, Selective
from evalharness.model.registry import resolve_model
from evalharness.model.spec import ModelSpec
from evalharness.request import Classified, Failed, Generated, Request, RequestKey, Response, Sample, Scored
from evalharness.run.asking import Kept, ask
from evalharness.run.capabilities import lacking_verbs
from evalharness.run.preparation import PreparedTask, RunSettings
from evalharness.run.questions import asking, content_of, questions, trial_questions
from evalharness.run.record import JudgeRecord, ModelRecord
from evalharness.run.scoring import views

#: A metric of a task: the task's name, and the metric's label.
Asker = tuple[str, str]
#: The samples of each task, by its name.
Samples = Mapping[str, Sequence[Sample]]


@dataclass(frozen=True, slots=True)
class Judge:
    """A model that metrics ask, and which metrics these are."""

    spec: ModelSpec
    identity: ModelIdentity
    askers: tuple[Asker, ...]


def find_judges(
    tasks: Sequence[PreparedTask], settings: RunSettings, *, may_lack: bool = False
) -> list[tuple[ModelSpec, list[Asker]]]:
    """Return the distinct models that the metrics of all tasks ask, each with its askers; opens none.

    Raises MetricError with all problems: a metric without a model (unless it may_lack one), a model that is not known.
    """
    found: list[tuple[ModelSpec, list[Asker]]] = []
    problems: list[Problem] = []
    for task in tasks:
        for position, spec, metric in asking(task.metrics):
            where = task.task.where("metrics", position)
            if metric.model is None and settings.judge is None:
                what = f"metric `{spec.label}` of task `{task.name}` asks a model, and none is given"
                if not may_lack:
                    problems.append(Problem(where, what, "add --judge MODEL, or `model:` to the metric"))
                continue
            try:
                model = _model_of(metric, settings)
            except ModelError as fault:
                what = f"metric `{spec.label}` of task `{task.name}`: "
                problems += [Problem(where, what + problem.what, problem.fix) for problem in fault.problems]
                continue
            known = next((askers for other, askers in found if other == model), None)
            if known is None:
                found.append((model, known := []))
            known.append((task.name, spec.label))
    if problems:
        raise MetricError(problems)
    return found


def _model_of(metric: Asks, settings: RunSettings) -> ModelSpec:
    if metric.model is None and settings.judge is not None:
        return settings.judge
    return resolve_model(metric.model or "", {"device": settings.judge_device} if settings.judge_device else {})


def open_judges(tasks: Sequence[PreparedTask], settings: RunSettings) -> tuple[Judge, ...]:
    """Find the judges, open each, see that it can answer what it will be asked, and close it again.

    Raises MetricError or ModelError with the problems of all judges.
    """
    judges: list[Judge] = []
    problems: list[Problem] = []
    for spec, askers in find_judges(tasks, settings):
        try:
            with closing(open_backend(spec, EngineSettings(settings.batch_tokens))) as backend:
                problems += _unanswerable(backend, spec, tasks, askers)
                judges.append(Judge(spec, backend.identity(), tuple(askers)))
        except ModelError as fault:
            problems += fault.problems
    if problems:
        raise ModelError(problems)
    return tuple(judges)


def _unanswerable(
    backend: Backend, spec: ModelSpec, tasks: Sequence[PreparedTask], askers: Sequence[Asker]
) -> list[Problem]:
    problems = []
    for task in tasks:
        for position, metric_spec, metric in asking(task.metrics):
            if (task.name, metric_spec.label) not in askers:
                continue
            kinds = {type(request) for request in asked_in_trial(task, metric_spec.label, spec)}
            lacking = lacking_verbs(kinds, backend, spec)
            if lacking:
                what = f"metric `{metric_spec.label}` of task `{task.name}` needs {spec.name} to {lacking}"
                problems.append(Problem(task.task.where("metrics", position), what, "let it ask another model"))
            elif isinstance(metric, Selective) and (why := metric.unfit(backend.identity().extra)):
                what = f"metric `{metric_spec.label}` of task `{task.name}` cannot use {spec.name}: {why}"
                problems.append(Problem(task.task.where("metrics", position), what))
    return problems


def asked_in_trial(task: PreparedTask, label: str, judge: ModelSpec) -> list[Request]:
    """Return what a metric would ask if the evaluated model answered with the references, each different question once."""
    return [
        *{
            content_of(request): request
            for _, spec, metric in asking(task.metrics)
            if spec.label == label
            for request in trial_questions(task.asked, label, metric, task=task.task, chat=judge.uses_chat)
        }.values()
    ]


def ask_judge(
    judge: Judge,
    tasks: Sequence[PreparedTask],
    samples: Samples,
    kept: Kept,
    settings: RunSettings,
    on_event: Callable[[str, Mapping[str, Any]], None],
) -> tuple[dict[str, list[Sample]], JudgeRecord]:
    """Ask a judge all questions of all its metrics, and return the samples with its answers, and its record.

    Equal questions are asked once. A question that cannot be asked, or got no answer, fails its document with a reason that
    names the metric. The weights are loaded only if an answer is still missing.
    """
    asked = _Questions(judge, settings.seed)
    for task in tasks:
        for spec, metric in task.metrics:
            if (task.name, spec.label) in judge.askers:
                for sample in samples[task.name]:
                    asked.add(spec.label, metric, sample)
    with closing(open_backend(judge.spec, EngineSettings(settings.batch_tokens, on_event))) as backend:
        ask(backend, asked.distinct.values(), kept, f"asking {judge.spec.name} for {_named(judge.askers)}")
        counters = dict(backend.statistics())
    judged = {
        task.name: [
            asked.judged(sample, [spec.label for spec, _ in task.metrics], kept.responses)
            for sample in samples[task.name]
        ]
        for task in tasks
    }
    return judged, JudgeRecord(
        model=model_record(judge.spec, judge.identity),
        metrics=tuple(f"{task}/{label}" for task, label in judge.askers),
        n_questions=sum(map(len, asked.of_view.values())),
        n_distinct_questions=len(asked.distinct),
        n_truncated=sum(_is_truncated(kept.responses[request.key]) for request in asked.distinct.values()),
        engine=counters,
    )


def _is_truncated(response: Response) -> bool:
    return isinstance(response, Generated | Scored | Classified) and response.truncated_tokens > 0


class _Questions:
    """The questions to one judge, and whose they are.

    distinct: one request a content, the first that has it. of_view: by the key of a view's first question, its requests in
    order, or why there are none.
    """

    def __init__(self, judge: Judge, seed: int) -> None:
        self._judge = judge
        self._seed = seed
        self.distinct: dict[Request, Request] = {}
        self.of_view: dict[RequestKey, list[Request]] = {}
        self._n_views: dict[RequestKey, int] = {}
        self._faults: dict[RequestKey, Failed] = {}

    def add(self, label: str, metric: Metric, sample: Sample) -> None:
        """Take the questions of one metric about one document; a document that failed is passed over."""
        if sample.error or not isinstance(metric, Asks):
            return
        first = RequestKey(sample.task, sample.document.id, 0, 0, label)
        chat = self._judge.spec.uses_chat
        try:
            asked = [
                questions(label, metric, view, repeat, chat=chat, seed=self._seed)
                for repeat, view in enumerate(views(label, metric, sample))
            ]
        except Exception as fault:  # noqa: BLE001  # one odd answer must not lose the others; its document fails
            what = fault.problems[0].what if isinstance(fault, UserError) else f"{type(fault).__name__}: {fault}"
            self._faults[first] = Failed(first, f"the question cannot be asked: {what}")
            return
        self._n_views[first] = len(asked)
        for repeat, requests in enumerate(asked):
            self.of_view[dataclasses.replace(first, repeat=repeat)] = requests
            for request in requests:
                self.distinct.setdefault(content_of(request), request)

    def judged(self, sample: Sample, labels: Sequence[str], responses: Mapping[RequestKey, Response]) -> Sample:
        """Return the sample with the answers to its questions under the labels of the metrics that put them."""
        judgements = dict(sample.judgements)
        error = sample.error
        for label in labels:
            first = RequestKey(sample.task, sample.document.id, 0, 0, label)
            if first in self._faults:
                judgements[label] = ((self._faults[first],),)
            elif first in self._n_views:
                judgements[label] = tuple(
                    tuple(
                        self._answer(request, responses)
                        for request in self.of_view[dataclasses.replace(first, repeat=i)]
                    )
                    for i in range(self._n_views[first])
                )
            else:
                continue
            failed = next((each for group in judgements[label] for each in group if isinstance(each, Failed)), None)
            if failed is not None and error is None:
                error = f"metric `{label}`: {failed.error}"
        return dataclasses.replace(sample, judgements=judgements, error=error)

    def _answer(self, request: Request, responses: Mapping[RequestKey, Response]) -> Response:
        return dataclasses.replace(responses[self.distinct[content_of(request)].key], key=request.key)


def _named(askers: Sequence[Asker]) -> str:
    return ", ".join(dict.fromkeys(label for _, label in askers))


def model_record(spec: ModelSpec, identity: ModelIdentity) -> ModelRecord:
    """Return what a run's record says of a model."""
    return ModelRecord(
        name=spec.name,
        identity=dataclasses.asdict(identity),
        spec=spec.model_dump(mode="json", exclude={"card"}),
        card=spec.card.model_dump(mode="json"),
    )


def signature_with(metric: Metric, judge: Judge) -> str:
    """Return a metric's signature with the identity of the model that it asks in the place of `model`.

    Two runs whose judges differ in weights, precision or chat template have measured two different things.
    """
    identity = judge.identity
    facts = [f"{identity.name}@{(identity.weights or 'unknown')[:12]}"]
    facts += [identity.dtype] if identity.dtype else []
    facts += [f"{quantisation}"] if (quantisation := identity.extra.get("quantisation")) else []
    facts += [f"adapter {identity.adapter[:12]}"] if identity.adapter else []
    facts += [f"chat {(identity.chat_template or 'unknown')[:12]}"] if judge.spec.uses_chat else []
    changed: Any = dataclasses.replace(metric, model=",".join(facts))  # type: ignore[type-var]  # see `Asks`
    return str(changed.signature())


def signatures(task: PreparedTask, judges: Sequence[Judge]) -> dict[str, str]:
    """Return the signatures of the metrics of a task that ask a model, by label."""
    return {
        spec.label: signature_with(metric, judge)
        for spec, metric in task.metrics
        for judge in judges
        if (task.name, spec.label) in judge.askers
    }
