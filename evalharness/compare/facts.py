"""What differs between two runs beside their scores: the model, the settings, the versions, the machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalharness.run.provenance import differences
from evalharness.run.record import RunRecord

#: Settings that say where something lies or what was counted, not what was asked.
_NOT_SETTINGS = ("engine", "task_files")


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that differs between two runs, such as a fingerprint, a setting or a library's version; "-" is for none."""

    name: str
    baseline: str
    candidate: str


def differing_facts(baseline: RunRecord, candidate: RunRecord) -> tuple[Fact, ...]:
    """Return what differs: of the model's identity and registration, then settings, then code, libraries and machine."""
    one, other = (
        {"model": run.model.name, **_flat(run.model.spec), **_flat(run.model.identity), **_settings(run)}
        for run in (baseline, candidate)
    )
    facts = [
        Fact(name, one.get(name, "-"), other.get(name, "-"))
        for name in dict.fromkeys([*one, *other])
        if one.get(name, "-") != other.get(name, "-")
    ]
    versions = differences(baseline.provenance, candidate.provenance)
    return (*facts, *(Fact(name, then, now) for name, (then, now) in versions.items()))


def _settings(run: RunRecord) -> dict[str, str]:
    return _flat({name: value for name, value in run.settings.items() if name not in _NOT_SETTINGS})


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Name every inner value by its path, and write it as text; what is not set is "-"."""
    found: dict[str, str] = {}
    for name, value in sorted(values.items()):
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{name}.")
        elif f"{prefix}{name}" != "name":
            found[f"{prefix}{name}"] = _text(value)
    return found


def _text(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return "-"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
