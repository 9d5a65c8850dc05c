"""Honest programs pass, wrong ones fail, and an outcome says why."""

import json
import os
import resource
import time
from pathlib import Path

import pytest

from evalharness.sandbox import Case, Cases, FunctionTests, Limits, Program, Verdict, run_programs

pytestmark = pytest.mark.usefixtures("nothing_left")

ADD = "def add(a, b):\n    return a + b\n"
TESTS = FunctionTests("assert add(1, 2) == 3\n", "add")


def judged(sandbox, source, judge, **limits):
    return run_programs([Program(source, judge)], sandbox=sandbox, limits=Limits(**limits))[0]


def cases(*pairs, **options):
    return Cases(tuple(Case(*pair) for pair in pairs), **options)


def test_a_right_program_passes(sandbox):
    outcome = judged(sandbox, ADD, TESTS)
    assert (outcome.verdict, outcome.exit_code, outcome.n_cases_passed) == (Verdict.passed, 0, 1)


def test_a_wrong_program_fails_with_its_assertion(sandbox):
    outcome = judged(sandbox, ADD.replace("+", "-"), FunctionTests("assert add(1, 2) == 3, 'one and two'", "add"))
    assert (outcome.verdict, outcome.exit_code, outcome.detail) == (Verdict.failed, 1, "AssertionError: one and two")
    assert 'File "<tests>", line 1' in outcome.stderr


@pytest.mark.parametrize(
    ("source", "detail"),
    [
        ("def add(a, b:\n", "SyntaxError"),
        ("raise ValueError('early')", "ValueError: early"),
        ("x = 1", "NameError"),
        ("", "NameError"),
    ],
)
def test_a_program_that_breaks_says_how(sandbox, source, detail):
    outcome = judged(sandbox, source, TESTS)
    assert outcome.verdict is Verdict.failed
    assert outcome.detail.startswith(detail)


def test_tests_that_cannot_be_compiled_fail_every_program(sandbox):
    assert judged(sandbox, ADD, FunctionTests("assert (", "add")).detail.startswith("SyntaxError")


def test_program_and_tests_share_their_names(sandbox):
    tests = (
        "import math\nK = 2\nassert f(3) == 18\nK = 3\nassert f(1) == 3 and 'f' in globals() and globals()['f'] is f"
    )
    assert judged(
        sandbox, "def f(x):\n    return K * int(math.sqrt(81)) if x == 3 else K\n", FunctionTests(tests, "f")
    ).passed


def test_what_stands_under_the_main_guard_is_not_run(sandbox):
    assert judged(sandbox, ADD + "if __name__ == '__main__':\n    input()\n", TESTS).passed


@pytest.mark.parametrize(
    "source",
    [
        "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef add(a, b):\n    return P(a + b)\n",
        "class P:\n    def __init__(self, x):\n        self.x = x\n"
        "    def __eq__(self, o):\n        return self.x == o.x\ndef add(a, b):\n    return P(a + b)\n",
        "from collections import namedtuple\nP = namedtuple('P', 'x')\ndef add(a, b):\n    return P(a + b)\n",
    ],
    ids=["dataclass", "own_eq", "namedtuple"],
)
def test_objects_with_their_own_equality_are_compared(sandbox, source):
    assert judged(sandbox, source, FunctionTests("assert add(1, 2) == P(3) and not add(1, 2) == P(4)", "add")).passed


def test_fractions_and_decimals_are_compared(sandbox):
    source = "from fractions import Fraction\ndef add(a, b):\n    return Fraction(a, b)\n"
    assert judged(sandbox, source, FunctionTests("assert add(1, 2) == 0.5", "add")).passed


def test_a_program_may_be_named_as_a_builtin_where_it_is_the_entry_point(sandbox):
    assert judged(sandbox, "def sum(a, b):\n    return a * b\n", FunctionTests("assert sum(2, 4) == 8", "sum")).passed


def test_a_builtin_that_the_program_defines_does_not_reach_the_tests(sandbox):
    source = "def abs(x):\n    return 0\ndef add(a, b):\n    return 99\n"
    assert not judged(sandbox, source, FunctionTests("assert abs(add(1, 2) - 3) < 1e-6", "add")).passed


@pytest.mark.parametrize(
    "body", ["abs(add(1, 2) - 3) < 1e-6", "all(add(1, n) == 1 + n for n in range(9))", "len(add([], [1])) == 1"]
)
def test_a_builtin_that_the_program_replaces_does_not_reach_the_tests(sandbox, body):
    source = (
        "import builtins\nbuiltins.abs = lambda x: 0\nbuiltins.all = lambda x: True\nbuiltins.len = lambda x: 1\n"
        "def add(a, b):\n    return 99 if isinstance(a, int) else {}\n"
    )
    assert judged(sandbox, source, FunctionTests(f"assert {body}", "add")).detail.startswith(
        ("AssertionError", "TypeError")
    )


