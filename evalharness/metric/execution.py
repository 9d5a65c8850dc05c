"""Metrics of answers that were run as programs; `pass_at_k` and `pass_power_k` build on `tests_passed`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic.dataclasses import dataclass

from evalharness.metric.base import STRICT, Mean, ZeroToOne
from evalharness.request import OutputKind, Sample


@dataclass(frozen=True, config=STRICT)
class TestsPassed(Mean, ZeroToOne):
    """The share of answers that passed their tests when they were run; a time-out or a broken limit is a failure.

    With repeats: the mean over documents of the share of passing repeats, which is pass@1 (Chen et al. 2021,
    arXiv:2107.03374). The task's `execute:` says how programs are made and judged.
    """

    name: ClassVar[str] = "tests_passed"
    columns: ClassVar[tuple[str, ...]] = ("passed", "count")
    outputs: ClassVar[frozenset[OutputKind]] = frozenset({"generate"})

    needs_execution: ClassVar[bool] = True

    def row(self, sample: Sample) -> Sequence[float]:
        """Return (1 if the program passed, 1); an answer that was not found was never run, and did not pass."""
        if not sample.executions:
            raise ValueError("the answer was not run")
        return (float(sample.answers[0] is not None and sample.executions[0].passed), 1.0)
