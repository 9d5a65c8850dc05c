"""The leaderboard page reads stored runs and draws them without an engine."""

from pathlib import Path

import pytest

from evalharness.cli.main import main

APP = Path(__file__).parents[2] / "leaderboard" / "app.py"

pytestmark = pytest.mark.slow


@pytest.fixture
def page(tmp_path, monkeypatch):
    testing = pytest.importorskip("streamlit.testing.v1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVALHARNESS_RESULTS", str(tmp_path / "results"))
    return testing.AppTest.from_file(str(APP), default_timeout=60)


def test_an_empty_store_says_how_to_begin(page):
    page.run()
    assert not page.exception
    assert "evalharness run" in page.info[0].value


def test_a_stored_run_is_a_row_a_task_with_its_interval(page):
    assert main(["run", "-m", "fake", "-t", "demo_qa", "--limit", "5"]) == 0
    page.run()
    assert not page.exception
    table = page.dataframe[0].value
    assert list(table["metric"]) == ["exact_match"]
    assert {"model", "task", "value", "low", "high", "n"} <= set(table.columns)
