"""Randomisation tests against enumeration, scipy and sacrebleu."""

import itertools

import numpy as np
import pytest
from sacrebleu.metrics import BLEU
from sacrebleu.significance import PairedTest
from scipy import stats

from evalharness.stats.intervals import Absent
from evalharness.stats.paired import mcnemar
from evalharness.stats.randomisation import approximate_randomization, sign_flip_test


def rng(seed=0):
    return np.random.default_rng(seed)


def mean(totals):
    return totals[..., 0] / totals[..., 1]


def rows_of(values):
    return np.column_stack([values, np.ones(len(values))])


DIFFERENCES = np.array([0.3, -0.1, 0.25, 0.4, 0.0, -0.05, 0.2, 0.15, -0.2, 0.1])


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_sign_flips_of_few_samples_equal_scipy_s_exact_permutation_test(alternative):
    expected = stats.permutation_test(
        (DIFFERENCES,), np.mean, permutation_type="samples", n_resamples=2**11, alternative=alternative
    ).pvalue
    found = sign_flip_test(DIFFERENCES, rng=rng(), alternative=alternative)
    if alternative == "two-sided":  # scipy doubles the smaller tail; the distribution is symmetric
        assert found.p == pytest.approx(min(1, expected), rel=1e-9)
    else:
        assert found.p == pytest.approx(expected, rel=1e-9)
    assert found.method == "sign-flip-exact"
    assert found.difference == pytest.approx(DIFFERENCES.mean(), rel=1e-12)


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize(("b", "c"), [(0, 5), (3, 8), (6, 6), (0, 0)])
def test_sign_flips_of_right_and_wrong_are_mcnemar_s_test(b, c, alternative):
    differences = np.array([-1.0] * b + [1.0] * c + [0.0] * 400)
    found = sign_flip_test(differences, rng=rng(), alternative=alternative)
    assert found.p == pytest.approx(mcnemar(b, c, alternative=alternative).p, rel=1e-12)


def test_clusters_are_flipped_whole():
    values, clusters = np.array([0.3, 0.1, -0.2, 0.5, 0.4, 0.1, -0.3]), np.array([9, 9, 2, 2, 5, 7, 7])
    sums = np.array([0.4, 0.3, 0.4, -0.2])
    flips = [abs(sums @ signs) for signs in itertools.product((1, -1), repeat=4)]
    expected = np.mean(np.array(flips) >= abs(sums.sum()) - 1e-12)
    assert sign_flip_test(values, clusters, rng=rng()).p == expected


def test_clusters_whose_sums_are_zero_but_for_rounding_change_nothing():
    differences, clusters = np.tile([0.1, 0.2, -0.3], 12), np.repeat(np.arange(12), 3)
    assert sign_flip_test(differences, clusters, rng=rng()).p == 1.0


def test_drawn_sign_flips_agree_with_all_of_them():
    values = rng(1).normal(0.25, 1, 14)
    exact = sign_flip_test(values, rng=rng(), n_flips=2**14).p
    drawn = sign_flip_test(values, rng=rng(2), n_flips=2**14 - 1)
    assert drawn.method == "sign-flip"
    assert drawn.p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 2**14))  # 4 standard errors of a share


def test_drawn_p_is_never_zero():
    assert sign_flip_test(np.ones(100), rng=rng(), n_flips=99).p == 0.01


def test_draws_are_those_of_the_generator_and_nothing_else():
    values = rng(3).normal(0.1, 1, 50)
    assert sign_flip_test(values, rng=rng(4)).p == sign_flip_test(values, rng=rng(4)).p


@pytest.mark.parametrize("clusters", [None, np.arange(10) % 6], ids=["plain", "clustered"])
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_swapping_the_rows_of_a_mean_is_flipping_signs(alternative, clusters):
    base = rng(5).normal(size=10)
    rows_a, rows_b = rows_of(base), rows_of(base + DIFFERENCES)
    swapped = approximate_randomization(rows_a, rows_b, mean, clusters, rng=rng(), alternative=alternative)
    flipped = sign_flip_test(DIFFERENCES, clusters, rng=rng(), alternative=alternative)
    assert swapped.p == flipped.p
    assert swapped.difference == pytest.approx(flipped.difference, rel=1e-9)


