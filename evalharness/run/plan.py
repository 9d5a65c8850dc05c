"""The plan of a run: what identifies the work, so that an interrupted run of the same work can be resumed."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from evalharness.errors import StoreError
from evalharness.run.masking import mask_json
from evalharness.run.record import canonical_json

PLAN_FILE = "plan.json"

_SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What `plan.json` says: the fingerprint of the work, and when it was begun."""

    fingerprint: str
    created: dt.datetime


def plan_fingerprint(plan: Mapping[str, Any]) -> str:
    """Return the hex sha256 of a plan in canonical JSON: equal for equal work, whatever secrets it is done with."""
    text = json.dumps(_masked(plan), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _masked(plan: Mapping[str, Any]) -> Any:
    # Through JSON and back first, so that a plan read from disk has the fingerprint of the one written.
    return mask_json(json.loads(json.dumps(plan, allow_nan=False)))


def encode_plan(plan: Mapping[str, Any], created: dt.datetime) -> bytes:
    """Write `plan.json`: the plan without secrets, its fingerprint and its time."""
    return canonical_json(
        {
            "schema_version": _SCHEMA_VERSION,
            "fingerprint": plan_fingerprint(plan),
            "created": created.isoformat(),
            "plan": _masked(plan),
        }
    )


def decode_plan(data: bytes, where: object) -> Plan:
    """Read `plan.json`; raise StoreError, naming `where`, when it is damaged."""
    try:
        content = from_json(data)
        plan = Plan(content["fingerprint"], dt.datetime.fromisoformat(content["created"]))
        if plan_fingerprint(content["plan"]) != plan.fingerprint:
            raise ValueError("its fingerprint does not match")
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError.at(where, f"the plan is damaged: {error}", "delete the run directory") from error
    return plan
