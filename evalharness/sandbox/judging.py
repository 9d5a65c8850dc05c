"""One program, one verdict: the parent decides, from exit codes, nonces and outputs that it alone can tell apart.

Outputs of cases are compared here, outside, so a program can only pass by printing them. Function tests share a
process with the program, as they do in every benchmark of this kind; what a pass rests on there:

1. The tests arrive once the program's body has ended, and the nonce once the tests have: ending early with code 0,
   printing a token, or reading frames and memory before that gives nothing.
2. Each program is examined twice, in a secret order: by its tests, and by the same tests with an end that nobody can
   pass. A program that reaches the end of the second by any trick is a forger, and has failed.
3. Tests see builtins that the program did not change, imported modules as they were, and a comparison that refuses
   answers which equal everything.

A program written against this very module can still cheat, such as by reading the tests from the caller's frame and
acting on what they say, or by answers that overload other operators than ``==``. A pass of function tests is evidence
and not proof; a program that cheats by accident, or with a trick made for harnesses at large, does not pass.
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass, replace

from evalharness.sandbox.cell import Cell, End, frame
from evalharness.sandbox.cgroup import Cage
from evalharness.sandbox.examination import Examination
from evalharness.sandbox.program import Case, Cases, FunctionTests, Limits, Outcome, Program, Verdict
from evalharness.sandbox.sandbox import Sandbox

_SHOWN_CHARACTERS = 60
#: How the text of an uncaught error begins where a limit was met, and the verdict that it stands for.
_LIMIT_ERRORS = {
    "MemoryError": Verdict.memory_limit,
    "OSError: [Errno 12] Cannot allocate memory": Verdict.memory_limit,
    "BlockingIOError: [Errno 11] Resource temporarily unavailable": Verdict.process_limit,
    "RuntimeError: can't start new thread": Verdict.process_limit,
}


def judge_program(program: Program, sandbox: Sandbox, limits: Limits) -> Outcome:
    """Run one program in a sandbox of its own and judge it; nothing of it is left running."""
    n_stations = 2 if isinstance(program.judge, FunctionTests) else 0
    try:
        with sandbox.cell(limits, n_stations) as (cell, cage):
            if not cell.start(sandbox.rlimits(limits)):
                return _not_started(_last_line(cell.stderr) or "the sandbox did not start")
            court = _Court(cell, cage, limits)
            if isinstance(program.judge, FunctionTests):
                return court.judge_tests(program.source, program.judge)
            return court.judge_cases(program, program.judge, program.command or tuple(sandbox.interpreter.argv))
    except OSError as error:
        return _not_started(str(error))


@dataclass(frozen=True, slots=True)
class _Run:
    """One run inside: how it ended, and what was said at its station."""

    end: End
    exit_code: int | None
    said: bytes


class _Court:
    """Judges one program with the sandbox that was started for it."""

    def __init__(self, cell: Cell, cage: Cage | None, limits: Limits) -> None:
        self._cell = cell
        self._cage = cage
        self._limits = limits
        self._seconds = 0.0
        self._n_kills = cage.n_memory_kills() if cage else 0

    def judge_tests(self, source: str, tests: FunctionTests) -> Outcome:
        """Examine by the tests and by tests that cannot be passed, in secret order; a forger passes both."""
        doomed_first = bool(secrets.randbits(1))
        passed: Outcome | None = None
        for station, doomed in enumerate((doomed_first, not doomed_first)):
            examination = Examination(source, tests, doomed=doomed)
            order = frame(b"tests") + frame(b"%d" % self._cell.station_numbers[station])
            run = self._run(order, station, examination)
            done = run.end is End.exited and run.exit_code == 0 and examination.is_passed(run.said)
            if doomed and done:
                return self._outcome(Verdict.failed, run, "claimed to pass tests that nobody can pass")
            if doomed and run.end is End.exited and run.exit_code == 1 and b"X" in run.said:
                continue  # it failed in good order, as it must; the true examination says the rest
            if not done:
                return self._failure(run, "ended with exit code 0 before its tests had ended")
            passed = self._outcome(Verdict.passed, run, "")
        if passed is None:
            raise RuntimeError("a program met no true examination")
        return replace(passed, n_cases_passed=1, seconds=self._seconds)

    def judge_cases(self, program: Program, judge: Cases, command: tuple[str, ...]) -> Outcome:
        """Run the program on each case and compare what it prints."""
        opening = frame(b"command") + frame("\0".join(command).encode()) + frame(program.source.encode())
        first: Outcome | None = None
        n_passed = 0
        last = Outcome(Verdict.passed, 0, "", "", 0.0, 0)
        for number, case in enumerate(judge.cases, 1):
            run = self._run(opening + frame(case.stdin.encode()))
            last = self._case_outcome(run, case, f"case {number} of {len(judge.cases)}: ")
            n_passed += last.passed
            first = first or (None if last.passed else last)
            if not last.passed and (not judge.every or run.end is not End.exited):
                break
        return replace(first or last, seconds=self._seconds, n_cases_passed=n_passed)

    def _case_outcome(self, run: _Run, case: Case, where: str) -> Outcome:
        if run.end is not End.exited or run.exit_code != 0:
            failure = self._failure(run, "")
            return replace(failure, detail=where + failure.detail)
        printed = _lines(self._cell.stdout.decode("utf-8", "replace"))
        expected = _lines(case.expected)
        if printed == expected:
            return self._outcome(Verdict.passed, run, "")
        line = next((i for i, pair in enumerate(zip(printed, expected, strict=False)) if pair[0] != pair[1]), None)
        if line is None:
            what = f"printed {len(printed)} lines, not {len(expected)}"
        else:
            what = f"line {line + 1} is {_short(printed[line])}, not {_short(expected[line])}"
        return self._outcome(Verdict.failed, run, where + what)

    def _run(self, order: bytes, station: int | None = None, examination: Examination | None = None) -> _Run:
        started = time.monotonic()
        deadline = started + self._limits.wall_seconds
        answer = None if examination is None else examination.answer
        end, status, said = self._cell.run(order, deadline, station, answer)
        self._seconds += time.monotonic() - started
        return _Run(end, None if status is None else os.waitstatus_to_exitcode(status), said)

    def _failure(self, run: _Run, quiet_end: str) -> Outcome:
        """Name the verdict on a run that did not pass. quiet_end: what an exit code of 0 means here."""
        killed = self._cage is not None and self._cage.n_memory_kills() > self._n_kills
        if killed:
            return self._outcome(Verdict.memory_limit, run, "needed more memory than all its processes may have")
        match run.end:
            case End.timed_out:
                what = f"ran longer than {self._limits.wall_seconds:g} s"
                return self._outcome(Verdict.timed_out, run, what)
            case End.too_much_output:
                return self._outcome(Verdict.output_limit, run, f"printed more than {self._limits.output_bytes} bytes")
            case End.lost:
                return self._outcome(Verdict.sandbox_error, run, "the sandbox ended before the program did")
            case End.broken:
                return self._outcome(Verdict.failed, run, "left the sandbox unable to start a further run")
            case End.exited:
                line = _last_line(self._cell.stderr)
                return self._outcome(self._limit_met(), run, line or self._quiet(run, quiet_end))

    def _limit_met(self) -> Verdict:
        """Name the limit that a line of the program's errors speaks of; this only ever renames a failure."""
        lines = self._cell.stderr.decode("utf-8", "replace").splitlines()
        met = (verdict for line in lines for start, verdict in _LIMIT_ERRORS.items() if line.startswith(start))
        return next(met, Verdict.failed)

    def _quiet(self, run: _Run, quiet_end: str) -> str:
        if run.exit_code == 0:
            return quiet_end
        return f"ended with exit code {run.exit_code}"

    def _outcome(self, verdict: Verdict, run: _Run, detail: str) -> Outcome:
        stderr = self._cell.stderr.decode("utf-8", "replace")
        return Outcome(verdict, run.exit_code, detail, stderr, self._seconds, 0)


def _not_started(why: str) -> Outcome:
    return Outcome(Verdict.sandbox_error, None, why, "", 0.0, 0)


def _lines(text: str) -> list[str]:
    """Split into lines without the blanks at their ends, and without blank lines at the end of all."""
    return [line.rstrip() for line in text.rstrip().split("\n")]


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "...")


def _last_line(stderr: bytearray) -> str:
    lines = stderr.decode("utf-8", "replace").rstrip().splitlines()
    return lines[-1][:500] if lines else ""
