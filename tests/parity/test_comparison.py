"""The comparison notices what it is there to notice."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "parity"))

from comparison import TaskComparison, compare_task
from task_pairs import METRICS, TaskPair

CHOOSE = TaskPair("t", "d", "choose", {}, {}, METRICS["choose"])
GENERATE = TaskPair("t", "d", "generate", {}, {}, METRICS["generate"])


def chosen() -> dict[str, Any]:
    """One document with two choices on which both sides agree."""
    responses = [
        {"logprob": -1.0, "n_tokens": 1, "is_greedy": True, "truncated_tokens": 0},
        {"logprob": -2.0, "n_tokens": 2, "is_greedy": False, "truncated_tokens": 0},
    ]
    requests = [
        {"document_id": "0", "slot": i, "kind": "score", "prompt": "p", "continuation": f" {i}"} for i in (0, 1)
    ]
    peer = {
        "doc_id": 0,
        "arguments": [["p", " 0"], ["p", " 1"]],
        "resps": [[[-1.0, True]], [[-2.0, False]]],
        "filtered_resps": [],
        **{name: 1.0 for name in CHOOSE.metrics.values()},
    }
    return {
        "record": {"tasks": [{"name": "t", "metrics": [{"name": name, "value": 1.0} for name in CHOOSE.metrics]}]},
        "samples": [
            {"document_id": "0", "responses": [responses], "scores": {name: [1.0, 1.0] for name in CHOOSE.metrics}}
        ],
        "requests": requests,
        "peer": {"samples": {"t": [peer]}, "results": {"t": {name: 1.0 for name in CHOOSE.metrics.values()}}},
    }


def generated() -> dict[str, Any]:
    """One document with a generated text on which both sides agree."""
    sample = {
        "document_id": "0",
        "responses": [[{"text": " x", "truncated_tokens": 0}]],
        "answers": ["x"],
        "scores": {"exact_match": [1.0, 1.0]},
    }
    peer = {"doc_id": 0, "arguments": [["p", {}]], "resps": [[" x"]], "filtered_resps": ["x"], "exact_match": 1.0}
    return {
        "record": {"tasks": [{"name": "t", "metrics": [{"name": "exact_match", "value": 1.0}]}]},
        "samples": [sample],
        "requests": [{"document_id": "0", "slot": 0, "kind": "generate", "prompt": "p"}],
        "peer": {"samples": {"t": [peer]}, "results": {"t": {"exact_match": 1.0}}},
    }


def compared(pair: TaskPair, sides: dict[str, Any]) -> TaskComparison:
    return compare_task(pair, **sides)


def counts(found: TaskComparison) -> dict[str, int]:
    return {key: value for key, value in vars(found).items() if key.endswith("_differ") and value}


@pytest.mark.parametrize(("pair", "sides"), [(CHOOSE, chosen()), (GENERATE, generated())], ids=["choose", "generate"])
def test_equal_sides_agree(pair: TaskPair, sides: dict[str, Any]) -> None:
    assert compared(pair, sides).agrees


#: What is changed on lm-eval's side, and what the comparison must count.
CHANGES: list[tuple[str, list[Any], Any, dict[str, int]]] = [
    ("a prompt", ["arguments", 0, 0], "p ", {"n_prompts_differ": 1}),
    ("a continuation", ["arguments", 1, 1], "1", {"n_prompts_differ": 1}),
    ("a log-probability", ["resps", 1, 0, 0], -2.0001, {"n_logprobs_differ": 1}),
    ("a NaN", ["resps", 1, 0, 0], float("nan"), {"n_logprobs_differ": 1}),
    ("a flag", ["resps", 0, 0, 1], False, {"n_greedy_flags_differ": 1}),
    ("a score", ["acc_norm"], 0.0, {"n_scores_differ": 1}),
]


@pytest.mark.parametrize(("path", "value", "expected"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_a_difference_in_choosing_is_counted(path: list[Any], value: Any, expected: dict[str, int]) -> None:
    sides = changed(chosen(), path, value)

    found = compared(CHOOSE, sides)

    assert counts(found) == expected
    assert not found.agrees


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (["resps", 0, 0], " y", {"n_texts_differ": 1}),
        (["filtered_resps", 0], "[invalid]", {"n_answers_differ": 1}),
        (["exact_match"], 0.0, {"n_scores_differ": 1}),
    ],
    ids=["a text", "an answer", "a score"],
)
def test_a_difference_in_generating_is_counted(path: list[Any], value: Any, expected: dict[str, int]) -> None:
    assert counts(compared(GENERATE, changed(generated(), path, value))) == expected


def test_a_different_aggregate_is_counted() -> None:
    sides = generated()
    sides["peer"]["results"]["t"]["exact_match"] = 0.999

    assert counts(compared(GENERATE, sides)) == {"n_metrics_differ": 1}


def test_a_missing_document_is_a_difference() -> None:
    sides = chosen()
    sides["peer"]["samples"]["t"] = []

    assert not compared(CHOOSE, sides).agrees


def test_no_documents_at_all_are_no_agreement() -> None:
    sides = chosen()
    sides["samples"] = sides["requests"] = sides["peer"]["samples"]["t"] = []

    assert not compared(CHOOSE, sides).agrees


def changed(sides: dict[str, Any], path: list[Any], value: Any) -> dict[str, Any]:
    """Return the sides with one value of lm-eval's only sample replaced."""
    sides = copy.deepcopy(sides)
    at = sides["peer"]["samples"]["t"][0]
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return sides
