"""Mean win rates against the values of HELM's own tests, Borda counts by hand, and intervals."""

import math

import numpy as np
import pytest

from evalharness.stats.intervals import Absent
from evalharness.stats.win_rates import mean_win_rate_intervals, mean_win_rates

MISSING = math.nan


# Inputs and values of test_summarize.py of stanford-crfm/helm: one scenario, two, missing values, a column with one value
# alone, ties, all missing.
@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([[1], [2], [3], [4], [5]], [0, 0.25, 0.5, 0.75, 1]),
        ([[1, 3], [2, 1], [3, 2], [4, 5], [5, 4]], [0.25, 0.125, 0.375, 0.875, 0.875]),
        ([[1, 3], [2, 1], [3, MISSING], [4, MISSING], [5, MISSING]], [0.5, 0.125, 0.5, 0.75, 1]),
        ([[1, MISSING], [2, 1], [3, MISSING], [4, MISSING], [5, MISSING]], [0, 0.25, 0.5, 0.75, 1]),
        ([[1], [1], [1], [4], [5]], [0.25, 0.25, 0.25, 0.75, 1]),
        ([[MISSING]] * 5, [None] * 5),
    ],
)
def test_mean_win_rates_equal_helm(scores, expected):
    assert mean_win_rates(np.array(scores, dtype=float)).means == tuple(expected)


def test_where_lower_is_better_the_lowest_wins():
    scores = np.array([[1.0, 1], [2, 2], [3, 3]])
    assert mean_win_rates(scores, lower_is_better=True).means == (1, 0.5, 0)
    assert mean_win_rates(scores, lower_is_better=[True, False]).means == (0.5, 0.5, 0.5)


def test_borda_counts_models_beaten_and_halves_ties():
    found = mean_win_rates(np.array([[3.0, 1], [2, 1], [1, 0]]))
    assert found.borda.tolist() == [2 + 1.5, 1 + 1.5, 0]


def test_a_missing_cell_gives_no_points_and_is_counted():
    found = mean_win_rates(np.array([[3.0, MISSING], [2, 1], [1, 0]]))
    assert found.borda.tolist() == [2, 1 + 1, 0]
    assert found.n_tasks.tolist() == [1, 2, 2]


def test_an_infinite_score_is_no_missing_one():
    found = mean_win_rates(np.array([[math.inf], [2.0], [MISSING]]), lower_is_better=True)
    assert found.means == (0, 1, None)


def test_intervals_hold_the_rate_and_are_wide_for_models_that_are_alike():
    rng = np.random.default_rng(0)
    shares = np.array([[0.5], [0.5], [0.9]])
    items = [(rng.random((3, 200)) < shares).astype(float) for _ in range(3)]
    found = mean_win_rate_intervals(items, rng=rng)
    assert found[0].high - found[0].low > 0.2
    assert found[2] == Absent("all resamples agree, so the data show no spread")


def test_models_with_equal_answers_tie_in_every_resample():
    answers = (np.random.default_rng(1).random(50) < 0.3).astype(float) * 0.1
    items = [np.stack([answers, answers, np.ones(50)])]
    found = mean_win_rate_intervals(items, rng=np.random.default_rng(2))
    assert {type(interval) for interval in found} == {Absent}


def test_a_model_that_was_not_run_on_a_task_is_left_out_there():
    rng = np.random.default_rng(3)
    items = [rng.random((3, 40)), rng.random((3, 60))]
    items[1][0] = MISSING
    found = mean_win_rate_intervals(items, rng=rng)
    assert all(0 <= interval.low < interval.high <= 1 for interval in found)
    alone = mean_win_rate_intervals([np.where([[True], [False]], items[0][:2], MISSING)], rng=rng)
    assert alone == (Absent("no other model shares a task"),) * 2


def test_a_single_item_shows_no_spread():
    found = mean_win_rate_intervals([np.array([[1.0], [0.0]])], rng=np.random.default_rng(4))
    assert found == (Absent("a task with a single item shows no spread"),) * 2


def test_items_that_are_missing_in_part_are_refused():
    with pytest.raises(ValueError, match="all items"):
        mean_win_rate_intervals([np.array([[1.0, MISSING], [0.0, 1.0]])], rng=np.random.default_rng(5))


def test_intervals_cover_roughly_at_their_level():
    shares = np.array([0.5, 0.5, 0.55, 0.6, 0.7])[:, None]
    truth = mean_win_rates(shares).means
    covered, n = np.zeros(5), 100
    for seed in range(n):
        rng = np.random.default_rng(seed)
        items = [(rng.random((5, 200)) < shares).astype(float) for _ in range(4)]
        found = mean_win_rate_intervals(items, rng=rng, resamples=200)
        # the best model may win in every resample: no interval, and no false one
        covered += [
            isinstance(interval, Absent) or interval.low <= rate + 1e-9 <= interval.high + 2e-9
            for interval, rate in zip(found, truth, strict=True)
        ]
    # 100 intervals at .95 scatter by .022
    assert (covered / n > 0.86).all(), covered / n
