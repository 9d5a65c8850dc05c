"""The gate: sides and a configuration go in, one verdict comes out."""

from __future__ import annotations

from collections.abc import Sequence

from evalharness import __version__
from evalharness.gate.assembly import gather
from evalharness.gate.config import GateConfig
from evalharness.gate.decision import decide
from evalharness.gate.sentence import sentence
from evalharness.gate.sides import MissingBaseline, Side
from evalharness.gate.verdict import GateVerdict


def judge_candidate(
    name: str, config: GateConfig, candidate: Side, baselines: Sequence[Side | MissingBaseline]
) -> GateVerdict:
    """Hold a candidate against baselines; name: of the gate, for reports.

    Raises GateError when a rule does not fit its task, StoreError when scores cannot be read.
    """
    evidence = [gather(config, candidate, baseline) for baseline in baselines]
    decision = decide(config, evidence)
    return GateVerdict(
        name=name,
        verdict=decision.verdict,
        exit_code=decision.exit_code,
        sentence=sentence(decision.verdict, decision.rows),
        candidate=candidate.input,
        baselines=tuple(each.input for each in baselines if isinstance(each, Side)),
        rows=decision.rows,
        notes=decision.notes,
        config=config.model_dump(mode="json", exclude_none=True),
        version=__version__,
    )
