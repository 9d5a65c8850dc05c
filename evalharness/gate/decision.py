"""From evidence to rows with a verdict each, and from rows to the verdict of the gate."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from evalharness.errors import EXIT_INCONCLUSIVE, EXIT_NOT_COMPARABLE, EXIT_OK, EXIT_REGRESSION
from evalharness.gate.config import GateConfig, Requirement, range_of
from evalharness.gate.error_budget import shares
from evalharness.gate.evidence import BaselineEvidence, Gain, TaskEvidence
from evalharness.gate.judgement import Judged, Question, detectable_drop, documents_needed, judge, judge_limits
from evalharness.gate.performance import performance_rows
from evalharness.gate.suite import SuiteGain, suite_gain
from evalharness.gate.verdict import Demand, Row, Word, worst
from evalharness.gate.wording import counted
from evalharness.stats.multiplicity import holm

#: Which baseline, by its place, and which task; an empty name stands for the average.
_Key = tuple[int, str]

_WEIGHTING = {
    "macro": "equal weights",
    "macro_normalised": "equal weights, each from chance to best",
    "micro": "weighted by documents",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict of a gate, its exit code, its rows (the average first for each baseline), and notes."""

    verdict: Word
    exit_code: int
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Test:
    """What one test has to do with the others: its part of alpha at the start, and its p-value among all."""

    share: float
    p_adjusted: float


def decide(config: GateConfig, evidence: Sequence[BaselineEvidence]) -> Decision:
    """Judge a candidate beside all its baselines.

    All tests that can decide, the averages and the tasks of every baseline, are one weighted family of `holm` at the alpha
    of the gate; rules with ``correction: none`` stand outside. Where no average can be made, tasks must be shown to be not
    inferior themselves.
    """
    suites = [suite_gain(each.tasks, config.suite, config.alpha) for each in evidence]
    tests = _tests(config, evidence, suites)
    rows: list[Row] = []
    for index, (each, suite) in enumerate(zip(evidence, suites, strict=True)):
        rows += _obstacle_rows(each)
        if suite.gain is not None:
            rows.append(_suite_row(config, each.baseline, suite, suite.gain, tests[index, ""]))
        for task in each.tasks:
            demand = _demand(task.rule.required, has_average=suite.gain is not None or not config.suite.required)
            rows += _task_rows(config, each.baseline, task, demand, tests.get((index, task.task)))
        rows += performance_rows(config.performance, each)
    verdict = _overall(config, evidence, rows)
    return Decision(verdict, _exit_code(config, evidence, verdict), tuple(rows), _notes(config, evidence))


def _demand(required: Requirement, *, has_average: bool) -> Demand:
    if required == "regression-only":
        return "no regression" if has_average else "not inferior"
    return "not inferior" if required else "none"


def _tests(config: GateConfig, evidence: Sequence[BaselineEvidence], suites: Sequence[SuiteGain]) -> dict[_Key, _Test]:
    """Return every test of the gate; those that decide nothing, or stand outside the correction, have an alpha of their own."""
    p_values: dict[_Key, float] = {}
    weights: dict[_Key, float] = {}
    in_family = [[task.task for task in each.tasks if _is_in_family(task)] for each in evidence]
    averages = [suite.gain is not None and config.suite.required is not False for suite in suites]
    of_suites, of_tasks = shares([len(names) for names in in_family], averages, config.suite.share)
    for index, (each, suite) in enumerate(zip(evidence, suites, strict=True)):
        gains = {"": suite.gain, **{task.task: task.gain for task in each.tasks}}
        p_values |= {(index, name): gain.p_worse for name, gain in gains.items() if gain and gain.p_worse is not None}
        weights |= {(index, ""): of_suites[index]} if averages[index] else {}
        weights |= {(index, name): of_tasks[index] for name in in_family[index]}
    if config.correction == "none":
        weights = {}
    adjusted = holm([p_values[key] for key in weights], list(weights.values()))
    in_all = {key: float(p) for key, p in zip(weights, adjusted, strict=True)}
    return {key: _Test(weights.get(key, 1.0), in_all.get(key, p)) for key, p in p_values.items()}


def _is_in_family(task: TaskEvidence) -> bool:
    has_test = task.gain is not None and task.gain.p_worse is not None
    return has_test and task.rule.correction == "holm" and task.rule.required is not False


def _obstacle_rows(evidence: BaselineEvidence) -> list[Row]:
    return [
        Row(
            kind="run",
            name=name,
            baseline=evidence.baseline,
            verdict="not comparable",
            counts=obstacle.policy == "error",
            reason=obstacle.reason,
        )
        for name, obstacle in evidence.obstacles.items()
        if obstacle.policy != "ignore"
    ]


def _suite_row(config: GateConfig, baseline: str, suite: SuiteGain, gain: Gain, test: _Test) -> Row:
    rule = config.suite
    demand = _demand(rule.required, has_average=True)
    question = Question(demand, config.alpha, config.power, rule.margin, rule.min_effect, test.p_adjusted, test.share)
    judged = judge(gain, question)
    members = f"{counted(len(suite.tasks), 'task')}, {_WEIGHTING[rule.aggregate]}"
    left_out = [f"{task}: {why}" for task, why in suite.left_out if why != "new"]
    notes = (members, *([f"not in the average: {', '.join(left_out)}"] if left_out else []), *judged.notes)
    row = Row("suite", "suite", baseline, judged.word, demand != "none", judged.reason, demand, notes=notes)
    return _with_gain(row, gain, question)


