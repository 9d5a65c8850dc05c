"""`evalharness runs`, from arguments to text."""

from __future__ import annotations

import argparse
import csv
import io
import json
import subprocess
import sys

import pytest
from run_cases import PLAN, finished_run, metric, record

from evalharness.cli.runs import register
from evalharness.errors import StoreError
from evalharness.request import Document, Sample
from evalharness.run.record import SampleRecord, TaskRecord
from evalharness.run.store import ResultStore


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / "results")


@pytest.fixture
def runs(store):
    def call(*arguments):
        parser = argparse.ArgumentParser()
        register(parser.add_subparsers())
        args = parser.parse_args(["runs", *arguments, "--results", store.root])
        return args.handler(args)

    return call


def test_list_shows_finished_and_unfinished_runs(runs, store, capsys):
    done, begun = finished_run(store), store.begin("tiny", PLAN)
    assert runs("list") == 0
    out = capsys.readouterr().out
    for fact in (done.run_id, begun.run_id, "committed", "unfinished", "arithmetic 1.00"):
        assert fact in out


def test_list_as_json_is_json(runs, store, capsys):
    directory = finished_run(store)
    runs("list", "--json")
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["run_id"], entry["state"]) == (directory.run_id, "committed")
    assert entry["headlines"]["arithmetic"] == {"metric": "exact_match", "value": 1.0, "low": 0.5101, "high": 1.0}


def test_list_of_an_empty_store_says_so(runs, capsys):
    assert runs("list") == 0
    assert "no runs in" in capsys.readouterr().out


def test_show_prints_results_and_the_run_directory(runs, store, capsys):
    directory = finished_run(store)
    runs("show", directory.run_id)
    out = capsys.readouterr().out
    assert "exact_match" in out
    assert str(directory.path) in out


def test_show_samples_of_one_task(runs, store, capsys):
    runs("show", finished_run(store).run_id, "--task", "arithmetic", "--samples", "2")
    out = capsys.readouterr().out
    assert out.count("--- arithmetic") == 2
    assert "facts" not in out


def test_show_failed_samples_alone(runs, store, capsys):
    runs("show", finished_run(store).run_id, "--failed")
    out = capsys.readouterr().out
    assert out.count("--- ") == 1
    assert "failed: too long" in out


def test_show_cuts_long_texts_in_the_middle_and_says_so(runs, store, capsys):
    directory = store.begin("tiny", PLAN)
    long = Sample("t", Document("0", {}, "h"), "A" * 3000 + "B" * 3000 + "?", (), (), "h", error="too long")
    task = TaskRecord(
        name="t",
        fingerprint="f",
        data_hash="d",
        n_documents=1,
        n_scored=0,
        n_failed=1,
        metrics=(),
        output="generate",
        version="1",
    )
    directory.commit(record(directory, tasks=(task,)), [SampleRecord(long, {})])
    runs("show", directory.run_id, "--failed")
    out = capsys.readouterr().out
    assert "[... 4,001 of 6,001 characters are left out; --full shows them ...]" in out
    assert "A" * 1000 in out
    assert "B?\n" in out
    assert "B" * 1000 not in out
    runs("show", directory.run_id, "--failed", "--full")
    assert "A" * 3000 + "B" * 3000 + "?" in capsys.readouterr().out


def test_show_as_json_holds_record_and_samples(runs, store, capsys):
    runs("show", finished_run(store).run_id, "--samples", "1", "--json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["record"]["model"]["name"] == "tiny"
    assert len(shown["samples"]) == 2


def test_show_of_an_unknown_task_names_the_known(runs, store):
    directory = finished_run(store)
    with pytest.raises(StoreError, match="arithmetic, facts"):
        runs("show", directory.run_id, "--task", "nonsense")


def test_model_output_cannot_command_the_terminal(runs, store, capsys):
    directory = store.begin("tiny", PLAN)
    evil = Sample("t", Document("0", {}, "h"), "\x1b]0;title\x07 \u202ereversed", (), (), "h")
    task = TaskRecord(
        name="t",
        fingerprint="f",
        data_hash="d",
        n_documents=1,
        n_scored=1,
        n_failed=0,
        metrics=(metric("m", 0.5, 0.4, 0.6),),
        output="generate",
        version="1",
    )
    directory.commit(record(directory, tasks=(task,)), [SampleRecord(evil, {})])
    runs("show", directory.run_id, "--samples", "1")
    out = capsys.readouterr().out
    assert "\\x1b]0;title\\x07 \\u202ereversed" in out
    assert "\x1b" not in out


def test_export_writes_all_committed_runs_and_reports_the_corrupt(runs, store, tmp_path, capsys):
    finished_run(store)
    (finished_run(store).path / "run.json").write_text("{")
    runs("export", "--format", "csv", "-o", str(tmp_path / "out.csv"))
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert len(rows) == 3
    assert "corrupt" in capsys.readouterr().err


def test_export_to_a_folder_that_is_not_there_is_a_store_error(runs, store, tmp_path):
    with pytest.raises(StoreError, match="cannot be written"):
        runs("export", "-o", str(tmp_path / "missing" / "out.csv"))


def test_reproduce_prints_the_command_and_what_has_changed(runs, store, capsys):
    directory = finished_run(store, command=("run", "-m", "my ckpt", "-t", "a,b"))
    assert runs("reproduce", directory.run_id) == 0
    out, err = capsys.readouterr()
    assert out == "evalharness run -m 'my ckpt' -t a,b\n"
    assert "warning: fingerprint of the weights was abab" in err
    assert "warning: torch was absent" in err


@pytest.mark.parametrize("command", [(), ("runs", "list"), ("--debug",), ("models", "add", "x")])
def test_record_can_only_start_an_evaluation(runs, store, command):
    directory = finished_run(store, command=command)
    with pytest.raises(StoreError, match="no command that evaluates"):
        runs("reproduce", directory.run_id, "--go")


def test_masked_secret_is_not_executed(runs, store):
    directory = finished_run(store, command=("run", "--token", "abc"))
    with pytest.raises(StoreError, match="held a secret"):
        runs("reproduce", directory.run_id, "--go")


def test_every_help_ends_with_examples(capsys):
    parser = argparse.ArgumentParser()
    register(parser.add_subparsers())
    for arguments in ([], ["list"], ["show"], ["export"], ["reproduce"]):
        with pytest.raises(SystemExit):
            parser.parse_args(["runs", *arguments, "--help"])
        assert "Examples:\n  evalharness runs " in capsys.readouterr().out


def test_registering_loads_nothing_heavy():
    heavy = ["torch", "numpy", "pyarrow", "rich", "pydantic", "fsspec"]
    program = f"import sys, evalharness.cli.runs; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"[]\n"
