"""Time the part of a run that asks the model, of evalharness and of lm-evaluation-harness 0.4.13, taking turns.

    OMP_NUM_THREADS=2 python benchmarks/parity/time_model_section.py --data DIR --model DIR --peer-python PEER/bin/python

Ours is the stage ``model`` of run.json; lm-eval's is the time within `loglikelihood` and `generate_until`. Both tokenise,
ask and read within it; loading, prompts and metrics are left out. CPU, float32, one process a measurement.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path

from both_sides import Workload, peer_pass, run_ours_once, run_peer
from task_pairs import bbh_pairs


def main() -> None:
    """Measure every workload `--runs` times on each side, and print medians, spreads and ratios as Markdown."""
    args = _arguments()
    print("| workload | evalharness | " + " | ".join(f"lm-eval, batch {size}" for size in args.batch_sizes) + " |")
    print("|---" * (2 + len(args.batch_sizes)) + "|", flush=True)
    for name in args.tasks:
        pairs = [pair for pair in bbh_pairs() if pair.name == name]
        ours: list[float] = []
        theirs: dict[int, list[float]] = {size: [] for size in args.batch_sizes}
        for _ in range(args.runs):
            with tempfile.TemporaryDirectory() as folder:
                work = Workload(pairs, args.data, args.model.resolve(), Path(folder), args.limit)
                work.write_tasks()
                ours.append(run_ours_once(work)["stages"]["model"])
                for size in args.batch_sizes:
                    wanted = [peer_pass(work, "timed", [name], size)]
                    found = run_peer(args.peer_python, work.folder, wanted, args.limit)
                    theirs[size].append(found["passes"]["timed"]["seconds"])
        base = statistics.median(ours)
        cells = [
            _cell(ours),
            *(f"{_cell(each)}: {statistics.median(each) / base:.2f} x ours" for each in theirs.values()),
        ]
        print(f"| {name}, {args.limit} documents | " + " | ".join(cells) + " |", flush=True)


def _cell(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f}-{max(seconds):.2f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peer = os.environ.get("EVALHARNESS_PEER_PYTHON", sys.executable)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with <BBH task>.jsonl files (fields input and target)")
    add("--model", type=Path, required=True, help="directory of a checkpoint")
    add("--peer-python", type=Path, default=Path(peer), help="default: $EVALHARNESS_PEER_PYTHON, else this Python")
    add("--tasks", nargs="+", default=["date_letters_three_shot", "counting_generate"], help="names of compared tasks")
    add("--limit", type=int, default=100, help="documents a task (default: 100)")
    add("--runs", type=int, default=3, help="measurements on each side (default: 3)")
    add("--batch-sizes", type=int, nargs="+", default=[1, 16], help="of lm-eval (default: 1, its own default, and 16)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
