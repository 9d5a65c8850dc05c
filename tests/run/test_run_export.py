"""Exports and tables: every number with its digits, every text inert in the language it is written in."""

from __future__ import annotations

import csv
import io
import json

import pytest
from rich.console import Console
from run_cases import finished_run, metric

from evalharness.run.digits import shown_interval, shown_value
from evalharness.run.export import FORMATS, Row, rows_of, to_csv, to_latex, to_markdown
from evalharness.run.store import ResultStore
from evalharness.run.table import comparison_table, results_table

ROW = Row("tiny", "arithmetic", "exact_match", 0.6180339887498949, 0.51, 0.72, 100, "20261121T000000Z-0a1b2c3d")


@pytest.fixture
def finished(tmp_path):
    store = ResultStore(tmp_path)
    return store.load(finished_run(store).run_id)


def _text(table, width=200):
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(table)
    return console.export_text()


def test_one_row_a_task_and_metric(finished):
    assert [(row.task, row.metric, row.value) for row in rows_of([finished])] == [
        ("arithmetic", "exact_match", 1.0),
        ("arithmetic", "bleu", 31.25),
        ("facts", "accuracy", None),
    ]


def test_json_keeps_full_precision_and_null():
    (row,) = json.loads(FORMATS["json"]([ROW]))
    assert row["value"] == ROW.value
    assert {name: row[name] for name in ("model", "n", "limit", "adapter")} == {
        "model": "tiny",
        "n": 100,
        "limit": None,
        "adapter": None,
    }


def test_a_row_says_how_its_number_came_about(finished):
    adapted = finished.model_copy(
        update={
            "model": finished.model.model_copy(update={"spec": {**finished.model.spec, "adapter": "/adapters/a"}}),
            "settings": {**finished.settings, "limit": 4},
        }
    )
    first, *_, last = rows_of([adapted])
    assert (first.shots, first.limit, first.level, first.adapter) == (2, 4, 0.95, "/adapters/a")
    assert (first.n_failed, first.n_truncated, first.method) == (0, 1, "wilson")
    assert (last.n_failed, last.level, last.method) == (1, None, None)


def test_a_table_for_people_leaves_out_columns_that_say_nothing(finished):
    head = to_markdown(rows_of([finished])).splitlines()[0]
    assert "n_failed" in head
    for name in ("adapter", "limit"):
        assert name not in head
        assert name in to_csv(rows_of([finished])).splitlines()[0]


def test_csv_keeps_full_precision_and_leaves_unknown_values_empty():
    unknown = Row("tiny", "a,b", 'say "hi"', None, None, None, 0, "r")
    rows = list(csv.DictReader(io.StringIO(to_csv([ROW, unknown]))))
    assert float(rows[0]["value"]) == ROW.value
    assert (rows[1]["task"], rows[1]["metric"], rows[1]["value"]) == ("a,b", 'say "hi"', "")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1+1", "'+1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-x", "'-x"),
        ("\t=1", "'\t=1"),
        ("-12.5", "-12.5"),
        ("a=b", "a=b"),
    ],
)
def test_csv_disarms_formulas_but_not_numbers(text, cell):
    (row,) = csv.DictReader(io.StringIO(to_csv([Row(text, "t", "m", -1.5, None, None, 1, "r")])))
    assert (row["model"], row["value"]) == (cell, "-1.5")


def test_markdown_escapes_what_would_be_markup():
    text = to_markdown([Row("a|b", "<img src=x>", "x\ny", 0.5, None, None, 1, "r_1")])
    assert text.splitlines()[2] == r"| a\|b | &lt;img src=x&gt; | x y | 0.5 | - | - | 1 | r\_1 |"


def test_latex_escapes_every_special_letter():
    line = to_latex([Row("\\{}$&#%_^~[<", "t", "m", 0.5, 0.4, 0.6, 10, "r")]).splitlines()[4]
    escaped = r"\textbackslash{}\{\}\$\&\#\%\_\textasciicircum{}\textasciitilde{}{[}\textless{}"
    assert line == escaped + r" & t & m & 0.50 & 0.40 & 0.60 & 10 & r \\"


def test_latex_is_a_booktabs_table():
    lines = to_latex([ROW]).splitlines()
    assert [lines[i] for i in (0, 1, 3, -2, -1)] == [
        r"\begin{tabular}{lllrrrrl}",
        r"\toprule",
        r"\midrule",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize(
    ("value", "low", "high", "shown", "interval"),
    [
        (0.618034, 0.51, 0.72, "0.62", "[0.51, 0.72]"),
        (0.618034, 0.6171, 0.6191, "0.6180", "[0.6171, 0.6191]"),
        (31.2512, 24.5, 38.25, "31.3", "[24.5, 38.2]"),
        (1234.5, 1000.0, 1500.0, "1234", "[1000, 1500]"),
        (1.0, 1.0, 1.0, "1.0000", "[1.0000, 1.0000]"),
        (12.34567, None, None, "12.35", "-"),
        (None, None, None, "-", "-"),
    ],
)
def test_digits_follow_from_the_width_of_the_interval(value, low, high, shown, interval):
    assert (shown_value(value, low, high), shown_interval(low, high)) == (shown, interval)


def test_results_table_names_failures_truncation_and_absence(finished):
    text = _text(results_table(finished))
    for fact in ("1 of 4 truncated", "1 of 2 failed", "one document is too few", "[0.51, 1.00]"):
        assert fact in text


def test_results_table_reads_no_markup_in_names(finished):
    task = finished.tasks[0].model_copy(update={"name": "[red]evil[/red]"})
    assert "[red]evil[/red]" in _text(results_table(finished.model_copy(update={"tasks": (task,)})))


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_width_breaks_names_or_numbers(finished, width):
    metrics = (metric("accuracy_per_character", 0.61234, 0.6012, 0.6251), metric("compression_ratio", 0.3, 0.2, 0.4))
    task = finished.tasks[0].model_copy(update={"name": "mmlu_professional_psychology", "metrics": metrics})
    record = finished.model_copy(update={"tasks": (*finished.tasks, task)})
    text = _text(results_table(record), width)
    for fact in (task.name, "accuracy_per_character", "compression_ratio", "exact_match", "0.612", "[0.601, 0.625]"):
        assert fact in text
    assert "1 of 4 truncated" in text
    other = record.model_copy(update={"model": record.model.model_copy(update={"name": "zoo-llama-base"})})
    text = _text(comparison_table([record, other]), width)
    for fact in (task.name, "accuracy_per_character", "zoo-llama-base", "0.612", "[0.601, 0.625]"):
        assert fact in text
    assert max(map(len, text.splitlines())) <= width


def test_comparison_has_a_column_a_model_and_a_row_a_task(finished):
    other = finished.model_copy(
        update={"model": finished.model.model_copy(update={"name": "big"}), "tasks": finished.tasks[:1]}
    )
    text = _text(comparison_table([finished, other]))
    assert "tiny" in text
    assert "big" in text
    assert text.count("1.00 [0.51, 1.00]") == 2
    assert "not comparable" not in text


def test_comparison_says_when_tasks_or_metrics_differ(finished):
    task = finished.tasks[0].model_copy(
        update={"fingerprint": "other", "metrics": (metric("exact_match", 1.0, 0.5, 1.0, signature="exact_match|v:2"),)}
    )
    other = finished.model_copy(update={"tasks": (task,)})
    assert "not comparable: task and metric differ" in _text(comparison_table([finished, other]))
