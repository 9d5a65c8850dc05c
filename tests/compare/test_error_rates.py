"""How often verdicts are wrong, on simulated right and wrong answers of which a tenth changes."""

import numpy as np
import pytest
from compare_cases import means, scores

from evalharness.compare.difference import difference
from evalharness.compare.pairing import pair
from evalharness.stats.multiplicity import holm

pytestmark = pytest.mark.slow


def simulated(rng, n, lost=0.05, won=0.05):
    """Two sides on n documents; the candidate loses and wins documents with these probabilities."""
    baseline = rng.random(n) < 0.6
    flips = rng.random(n)
    candidate = np.where(baseline, flips >= lost / 0.6, flips < won / 0.4)
    return difference(pair(scores(means(baseline)), scores(means(candidate))))


def test_reports_of_unchanged_models_seldom_call_any_task_different():
    rng = np.random.default_rng(20261121)
    n_reports = 150
    false = sum(bool((holm([simulated(rng, 200).p for _ in range(10)]) < 0.05).any()) for _ in range(n_reports))
    # 5 % of 150 and three standard deviations
    assert false <= 7.5 + 3 * np.sqrt(150 * 0.05 * 0.95)


def test_a_drop_of_five_points_is_found_on_1319_documents():
    rng = np.random.default_rng(20261122)
    found = [simulated(rng, 1319, lost=0.075, won=0.025) for _ in range(60)]
    # the power is above .999 alone; among 10 tasks p is compared with .005
    assert sum(each.p < 0.005 and each.gain < 0 for each in found) >= 0.95 * len(found)


def test_intervals_hold_the_true_difference_at_their_level():
    rng = np.random.default_rng(20261123)
    found = [simulated(rng, 300, lost=0.06, won=0.03).interval for _ in range(600)]
    covered = np.mean([interval.low <= -0.03 <= interval.high for interval in found])
    # .95 less three standard deviations of 600 draws
    assert covered >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 600)
