"""One verdict, rendered five times: each text is read back by a parser that is not ours."""

import dataclasses
import json

import numpy as np
import pytest
from defusedxml.ElementTree import fromstring
from gate_cases import judged, means, pair_of, scores
from lxml import etree
from markdown_it import MarkdownIt

from evalharness.gate.cells import cells
from evalharness.gate.render_github import append_summary, workflow_commands
from evalharness.gate.render_json import to_json
from evalharness.gate.render_junit import to_junit
from evalharness.gate.render_markdown import MOST_CHARACTERS, to_markdown
from evalharness.gate.render_text import verdict_lines, verdict_table
from evalharness.gate.verdict import GateVerdict

HOSTILE = "a|b`c` @octocat #1 <script>alert(1)</script>\x00\x1b[2J\n## x"


def sides(*counts, names=None):
    tasks = [pair_of(names[i] if names else f"task{i}", *each) for i, each in enumerate(counts)]
    return [pair[0] for pair in tasks], [pair[1] for pair in tasks]


PASS = (800, 0, 0, 519)
FAIL = (700, 200, 50, 369)
FEW = (20, 2, 2, 20)


@pytest.fixture(scope="module")
def verdicts():
    one, other = np.zeros(100), np.ones(100)
    return {
        "pass": judged(*sides(PASS, PASS)),
        "fail": judged(*sides(FAIL, PASS)),
        "inconclusive": judged(*sides(FEW)),
        "not comparable": judged([scores("a", means(one))], [scores("a", means(other), fingerprint="0" * 64)]),
        "hostile": judged(*sides(FAIL, PASS, names=["task", HOSTILE])),
    }


def tables(text):
    """The cells of every table of a Markdown text, row by row."""
    found, row = [], None
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(text):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            row = []
            found[-1].append(row)
        elif token.type == "inline" and row is not None and token.level >= 4:
            row.append(token.content)
    return found


@pytest.mark.parametrize("word", ["pass", "fail", "inconclusive", "not comparable"])
def test_every_text_has_the_same_word_and_the_exit_code_belongs_to_it(verdicts, word):
    verdict = verdicts[word]
    assert verdict.verdict == word
    assert verdict.exit_code == {"pass": 0, "fail": 3, "inconclusive": 0, "not comparable": 5}[word]
    assert verdict_lines(verdict)[-1].startswith(word.upper())
    assert f"## Gate test: {word}" in to_markdown(verdict)
    assert json.loads(to_json(verdict))["verdict"] == word
    assert workflow_commands(verdict)[-1].split("::")[1].endswith(f"title=gate {word}")


@pytest.mark.parametrize("word", ["pass", "fail", "inconclusive", "not comparable", "hostile"])
def test_markdown_is_read_back_cell_by_cell(verdicts, word):
    verdict = verdicts[word]
    rows = [row for table in tables(to_markdown(verdict)) for row in table[1:]]
    assert len(rows) == len(verdict.rows)
    assert {len(row) for row in rows} == {9}


def test_markdown_shows_what_did_not_pass_first_and_folds_the_rest(verdicts):
    text = to_markdown(verdicts["fail"])
    shown, folded = text.split("<details>", 1)
    assert "task0" in shown
    assert "task1" in folded
    assert text.startswith("<!-- evalharness-gate:test -->\n")


def test_names_in_markdown_make_no_markup_and_call_nobody(verdicts):
    text = to_markdown(verdicts["hostile"])
    assert "<script>" not in text
    assert "@octocat" not in text
    assert "\x00" not in text
    assert "\n## x" not in text
    assert any("a|b" in cell for table in tables(text) for row in table for cell in row)


def test_a_comment_never_exceeds_what_github_takes():
    names = [f"task{i}" + "|" * 400 for i in range(150)]
    counts = [(10, 20, 1, 40) if i % 2 else (10, 1, 1, 10) for i in range(150)]
    verdict = judged(*sides(*counts, names=names))
    text = to_markdown(verdict)
    assert len(text) <= MOST_CHARACTERS
    assert "did not fit" in text
    assert all(len(row) == 9 for table in tables(text) for row in table)


