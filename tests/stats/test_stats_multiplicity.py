"""Adjusted p-values against statsmodels and scipy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from evalharness.stats.multiplicity import benjamini_hochberg, holm

P_VALUES = [
    [0.03],
    [0.01, 0.04, 0.03, 0.005],
    [0.5, 0.5, 0.5],
    [0.0, 1.0, 0.05, 0.05, 1e-300],
    list(np.random.default_rng(0).uniform(size=40) ** 3),
]


@pytest.mark.parametrize("p", P_VALUES)
@pytest.mark.parametrize(("adjust", "method"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_adjusted_p_values_equal_statsmodels(adjust, method, p):
    np.testing.assert_allclose(adjust(p), multipletests(p, method=method)[1], rtol=1e-12)


@pytest.mark.parametrize("p", P_VALUES)
def test_benjamini_hochberg_equals_scipy(p):
    np.testing.assert_array_equal(benjamini_hochberg(p), stats.false_discovery_control(p))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms())
def test_order_does_not_matter_and_nothing_gets_smaller(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    for adjust in (holm, benjamini_hochberg):
        adjusted = adjust(p)
        np.testing.assert_array_equal(adjust([p[i] for i in order]), adjusted[order])
        assert ((adjusted >= p) & (adjusted <= 1)).all()
        assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()
    assert (holm(p) >= benjamini_hochberg(p) - 1e-15).all()


def test_a_report_without_tests_needs_no_adjustment():
    assert holm([]).shape == benjamini_hochberg([]).shape == (0,)


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
@pytest.mark.parametrize("p", [[0.1, float("nan")], [-0.1], [1.1], [[0.1]]])
def test_what_is_no_p_value_is_refused(adjust, p):
    with pytest.raises(ValueError, match="lie between 0 and 1"):
        adjust(p)


def test_the_input_is_left_as_it_is():
    p = np.array([0.04, 0.01])
    holm(p)
    benjamini_hochberg(p)
    assert p.tolist() == [0.04, 0.01]
