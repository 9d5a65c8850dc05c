"""Agreement of raters against scikit-learn, Krippendorff's published example, and cases by hand."""

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from evalharness.stats.agreement import cohen_kappa, krippendorff_alpha, percent_agreement
from evalharness.stats.intervals import Absent, Interval

MISSING = math.nan
# The four observers and twelve units of Krippendorff 2011, "Computing Krippendorff's alpha-reliability", example C.
KRIPPENDORFF = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, MISSING, MISSING, MISSING],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, MISSING, 3],
        [MISSING, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, MISSING],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, MISSING],
    ]
).T


def seeded():
    return np.random.default_rng(0)


# The values published there, to their three digits.
@pytest.mark.parametrize(("scale", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_equals_the_published_example(scale, published):
    found = krippendorff_alpha(KRIPPENDORFF, scale, rng=seeded())
    assert found.value == pytest.approx(published, abs=0.0005)
    assert found.n_items == 11  # the twelfth unit was coded once
    assert found.interval.low < found.value < found.interval.high


def test_alpha_of_an_interval_scale_equals_its_definition_by_all_pairs():
    ratings = seeded().normal(size=(15, 3)) + seeded().normal(size=(15, 1)) + 1e4
    ratings[0, 0] = ratings[3, 1] = MISSING
    values = [row[~np.isnan(row)] for row in ratings]
    everything = np.concatenate(values)

    def squares(x):
        return np.sum((x[:, None] - x[None, :]) ** 2)

    observed = sum(squares(row) / (len(row) - 1) for row in values) / len(everything)
    expected = squares(everything) / (len(everything) * (len(everything) - 1))
    found = krippendorff_alpha(ratings, "interval", rng=seeded())
    assert found.value == pytest.approx(1 - observed / expected, abs=1e-9)


def test_alpha_does_not_depend_on_the_order_of_raters():
    shuffled = seeded().permuted(KRIPPENDORFF, axis=1)
    for scale in ("nominal", "ordinal", "interval"):
        whole, other = (krippendorff_alpha(x, scale, rng=seeded()).value for x in (KRIPPENDORFF, shuffled))
        assert whole == pytest.approx(other, abs=1e-12)


@pytest.mark.parametrize("weights", [None, "linear", "quadratic"])
def test_kappa_equals_scikit_learn(weights):
    rng = np.random.default_rng(1)
    first = rng.integers(0, 4, 200)
    second = np.where(rng.random(200) < 0.6, first, rng.integers(0, 5, 200))
    found = cohen_kappa(first, second, weights=weights, rng=rng)
    assert found.value == pytest.approx(cohen_kappa_score(first, second, weights=weights), abs=1e-12)


def test_kappa_takes_labels_of_any_kind():
    found = cohen_kappa(["a", "b", "a", "b"], ["a", "b", "b", "b"], rng=seeded())
    assert found.value == pytest.approx(0.5)


def test_percent_agreement_of_two_raters_is_a_proportion_with_wilsons_interval():
    ratings = np.array([[1.0, 1], [2, 2], [1, 2], [3, 3]])
    found = percent_agreement(ratings, rng=seeded())
    assert found.value == 0.75
    assert found.interval.method == "wilson"


def test_percent_agreement_of_many_raters_counts_pairs_within_items():
    ratings = np.array([[1.0, 1, 2], [1, 1, 1], [1, MISSING, 2], [2, MISSING, MISSING]])
    found = percent_agreement(ratings, rng=seeded())
    assert found.value == pytest.approx((1 / 3 + 1 + 0) / 3)
    assert found.n_items == 3


def test_full_agreement_is_one_without_an_interval_of_width_zero():
    ratings = np.tile(np.arange(10.0)[:, None], 3)
    for scale in ("nominal", "ordinal", "interval"):
        found = krippendorff_alpha(ratings, scale, rng=seeded())
        assert found.value == pytest.approx(1)
        assert isinstance(found.interval, Absent)


def test_raters_who_use_one_value_have_no_agreement_beyond_chance():
    assert krippendorff_alpha(np.ones((5, 2)), rng=seeded()).value == Absent("all ratings are equal")
    assert cohen_kappa([1, 1], [1, 1], rng=seeded()).value == Absent("both raters use one label only")


def test_items_rated_once_tell_nothing():
    ratings = np.array([[1.0, MISSING], [MISSING, 2.0]])
    assert krippendorff_alpha(ratings, rng=seeded()).value == Absent("no item was rated twice")
    assert percent_agreement(ratings, rng=seeded()).interval == Absent("no item was rated twice")


def test_bootstrap_intervals_of_alpha_cover_roughly_at_their_level():
    # two raters copy a fair binary truth with probability .8 each, else draw at random: nominal alpha tends to .64
    covered = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, 2, (150, 1))
        ratings = np.where(rng.random((150, 2)) < 0.8, truth, rng.integers(0, 2, (150, 2))).astype(float)
        interval = krippendorff_alpha(ratings, rng=rng, resamples=400).interval
        assert isinstance(interval, Interval)
        covered += interval.low <= 0.64 <= interval.high
    # 300 intervals at .95 scatter by .013
    assert 0.90 < covered / 300 <= 0.99


def test_a_missing_label_is_refused_by_kappa():
    with pytest.raises(ValueError, match="leave the item out"):
        cohen_kappa([1.0, MISSING], [1.0, 2.0], rng=seeded())