def test_a_build_is_red_in_junit_exactly_when_the_exit_code_is_not_zero(verdicts):
    for verdict in verdicts.values():
        root = etree.fromstring(to_junit(verdict))
        red = int(root.get("failures")) + int(root.get("errors"))
        assert (red > 0) == (verdict.exit_code > 0)
        assert int(root.get("tests")) == len(root.findall(".//testcase")) == len(verdict.rows) + 1


def test_junit_tells_regression_from_error_and_from_inconclusive(verdicts):
    assert fromstring(to_junit(verdicts["fail"])).find(".//failure").get("type") == "regression"
    assert fromstring(to_junit(verdicts["not comparable"])).find(".//error").get("type") == "not comparable"
    assert "inconclusive" in fromstring(to_junit(verdicts["inconclusive"])).find(".//skipped").get("message")
    strict = judged(*sides(FEW), on_inconclusive="fail")
    assert fromstring(to_junit(strict)).find(".//failure").get("type") == "inconclusive"


def test_junit_carries_the_numbers_of_each_row(verdicts):
    root = fromstring(to_junit(verdicts["fail"]))
    case = next(case for case in root.iter("testcase") if case.get("name") == "task0 exact_match")
    values = {each.get("name"): float(each.get("value")) for each in case.iter("property")}
    assert (values["n"], values["n_worse"], values["n_better"]) == (1319, 200, 50)
    assert values["low"] < values["difference"] < values["high"] < 0


def test_control_characters_leave_junit_well_formed(verdicts):
    root = etree.fromstring(to_junit(verdicts["hostile"]))
    assert any(r"\x00\x1b[2J" in case.get("name") for case in root.iter("testcase"))


def test_the_same_verdict_gives_the_same_bytes(verdicts):
    again = judged(*sides(FAIL, PASS))
    for render in (to_json, to_junit, to_markdown, workflow_commands, verdict_lines):
        assert render(again) == render(verdicts["fail"])


def test_json_holds_every_field_of_the_verdict(verdicts):
    found = json.loads(to_json(verdicts["fail"]))
    assert set(found) == {field.name for field in dataclasses.fields(GateVerdict)} | {"schema_version"}
    assert found["config"]["suite"]["margin"] == 0.01
    assert found["rows"][0]["name"] == "suite"


def test_annotations_are_errors_where_the_build_stops(verdicts):
    lines = workflow_commands(verdicts["fail"])
    assert lines[0].startswith("::error title=gate%3A ")
    assert all("\n" not in line for line in workflow_commands(verdicts["hostile"]))
    assert workflow_commands(verdicts["pass"])[-1].startswith("::notice")


def test_the_summary_of_a_step_is_appended_to_and_kept_within_its_limit(verdicts, tmp_path):
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    append_summary(verdicts["pass"], path)
    assert path.read_text().startswith("before\n<!-- evalharness-gate:test -->")
    path.write_bytes(b"x" * (1024 * 1024 - 1000))
    append_summary(verdicts["pass"], path)
    assert path.stat().st_size <= 1024 * 1024


def test_a_narrow_terminal_cuts_no_number(verdicts):
    from rich.console import Console

    console = Console(width=60, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(verdict_table(verdicts["fail"]))
    shown = console.export_text()
    assert "…" not in shown
    assert all(text in shown for row in verdicts["fail"].rows for text in cells(row, verdicts["fail"])[2:])
    assert max(map(len, shown.splitlines())) <= 60


def test_the_terminal_shows_no_control_characters(verdicts):
    from rich.console import Console

    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(verdict_table(verdicts["hostile"]))
    shown = console.export_text() + "\n".join(verdict_lines(verdicts["hostile"]))
    assert "\x00" not in shown
    assert r"\x1b[2J" in shown
