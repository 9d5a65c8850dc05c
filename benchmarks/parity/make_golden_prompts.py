"""Render invented documents with lm-evaluation-harness 0.4.13, and keep its prompts for a test that needs no lm-eval.

    python benchmarks/parity/make_golden_prompts.py --peer-python PEER/bin/python

writes ``tests/parity/golden_prompts.json``: documents, both forms of each task, and lm-eval's requests.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from both_sides import run_peer

GOLDEN = Path(__file__).parents[2] / "tests" / "parity" / "golden_prompts.json"

TEST = [
    {"question": "What colour is the sky?", "answer": "blue", "options": ["red", "blue", "green"], "label": 1},
    {"question": "  Wo steht der Bär? ", "answer": "im Wald", "options": ["im Wald", "am See"], "label": 0},
    {"question": "二加二等于几？\n(一位数)", "answer": "四", "options": ["三", "四", "五", "六"], "label": 1},
    {"question": 'Say "{{ twice }}" \\n & <b>', "answer": "100 %", "options": ["100 %", " 50 %", "0 %\n"], "label": 0},
    {"question": "Which emoji is a cat?\t", "answer": "🐈", "options": ["🐕", "🐈"], "label": 1},
]
TRAIN = [
    {"question": "What is one and one?", "answer": "two", "options": ["two", "three"], "label": 0},
    {"question": "Was trinkt die Kuh?", "answer": "Wasser", "options": ["Milch", "Wasser"], "label": 1},
    {"question": "Last one?", "answer": "yes, the last", "options": ["no", "yes, the last"], "label": 1},
]

ASK = "Question: {{ question }}\nAnswer:"
BRANCHES = (
    "{% if options | length > 2 %}Choose with care.{% else %}Choose.{% endif %}\n"
    "{% for option in options %}({{ 'ABCD'[loop.index0] }}) {{ option.strip() }}\n{% endfor %}"
    "{{ question | regex_replace('\\\\s+', ' ') }}\n"
)
NO_SHOTS = {"num_fewshot": 0}
GENERATE = {"output_type": "generate_until", "generation_kwargs": {"until": ["\n"], "max_gen_toks": 8}}


def cases() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Return each case's task in our form and in lm-eval's, without name and data."""
    return {**_generated(), **_chosen(), **_scored()}


def _generated() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    ours = {"prompt": ASK, "reference": "{{ answer }}", "output": {"generate": {"max_new_tokens": 8, "stop": ["\n"]}}}
    theirs = {
        **GENERATE,
        "doc_to_text": ASK,
        "doc_to_target": "{{ answer }}",
        "metric_list": [{"metric": "exact_match"}],
    }
    first = {"fewshot_config": {"sampler": "first_n"}}
    return {
        "zero_shot": (ours, {**theirs, **NO_SHOTS}),
        "shots_of_the_same_split": (
            {**ours, "shots": {"count": 2}, "data": {"shots": "test"}},
            {**theirs, "num_fewshot": 2, "fewshot_split": "test", **first},
        ),
        "shots_of_another_split": (
            {**ours, "shots": {"count": 3}, "data": {"shots": "train"}},
            {**theirs, "num_fewshot": 3, "fewshot_split": "train", **first},
        ),
        "written_shots_own_separator_and_delimiter": (
            {**ours, "delimiter": "\n=> ", "shots": {"count": 2, "separator": "\n---\n", "documents": TRAIN}},
            {
                **theirs,
                "target_delimiter": "\n=> ",
                "num_fewshot": 2,
                "fewshot_delimiter": "\n---\n",
                "fewshot_config": {"sampler": "first_n", "samples": TRAIN},
            },
        ),
        "system_text_and_one_shot": (
            {
                **ours,
                "system": "Answer {{ options | length }}-fold.",
                "shots": {"count": 1},
                "data": {"shots": "train"},
            },
            {
                **theirs,
                "description": "Answer {{ options | length }}-fold.\n\n",
                "num_fewshot": 1,
                "fewshot_split": "train",
                **first,
            },
        ),
        "shots_with_their_own_templates": (
            {
                **ours,
                "shots": {"count": 2, "prompt": "Q {{ question }} A", "answer": "{{ answer }}!"},
                "data": {"shots": "train"},
            },
            {
                **theirs,
                "num_fewshot": 2,
                "fewshot_split": "train",
                "fewshot_config": {
                    "sampler": "first_n",
                    "doc_to_text": "Q {{ question }} A",
                    "doc_to_target": "{{ answer }}!",
                },
            },
        ),
        "branches_loops_and_a_last_newline": (
            {**ours, "prompt": BRANCHES, "delimiter": "", "shots": {"count": 1}, "data": {"shots": "train"}},
            {
                **theirs,
                "doc_to_text": BRANCHES,
                "target_delimiter": "",
                "num_fewshot": 1,
                "fewshot_split": "train",
                **first,
            },
        ),
    }


