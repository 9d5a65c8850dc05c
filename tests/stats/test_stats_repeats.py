"""What k of n answers would reach, against the paper's product and all draws."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.stats.repeats import expected_best, pass_at_k, pass_power_k

GRID = [(n, c, k) for n in range(1, 8) for c in range(n + 1) for k in range(1, n + 1)]


def estimated(n, c, k):
    """The numerically stable product of Chen et al. 2021, figure 3."""
    return 1.0 if n - c < k else 1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1))


# 1e-12: closed forms
@pytest.mark.parametrize(("n", "c", "k"), [*GRID, (200, 3, 10), (200, 150, 100), (1000, 1, 1)])
def test_pass_at_k_is_the_estimator_of_its_paper(n, c, k):
    assert pass_at_k(n, c, k) == pytest.approx(estimated(n, c, k), abs=1e-12)


def test_pass_at_k_and_pass_power_k_are_shares_of_all_draws():
    for n, c, k in GRID:
        draws = list(itertools.combinations([1] * c + [0] * (n - c), k))
        assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws), abs=1e-12)
        assert pass_power_k(n, c, k) == pytest.approx(sum(map(all, draws)) / len(draws), abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=7), st.data())
def test_expected_best_is_the_mean_over_all_draws(scores, data):
    k = data.draw(st.integers(1, len(scores)))
    draws = [max(draw) for draw in itertools.combinations(scores, k)]
    assert expected_best(sorted(scores), k) == pytest.approx(math.fsum(draws) / len(draws), abs=1e-12)


@pytest.mark.parametrize(("n", "c", "k"), [(3, 4, 1), (3, -1, 1), (3, 1, 4), (3, 1, 0), (0, 0, 1)])
def test_counts_that_make_no_sense_are_refused(n, c, k):
    for function in (pass_at_k, pass_power_k):
        with pytest.raises(ValueError, match="must not exceed"):
            function(n, c, k)
