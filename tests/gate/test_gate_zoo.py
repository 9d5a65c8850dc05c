"""Checkpoints of one training run: the last against itself, against an earlier one, and on too few documents."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from defusedxml.ElementTree import fromstring
from markdown_it import MarkdownIt

from evalharness.cli.main import main

TASKS = "demo_multiple_choice,demo_last_word,demo_sentiment,demo_arithmetic"
LAST, EARLIER = "zoo-llama-small", "zoo-llama-small-step-0800"
PAGE = (Path(__file__).parents[2] / "docs" / "gate.md").read_text()


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run ids by model and number of documents."""
    results = tmp_path_factory.mktemp("zoo")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # matrices of these models are too small to share
    found = {}
    for models, limits in (((LAST, EARLIER), []), ((LAST,), ["--limit", "20"])):
        known = set(results.glob("*/*"))
        chosen = [word for model in models for word in ("-m", model)]
        command = [sys.executable, "-m", "evalharness", "run", *chosen, "-t", TASKS, "--output", str(results), *limits]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        found |= {(path.parent.name, 20 if limits else None): path for path in set(results.glob("*/*")) - known}
    return found


def gate(folder, baseline, candidate):
    """Gate one run against another; return exit code and the three reports."""
    arguments = ["gate", "--baseline", str(baseline), "--candidate", str(candidate), "--config", "smoke"]
    reports = [str(folder / name) for name in ("g.json", "g.xml", "g.md")]
    code = main([*arguments, "--json", reports[0], "--junit", reports[1], "--markdown", reports[2]])
    return code, json.loads(Path(reports[0]).read_text()), fromstring(Path(reports[1]).read_bytes()), Path(reports[2])


@pytest.mark.slow
def test_the_last_checkpoint_passes_against_itself(runs, tmp_path):
    code, verdict, junit, _ = gate(tmp_path, runs[LAST, None], runs[LAST, None])
    assert (code, verdict["verdict"]) == (0, "pass")
    assert (junit.get("failures"), junit.get("errors")) == ("0", "0")


@pytest.mark.slow
def test_an_earlier_checkpoint_fails_against_the_last(runs, tmp_path):
    code, verdict, junit, markdown = gate(tmp_path, runs[LAST, None], runs[EARLIER, None])
    assert (code, verdict["verdict"]) == (3, "fail")
    assert {row["verdict"] for row in verdict["rows"]} == {"fail"}
    assert int(junit.get("failures")) == len(verdict["rows"]) + 1
    assert "## Gate smoke: fail" in markdown.read_text()


@pytest.mark.slow
def test_twenty_documents_are_inconclusive(runs, tmp_path):
    code, verdict, *_ = gate(tmp_path, runs[LAST, 20], runs[LAST, 20])
    assert (code, verdict["verdict"]) == (0, "inconclusive")


@pytest.mark.slow
def test_twenty_documents_are_not_comparable_with_all_of_them_unless_that_is_said(runs, tmp_path):
    assert gate(tmp_path, runs[LAST, None], runs[LAST, 20])[0] == 5
    arguments = ["gate", "--baseline", str(runs[LAST, None]), "--candidate", str(runs[LAST, 20]), "--config", "smoke"]
    report = tmp_path / "g.json"
    sets = ["--set", "pairing.on_unpaired=intersect", "--set", "pairing.min_overlap=0", "--json", str(report)]
    assert main([*arguments, *sets]) == 0
    verdict = json.loads(report.read_text())
    assert verdict["verdict"] == "inconclusive"
    assert {row["n"] for row in verdict["rows"] if row["kind"] == "task"} == {20}


@pytest.mark.slow
def test_a_run_on_the_zoo_is_judged_from_its_scores_file(runs, tmp_path):
    lock = str(tmp_path / "lock.json")
    assert main(["baseline", "accept", str(runs[LAST, None]), "--reason", "last", "--lock", lock]) == 0
    arguments = ["--candidate", str(runs[EARLIER, None]), "--lock", lock, "--config", "smoke"]
    assert main(["gate", "--baseline", "main", *arguments]) == 3


def test_the_markdown_of_the_page_is_a_table_of_its_verdict():
    (text,) = (block for block in blocks("markdown") if "evalharness-gate:" in block)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert sum(token.type == "tr_open" for token in tokens) == 7
    assert "## Gate smoke: fail" in text


def test_the_junit_of_the_page_is_a_failed_build():
    (text,) = blocks("xml")
    root = fromstring(text)
    assert (root.tag, int(root.get("failures"))) == ("testsuites", 7)
    assert root.find(".//failure").get("type") == "regression"