def _chosen() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    ours = {"prompt": ASK, "reference_index": "{{ label }}", "choices": "{{ options }}", "output": "choose"}
    theirs = {
        "output_type": "multiple_choice",
        "doc_to_text": ASK,
        "doc_to_target": "label",
        "doc_to_choice": "options",
        "metric_list": [{"metric": "acc"}],
        **NO_SHOTS,
    }
    shown = {"num_fewshot": 2, "fewshot_split": "train", "fewshot_config": {"sampler": "first_n"}}
    return {
        "choices_of_a_column": (ours, theirs),
        "choices_after_shots": (
            {**ours, "shots": {"count": 2}, "data": {"shots": "train"}},
            {**theirs, **shown},
        ),
        "choices_by_text_without_delimiter": (
            {**ours, "prompt": "{{ question }} ", "delimiter": ""},
            {**theirs, "doc_to_text": "{{ question }} ", "target_delimiter": ""},
        ),
        "choices_after_an_empty_prompt": (
            {**ours, "prompt": "", "delimiter": ""},
            {**theirs, "doc_to_text": "", "target_delimiter": ""},
        ),
        "choices_without_the_prompt_too": (
            {**ours, "metrics": ["accuracy", "accuracy_mutual_information"]},
            {**theirs, "metric_list": [{"metric": "acc"}, {"metric": "acc_mutual_info"}]},
        ),
    }


def _scored() -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    text = "{{ question }} {{ answer }}\n"
    return {
        "score_of_the_reference": (
            {"prompt": ASK, "reference": "{{ answer }}", "output": "score"},
            {"output_type": "loglikelihood", "doc_to_text": ASK, "doc_to_target": " {{ answer }}", **NO_SHOTS},
        ),
        "perplexity_of_the_text": (
            {"prompt": text, "output": "perplexity"},
            {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": text, **NO_SHOTS},
        ),
    }


def main() -> None:
    """Ask lm-eval's dummy model every case, and write what it was asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peer = os.environ.get("EVALHARNESS_PEER_PYTHON", sys.executable)
    parser.add_argument("--peer-python", type=Path, default=Path(peer), help="default: $EVALHARNESS_PEER_PYTHON")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {}
        for split, rows in (("test", TEST), ("train", TRAIN)):
            file = folder / f"{split}.jsonl"
            file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
            files[split] = str(file)
        (folder / "theirs").mkdir()
        for case, (_, theirs) in cases().items():
            data = {"dataset_path": "json", "dataset_kwargs": {"data_files": files}, "test_split": "test"}
            text = yaml.safe_dump({"task": case, **data, **theirs}, allow_unicode=True)
            (folder / "theirs" / f"{case}.yaml").write_text(text, encoding="utf-8")
        passes = [{"label": "dummy", "model": "dummy", "tasks": list(cases())}]
        found = run_peer(args.peer_python, folder, passes, None)
    samples = found["passes"]["dummy"]["samples"]
    golden = {
        "provenance": f"requests built by lm-evaluation-harness {found['versions']['lm_eval']} "
        "(benchmarks/parity/make_golden_prompts.py); the documents are invented",
        "test": TEST,
        "train": TRAIN,
        "cases": {
            case: {"ours": ours, "theirs": theirs, "arguments": [each["arguments"] for each in samples[case]]}
            for case, (ours, theirs) in cases().items()
        },
    }
    GOLDEN.parent.mkdir(parents=True, exist_ok=True)
    GOLDEN.write_text(json.dumps(golden, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
