"""What is run and what came of it: programs, how each is judged, limits, verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class FunctionTests:
    """A program passes when the text of its tests, run after it in the same names, comes to its end.

    text: Python source, such as a row of ``assert f(1) == 2`` or a `check` function and its call.
    entry_point: the function under test. Where it is given, no other name of the program can stand for a builtin
    within the tests, so that a program which defines its own `abs` or `all` cannot soften them.
    """

    text: str
    entry_point: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One pair of standard input and the output that must come of it."""

    stdin: str
    expected: str


@dataclass(frozen=True, slots=True)
class Cases:
    """A program passes when each case's output equals the expected one and its exit code is 0.

    Lines are compared without the blanks at their ends, and without blank lines at the end of the output.
    every: run the cases behind the first failure too, so that `Outcome.n_cases_passed` counts them all.
    """

    cases: tuple[Case, ...]
    every: bool = False


@dataclass(frozen=True, slots=True)
class Program:
    """Source text and the way it is judged.

    command: interpreter and flags that get the source's path as last argument, for `Cases`; None is the sandbox's
    own Python. The interpreter must lie in a folder that the sandbox shows, such as /usr.
    """

    source: str
    judge: FunctionTests | Cases
    command: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use; each case of a program has its own time.

    memory_bytes: address space of each process; with a cgroup also all processes together.
    processes: processes and threads at one time. file_bytes: the largest file, and the size of /tmp and of /dev/shm.
    output_bytes: standard output and error together.
    """

    wall_seconds: float = 10.0
    memory_bytes: int = 512 * 2**20
    processes: int = 16
    file_bytes: int = 16 * 2**20
    output_bytes: int = 2**20
    open_files: int = 64

    def __post_init__(self) -> None:
        """Raise ValueError where a limit is not positive: a limit of nothing is no limit to some system calls."""
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"the limit {name} must be positive, not {getattr(self, name)!r}")


class Verdict(StrEnum):
    """How a program ended; only `passed` counts as solved."""

    passed = "passed"
    failed = "failed"
    timed_out = "timed_out"
    memory_limit = "memory_limit"
    process_limit = "process_limit"
    output_limit = "output_limit"
    sandbox_error = "sandbox_error"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on one program and what explains it.

    exit_code: of the deciding process; negative for a signal; None where it was stopped or never ran.
    detail: why, in one line; empty when it passed. stderr: the last bytes of what it wrote there.
    seconds: wall time of its runs without the sandbox's own start. n_cases_passed: 1 for function tests that pass.
    """

    verdict: Verdict
    exit_code: int | None
    detail: str
    stderr: str
    seconds: float
    n_cases_passed: int

    @property
    def passed(self) -> bool:
        """Say whether the program solved its task."""
        return self.verdict is Verdict.passed
