"""Runs in lm-eval's own environment: renders documents with the tasks of lm-evaluation-harness 0.4.13.

Reads ``[[task of lm-eval, [document, ...]], ...]`` from standard input and writes, for every document, prompt and choices.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import sys
import types
from typing import Any

import evaluate

# What lm-eval's task modules import for their scores, which are not asked for here.
for module in ("transformers.data.metrics", "transformers.data.metrics.squad_metrics"):
    sys.modules[module] = types.ModuleType(module)
evaluate.load = lambda *_, **__: types.SimpleNamespace(compute=lambda **_: None)

from lm_eval.api.task import ConfigurableTask  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402
from lm_eval.tasks._yaml_loader import load_yaml  # noqa: E402

METRICS = {"generate_until": "exact_match", "loglikelihood_rolling": "word_perplexity"}


class WithoutData(ConfigurableTask):
    """A task whose documents are handed in."""

    def download(self, *_: Any, **__: Any) -> None:
        """Fetch nothing."""
        self.dataset = {}


class Rows(list):
    """As much of a data set as ``process_docs`` uses."""

    def map(self, function: Any) -> Rows:
        """Merge what the function gives into each row."""
        return Rows({**row, **function(row)} for row in self)


def render(path: Any, name: str, documents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return prompt (of rolling tasks: the text) and choices of every document; path: of the task's file."""
    config = {"output_type": "generate_until", **load_yaml(path, resolve_func=True)}
    kept = {key: value for key, value in config.items() if key not in ("filter_list", "metadata", "process_results")}
    kept["metric_list"] = [{"metric": METRICS.get(config["output_type"], "acc")}]
    task = WithoutData.__new__(WithoutData)
    # It stops where it would look at its first document.
    with contextlib.suppress(KeyError, IndexError, AssertionError, AttributeError, TypeError):
        task.__init__(config=kept)
    if "process_docs" in config and name == "hellaswag":
        documents = config["process_docs"](Rows(documents))
    shown = []
    for document in documents:
        task.features = list(document)
        is_rolling = config["output_type"] == "loglikelihood_rolling"
        prompt = task.doc_to_target(document) if is_rolling else task.doc_to_text(document)
        choices = task.doc_to_choice(document) if config["output_type"] == "multiple_choice" else []
        shown.append({"prompt": prompt, "choices": list(choices), "target": None})
        if name == "winogrande":
            shown[-1]["target"] = task.doc_to_target(document)
    return shown


if __name__ == "__main__":
    index = TaskManager().task_index  # slow: it reads thousands of files
    found = [render(index[name].yaml_path, name, documents) for name, documents in json.load(sys.stdin)]
    print(json.dumps({"lm_eval": importlib.metadata.version("lm_eval"), "shown": found}))