def test_a_helper_that_the_program_replaces_is_put_back_for_the_tests(sandbox):
    source = (
        "import math, unittest\nmath.isclose = lambda *a, **k: True\n"
        "unittest.TestCase.assertEqual = lambda *a, **k: None\ndef add(a, b):\n    return 99\n"
    )
    for line in ("assert math.isclose(add(1, 2), 3)", "unittest.TestCase().assertEqual(add(1, 2), 3)"):
        outcome = judged(sandbox, source, FunctionTests(f"import math, unittest\n{line}", "add"))
        assert outcome.detail.startswith("AssertionError")


def test_a_program_may_print_threads_and_fork(sandbox):
    source = (
        "import threading, subprocess, sys, os\n"
        "def add(a, b):\n    print('hello')\n    t = threading.Thread(target=print, args=(1,))\n    t.start(); t.join()\n"
        "    return int(subprocess.run([sys.executable, '-c', f'print({a} + {b})'], capture_output=True).stdout)\n"
    )
    assert judged(sandbox, source, TESTS).passed


def test_a_passing_program_may_leave_a_daemon_which_is_ended(sandbox):
    source = ADD + "import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(1000)\n"
    assert judged(sandbox, source, TESTS).passed


def test_the_hash_seed_is_fixed(sandbox):
    source = "print(hash('a'), list({'x', 'y', 'z', 'w'}))"
    shown = {judged(sandbox, source, cases(("", "no"))).detail for _ in range(4)}
    assert len(shown) == 1


def test_cases_pass_by_their_output(sandbox):
    outcome = judged(sandbox, "print(int(input()) * 2)", cases(("3\n", "6\n"), ("4", "8"), ("5", "10  \n\n")))
    assert (outcome.verdict, outcome.n_cases_passed) == (Verdict.passed, 3)


def test_a_wrong_line_is_shown(sandbox):
    outcome = judged(sandbox, "print(1)\nprint(input())", cases(("2", "1\n2"), ("4", "1\n3")))
    assert outcome.detail == "case 2 of 2: line 2 is '4', not '3'"
    assert (outcome.verdict, outcome.n_cases_passed) == (Verdict.failed, 1)


def test_missing_lines_are_counted(sandbox):
    assert judged(sandbox, "print(1)", cases(("", "1\n2"))).detail == "case 1 of 1: printed 1 lines, not 2"


def test_blanks_at_the_ends_of_lines_do_not_count_but_those_at_their_starts_do(sandbox):
    assert judged(sandbox, "print('a  ')\nprint('b\\t')\nprint()", cases(("", "a\nb"))).passed
    assert not judged(sandbox, "print('  a')", cases(("", "a"))).passed


def test_cases_stop_at_the_first_failure_unless_all_are_wanted(sandbox):
    pairs = [("1", "1"), ("2", "0"), ("3", "3")]
    assert judged(sandbox, "print(input())", cases(*pairs)).n_cases_passed == 1
    outcome = judged(sandbox, "print(input())", cases(*pairs, every=True))
    assert (outcome.passed, outcome.n_cases_passed, outcome.detail) == (False, 2, "case 2 of 3: line 1 is '2', not '0'")


def test_right_output_with_a_wrong_exit_code_fails(sandbox):
    outcome = judged(sandbox, "print(1)\nraise SystemExit(3)", cases(("", "1")))
    assert (outcome.verdict, outcome.exit_code) == (Verdict.failed, 3)


def test_large_input_and_output_pass_through(sandbox):
    text = "\n".join(map(str, range(120_000)))
    assert judged(sandbox, "import sys\nsys.stdout.write(sys.stdin.read())", cases((text, text))).passed
    assert judged(sandbox, "print('no')", cases((text, "no"))).passed


def test_input_can_be_opened_as_a_file(sandbox):
    assert judged(sandbox, "print(open('/dev/stdin').read(), open(0).read(), end='')", cases(("ä\n", "ä\n ä"))).passed


def test_output_can_be_opened_as_a_file(sandbox):
    assert judged(sandbox, "open('/dev/stdout', 'w').write('1')", cases(("", "1"))).passed


def test_a_case_does_not_find_the_script_of_another(sandbox):
    source = "import os\nprint(len([n for n in os.listdir(os.path.dirname(__file__))]))"
    assert judged(sandbox, source, cases(("", "1"), ("", "1"))).passed


def test_another_interpreter_can_be_named(sandbox):
    program = Program("read x; echo $((x + 1))", cases(("1\n", "2")), command=("/bin/sh",))
    assert run_programs([program], sandbox=sandbox)[0].passed


