"""The bootstrap on rows, against enumeration of all resamples and against scipy."""

import itertools

import numpy as np
import pytest
from scipy import stats

from evalharness.stats.intervals import Absent
from evalharness.stats.resampling import bootstrap, cluster_sums, resampled_totals


def mean(totals):
    return totals[..., 0] / totals[..., 1]


def rows_of(values):
    return np.column_stack([values, np.ones(len(values))])


def test_draws_do_not_depend_on_the_size_of_blocks():
    rows = np.random.default_rng(0).normal(size=(37, 3))
    drawn = [
        np.concatenate(list(resampled_totals(rows, 101, np.random.default_rng(1), block_bytes=size)))
        for size in (1, 37 * 8 * 10, 2**26)
    ]
    # 1e-12: a product of other shapes may sum in another order
    np.testing.assert_allclose(drawn[0], drawn[1], rtol=1e-12)
    np.testing.assert_allclose(drawn[0], drawn[2], rtol=1e-12)


def test_every_resample_holds_as_many_rows_as_there_are():
    totals = np.concatenate(list(resampled_totals(np.ones((50, 1)), 200, np.random.default_rng(2))))
    assert totals.shape == (200, 1)
    assert (totals == 50).all()


def test_percentiles_are_those_of_all_possible_resamples():
    # Values 0, 1, 3, 7, 20: the 5^5 = 3125 equally likely resamples, enumerated.
    values = np.array([0.0, 1.0, 3.0, 7.0, 20.0])
    means = np.array([np.mean(pick) for pick in itertools.product(values, repeat=5)])
    found = bootstrap(rows_of(values), mean, rng=np.random.default_rng(3), level=0.8, resamples=200_000)
    # 4 standard errors of a share of .1 or .9 among 200 000 draws: .0027; the bounds sit on atoms of the distribution
    for bound, share in ((found.low, 0.1), (found.high, 0.9)):
        assert np.mean(means < bound - 1e-9) <= share + 0.0027
        assert np.mean(means <= bound + 1e-9) >= share - 0.0027


def test_interval_equals_scipy_s_within_the_noise_of_resampling():
    values = np.random.default_rng(4).gamma(1.5, size=120)
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(5)
    ).confidence_interval
    found = bootstrap(rows_of(values), mean, rng=np.random.default_rng(6), resamples=20_000)
    # a 2.5 % quantile of 20 000 normal draws has a standard error of .019 standard errors of the mean; two of them, times 4
    tolerance = 4 * np.sqrt(2) * 0.019 * stats.sem(values)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=tolerance)
    assert found.method == "bootstrap"


def test_clusters_are_drawn_whole():
    values, clusters = np.array([0.0, 1.0, 0.0, 1.0, 0.0, 1.0]), np.array([0, 0, 1, 1, 2, 2])
    # Every cluster has the mean .5, so no choice of clusters changes it.
    found = bootstrap(rows_of(values), mean, clusters, rng=np.random.default_rng(7))
    assert found == Absent("all resamples agree, so the data show no spread")
    assert bootstrap(rows_of(values), mean, rng=np.random.default_rng(7)).low < 0.5


def test_clusters_of_one_are_plain_rows():
    rows = rows_of(np.random.default_rng(8).normal(size=30))
    plain = bootstrap(rows, mean, rng=np.random.default_rng(9))
    clustered = bootstrap(rows, mean, np.arange(30) * 2, rng=np.random.default_rng(9))
    assert (clustered.low, clustered.high) == (plain.low, plain.high)
    assert clustered.method == "cluster-bootstrap"


def test_cluster_sums_add_up():
    rows = np.array([[1.0, 1], [2, 1], [4, 1], [8, 1]])
    np.testing.assert_array_equal(cluster_sums(rows, np.array([7, 3, 7, 3])), [[10, 2], [5, 2]])


@pytest.mark.parametrize(
    ("rows", "clusters", "reason"),
    [
        (np.array([[0.3, 1.0]]), None, "a single sample"),
        (np.array([[0.3, 1.0], [0.5, 1.0]]), np.array([1, 1]), "a single cluster"),
        (np.array([[0.3, 1.0]] * 6), None, "all resamples agree"),
    ],
)
def test_degenerate_data_give_a_stated_absence(rows, clusters, reason):
    found = bootstrap(rows, mean, clusters, rng=np.random.default_rng(0))
    assert isinstance(found, Absent)
    assert reason in found.reason


def test_resamples_without_a_value_are_told():
    rows = np.array([[1.0, 0.0], [1.0, 1.0]])
    with np.errstate(divide="ignore"):
        found = bootstrap(rows, mean, rng=np.random.default_rng(0))
    assert found == Absent("some resamples have no value")


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="level between 0 and 1"):
        bootstrap(rows_of(np.arange(3.0)), mean, rng=np.random.default_rng(0), level=95)