def _task_rows(config: GateConfig, baseline: str, task: TaskEvidence, demand: Demand, test: _Test | None) -> list[Row]:
    """Return the task's row; none for one that is ignored, or new without limits of its own."""
    limits = judge_limits(task)
    if task.obstacle is not None and task.obstacle.policy == "ignore" and limits is None:
        return []
    row = Row(
        kind="task",
        name=task.task,
        baseline=baseline,
        verdict="not comparable",
        counts=demand != "none",
        reason="",
        requirement=demand,
        metric=task.metric,
        unit=task.unit,
        notes=task.notes,
        baseline_value=task.baseline_value,
        candidate_value=task.candidate_value,
    )
    if task.gain is None:
        return [_without_gain(row, task, limits)]
    scale = range_of(task.unit) or 1.0 if task.gain.scale == "difference" else 1.0
    question = Question(
        demand,
        config.alpha,
        config.power,
        task.margin,
        task.rule.min_effect * scale,
        test.p_adjusted if test is not None else None,
        test.share if test is not None else 1.0,
        task.unit,
    )
    judged = judge(task.gain, question)
    both = [judged] if limits is None else [judged, limits]
    word = worst([each.word for each in both])
    grounds = [each for each in both if each.word == word]
    row = dataclasses.replace(
        row,
        verdict=word,
        reason="; ".join(each.reason for each in grounds),
        notes=(*task.notes, *judged.notes, *([limits.reason] if limits and limits not in grounds else [])),
    )
    return [_with_gain(row, task.gain, question)]


def _without_gain(row: Row, task: TaskEvidence, limits: Judged | None) -> Row:
    """Return the row of a task that was not compared; limits of its own are judged all the same."""
    obstacle = task.obstacle
    if obstacle is not None and (limits is None or obstacle.policy == "error"):
        counts = row.counts and obstacle.policy == "error"
        return dataclasses.replace(row, reason=obstacle.reason, counts=counts)
    if limits is None:
        return dataclasses.replace(row, reason="new: there is nothing to compare with", counts=False)
    notes = (*row.notes, obstacle.reason if obstacle is not None else "new: held against its limits alone")
    return dataclasses.replace(row, verdict=limits.word, reason=limits.reason, notes=notes)


def _with_gain(row: Row, gain: Gain, question: Question) -> Row:
    needed = documents_needed(gain, question) if row.verdict == "inconclusive" else None
    notes = () if needed is None else (f"about {needed:,} documents would show an equal candidate to be within it",)
    return dataclasses.replace(
        row,
        notes=(*notes, *row.notes),
        scale=gain.scale,
        difference=gain.value,
        low=gain.low,
        high=gain.high,
        margin=question.margin,
        p_worse=gain.p_worse,
        p_adjusted=question.p_adjusted,
        detectable_drop=detectable_drop(gain, question),
        n=gain.n,
        n_needed=needed,
        n_better=gain.n_better,
        n_worse=gain.n_worse,
        method=gain.method,
    )


def _overall(config: GateConfig, evidence: Sequence[BaselineEvidence], rows: Sequence[Row]) -> Word:
    """Return the worst verdict of the rows that count; a baseline with which nothing was compared never passes.

    Without the only baseline, as the configuration allows, limits still fail.
    """
    words = [row.verdict for row in rows if row.counts]
    if config.on_inconclusive == "pass":
        words = ["pass" if word == "inconclusive" else word for word in words]
    if all(_is_excused(each) for each in evidence):
        return "fail" if "fail" in words else "not comparable"
    if not all(each.is_compared or _is_excused(each) for each in evidence):
        return "not comparable"
    return worst(words) if words else "pass"


def _is_excused(evidence: BaselineEvidence) -> bool:
    """Say whether a baseline is missing, and the configuration lets a gate go on without it."""
    return any(obstacle.policy != "error" for obstacle in evidence.obstacles.values()) and not evidence.is_compared


def _exit_code(config: GateConfig, evidence: Sequence[BaselineEvidence], verdict: Word) -> int:
    if verdict == "not comparable":
        return EXIT_OK if all(_is_excused(each) for each in evidence) else EXIT_NOT_COMPARABLE
    if verdict == "inconclusive":
        return EXIT_INCONCLUSIVE if config.on_inconclusive == "fail" else EXIT_OK
    return EXIT_REGRESSION if verdict == "fail" else EXIT_OK


def _notes(config: GateConfig, evidence: Sequence[BaselineEvidence]) -> tuple[str, ...]:
    notes: list[str] = []
    for each in evidence:
        new = [task.task for task in each.tasks if task.is_new]
        ignored = [
            task.task for task in each.tasks if not task.is_new and task.obstacle and task.obstacle.policy == "ignore"
        ]
        for names, what in ((new, "new, not compared"), (ignored, "not compared, as the gate ignores it")):
            if names:
                notes.append(f"{each.baseline}: {counted(len(names), 'task')} {what}: {', '.join(names)}")
        notes += [f"{each.baseline}: {note}" for note in each.notes]
    rules = {task.task: task.rule for each in evidence for task in each.tasks}
    outside = sorted(name for name, rule in rules.items() if rule.correction == "none" and rule.required is not False)
    if config.correction == "none":
        notes.append("correction is none: the gate fails an unchanged model more often than alpha")
    elif outside:
        notes.append(f"tested outside the correction, each with alpha of its own: {', '.join(outside)}")
    return tuple(notes)
