"""Runs the answers of a task as programs, all of them together on all cores, each distinct one once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from evalharness.errors import UserError
from evalharness.metric.base import Watch
from evalharness.request import Execution, Sample
from evalharness.sandbox import Outcome, Program, Sandbox, run_programs
from evalharness.task.programs import ProgramTemplates

NO_ANSWER = Execution("failed", "the filters found no answer to run")


def execute(templates: ProgramTemplates, samples: Sequence[Sample], sandbox: Sandbox, watch: Watch) -> list[Sample]:
    """Return the samples with one execution an answer; a sample whose program cannot be made says why.

    watch: told how many programs there are, and of each that is finished.
    """
    programs: dict[Program, int] = {}
    made: list[Sample | list[Program | None]] = [_programs(templates, sample) for sample in samples]
    for found in made:
        if isinstance(found, list):
            for program in found:
                if program is not None:
                    programs.setdefault(program, len(programs))

    watch.expect(len(programs))

    def on_done(index: int, outcome: Outcome) -> None:
        watch.advance()

    outcomes = run_programs(list(programs), sandbox=sandbox, limits=templates.limits, on_done=on_done)
    executed = []
    for sample, found in zip(samples, made, strict=True):
        if isinstance(found, Sample):
            executed.append(found)
            continue
        executions = tuple(
            NO_ANSWER if program is None else _execution(outcomes[programs[program]]) for program in found
        )
        broken = [execution for execution in executions if execution.verdict == "sandbox_error"]
        error = f"the sandbox failed: {broken[0].detail}" if broken else sample.error
        executed.append(dataclasses.replace(sample, executions=executions, error=error))
    return executed


def _programs(templates: ProgramTemplates, sample: Sample) -> Sample | list[Program | None]:
    """Return the programs of a sample's answers, or the sample with the reason why there are none."""
    if sample.error:
        return sample
    try:
        return [None if answer is None else templates.program(sample.document, answer) for answer in sample.answers]
    except UserError as fault:
        return dataclasses.replace(sample, error=f"no program can be made: {fault.problems[0].what}")


def _execution(outcome: Outcome) -> Execution:
    return Execution(str(outcome.verdict), outcome.detail, outcome.stderr, outcome.seconds)
