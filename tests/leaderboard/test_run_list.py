"""Runs as rows and as a file."""

import csv
import io
from dataclasses import fields

import pytest

pytest.importorskip("streamlit")

from evalharness.index.queries import IndexedRun
from leaderboard.run_list import kept_runs, run_row, runs_as_csv


def run(**known):
    blank = dict.fromkeys(field.name for field in fields(IndexedRun))
    return IndexedRun(**{**blank, "place": "/r", "run_id": "id", "model": "m", "state": "committed", **known})


def test_filters_look_at_id_model_machine_and_reason():
    runs = [run(run_id="A1"), run(model="beta"), run(machine="H200"), run(state="corrupt", reason="not JSON")]
    assert [kept_runs(runs, "all", text) for text in ("a1", "BETA", "h200", "json")] == [[each] for each in runs]
    assert kept_runs(runs, "corrupt", "") == runs[3:]
    assert kept_runs(runs, "all", "") == runs


def test_a_link_of_a_run_quotes_its_id():
    assert run_row(run(run_id="a/b?c"))["run"] == "/run?run=a%2Fb%3Fc"


def test_a_file_of_runs_has_no_formulas():
    (head, row) = csv.reader(io.StringIO(runs_as_csv([run(model="=HYPERLINK(1)")]).decode()))
    assert dict(zip(head, row, strict=True))["model"] == "'=HYPERLINK(1)"
