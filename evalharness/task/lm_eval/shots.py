"""Which documents are shown as solved: drawn as lm-evaluation-harness 0.4.13 draws them, without the document's own answer.

Source: `ContextSampler` and `FirstNSampler` in lm_eval/api/samplers.py.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from evalharness.errors import TaskError
from evalharness.request import derived_seed

#: The seed of lm-eval's shots where a person gives none.
LM_EVAL_SEED = 1234

Row = dict[str, Any]


@dataclass(slots=True)
class Sampler:
    """Draws the shots of one document after the other; the order of documents decides the draws.

    pool: the solved documents. pick: `first_n`, or `default`, which draws. excludes: whether lm-eval itself leaves out
    the document that is asked: it does where the pool's split is the evaluated one by name, and draws one more for that.
    exact: leave shots that are the document itself where lm-eval leaves them. seed: 0 for lm-eval's own.
    n_leaks: how many documents had themselves among their shots.
    """

    pool: Sequence[Row]
    pick: Literal["first_n", "default"]
    excludes: bool
    where: str
    seed: int = 0
    exact: bool = False
    n_leaks: int = 0
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(LM_EVAL_SEED + self.seed)  # noqa: S311  # the very draws are wanted

    def draw(self, n: int, document: Row, document_id: str) -> list[Row]:
        """Return n shots for a document.

        Raises TaskError if the pool is too small.
        """
        try:
            drawn = self._first(n, document) if self.pick == "first_n" else self._drawn(n, document)
        except ValueError:
            drawn = []
        if len(drawn) == n and document in drawn:
            self.n_leaks += 1
            if not self.exact:
                drawn = self._without(n, document, document_id)
        if len(drawn) < n:
            what = f"{n} shots are wanted for document `{document_id}`, the pool has {len(self.pool)} documents"
            raise TaskError.at(self.where, what, "ask for fewer shots")
        return drawn

    def _first(self, n: int, document: Row) -> list[Row]:
        pool = [row for row in self.pool if row != document] if self.excludes else self.pool
        return list(pool[:n])

    def _drawn(self, n: int, document: Row) -> list[Row]:
        if not self.excludes:
            return self._random.sample(self.pool, n)
        drawn = [row for row in self._random.sample(self.pool, n + 1) if row != document][:n]
        if len(drawn) < n:  # several copies of the document were drawn
            drawn = self._random.sample([row for row in self.pool if row != document], n)
        return drawn

    def _without(self, n: int, document: Row, document_id: str) -> list[Row]:
        """Draw again among the others, from a stream of its own: the draws of later documents stay lm-eval's."""
        others = [row for row in self.pool if row != document]
        if self.pick == "first_n" or len(others) < n:
            return others[:n]
        return random.Random(derived_seed(self.seed, "shots", document_id)).sample(others, n)  # noqa: S311
