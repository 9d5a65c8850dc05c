"""`evalharness compare`: its formats parse, its bytes repeat, its exit codes say whether anything was compared."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from compare_cases import commit, means, outcomes

from evalharness.cli.main import main
from evalharness.run.store import ResultStore


@pytest.fixture
def store(tmp_path):
    return ResultStore(tmp_path / "results")


@pytest.fixture
def runs(store):
    """Two runs of which the candidate loses a task, and has hostile texts."""
    baseline, candidate = outcomes(100, 60, 5, 35)
    rng = np.random.default_rng(3)
    tokens = rng.integers(5, 50, 60).astype(float)
    texts = [np.stack([-(2.5 + shift + rng.normal(0, 0.2, 60)) * tokens, tokens], axis=1) for shift in (0, 0.3)]
    answers = {100: "\x1b[31mred | `code` <b>", 160: "=1+1"}
    first, second = (
        {"facts": {"exact_match": rows}, "texts": {"perplexity": each}}
        for rows, each in zip((baseline, candidate), texts, strict=True)
    )
    return [commit(store, "before", first), commit(store, "after", second, answers=answers)]


def command(store, *arguments, capsys):
    code = main(["compare", *arguments, "--results", store.root])
    return code, capsys.readouterr().out


def test_the_table_names_verdicts_intervals_and_what_else_differs(store, runs, capsys):
    code, out = command(store, *runs, capsys=capsys)
    assert code == 0
    facts = next(line for line in out.splitlines() if line.lstrip().startswith("facts"))
    assert "worse" in facts
    assert "5/60" in facts
    texts = next(line for line in out.splitlines() if line.lstrip().startswith("texts"))
    assert "perplexity ↓" in texts
    assert " %" in texts
    assert "weights of before" in out
    assert "texts: perplexity has no range" in out


def test_a_narrow_terminal_gets_blocks_with_whole_numbers(store, runs):
    from rich.console import Console

    from evalharness.compare.comparison import compare_runs
    from evalharness.compare.table import comparison_tables

    console = Console(width=80, file=io.StringIO())
    for part in comparison_tables(compare_runs(store, runs[0], runs[1:])):
        console.print(part)
    out = console.file.getvalue()
    assert "facts: exact_match" in out
    assert "[-0.342, -0.202]" in out
    assert "p <0.0001; won/lost 5/60; n 200" in out


def test_a_run_compared_with_itself_is_noted(store, runs, capsys):
    assert main(["compare", runs[0], runs[0], "--results", store.root]) == 0
    assert "is compared with itself" in capsys.readouterr().err


def test_json_holds_everything_and_repeats_byte_for_byte(store, runs, capsys):
    _, first = command(store, *runs, "--format", "json", capsys=capsys)
    _, again = command(store, *runs, "--format", "json", capsys=capsys)
    assert first == again
    found = json.loads(first)
    metric = found["candidates"][0]["metrics"][0]
    assert (metric["task"], metric["verdict"]) == ("facts", "worse")
    assert len(metric["lost"]) == metric["difference"]["n_lost"] == 60
    assert metric["difference"]["interval"]["method"] == "bonett-price"
    assert found["settings"]["correction"] == "holm"
    assert store.root not in first


def test_csv_has_a_row_a_task_and_metric(store, runs, capsys):
    _, out = command(store, *runs, "--format", "csv", capsys=capsys)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["task"] for row in rows] == ["facts", "texts"]
    assert float(rows[0]["delta"]) == pytest.approx(-55 / 200)
    assert float(rows[0]["low"]) < float(rows[0]["delta"]) < float(rows[0]["high"])
    assert rows[1]["scale"] == "log-ratio"


def test_markdown_escapes_texts(store, capsys):
    one = {"a|b<i>": {"exact_match": means([1, 0])}}
    runs = [commit(store, "m", one) for _ in range(2)]
    _, out = command(store, *runs, "--format", "markdown", capsys=capsys)
    assert r"| a\|b&lt;i&gt; | exact\_match |" in out


def test_samples_stand_side_by_side_as_inert_text(store, runs, capsys):
    _, out = command(store, *runs, "--samples", "1", capsys=capsys)
    assert "facts · document 100 · exact_match lost" in out
    assert "facts · document 160 · exact_match won" in out
    assert "answer 100" in out
    assert r"\x1b[31mred | `code` <b>" in out
    assert "\x1b" not in out


def test_samples_are_part_of_json_and_of_no_csv(store, runs, capsys):
    _, out = command(store, *runs, "--samples", "1", "--format", "json", "-t", "facts", capsys=capsys)
    lost, won = json.loads(out)["samples"]
    assert (lost["outcome"], won["outcome"]) == ("lost", "won")
    assert lost["baseline"]["document_id"] == lost["candidate"]["document_id"] == "100"
    assert main(["compare", *runs, "--samples", "--format", "csv", "--results", store.root]) == 2


def test_the_exit_code_is_5_where_nothing_compares(store, capsys):
    runs = [commit(store, "m", {task: {"exact_match": means([1, 0])}}) for task in ("one", "two")]
    code, out = command(store, *runs, capsys=capsys)
    assert code == 5
    assert "not comparable" in out


def test_the_report_goes_to_a_file(store, runs, tmp_path, capsys):
    for style in ("table", "json"):
        path = tmp_path / style
        code, out = command(store, *runs, "--format", style, "-o", str(path), capsys=capsys)
        assert (code, out) == (0, "")
        assert "facts" in path.read_text()


@pytest.mark.parametrize("flag", [("--level", "0.3"), ("--margin", "2"), ("--metrics", "nothing"), ("-t", "nothing")])
def test_a_wrong_flag_is_a_usage_error(store, runs, flag, capsys):
    try:
        code = main(["compare", *runs, *flag, "--results", store.root])
    except SystemExit as ended:
        code = ended.code
    assert code == 2


def test_a_comparison_loads_neither_torch_nor_the_engine(store, runs):
    script = (
        "import sys\nfrom evalharness.cli.main import main\nmain(sys.argv[1:])\n"
        "print('LOADED', sorted({'torch', 'transformers', 'datasets', 'evalharness.engine'} & set(sys.modules)))"
    )
    arguments = ["compare", *runs, "--metrics", "all", "--results", store.root]
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("LOADED []")
