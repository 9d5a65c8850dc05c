"""Answers that are run as programs: from the task's YAML through the sandbox to pass@k."""

import json
import shutil
import subprocess
import sys

import pytest

from evalharness.cli.main import main
from evalharness.run.store import ResultStore

needs_sandbox = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")

FUNCTIONS = """\
name: doubling
data: {inline: [{id: a, factor: 2}, {id: b, factor: 3}]}
id: "{{ id }}"
prompt: "Write f, which multiplies by {{ factor }}."
reference: "def f(x): return x * {{ factor }}"
output: {generate: {max_new_tokens: 32, temperature: 0.8, repeats: 2}}
execute: {tests: "assert f(5) == 5 * {{ factor }}", entry_point: f, timeout_seconds: 5}
metrics:
  - {name: tests_passed, headline: true}
  - {name: pass_at_k, metric: tests_passed, k: 2}
"""

CASES = """\
name: echo
data: {inline: [{id: a, cases: {inputs: ["1 2", "3 4"], outputs: ["3", "7"]}}]}
id: "{{ id }}"
prompt: "Add two numbers."
reference: "print(sum(map(int, input().split())))"
output: {generate: {max_new_tokens: 32}}
execute: {cases: "{{ cases }}"}
metrics: [tests_passed]
"""


@pytest.fixture
def score(tmp_path, monkeypatch):
    """Write a task and predictions, run them, and return the task's record and its samples."""
    monkeypatch.chdir(tmp_path)

    def run(task, name, predictions):
        (tmp_path / f"{name}.yaml").write_text(task)
        (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in predictions))
        code = main(["run", "-m", "p.jsonl", "-t", f"{name}.yaml"])
        store = ResultStore("results")
        (entry,) = store.runs()
        return code, entry.record.task(name), list(store.samples(entry.run_id))

    return run


@needs_sandbox
def test_pass_at_k_counts_answers_that_pass_their_tests(score):
    answers = {("a", 0): "x * 2", ("a", 1): "x + x", ("b", 0): "x * 3", ("b", 1): "x ** 3"}
    rows = [
        {"document_id": name, "repeat": repeat, "text": f"def f(x): return {text}"}
        for (name, repeat), text in answers.items()
    ]
    code, task, samples = score(FUNCTIONS, "doubling", rows)
    assert code == 0
    assert {metric.name: metric.value for metric in task.metrics} == {"tests_passed": 0.75, "pass_at_k": 1.0}
    assert [execution["verdict"] for execution in samples[1]["executions"]] == ["passed", "failed"]


@needs_sandbox
def test_a_program_is_judged_by_its_output_on_every_case(score):
    _, right, _ = score(CASES, "echo", [{"document_id": "a", "text": "print(sum(map(int, input().split())))"}])
    assert right.headline.value == 1.0


@needs_sandbox
def test_the_run_records_how_code_was_executed(score):
    score(CASES, "echo", [{"document_id": "a", "text": "print(3)"}])
    (entry,) = ResultStore("results").runs()
    (event,) = [event for event in entry.record.events if event.name == "sandbox"]
    assert event.fields["kind"] == "bubblewrap"
    assert entry.record.task("echo").headline.value == 0.0


@needs_sandbox
def test_an_answer_that_was_not_found_fails_without_being_run(score):
    task = CASES.replace("metrics:", "filters: [{regex: {pattern: '```(.*)```'}}]\nmetrics:")
    _, record, samples = score(task, "echo", [{"document_id": "a", "text": "no code here"}])
    assert (record.n_scored, record.headline.value) == (1, 0.0)
    assert samples[0]["executions"][0]["detail"] == "the filters found no answer to run"


@pytest.mark.parametrize("metric", ["tests_passed", "{name: pass_at_k, metric: tests_passed}"])
def test_a_metric_of_executions_needs_a_task_that_executes(metric, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = CASES.replace('execute: {cases: "{{ cases }}"}\n', "").replace("[tests_passed]", f"[{metric}]")
    (tmp_path / "echo.yaml").write_text(task)
    assert main(["tasks", "validate", "echo.yaml"]) == 2
    assert "add `execute:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("execute: {}", "give one of `tests:` and `cases:`"),
        ('execute: {cases: "{{ cases }}", entry_point: f}', "`entry_point` belongs to `tests:`"),
        ('execute: {cases: "{{ cses }}"}', "cses"),
        ('execute: {cases: "{{ cases }}", timeout_seconds: 0}', "timeout_seconds"),
    ],
)
def test_a_mistake_in_execute_is_refused(written, words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "echo.yaml").write_text(CASES.replace('execute: {cases: "{{ cases }}"}', written))
    assert main(["run", "-m", "fake", "-t", "echo.yaml"]) == 2
    assert words in capsys.readouterr().err


def validated(folder, task, *flags, capsys):
    (folder / "doubling.yaml").write_text(task)
    code = main(["tasks", "validate", str(folder / "doubling.yaml"), *flags])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


@needs_sandbox
def test_validate_runs_the_references(tmp_path, capsys):
    code, said = validated(tmp_path, FUNCTIONS, capsys=capsys)
    assert code == 0
    assert "reference programs pass" in said


@needs_sandbox
def test_validate_names_a_reference_that_fails_its_own_tests(tmp_path, capsys):
    wrong = FUNCTIONS.replace("return x * {{ factor }}", "return x * 2")
    code, said = validated(tmp_path, wrong, capsys=capsys)
    assert code == 2
    assert "1 of 2 references fail as programs, first that of document `b`: failed: AssertionError" in said


def test_validate_leaves_programs_out_where_asked(tmp_path, capsys):
    wrong = FUNCTIONS.replace("return x * {{ factor }}", "return x * 2")
    code, said = validated(tmp_path, wrong, "--no-execute", capsys=capsys)
    assert code == 0
    assert "reference programs left out" in said


@needs_sandbox
def test_validate_says_that_programs_were_not_run_where_no_sandbox_opens(tmp_path):
    (tmp_path / "doubling.yaml").write_text(FUNCTIONS)
    hidden = ("bwrap", "--dev-bind", "/", "/", "--ro-bind", "/dev/null", "/usr/bin/bwrap", "--")
    command = (*hidden, sys.executable, "-m", "evalharness", "tasks", "validate", str(tmp_path / "doubling.yaml"))
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "reference programs not run: bubblewrap is not installed" in done.stdout
