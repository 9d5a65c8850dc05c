"""A task of lm-evaluation-harness written as one of ours, where it is YAML alone: the same requests, the same numbers.

Our templates must say what theirs leave to circumstance, such as whether a bare word is a column; so the documents' columns are
taken from the templates themselves, and a bare word that is an identifier counts as a column.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from evalharness.errors import Problem, TaskError
from evalharness.task.lm_eval.translate import GENERIC, KINDS
from evalharness.task.loading import LoadedTask

_POSITION = re.compile(r"\.index\(|\bint\b|[-+]\s*\d|\b(?:label|gold|idx|index|ord)\b")


def native_task(task: LoadedTask, *, name: str | None = None) -> dict[str, Any]:
    """Return the content of a task file of ours, in the order in which keys are read; name: instead of the task's own.

    Raises TaskError with everything that ours cannot say.
    """
    config = task.lm_eval
    if config is None:
        raise TaskError.at(task.where(), "this is no task of lm-evaluation-harness", "")
    problems = [Problem(str(config.path), what, fix) for what, fix in _obstacles(task)]
    if problems:
        raise TaskError(problems)
    spec, keys = task.spec, config.keys
    kind = KINDS[str(keys.get("output_type") or "generate_until")]
    content: dict[str, Any] = {
        "name": name or spec.name,
        "description": f"{keys.get('task')}, after the task of lm-evaluation-harness",
        "source": str(keys.get("dataset_path") or ""),
        "data": _data(task),
        "prompt": _column(keys.get("doc_to_target" if kind == "perplexity" else "doc_to_text")),
    }
    if kind != "perplexity":
        content |= _answers(keys, kind)
        content |= _shots(task)
    content["output"] = _output(task)
    if kind == "generate":
        content["filters"] = [_named(item.name, item.parameters) for item in spec.filters or ()]
    content["metrics"] = [_metric(metric.model_dump(exclude_none=True)) for metric in spec.metrics]
    return content


def _obstacles(task: LoadedTask) -> list[tuple[str, str]]:
    """Return what keeps the task from being said in our words, and what to do instead."""
    keys = task.lm_eval.keys if task.lm_eval else {}
    found = [
        (f"`{function.reference}` is Python code", "run the task as it is, with --trust-task-code")
        for function in (task.lm_eval.functions() if task.lm_eval else ())
    ]
    if keys.get("gen_prefix"):
        found.append(("`gen_prefix` begins the answer, and there is no such key here", "run the task as it is"))
    if keys.get("dataset_kwargs") and not keys["dataset_kwargs"].keys() <= {"trust_remote_code"}:
        found.append(("`dataset_kwargs` are for `datasets`", "write the files under `data: {files: ...}`"))
    if any(metric.name == GENERIC for metric in task.spec.metrics):
        names = ", ".join(metric.label for metric in task.spec.metrics if metric.name == GENERIC)
        found.append((f"no metric here equals {names}", "run the task as it is"))
    config = keys.get("fewshot_config") or {}
    draws = task.spec.shots.count and config.get("sampler", "default") == "default"
    if draws:
        found.append(
            ("shots are drawn by lm-eval's own generator", "write `shots: {pick: random}` yourself: others are drawn")
        )
    for key in ("doc_to_target", "doc_to_choice", "doc_to_text"):
        if config.get(key) == "":
            found.append((f"fewshot_config: an empty `{key}` leaves out the separator", "run the task as it is"))
    if isinstance(keys.get("doc_to_text"), int):
        found.append(("`doc_to_text` is a number: choices are prompts", "run the task as it is"))
    return found


def _data(task: LoadedTask) -> dict[str, Any]:
    data = task.spec.data.model_dump(exclude_none=True)
    if not task.spec.shots.count:
        data.pop("shots", None)
    return data


def _column(form: Any) -> str:
    """Return a form as a template: a bare word is a column."""
    if isinstance(form, str) and form.isidentifier():
        return "{{ " + form + " }}"
    return "" if form is None else str(form)


def _answers(keys: Mapping[str, Any], kind: str) -> dict[str, Any]:
    target, choices = keys.get("doc_to_target"), keys.get("doc_to_choice")
    delimiter = " " if keys.get("target_delimiter") is None else keys["target_delimiter"]
    found: dict[str, Any] = {"delimiter": "" if kind == "score" else delimiter}
    listed = list(choices.values()) if isinstance(choices, Mapping) else choices
    if kind == "choose":
        found["choices"] = listed if isinstance(listed, list) else _column(listed)
        # Theirs takes digits for a position and any other text for a choice; ours must be told which it will be.
        texts = isinstance(target, str) and "{" in target and not _POSITION.search(target)
        found["reference" if texts else "reference_index"] = target if isinstance(target, int) else _column(target)
    else:
        found["reference"] = _column(target)
    return found


def _shots(task: LoadedTask) -> dict[str, Any]:
    keys = task.lm_eval.keys if task.lm_eval else {}
    found: dict[str, Any] = {}
    config = keys.get("fewshot_config") or {}
    separator = "\n\n" if keys.get("fewshot_delimiter") is None else keys["fewshot_delimiter"]
    if task.spec.shots.count:
        shots: dict[str, Any] = {"count": task.spec.shots.count, "pick": "first", "separator": separator}
        if isinstance(config.get("samples"), list):
            shots["documents"] = config["samples"]
        found["shots"] = shots
    if keys.get("description"):
        # Ours puts the separator after a system text, lm-eval nothing: the description brings its own.
        text = str(keys["description"])
        found["system"] = text.removesuffix(separator)
        if not text.endswith(separator):
            what = "`description` does not end with the separator of shots, which follows a system text here"
            raise TaskError.at(task.where(), what, "run the task as it is")
    return found


def _output(task: LoadedTask) -> Any:
    output = task.spec.output
    if output is None or output.generate is None:
        return output.kind if output else "generate"
    return {"generate": output.generate.model_dump(mode="json", exclude_defaults=True)}


def _named(name: str, parameters: Mapping[str, Any]) -> Any:
    return {name: dict(parameters)} if parameters else name


def _metric(metric: dict[str, Any]) -> Any:
    parameters = metric.pop("parameters", {})
    filters = metric.pop("filters", None)
    found = {key: value for key, value in metric.items() if value and not (key == "label" and value == metric["name"])}
    if filters is not None:
        found["filters"] = [_named(item["name"], item.get("parameters") or {}) for item in filters]
    return {**found, **parameters} if len(found) > 1 or parameters else metric["name"]
