"""The promises of a gate as a whole, simulated: all its tests together, through the real decision.

A suite has 20 tasks of right and wrong answers; the sides differ on a tenth of the documents. 400 suites each, seeded; a
rate may miss its promise by 4 standard errors of the simulation.
"""

import functools
import math

import numpy as np
import pytest
from gate_cases import config, evidence, gain_of_counts

from evalharness.gate.decision import decide
from evalharness.gate.evidence import BaselineEvidence

N_SUITES = 400
N_TASKS = 20
DISCORDANCE = 0.1
ALPHA = 0.05

pytestmark = pytest.mark.slow

gain = functools.lru_cache(maxsize=None)(gain_of_counts)


@functools.cache
def verdicts(n, drops, n_baselines=1):
    """The verdicts of suites with n documents a task and such true drops."""
    gate = config()
    rng = np.random.default_rng([n, len(drops), n_baselines])
    found = []
    for _ in range(N_SUITES):
        suites = []
        for name in range(n_baselines):
            tasks = []
            for i, drop in enumerate(drops):
                worse, better = (DISCORDANCE + drop) / 2, (DISCORDANCE - drop) / 2
                counts = rng.multinomial(n, [worse, better, 1 - worse - better])
                tasks.append(evidence(f"task{i}", gain(int(counts[0]), int(counts[1]), n), gate))
            suites.append(BaselineEvidence(str(name), tuple(tasks)))
        found.append(decide(gate, suites).verdict)
    return found


def share(found, word):
    return found.count(word) / len(found)


def slack(rate):
    """Four standard errors of a rate among N_SUITES suites."""
    return 4 * math.sqrt(rate * (1 - rate) / N_SUITES)


@pytest.mark.parametrize("n", [50, 200, 500, 1319])
def test_an_unchanged_model_fails_in_at_most_alpha_of_all_suites(n):
    assert share(verdicts(n, (0.0,) * N_TASKS), "fail") <= ALPHA + slack(ALPHA)


def test_an_unchanged_model_fails_in_at_most_alpha_beside_two_baselines():
    assert share(verdicts(500, (0.0,) * 10, 2), "fail") <= ALPHA + slack(ALPHA)


def test_an_unchanged_model_passes_with_enough_documents():
    # what the average's interval promises: z = 0.01 / (sqrt(0.1 / 1319 / 20)) - 1.645 = 3.5; so what fails is alpha
    assert share(verdicts(1319, (0.0,) * N_TASKS), "pass") >= 0.95 - slack(0.95)


def test_a_drop_of_5_points_on_one_task_of_1319_documents_fails():
    assert share(verdicts(1319, (0.05, *(0.0,) * (N_TASKS - 1))), "fail") >= 0.95


def test_a_drop_of_1_point_on_every_task_of_1319_documents_fails():
    # a drop of exactly the margin is called acceptable in alpha of all cases, by the definition of the margin
    assert share(verdicts(1319, (0.01,) * N_TASKS), "fail") >= 0.95 - slack(0.95)


def test_a_drop_of_twice_the_margin_on_every_task_always_fails():
    assert share(verdicts(1319, (0.02,) * N_TASKS), "fail") == 1


@pytest.mark.parametrize("n_tasks", [1, 5, N_TASKS])
def test_50_documents_are_inconclusive(n_tasks):
    found = verdicts(50, (0.0,) * n_tasks)
    assert share(found, "pass") <= ALPHA + slack(ALPHA)
    assert share(found, "inconclusive") >= 0.9


def test_a_drop_beyond_the_margin_passes_in_at_most_alpha_of_all_suites_of_any_size():
    for n in (50, 200, 500):
        assert share(verdicts(n, (0.011,) * N_TASKS), "pass") <= ALPHA + slack(ALPHA)
