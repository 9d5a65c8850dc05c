"""What a run's record says beside its scores, as rows of tables."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from evalharness.run.digits import shown_interval, shown_value
from evalharness.run.record import RunRecord
from leaderboard.inert import cell
from leaderboard.pages import link

_GIB = 2**30


def reproduction(record: RunRecord) -> str:
    """Return the command that made a run, each argument quoted for a shell."""
    return shlex.join(["evalharness", *record.command]) if record.command else "the record holds no command"


def result_rows(record: RunRecord) -> list[dict[str, Any]]:
    """Return a row a task and metric, then those of groups; digits as the interval leaves them."""
    rows = [
        {
            "task": cell(task.name),
            "metric": cell(metric.name),
            "value": shown_value(metric.value, metric.low, metric.high),
            "interval": shown_interval(metric.low, metric.high) if metric.value is not None else cell(metric.absence),
            "n": metric.n,
            "failed": task.n_failed,
            "prompts cut": task.n_truncated,
            "shots": task.shots,
            "samples": link("samples", run=record.run_id, task=task.name),
        }
        for task in record.tasks
        for metric in task.metrics
    ]
    rows += [
        {
            "task": cell(f"{group.name}, mean over {group.weighting}"),
            "metric": cell(metric.name),
            "value": shown_value(metric.value, metric.low, metric.high),
            "interval": shown_interval(metric.low, metric.high) if metric.value is not None else cell(metric.absence),
            "n": metric.n,
        }
        for group in record.groups
        for metric in group.metrics
    ]
    return rows


def fact_rows(record: RunRecord) -> dict[str, list[dict[str, str]]]:
    """Return name and value of everything that identifies a run, by subject."""
    provenance, hardware = record.provenance, record.provenance.hardware
    commits = {
        name: state.commit + (" with uncommitted changes" if state.dirty else "")
        for name, state in (
            ("evalharness commit", provenance.harness_git),
            ("checkpoint commit", provenance.checkpoint_git),
        )
        if state is not None
    }
    machine = {
        "processor": hardware.processor,
        "cores": hardware.n_cores,
        "memory": None if hardware.memory_bytes is None else f"{hardware.memory_bytes / _GIB:.1f} GiB",
        "GPUs": ", ".join(hardware.gpus) or "none",
        "platform": provenance.platform,
        **{f"${name}": value for name, value in provenance.environment.items()},
    }
    judges = {
        each.model.name: {"metrics": list(each.metrics), "questions": each.n_questions, **each.model.identity}
        for each in record.judges
    }
    settings = {name: value for name, value in record.settings.items() if name not in ("engine", "task_files")}
    return {
        "Model": _rows({**record.model.identity, "licence": record.model.card.get("licence")}),
        "Settings": _rows({**settings, "plan fingerprint": record.plan_fingerprint}),
        "Code and libraries": _rows({"python": provenance.python, **commits, **provenance.packages}),
        "Machine": _rows(machine),
        "Judges": _rows(judges),
    }


def stage_rows(record: RunRecord) -> list[dict[str, str]]:
    """Return what a run took: seconds by stage, tokens, memory."""
    took: dict[str, Any] = {f"{name}, seconds": f"{seconds:.2f}" for name, seconds in record.stages.items()}
    took |= {
        "prompt tokens": f"{record.tokens.prompt_tokens:,}",
        "generated tokens": f"{record.tokens.generated_tokens:,}",
    }
    if record.tokens.tokens_per_second is not None:
        took["tokens a second of device time"] = f"{record.tokens.tokens_per_second:,.0f}"
    for name, n_bytes in (("memory", record.peak_memory_bytes), ("device memory", record.peak_device_bytes)):
        if n_bytes is not None:
            took[f"greatest {name}"] = f"{n_bytes / _GIB:.2f} GiB"
    return _rows(took)


def event_rows(record: RunRecord) -> list[dict[str, str]]:
    """Return what happened during a run, in order."""
    return [{"event": cell(event.name), "what is known": cell(_text(event.fields))} for event in record.events]


def _rows(values: Mapping[str, Any], prefix: str = "") -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            rows += _rows(value, f"{prefix}{name}.")
        elif value not in (None, "", [], {}):
            rows.append({"what": cell(f"{prefix}{name}"), "is": cell(_text(value))})
    return rows


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
