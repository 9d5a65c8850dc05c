"""The table of metrics and their references: what is not made anew is kept, and said to be."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "parity"))

import metrics
from rows import table
from rows.row import Row
from rows.table import Part

OLD = Part("2020-01-02", [Row("wer", "", "some texts", 0.25, 0.25, "jiwer 1.0")])


def one_row():
    yield Row("cer", "", "other texts", 0.5, 0.5, "jiwer 4.0")


def package_missing():
    raise ModuleNotFoundError("No module named 'jiwer'", name="jiwer")
    yield


@pytest.mark.parametrize(
    ("make", "reason"), [("--flag", "--flag is not given"), (package_missing, "jiwer is not installed")]
)
def test_a_part_that_cannot_be_made_keeps_its_rows_and_says_why(make, reason):
    parts, (note,) = metrics.gathered({"new": one_row, "old": make}, {"old": OLD}, None)
    assert parts["old"] == OLD
    assert "1 rows of 2020-01-02 kept" in note
    assert reason in note


def test_a_part_that_is_neither_made_nor_kept_is_noted():
    parts, (note,) = metrics.gathered({"new": one_row, "old": "--flag"}, {}, None)
    assert list(parts) == ["new"]
    assert "NO ROWS" in note


def test_a_part_that_is_not_named_is_not_made():
    parts, _ = metrics.gathered({"new": one_row, "old": package_missing}, {"old": OLD}, ["new"])
    assert parts["new"].made == table.today()
    assert parts["old"] == OLD


def test_the_page_shows_the_day_of_kept_rows_and_the_report_gives_them_back(tmp_path, monkeypatch):
    page, report = tmp_path / "metrics.md", tmp_path / "report.json"
    monkeypatch.setattr(table, "PAGE", page)
    monkeypatch.setattr(table, "REPORT", report)
    page.write_text(f"before\n\n{table.BEGIN}\nold\n{table.END}\nafter\n")
    parts = {"new": Part("2026-11-21", list(one_row())), "old": OLD}
    table.write(parts)
    assert table.read_report() == parts
    text = page.read_text()
    assert "2 comparisons, made on 2026-11-21; kept of 2020-01-02: old." in text
    assert "| `wer` |  | some texts | 0.25 | 0.25 | 0.0e+00 | 1e-09 | jiwer 1.0 |" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old\n<" not in text


def test_every_committed_row_is_within_its_tolerance():
    rows = [row for part in table.read_report().values() for row in part.rows]
    assert rows
    assert [row for row in rows if not row.agrees] == []


@pytest.mark.parametrize("ours", [float("nan"), float("inf"), 0.5000011])
def test_a_value_that_is_far_or_not_finite_does_not_agree(ours):
    assert not Row("cer", "", "", ours, 0.5, "", 1e-6).agrees