def bleu_case(n, errors_a, errors_b):
    """References, and two systems that get words wrong at different rates."""
    words = [f"word{i}" for i in range(20)]
    draw = rng(6)
    references = [list(draw.choice(words, draw.integers(6, 20))) for _ in range(n)]

    def system(rate):
        return [
            " ".join(word if draw.random() > rate else draw.choice(words) for word in reference)
            for reference in references
        ]

    return system(errors_a), system(errors_b), [" ".join(reference) for reference in references]


@pytest.mark.parametrize(("errors_b", "n"), [(0.27, 120), (0.3, 60)])
def test_randomisation_of_bleu_agrees_with_sacrebleu(errors_b, n):
    texts_a, texts_b, references = bleu_case(n, 0.3, errors_b)
    bleu = BLEU()
    _, scores = PairedTest([("a", texts_a), ("b", texts_b)], {"BLEU": bleu}, [references], "ar", 4000)()
    base, candidate = scores["BLEU"]
    stats_of = [np.array(bleu._extract_corpus_statistics(texts, [references]), float) for texts in (texts_a, texts_b)]
    found = approximate_randomization(*stats_of, bleu_of_sums, rng=rng(7), n_swaps=4000)
    assert found.difference == pytest.approx(candidate.score - base.score, abs=1e-9)
    assert 0.002 < candidate.p_value < 0.5
    # 4 standard errors of the difference of two shares of 4000 draws, and one draw for what sacrebleu does not count
    spread = np.sqrt(2 * candidate.p_value * (1 - candidate.p_value) / 4000)
    assert found.p == pytest.approx(candidate.p_value, abs=4 * spread + 1 / 4000)


def bleu_of_sums(totals):
    return np.array([BLEU()._compute_score_from_stats(list(row)).score for row in np.atleast_2d(totals)])


def test_a_system_does_not_differ_from_itself():
    texts, _, references = bleu_case(20, 0.3, 0.3)
    rows = np.array(BLEU()._extract_corpus_statistics(texts, [references]), float)
    assert approximate_randomization(rows, rows.copy(), bleu_of_sums, rng=rng()).p == 1.0
    # sacrebleu counts only swaps that are more extreme, so that here none counts
    _, scores = PairedTest([("a", texts), ("b", texts)], {"BLEU": BLEU()}, [references], "ar", 99)()
    assert scores["BLEU"][1].p_value == 0.01


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (sign_flip_test(np.array([1.0]), rng=rng()), "a single sample"),
        (sign_flip_test(np.array([]), rng=rng()), "no samples"),
        (sign_flip_test(np.array([0.5, np.nan]), rng=rng()), "not finite"),
        (sign_flip_test(np.array([1.0, 2.0]), np.array([0, 0]), rng=rng()), "a single cluster"),
        (approximate_randomization(rows_of([1.0]), rows_of([2.0]), mean, rng=rng()), "a single sample"),
        (
            approximate_randomization(rows_of([1.0, 2]), rows_of([2.0, 2]), lambda t: t[:, 0] * np.nan, rng=rng()),
            "no value",
        ),
    ],
)
def test_degenerate_data_give_a_stated_absence(found, reason):
    assert isinstance(found, Absent)
    assert reason in found.reason


@pytest.mark.parametrize(
    "call",
    [
        lambda: sign_flip_test(DIFFERENCES, rng=rng(), n_flips=0),
        lambda: sign_flip_test(DIFFERENCES, rng=rng(), alternative="better"),
        lambda: approximate_randomization(rows_of([1.0, 2.0]), rows_of([1.0]), mean, rng=rng()),
    ],
)
def test_arguments_that_make_no_sense_are_refused(call):
    with pytest.raises(ValueError, match=r"."):
        call()


@pytest.mark.slow
@pytest.mark.parametrize("clustered", [False, True])
def test_error_rate_keeps_to_alpha(clustered):
    draw, rejected = rng(8), 0
    clusters = np.arange(40) // 4 if clustered else None
    for _ in range(1000):
        differences = draw.standard_t(2, 40)
        if clustered:
            differences = differences + np.repeat(draw.standard_t(2, 10), 4)
        rejected += sign_flip_test(differences, clusters, rng=draw, n_flips=199).p <= 0.05
    # heavy tails; 4 standard errors of a share of .05 among 1000: .028
    assert rejected / 1000 == pytest.approx(0.05, abs=0.028)