def test_an_interpreter_that_is_missing_is_named(sandbox):
    program = Program("", cases(("", "")), command=("/usr/bin/no-such-interpreter",))
    assert "cannot start /usr/bin/no-such-interpreter" in run_programs([program], sandbox=sandbox)[0].detail


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("while True: pass", Verdict.timed_out),
        ("x = bytearray(1 << 40)", Verdict.memory_limit),
        ("import os\nfor _ in range(99): os.fork() or os.execv('/bin/sleep', ['sleep', '9'])", Verdict.process_limit),
        ("while True: print('x' * 999)", Verdict.output_limit),
    ],
)
def test_a_limit_names_itself(sandbox, source, verdict):
    limits = {"wall_seconds": 1.5, "memory_bytes": 2**28, "processes": 8}
    assert judged(sandbox, source, TESTS, **limits).verdict is verdict
    assert judged(sandbox, source, cases(("", "1")), **limits).verdict is verdict


def test_each_case_has_its_own_time(sandbox):
    source = "import time\ntime.sleep(0.7)\nprint(1)"
    assert judged(sandbox, source, cases(("", "1"), ("", "1"), ("", "1")), wall_seconds=1.5).passed


def test_the_end_of_long_errors_is_kept(sandbox):
    outcome = judged(sandbox, "import sys\nsys.stderr.write('x' * 5000 + 'end')\nsys.exit(1)", cases(("", "")))
    assert len(outcome.stderr) == 2000
    assert outcome.stderr.endswith("end")


@pytest.mark.parametrize("name", Limits.__slots__)
def test_a_limit_of_nothing_is_refused(name):
    with pytest.raises(ValueError, match=f"the limit {name} must be positive, not 0"):
        Limits(**{name: 0})


def test_outcomes_keep_the_order_and_are_reported_as_they_come(sandbox):
    programs = [Program(f"import time\ntime.sleep({0.3 if n == 0 else 0})\n{ADD}", TESTS) for n in range(4)]
    programs[2] = Program("", TESTS)
    seen = []
    outcomes = run_programs(
        programs, sandbox=sandbox, workers=4, on_done=lambda index, outcome: seen.append((index, outcome))
    )
    assert [outcome.passed for outcome in outcomes] == [True, True, False, True]
    assert sorted(index for index, _ in seen) == [0, 1, 2, 3]
    assert all(outcomes[index] is outcome for index, outcome in seen)
    assert run_programs([], sandbox=sandbox) == []


HUMANEVAL = Path(os.environ.get("EVALHARNESS_TEST_DATA", "")) / "humaneval" / "HumanEval.jsonl"


@pytest.fixture(scope="module")
def problems():
    if not os.environ.get("EVALHARNESS_TEST_DATA") or not HUMANEVAL.exists():
        pytest.skip("set EVALHARNESS_TEST_DATA to a folder that holds humaneval/HumanEval.jsonl")
    return [json.loads(line) for line in HUMANEVAL.read_text().splitlines()]


def judge_of(row):
    return FunctionTests(f"{row['test']}\ncheck({row['entry_point']})\n", row["entry_point"])


@pytest.mark.slow
def test_the_canonical_solutions_of_humaneval_pass(sandbox, problems):
    programs = [Program(row["prompt"] + row["canonical_solution"], judge_of(row)) for row in problems]
    outcomes = run_programs(programs, sandbox=sandbox, limits=Limits(wall_seconds=60))
    assert [row["task_id"] for row, outcome in zip(problems, outcomes, strict=True) if not outcome.passed] == []
    assert len(outcomes) == 164


@pytest.mark.slow
def test_empty_bodies_in_humaneval_fail(sandbox, problems):
    programs = [Program(row["prompt"] + "    pass\n", judge_of(row)) for row in problems]
    outcomes = run_programs(programs, sandbox=sandbox, limits=Limits(wall_seconds=60))
    assert {outcome.verdict for outcome in outcomes} == {Verdict.failed}


@pytest.mark.slow
def test_sixteen_hundred_programs_cost_less_than_a_minute_of_two_cores(sandbox):
    """Processor time and not wall time, so that other work on the machine does not fail the test."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
    started = time.monotonic()
    outcomes = run_programs([Program(ADD, TESTS)] * 1640, sandbox=sandbox, workers=2)
    wall = time.monotonic() - started
    now = [resource.getrusage(who) for who in (resource.RUSAGE_CHILDREN, resource.RUSAGE_SELF)]
    seconds = sum(b.ru_utime + b.ru_stime - a.ru_utime - a.ru_stime for a, b in zip(used, now, strict=True))
    assert all(outcome.passed for outcome in outcomes)
    assert seconds / 2 < 60
    print(f"1640 programs: {wall:.1f} s of wall time, {seconds:.1f} s of processor time")
