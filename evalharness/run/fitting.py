"""Whether answers fit what a task asks: none missing, of the right kind, as many numbers as choices, in the right order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from evalharness.backend.predictions import Found, Place, Prediction
from evalharness.errors import Problem
from evalharness.run.preparation import PreparedTask
from evalharness.task.prompts import Asked

#: Predictions by what they answer, with what they were made of.
Answers = dict[Place, tuple[Prediction, Found]]

MAX_NAMED = 20


def refuse_unfit(task: PreparedTask, answers: Answers, problems: list[Problem], origin: str) -> None:
    """Add to `problems` what is missing and what does not fit; bring log-probabilities into the order of the task's choices."""
    before = len(problems)
    _refuse_strange_places(task, answers, problems, origin)
    for asked in task.asked:
        for repeat in range(task.task.spec.repeats):
            place = (task.name, asked.document.id, repeat, None)
            if place in answers:
                _fit_logprobs(task, asked, place, answers, problems)
    if len(problems) == before:
        _refuse_missing(task, answers, problems, origin)
    if len(problems) == before:
        _refuse_disorder(task, answers, problems, origin)


def _refuse_strange_places(task: PreparedTask, answers: Answers, problems: list[Problem], origin: str) -> None:
    """Refuse more answers than the task asks for: which of them should count is not ours to say."""
    repeats, steps = task.task.spec.repeats, len(task.task.spec.all_steps)
    surplus = sorted({place[1] for place in answers if place[2] >= repeats})
    if surplus:
        most = 1 + max(place[2] for place in answers)
        what = f"up to {most} answers a document, task `{task.name}` asks for {repeats}: {_named(surplus)}"
        fix = f"score them all with --set output.generate.repeats={most} --set output.generate.temperature=1"
        problems.append(Problem(origin, what, fix))
    beyond = sorted({place[1] for place in answers if (place[3] or 0) >= steps})
    if beyond:
        what = f"slots up to {max(place[3] or 0 for place in answers)}, task `{task.name}` has {steps} steps: {_named(beyond)}"
        problems.append(
            Problem(origin, what, "number the steps from 0 with `slot`, and leave it out where there is one")
        )


def _refuse_missing(task: PreparedTask, answers: Answers, problems: list[Problem], origin: str) -> None:
    """Refuse documents without an answer; an error at an earlier step stands for the later ones too."""
    kinds = [step.output.kind for step in task.task.spec.all_steps]
    missing: dict[tuple[int, int], list[str]] = defaultdict(list)
    for asked in task.asked:
        for repeat in range(task.task.spec.repeats):
            gap = _gap(task, asked.document.id, repeat, answers, problems)
            if gap is not None:
                missing[gap, repeat].append(asked.document.id)
        if len(problems) >= MAX_NAMED:
            return
    for (step, repeat), names in missing.items():
        of = f", step `{task.task.spec.all_steps[step].name}` (slot {step})" if len(kinds) > 1 else ""
        of += f", repeat {repeat}" if task.task.spec.repeats > 1 else ""
        what = (
            f"{len(names)} of {len(task.asked)} documents of task `{task.name}` have no prediction{of}: {_named(names)}"
        )
        fix = f'give each {_wanted(kinds[step])}, or {{"document_id": ..., "error": "why"}} to count it as failed'
        problems.append(Problem(origin, what, fix + "; or score the first N with --limit N"))


def _gap(task: PreparedTask, document_id: str, repeat: int, answers: Answers, problems: list[Problem]) -> int | None:
    """Return the first step without an answer; None where none is missing, or an error stands for the rest."""
    for step, spec in enumerate(task.task.spec.all_steps):
        place = (task.name, document_id, repeat, step)
        if place in answers and answers[place][0].error is not None:
            return None
        if spec.output.kind == "generate":
            if place not in answers:
                return step
            if answers[place][0].text is None:
                _refuse_kind(task, spec.output.kind, answers[place], problems)
        elif (task.name, document_id, repeat, None) not in answers:
            if place not in answers:
                return step
            _refuse_kind(task, spec.output.kind, answers[place], problems)
    return None


