"""Which models nothing cheaper beats."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
from test_facts import SMALL

from leaderboard.frontier import TradePoint, cost_of, rated


def point(model, x, y, half=None):
    return TradePoint(model, x, y, None if half is None else y - half, None if half is None else y + half, "cpu")


def efficiencies(points, cost="parameters", *, rises=True):
    return {each.model: each.efficiency for each in rated(points, cost, rises=rises)}


def test_a_better_model_of_no_greater_cost_beats():
    found = efficiencies([point("small", 1, 0.5), point("worse", 2, 0.4), point("large", 3, 0.9)])
    assert found == {"small": "efficient", "worse": "beaten", "large": "efficient"}


def test_an_interval_that_reaches_the_best_of_the_cheaper_leaves_a_model_possibly_efficient():
    found = efficiencies([point("small", 1, 0.5, 0.01), point("near", 2, 0.45, 0.05), point("far", 2, 0.3, 0.05)])
    assert found == {"small": "efficient", "near": "possibly efficient", "far": "beaten"}


def test_more_tokens_a_second_cost_less():
    found = efficiencies([point("fast", 100, 0.5), point("slow", 10, 0.4)], "tokens per second")
    assert found == {"fast": "efficient", "slow": "beaten"}


def test_where_less_is_better_the_lower_bound_reaches():
    found = efficiencies([point("a", 1, 2.0), point("b", 2, 2.1, 0.2), point("c", 2, 3.0, 0.2)], rises=False)
    assert found == {"a": "efficient", "b": "possibly efficient", "c": "beaten"}


def test_models_of_one_cost_and_score_are_both_efficient_and_a_dearer_one_is_beaten():
    found = efficiencies([point("a", 1, 0.5), point("b", 1, 0.5), point("c", 2, 0.5)])
    assert found == {"a": "efficient", "b": "efficient", "c": "beaten"}


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 5)), min_size=1, max_size=12))
def test_a_model_is_efficient_exactly_where_no_other_dominates_it(pairs):
    points = [point(str(i), x, y) for i, (x, y) in enumerate(pairs)]
    found = efficiencies(points)
    for one in points:
        dominated = any(
            other.x <= one.x and other.y >= one.y and (other.x, other.y) != (one.x, one.y) for other in points
        )
        assert (found[one.model] == "efficient") is not dominated


def test_a_cost_that_is_not_known_is_none():
    assert cost_of(dataclasses.replace(SMALL, tokens_per_second=0.0), "tokens per second") is None
    assert cost_of(SMALL, "training tokens") is None
    assert cost_of(SMALL, "peak memory") == 2**30
