"""Time a corpus BLEU with a bootstrap interval of 1,000 resamples: ours beside sacrebleu's, in one run.

    python benchmarks/metrics/bleu_interval.py --data DIR [--rounds N]

DIR is laid out as the tests' EVALHARNESS_TEST_DATA. The 3,000 segments are outputs of three WMT17 systems, one after the other.
Both start from the same lists of strings, in this process, with everything imported; rounds alternate between the two, and each
starts with empty caches of sacrebleu's tokenizers.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from pathlib import Path

import numpy as np
from sacrebleu.metrics import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

from evalharness.metric.overlap import Bleu
from evalharness.metric.summary import MetricSummary, summarise
from evalharness.request import Document, Sample

RESAMPLES = 1000


def ours(answers: list[str], references: list[str]) -> MetricSummary:
    """Return our value with its interval."""
    metric, document = Bleu(), Document("document", {}, "")
    samples = [Sample("t", document, "", (r,), (), "", answers=(a,)) for a, r in zip(answers, references, strict=True)]
    return summarise(metric, np.array([metric.row(sample) for sample in samples]), resamples=RESAMPLES)


def forget() -> None:
    """Empty the caches of sacrebleu's tokenizers, which would make every round but the first cheap."""
    for tokenizer in (Tokenizer13a, TokenizerRegexp):
        tokenizer.__call__.cache_clear()


def main() -> None:
    """Time both, alternating, and print the medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    text = (args.data / "wmt17_ende/first1000_4systems.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    systems = sorted(key for key in rows[0] if key.startswith("sys_"))[:3]
    answers = [row[system] for system in systems for row in rows]
    references = [row["reference"] for _ in systems for row in rows]
    seconds: dict[str, list[float]] = {"ours": [], "sacrebleu": []}
    for _ in range(args.rounds):
        forget()
        begun = time.perf_counter()
        summary = ours(answers, references)
        seconds["ours"].append(time.perf_counter() - begun)
        forget()
        begun = time.perf_counter()
        score = BLEU().corpus_score(answers, [references], n_bootstrap=RESAMPLES)
        seconds["sacrebleu"].append(time.perf_counter() - begun)
    print(f"ours       {summary.value:.6f} [{summary.low:.3f}, {summary.high:.3f}]")
    print(f"sacrebleu  {score.score:.6f} [{score._mean - score._ci:.3f}, {score._mean + score._ci:.3f}]")
    for name, times in seconds.items():
        print(f"{name:10} median {statistics.median(times):.2f} s of {[round(t, 2) for t in times]}")
    ratio = statistics.median(a / b for a, b in zip(seconds["sacrebleu"], seconds["ours"], strict=True))
    print(f"{len(answers)} segments, {RESAMPLES} resamples: sacrebleu takes {ratio:.2f} times as long")


if __name__ == "__main__":
    main()
