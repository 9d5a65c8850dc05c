"""A module of the evaluate library scores a whole corpus; nothing of it runs without trust."""

import json

import numpy as np
import pytest
from metric_samples import MODULE, chosen, generated, repeated

from evalharness.cli.main import main
from evalharness.errors import MetricError
from evalharness.metric.registry import build_metric
from evalharness.metric.summary import summarise
from evalharness.run.store import ResultStore

pytest.importorskip("evaluate")
pytestmark = pytest.mark.slow

PLAIN = {"path": str(MODULE), "key": "share"}


def value(parameters, samples):
    metric = build_metric("evaluate", {**PLAIN, **parameters}, where="here", trust_metric_code=True)
    return metric.value_of_rows(np.array([metric.row(sample) for sample in samples]))


def test_module_sees_answers_of_all_documents_and_repeats():
    samples = [repeated(["a", "b"], "a"), generated("c", "c"), generated(None, "d"), generated("c", "c")]
    assert value({}, samples) == 3 / 5


def test_arguments_reach_the_module():
    assert value({"arguments": {"scale": 100}}, [generated("a", "a"), generated("b", "c")]) == 50.0


def test_choices_are_given_as_their_numbers():
    samples = [chosen([-1.0, -2.0], [0], ["x", "y"]), chosen([-1.0, -2.0], [1], ["x", "y"])]
    assert value({"config": "numbers"}, samples) == 0.5


def test_answer_that_is_no_number_fails_its_own_document():
    with pytest.raises(ValueError, match="invalid literal"):
        value({"config": "numbers"}, [generated("seven", "7")])


def test_several_references_fail_their_own_document():
    with pytest.raises(ValueError, match="takes one reference an answer"):
        value({}, [generated("a", "a", "b")])


def test_key_that_the_module_does_not_give_is_told_with_those_it_gives():
    with pytest.raises(MetricError, match=r"gives no `shares`, only share"):
        value({"key": "shares"}, [generated("a", "a")])


def test_interval_is_computed_where_asked_for():
    samples = [generated("a" if i % 3 else "b", "a") for i in range(30)]
    for parameters, method in (({}, None), ({"interval": True}, "bootstrap")):
        metric = build_metric("evaluate", {**PLAIN, **parameters}, where="here", trust_metric_code=True)
        summary = summarise(metric, np.array([metric.row(sample) for sample in samples]), resamples=20)
        assert summary.method == method
        assert summary.value == pytest.approx(2 / 3)


def test_nothing_runs_without_trust():
    with pytest.raises(MetricError, match=r"would run the program .*share_equal"):
        build_metric("evaluate", PLAIN, where="here")


def test_missing_module_is_told_when_the_metric_is_built():
    with pytest.raises(MetricError, match=r"there is no file or folder \./nowhere"):
        build_metric("evaluate", {**PLAIN, "path": "./nowhere"}, where="here", trust_metric_code=True)


TASK = f"""\
name: echo
data: {{inline: [{{question: "a", answer: "a"}}, {{question: "b", answer: "c"}}]}}
prompt: "{{{{ question }}}}"
reference: "{{{{ answer }}}}"
output: {{generate: {{max_new_tokens: 8}}}}
metrics: [{{name: evaluate, path: "{MODULE}", key: share}}]
"""


@pytest.fixture
def run_task(tmp_path, monkeypatch):
    """Write a task with the module and predictions, and return a way to run a command on them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "echo.yaml").write_text(TASK)
    rows = ({"document_id": str(i), "text": text} for i, text in enumerate("ab"))
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return lambda *arguments: main([*arguments])


@pytest.mark.parametrize("command", ["run", "score"])
def test_a_flag_says_that_the_module_is_trusted_and_the_run_records_it(run_task, command, capsys):
    given = [command, "-m" if command == "run" else "-p", "p.jsonl", "-t", "echo.yaml"]
    assert run_task(*given) == 2
    assert "add --trust-metric-code if you trust it" in capsys.readouterr().err
    assert run_task(*given, "--trust-metric-code") == 0
    (entry,) = ResultStore("results").runs()
    assert entry.record.tasks[0].headline.value == 0.5
    assert entry.record.settings["trust_metric_code"] is True
    assert "--trust-metric-code" in entry.record.command


def test_a_preview_needs_no_trust_since_it_computes_no_metric(run_task):
    assert run_task("tasks", "preview", "echo.yaml") == 0
    assert run_task("tasks", "validate", "echo.yaml") == 2
    assert run_task("tasks", "validate", "echo.yaml", "--trust-metric-code") == 0


def test_two_files_are_scored_by_a_trusted_module(tmp_path, capsys):
    (tmp_path / "a").write_text("a\nb\n")
    given = ["metric", "evaluate", "-r", str(tmp_path / "a"), "-p", str(tmp_path / "a")]
    given += ["--param", f"path={MODULE}", "--param", "key=share"]
    assert main(given) == 2
    assert main([*given, "--trust-metric-code", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["value"] == 1.0
