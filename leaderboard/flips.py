"""Which documents changed between two runs: counted as a square of right and wrong, and named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from evalharness.compare.comparison import MetricComparison
from evalharness.compare.valuation import RANGES


@dataclass(frozen=True, slots=True)
class Flips:
    """How many documents are right and wrong in both runs, won (only the candidate is right) and lost."""

    both_right: int
    lost: int
    won: int
    both_wrong: int

    @property
    def n(self) -> int:
        """All documents that were compared."""
        return self.both_right + self.lost + self.won + self.both_wrong


def flips_of(compared: MetricComparison) -> Flips | None:
    """Return the square of a comparison; None where documents are not right or wrong in both runs."""
    found = compared.difference
    if found is None or not found.is_right_or_wrong or compared.unit not in RANGES:
        return None
    if found.n_won is None or found.n_lost is None:
        return None
    share = found.baseline / RANGES[compared.unit]
    n_right = round(found.n * (share if compared.higher_is_better else 1 - share))
    return Flips(n_right - found.n_lost, found.n_lost, found.n_won, found.n - n_right - found.n_won)


def flip_rows(flips: Flips) -> list[dict[str, Any]]:
    """Return the square as a table, with sums."""
    return [
        {
            "": "baseline right",
            "candidate right": flips.both_right,
            "candidate wrong": flips.lost,
            "all": flips.both_right + flips.lost,
        },
        {
            "": "baseline wrong",
            "candidate right": flips.won,
            "candidate wrong": flips.both_wrong,
            "all": flips.won + flips.both_wrong,
        },
        {
            "": "all",
            "candidate right": flips.both_right + flips.won,
            "candidate wrong": flips.lost + flips.both_wrong,
            "all": flips.n,
        },
    ]
