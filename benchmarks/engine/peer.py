"""lm-evaluation-harness's side: ``peer.py JOB.json OUTPUT.json``, run by the Python that has lm-eval 0.4.13."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from ours import measured

CALLS = {"score": "loglikelihood", "text": "loglikelihood_rolling", "generate": "generate_until"}


def main() -> None:
    """Read the job, answer each workload at its batch size with the HF backend, write answers and costs."""
    import torch
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    torch.set_num_threads(job["threads"])
    logging.disable(logging.INFO)
    model = HFLM(pretrained=job["model"], device="cpu", dtype="float32", batch_size=1, max_length=2048)
    found = {}
    for name, items in job["workloads"].items():
        call = CALLS[items[0]["kind"]]
        asked = [Instance(call, {}, _arguments(item), at) for at, item in enumerate(items)]
        model.add_bos_token = items[0]["kind"] != "text"  # else it scores P(BOS | BOS), which is no token of the text
        model.batch_size_per_gpu = job["batch_sizes"][name]
        answers, cost = measured(lambda call=call, asked=asked: getattr(model, call)(asked, disable_tqdm=True))
        found[name] = {**cost, "answers": [_plain(answer) for answer in answers]}
    Path(sys.argv[2]).write_text(json.dumps(found), encoding="utf-8")


def _arguments(item: dict[str, Any]) -> tuple[Any, ...]:
    if item["kind"] == "score":
        return item["prompt"], item["continuation"]
    if item["kind"] == "text":
        return (item["text"],)
    return item["prompt"], {"until": item["stop"], "max_gen_toks": item["max_new_tokens"], "do_sample": False}


def _plain(answer: Any) -> Any:
    if isinstance(answer, str):
        return answer
    return [float(answer[0]), bool(answer[1])] if isinstance(answer, tuple) else [float(answer), None]


if __name__ == "__main__":
    main()
