"""Judges by closed forms over a fixed table of verdicts: what a judge wrote is given, so that only the counting is ours."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from evalharness.request import Generated, RequestKey, Sample
from rows.row import Row, ours, sample

#: How often each pair of verdicts stands in the table: with the answer as A, and with the answer as B.
VERDICTS = dict(zip(itertools.product("ABC", repeat=2), (11, 23, 7, 13, 5, 3, 2, 4, 9), strict=True))
RATINGS = [1, 10, 7.5, 3, 3, 8, 9.25, 5, 6, 2]


def judges() -> Iterator[Row]:
    """Compare ratings, win rates and consistency with closed forms."""
    rated = [_judged([f"I thought of [[4]] first.\nRating: [[{rating:g}]]"]) for rating in RATINGS]
    data = f"{len(RATINGS)} fixed ratings"
    yield Row("judge_rating", "", data, ours("judge_rating", {}, rated), float(np.mean(RATINGS)), "mean in numpy")
    unasked = [*rated, sample([None], ["x"])]
    mean = float(np.mean([*RATINGS, 1]))
    shown = f"{data} and a missing answer"
    yield Row("judge_rating", "", shown, ours("judge_rating", {}, unasked), mean, "mean in numpy")

    samples = [
        _judged([f"[[C]]? No: [[{letter}]]" for letter in pair]) for pair, n in VERDICTS.items() for _ in range(n)
    ]
    n, data = len(samples), f"{len(samples)} fixed pairs of verdicts"
    n_won, n_lost = VERDICTS["A", "B"], VERDICTS["B", "A"]
    n_tied = n - n_won - n_lost
    by = "win_rate_adjusted of FastChat: (wins + ties / 2) / all"
    yield Row("judge_win_rate", "", data, ours("judge_win_rate", {}, samples), (n_won + n_tied / 2) / n, by)
    credit = {"A": (1.0, 0.0), "B": (0.0, 1.0), "C": (0.5, 0.5)}
    means = sum(n_pairs * (credit[a][0] + credit[b][1]) / 2 for (a, b), n_pairs in VERDICTS.items()) / n
    mine = ours("judge_win_rate", {"inconsistent": "mean"}, samples)
    yield Row("judge_win_rate", "inconsistent: mean", data, mine, means, "mean of all credits")
    mine = ours("judge_win_rate", {"inconsistent": "loss"}, samples)
    expected = (n_won + VERDICTS["C", "C"] / 2) / n
    yield Row("judge_win_rate", "inconsistent: loss", data, mine, expected, "(wins + agreed ties / 2) / all")
    same = (n_won + n_lost + VERDICTS["C", "C"]) / n
    mine = ours("judge_position_consistency", {}, samples)
    yield Row("judge_position_consistency", "", data, mine, same, "pairs that agree / all")


def _judged(texts: Sequence[str]) -> Sample:
    """Return an answer about which a judge wrote these texts."""
    written = tuple(
        Generated(RequestKey("parity", "document", slot), text, 1, "eos") for slot, text in enumerate(texts)
    )
    return dataclasses.replace(sample(["answer"], ["reference"]), judgements={"parity": (written,)})
