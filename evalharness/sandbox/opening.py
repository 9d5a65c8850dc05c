"""Opening a sandbox: choose the way, attack it once from inside, and refuse where anything leaks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evalharness.errors import SandboxError
from evalharness.sandbox.interpreter import find_interpreter
from evalharness.sandbox.launcher import find_program
from evalharness.sandbox.sandbox import Sandbox
from evalharness.sandbox.selftest import check_sandbox

_UNSAFE_HINT = "or accept the danger by name: --unsafe-code-execution (allow_unsafe=True)"


@contextmanager
def open_sandbox(*, python: Path | None = None, allow_unsafe: bool = False) -> Iterator[Sandbox]:
    """Give a sandbox that an attack from inside has failed to get out of.

    python: the interpreter of the programs; by default the one that runs the harness, with its packages.
    allow_unsafe: run programs without a sandbox where bubblewrap is not installed: limits, another user where we are
    root, and few variables are all that is left then; `Sandbox.record` says so. A sandbox that leaks is refused even so.

    Raises SandboxError that names each leak and its cure. Not covered, whatever the attack finds: bugs of the kernel
    (there is no filter of system calls), timing side channels, and reading of /usr, /proc/cpuinfo and the like.
    """
    if os.name != "posix" or not Path("/proc/self/ns").is_dir():
        raise SandboxError.at(
            "sandbox", "executing code needs Linux", "score the answers on Linux: evalharness score -t TASK -p FILE"
        )
    interpreter = find_interpreter(python)
    try:
        bwrap: str | None = find_program("bwrap", "bubblewrap")
    except SandboxError as error:
        if not allow_unsafe:
            problem = error.problems[0]
            what = "bubblewrap is not installed, and code is executed in its sandbox only"
            raise SandboxError.at(problem.where, what, f"{problem.fix} -y   {_UNSAFE_HINT}") from None
        bwrap = None
    sandbox = Sandbox(interpreter, bwrap)
    try:
        check_sandbox(sandbox)
        yield sandbox
    finally:
        sandbox.close()
