"""Prove that evalharness asks and counts what lm-evaluation-harness 0.4.13 does, on the tasks that come with it.

    python benchmarks/parity/lm_eval_tasks.py --peer-python PEER/bin/python --report FILE [--names 'arc_*' ...] [--sample N]

Rows are made up from each task's own templates and functions (`lm_eval_rows.py`); lm-eval takes them, with a stub for a
model (`lm_eval_peer.py`); then evalharness takes the same rows and responses (`lm_eval_compare.py`). Prompts, continuations and
decoding must be equal, values to 1e-9. `--peer-python` is a Python that has lm-eval, and the libraries of evalharness, since
hooks import lm-eval's modules. Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
#: Reasons that fewer tasks than this share are listed with the names of all of them.
_FEW = 25


def main() -> int:
    """Run both sides in batches, sum up, print and report."""
    args = _arguments()
    from evalharness.task.lm_eval.index import index_of, installed_tasks

    entries = index_of(installed_tasks()).entries
    names = [name for name, entry in sorted(entries.items()) if entry.kind == "task"]
    names = [name for name in names if any(fnmatch.fnmatch(name, glob) for glob in args.names)]
    if args.sample:
        names = random.Random(0).sample(names, min(args.sample, len(names)))  # noqa: S311
    with tempfile.TemporaryDirectory() as folder:
        lines = compared(args.peer_python, names, Path(folder), args.processes)
    found = report(lines)
    print(json.dumps(found, indent=2, sort_keys=True))
    if args.report:
        args.report.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return 1 if any("differ" in outcome or "our error" in outcome for outcome in found["outcomes"]) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--peer-python", type=Path, default=Path(os.environ.get("EVALHARNESS_PEER_PYTHON", sys.executable)))
    add("--names", nargs="+", default=["*"], help="names or globs of tasks (default: all)")
    add("--sample", type=int, help="only so many, drawn with a seed")
    add("--processes", type=int, default=os.cpu_count() or 1)
    add("--report", type=Path, help="write the sums to this JSON file")
    return parser.parse_args()


def compared(python: Path, names: Sequence[str], folder: Path, n_processes: int) -> list[dict[str, Any]]:
    """Return one outcome a task; see `lm_eval_compare.py`."""
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}
    parts = range(min(n_processes, len(names)))
    for step, source, target in (("peer", "json", "rows"), ("compare", "rows", "outcomes")):
        running = []
        for i in parts:
            if step == "peer":
                (folder / f"{i}.json").write_text(json.dumps(names[i::n_processes]), encoding="utf-8")
            command = [python, HERE / f"lm_eval_{step}.py", folder / f"{i}.{source}", folder / f"{i}.{target}"]
            running.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, cwd=folder))
        for process in running:
            process.wait()
    return [json.loads(line) for i in parts for line in (folder / f"{i}.outcomes").read_text("utf-8").splitlines()]


def report(lines: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Sum up outcomes, apart for tasks that are YAML alone and those with Python functions."""
    by_kind: dict[str, Counter[str]] = {"yaml_alone": Counter(), "with_functions": Counter(), "refused": Counter()}
    shots: Counter[str] = Counter()
    reasons: dict[str, Counter[str]] = {}
    for line in lines:
        kind = {True: "with_functions", False: "yaml_alone", None: "refused"}[line.get("hooks")]
        by_kind[kind][line["outcome"]] += 1
        shots[line.get("few_shots", "not compared").split(":")[0]] += 1
        if line["outcome"] != "identical":
            reason = line["reason"].splitlines()[0][:160] if line["reason"] else ""
            reasons.setdefault(line["outcome"], Counter())[reason] += 1
    outcomes: Counter[str] = sum(by_kind.values(), Counter())
    return {
        "n_tasks": outcomes.total(),
        "outcomes": dict(outcomes),
        "by_kind": {kind: dict(counts) for kind, counts in by_kind.items()},
        "two_shots": dict(shots),
        "reasons": {outcome: dict(counts.most_common(_FEW)) for outcome, counts in reasons.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
