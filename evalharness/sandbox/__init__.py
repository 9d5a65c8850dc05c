"""The sandbox: runs programs of strangers, and nothing else.

    with open_sandbox() as sandbox:
        outcomes = run_programs([Program(source, FunctionTests(tests, entry_point="f"))], sandbox=sandbox)

`program` holds what goes in and comes out, `opening` makes a `sandbox` and has `selftest` attack it first, `launcher` and
`cgroup` build the walls, `cell` speaks with `inside` behind them, `judging` gives the verdict, `running` does many.
"""

from evalharness.sandbox.opening import open_sandbox
from evalharness.sandbox.program import Case, Cases, FunctionTests, Limits, Outcome, Program, Verdict
from evalharness.sandbox.running import run_programs
from evalharness.sandbox.sandbox import Sandbox, SandboxRecord

__all__ = [
    "Case",
    "Cases",
    "FunctionTests",
    "Limits",
    "Outcome",
    "Program",
    "Sandbox",
    "SandboxRecord",
    "Verdict",
    "open_sandbox",
    "run_programs",
]
