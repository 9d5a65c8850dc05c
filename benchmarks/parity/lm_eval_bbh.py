"""Prove that evalharness and lm-evaluation-harness 0.4.13 ask the same and count the same, on BIG-Bench Hard.

    python benchmarks/parity/lm_eval_bbh.py --data DIR --model DIR --peer-python PEER/bin/python --report FILE

Run it with the Python that has evalharness; `--peer-python` is one that has lm-eval (requirements.txt). Each task is
written as YAML of both sides into a temporary folder, both run on the same checkpoint (CPU, float32), and then are
compared: every prompt and continuation byte for byte, every log-probability and greedy flag, every generated text and
filtered answer, every document's score, and the aggregate metrics. Exit code 1 if anything differs.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from both_sides import OurRun, Workload, peer_pass, run_ours, run_peer
from comparison import LOGPROB_TOLERANCE_PER_TOKEN, PERPLEXITY_RELATIVE_TOLERANCE, TaskComparison, compare_task
from task_pairs import TaskPair, bbh_pairs


def main() -> int:
    """Run both sides, compare, print and report."""
    args = _arguments()
    config = json.loads((args.model / "config.json").read_text(encoding="utf-8"))
    every = bbh_pairs(encoder_decoder=bool(config.get("is_encoder_decoder")))
    pairs = [pair for pair in every if any(fnmatch.fnmatch(pair.name, glob) for glob in args.tasks)]
    with tempfile.TemporaryDirectory() as name:
        work = Workload(pairs, args.data, args.model.resolve(), Path(name), args.limit)
        work.write_tasks()
        ours = run_ours(work)
        passes = peer_passes(work, args.peer_batch_size)
        peer = run_peer(args.peer_python, work.folder, passes, args.limit)
    compared = [compare_pair(pair, ours, peer) for pair in pairs]
    report = _report(args, ours, peer, compared)
    print(table(report))
    for each in compared:
        print(*each.first_differences, sep="\n", end="\n" if each.first_differences else "")
    if args.report:
        args.report.write_text(json.dumps(report, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return 0 if report["agrees"] else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peer = os.environ.get("EVALHARNESS_PEER_PYTHON", sys.executable)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with <BBH task>.jsonl files (fields input and target)")
    add("--model", type=Path, required=True, help="directory of a checkpoint")
    add("--peer-python", type=Path, default=Path(peer), help="default: $EVALHARNESS_PEER_PYTHON, else this Python")
    add("--limit", type=int, help="documents a task (default: all)")
    add("--tasks", nargs="+", default=["*"], help="names or globs of the compared tasks (default: all)")
    add("--peer-batch-size", type=int, default=8, help="rows in a batch of lm-eval (default: 8)")
    add("--report", type=Path, help="write the comparison to this JSON file")
    return parser.parse_args()


def peer_passes(work: Workload, batch_size: int) -> list[dict[str, Any]]:
    """Return lm-eval's passes: as it is, and the whole texts again without a BOS token of the tokenizer's.

    lm-eval puts BOS before a whole text and then scores the BOS that the tokenizer adds too: P(BOS | BOS), which is no
    part of the text. `add_bos_token=False` makes it score the text alone, as evalharness does.
    """
    names = [pair.name for pair in work.pairs]
    texts = [pair.name for pair in work.pairs if pair.kind == "perplexity"]
    passes = [peer_pass(work, "default", names, batch_size)]
    if texts:
        passes.append(peer_pass(work, "without_bos", texts, batch_size, add_bos_token=False))
    return passes


def compare_pair(pair: TaskPair, ours: OurRun, peer: Mapping[str, Any]) -> TaskComparison:
    """Compare a task; a whole text is compared with the pass that scores no BOS."""
    label = "without_bos" if pair.kind == "perplexity" else "default"
    return compare_task(pair, ours.record, ours.samples[pair.name], ours.requests[pair.name], peer["passes"][label])


def _report(
    args: argparse.Namespace, ours: OurRun, peer: Mapping[str, Any], compared: Sequence[TaskComparison]
) -> dict[str, Any]:
    identity = ours.record["model"]["identity"]
    return {
        "agrees": bool(compared) and all(each.agrees for each in compared),
        "model": {"name": args.model.name, "weights_sha256": identity["weights"]},
        "limit": args.limit,
        "peer_batch_size": args.peer_batch_size,
        "peer_versions": peer["versions"],
        "our_versions": {name: ours.record["provenance"].get("packages", {}).get(name) for name in _PACKAGES},
        "tolerances": {
            "logprob_per_token": LOGPROB_TOLERANCE_PER_TOKEN,
            "perplexity_relative": PERPLEXITY_RELATIVE_TOLERANCE,
        },
        "tasks": [each.report() for each in compared],
        "bos_surplus": _bos_surplus(peer),
    }


_PACKAGES = ("evalharness", "torch", "transformers", "datasets")


def _bos_surplus(peer: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return what lm-eval's log-probability of a whole text gains by the tokenizer's BOS, in nats: least and most.

    It is log P(BOS | BOS), and what a second BOS in front changes about the tokens behind it.
    """
    plain = peer["passes"].get("without_bos", {"samples": {}})["samples"]
    found = {}
    for name, samples in plain.items():
        with_bos = peer["passes"]["default"]["samples"][name]
        gaps = [a["resps"][0][0] - b["resps"][0][0] for a, b in zip(with_bos, samples, strict=True)]
        found[name] = {"least": min(gaps), "most": max(gaps)}
    return found


def table(report: Mapping[str, Any]) -> str:
    """Return the comparison as a Markdown table."""
    lines = [
        "| task | documents | requests (truncated) | prompts that differ | greatest log-probability difference "
        "| texts, flags, answers, scores that differ | metrics: ours = lm-eval's |",
        "|---|---|---|---|---|---|---|",
    ]
    for task in report["tasks"]:
        gap = task.get("max_logprob_difference")
        each = task.get("max_logprob_difference_per_token")
        kinds = ("texts", "greedy_flags", "answers", "scores", "logprobs", "metrics")
        differ = sum(task[f"n_{kind}_differ"] for kind in kinds)
        lines.append(
            f"| {task['task']} | {task['n_documents']} | {task['n_requests']} ({task['n_truncated']}) "
            f"| {task['n_prompts_differ']} | {'' if gap is None else f'{gap:.1e} ({each:.1e} a token)'} "
            f"| {differ} | {', '.join(map(_metric, task['metrics'].items()))} |"
        )
    return "\n".join([*lines, "", "all agree" if report["agrees"] else "THERE ARE DIFFERENCES"])


def _metric(item: tuple[str, Mapping[str, Any]]) -> str:
    name, values = item
    ours, theirs = (f"{values[side]:.6g}" for side in ("ours", "theirs"))
    return f"{name} {ours}" if ours == theirs else f"{name} {ours} = {theirs}"


if __name__ == "__main__":
    sys.exit(main())