def _refuse_kind(task: PreparedTask, kind: str, answer: tuple[Prediction, Found], problems: list[Problem]) -> None:
    prediction, found = answer
    given = "logits" if prediction.text is None else "a text"
    asks = "generates text" if kind == "generate" else "scores log-probabilities"
    what = f"{given}, where task `{task.name}` (output {kind}) {asks}"
    problems.append(Problem(found.where, what, f"give {_wanted(kind)}"))


def _wanted(kind: str) -> str:
    return {"generate": "a `text`", "choose": "`logprobs`, one number a choice"}.get(kind, "`logprobs`, one number")


def _fit_logprobs(task: PreparedTask, asked: Asked, place: Place, answers: Answers, problems: list[Problem]) -> None:
    prediction, found = answers[place]
    given = len(prediction.logprobs or ())
    kind = task.task.spec.kind
    if kind == "generate":
        what = f"log-probabilities, where task `{task.name}` generates text"
        problems.append(Problem(found.where, what, f"give {_wanted(kind)}"))
        return
    n = len(asked.choices) if kind == "choose" else 1
    doubled = kind == "choose" and any(getattr(metric, "needs_unconditional", False) for _, metric in task.metrics)
    if given != 2 * n and (doubled or given != n):
        needed = f"{2 * n}: one a choice, and one a choice without its prompt" if doubled else str(n)
        what = f"{given} log-probabilities for document {asked.document.id!r}, task `{task.name}` needs {needed}"
        fix = (
            "leave the metric of mutual information out with --set, or give the others"
            if given == n
            else "one a choice"
        )
        problems.append(Problem(found.where, what, fix))
        return
    if found.continuations is None:
        return
    expected = {"choose": asked.choices, "score": asked.references[:1], "perplexity": (asked.prompt,)}[kind]
    order = _order_of([text.strip() for text in found.continuations[:n]], [text.strip() for text in expected])
    if order is None:
        theirs, ours = (_short(texts) for texts in (found.continuations[:n], expected))
        what = f"the log-probabilities of document {asked.document.id!r} are of {theirs}, the task asks for {ours}"
        problems.append(Problem(found.where, what, "make the task ask for the same texts"))
        return
    answers[place] = (_reordered(prediction, [*order, *(n + i for i in order)][:given]), found)


def _order_of(given: Sequence[str], expected: Sequence[str]) -> list[int] | None:
    """Return where each expected text stands among those given; None where they are not the same, each once."""
    if list(given) == list(expected):
        return list(range(len(expected)))
    if sorted(given) != sorted(expected) or len(set(given)) < len(given):
        return None
    return [given.index(text) for text in expected]


def _reordered(prediction: Prediction, order: Sequence[int]) -> Prediction:
    lists = ("logprobs", "n_tokens", "n_bytes", "n_words", "is_greedy", "n_prompt_tokens", "truncated_tokens")
    changed = {name: getattr(prediction, name) for name in lists}
    return prediction.model_copy(
        update={name: tuple(values[i] for i in order) for name, values in changed.items() if values is not None}
    )


def _refuse_disorder(task: PreparedTask, answers: Answers, problems: list[Problem], origin: str) -> None:
    """Refuse a file whose correct texts are the task's, but for other documents: it numbers the documents differently."""
    pairs = list(_targets(task, answers))
    theirs, ours = [given for _, given, _ in pairs], [expected for _, _, expected in pairs]
    wrong = [name for name, given, expected in pairs if given != expected]
    if wrong and sorted(theirs) == sorted(ours):
        what = f"the same correct texts as task `{task.name}`, but for other documents: {_named(wrong)}"
        fix = "the file numbers the documents in another order; write plain predictions with a `document_id` instead"
        problems.append(Problem(origin, what, fix))


def _targets(task: PreparedTask, answers: Answers) -> Iterator[tuple[str, str, str]]:
    """Yield id, the correct text in the file and that of the task, of documents that have both."""
    by_id = {prediction.document_id: found.target for prediction, found in answers.values()}
    for asked in task.asked:
        target = by_id.get(asked.document.id)
        if target is not None and asked.references:
            yield asked.document.id, target.strip(), asked.references[0].strip()


def _short(texts: Sequence[str]) -> str:
    shown = ", ".join(repr(text) for text in texts)
    return shown if len(shown) <= 100 else shown[:97] + "..."


def _named(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMED
    return ", ".join(map(repr, names[:MAX_NAMED])) + (f" and {more} more" if more > 0 else "")
