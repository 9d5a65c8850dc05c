"""A verdict as JSON, for other programs."""

from __future__ import annotations

from evalharness.gate.verdict import GateVerdict, as_json_object
from evalharness.run.record import canonical_json


def to_json(verdict: GateVerdict) -> bytes:
    """Return everything that is known of a verdict; equal verdicts give equal bytes."""
    return canonical_json(as_json_object(verdict))
