"""The comparison with lm-evaluation-harness itself, on a few documents: needs lm-eval and BBH data, see benchmarks/parity."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PEER = os.environ.get("EVALHARNESS_PEER_PYTHON", "")
DATA = Path(os.environ.get("EVALHARNESS_TEST_DATA", "")) / "bbh"
MODEL = ROOT / "examples" / "zoo" / "llama-tiny"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(PEER).is_file(), reason="EVALHARNESS_PEER_PYTHON names no Python with lm-eval"),
    pytest.mark.skipif(
        not os.environ.get("EVALHARNESS_TEST_DATA") or not DATA.is_dir(), reason="EVALHARNESS_TEST_DATA has no bbh"
    ),
]


def test_prompts_logprobs_texts_and_scores_equal_those_of_lm_eval(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    script = ROOT / "benchmarks" / "parity" / "lm_eval_bbh.py"
    command = [sys.executable, str(script), "--data", str(DATA), "--model", str(MODEL), "--peer-python", PEER]
    done = subprocess.run([*command, "--limit", "6", "--report", str(report)], capture_output=True, encoding="utf-8")

    assert done.returncode == 0, done.stdout + done.stderr
    tasks = json.loads(report.read_text(encoding="utf-8"))["tasks"]
    assert {task["kind"] for task in tasks} == {"choose", "generate", "score", "perplexity"}
    assert all(task["agrees"] and task["n_documents"] == 6 for task in tasks)
