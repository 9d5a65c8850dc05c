"""The difference of two paired sides: by each kind of metric, the value, the interval and the test that suit it."""

import math

import numpy as np
import pytest
from compare_cases import means, outcomes, result, scores
from scipy import stats

from evalharness.compare.difference import changed_documents, difference
from evalharness.compare.pairing import NotComparable, pair
from evalharness.metric.registry import build_metric
from evalharness.request import Document, Sample
from evalharness.stats.intervals import Absent

RNG = np.random.default_rng(20261121)


def compared(baseline, candidate, metric="exact_match", *, clusters=None, **options):
    sides = (scores(rows, metric, clusters=clusters) for rows in (baseline, candidate))
    return difference(pair(*sides), **options)


def test_right_or_wrong_is_counted_by_hand_and_tested_by_mcnemar():
    found = compared(*outcomes(both=20, lost=8, won=3, neither=9))
    assert (found.baseline, found.candidate) == (28 / 40, 23 / 40)
    assert found.delta == found.effect == found.gain == pytest.approx(-5 / 40)
    assert (found.n, found.n_won, found.n_lost) == (40, 3, 8)
    # X ~ Binomial(11, 1/2): P(X <= 3) = (1 + 11 + 55 + 165) / 2048
    assert found.p_worse == pytest.approx(232 / 2048)
    assert found.p == pytest.approx(464 / 2048)
    assert found.test == "mcnemar-exact"
    assert found.is_right_or_wrong


def test_the_interval_of_right_or_wrong_is_bonett_prices():
    found = compared(*outcomes(both=20, lost=8, won=3, neither=9))
    p12, p21, z = 4 / 42, 9 / 42, stats.norm.ppf(0.975)
    half = z * math.sqrt((p12 + p21 - (p12 - p21) ** 2) / 42)
    assert (found.interval.low, found.interval.high) == pytest.approx((p12 - p21 - half, p12 - p21 + half))


def test_no_discordant_document_is_no_proof_of_equality():
    found = compared(*outcomes(both=30, lost=0, won=0, neither=20))
    assert (found.delta, found.p, found.n_won, found.n_lost) == (0, 1, 0, 0)
    assert found.interval.low < 0 < found.interval.high
    assert found.is_identical


def test_clustered_right_or_wrong_is_tested_by_clusters():
    baseline, candidate = outcomes(both=300, lost=100, won=60, neither=140)
    clusters = [f"passage {i // 10}" for i in range(600)]
    found = compared(baseline, candidate, clusters=clusters)
    assert found.n_clusters == 60
    assert found.test == "cluster-paired-t"
    assert found.interval.method == "cluster-bonett-price"
    # within a passage all outcomes are equal here, so that 60 passages say far less than 600 documents
    assert found.standard_error > 2 * compared(baseline, candidate).standard_error


def test_few_clusters_are_tested_by_sign_flips():
    found = compared(*outcomes(10, 4, 2, 8), clusters=[str(i // 2) for i in range(24)])
    assert found.test.startswith("sign-flip")


def test_means_of_many_documents_have_students_paired_t():
    baseline = RNG.random(80)
    candidate = np.clip(baseline + RNG.normal(0.03, 0.1, 80), 0, 1)
    found = compared(means(baseline), means(candidate), "token_f1")
    reference = stats.ttest_rel(candidate, baseline)
    bounds = reference.confidence_interval(0.95)
    assert found.p == pytest.approx(reference.pvalue)
    assert (found.interval.low, found.interval.high) == pytest.approx((bounds.low, bounds.high))
    assert found.p_better + found.p_worse == pytest.approx(1)


def test_means_of_few_documents_have_an_exact_sign_flip_test():
    baseline, candidate = np.zeros(8), np.linspace(0.1, 0.9, 8)
    found = compared(means(baseline), means(candidate), "token_f1")
    assert found.test == "sign-flip-exact"
    assert found.p == 2 / 2**8  # only no flip and all flips are as extreme
    assert found.p_better == 1 / 2**8


def test_percents_keep_their_unit():
    baseline, candidate = RNG.random(60), RNG.random(60)
    found = compared(means(baseline), means(candidate), "rouge1")
    assert found.delta == pytest.approx(100 * (candidate.mean() - baseline.mean()))
    assert found.interval.low < found.delta < found.interval.high
    assert found.interval.high - found.interval.low > 1


def test_where_lower_is_better_a_lower_value_is_a_gain():
    baseline, candidate = RNG.random(60) / 2 + 0.5, RNG.random(60) / 2
    found = compared(means(baseline), means(candidate), "repetition_rate")
    assert found.delta < 0 < found.gain
    assert found.p_better < 1e-6 < found.p_worse
    assert found.n_won > found.n_lost


def perplexity_rows(n=60, shift=0.0):
    tokens = RNG.integers(5, 50, n).astype(float)
    return np.stack([-(2.5 + shift + RNG.normal(0, 0.2, n)) * tokens, tokens], axis=1)


def test_perplexities_are_compared_by_the_logarithm_of_their_ratio():
    baseline, candidate = perplexity_rows(), perplexity_rows(shift=0.3)
    found = compared(baseline, candidate, "perplexity")
    nats = [-rows[:, 0].sum() / rows[:, 1].sum() for rows in (baseline, candidate)]
    assert found.scale == "log-ratio"
    assert (found.baseline, found.candidate) == pytest.approx(tuple(np.exp(nats)))
    assert found.effect == pytest.approx(nats[1] - nats[0])
    assert found.gain == -found.effect
    assert found.interval.low < found.effect < found.interval.high
    assert found.p_worse < 0.05 < found.p_better


def test_bits_per_byte_keep_their_unit_and_the_p_value_of_the_perplexity():
    baseline, candidate = perplexity_rows(), perplexity_rows(shift=0.05)
    bits, perplexity = (compared(baseline, candidate, name) for name in ("bits_per_byte", "byte_perplexity"))
    assert bits.scale == "difference"
    assert bits.effect == pytest.approx(perplexity.effect / math.log(2))
    assert bits.p_worse == pytest.approx(perplexity.p_worse)
    assert bits.interval.low == pytest.approx(perplexity.interval.low / math.log(2))


REFERENCES = [
    "the cat sat quietly on the old mat near the door",
    "a storm crossed the northern coast before the morning",
    "she wrote the letter twice and never sent it at all",
    "prices rose again although the bank had raised its rates",
] * 10


def noisy(text, share):
    return " ".join("something" if RNG.random() < share else word for word in text.split())


def test_the_difference_of_bleu_is_sacrebleus_with_a_like_p_value():
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.significance import PairedTest

    systems = [[noisy(text, share) for text in REFERENCES] for share in (0.15, 0.2)]
    metric = build_metric("bleu", {}, where="test")
    rows = [
        np.array([metric.row(bleu_sample(answer, text)) for answer, text in zip(answers, REFERENCES, strict=True)])
        for answers in systems
    ]
    found = compared(*rows, "bleu")
    _, scored = PairedTest(
        [("baseline", systems[0]), ("candidate", systems[1])],
        {"BLEU": BLEU(references=[REFERENCES])},
        references=None,
        test_type="ar",
        n_samples=2000,
    )()
    first, second = scored["BLEU"]
    assert found.baseline == pytest.approx(first.score, abs=1e-9)
    assert found.delta == pytest.approx(second.score - first.score, abs=1e-9)
    # both draw swaps at random: of 2000 and 9999 draws the p-values differ by less than 5 standard errors of the former
    assert found.p == pytest.approx(second.p_value, abs=5 * math.sqrt(0.25 / 2000))
    assert found.test == "approximate-randomization"
    assert found.interval.low < found.delta < found.interval.high
    assert found.n_won is None


def bleu_sample(answer, reference):
    return Sample("t", Document("0", {}, ""), "", (reference,), ((),), "", answers=(answer,))


def test_areas_are_compared_by_the_paired_bootstrap():
    labels = (np.arange(80) % 2).astype(float)
    baseline = np.stack([labels + RNG.normal(0, 0.3, 80), labels], axis=1)
    candidate = np.stack([RNG.normal(0, 1, 80), labels], axis=1)
    parameters = {"positive": "yes"}
    sides = [scores(rows, result=result(rows, "auroc", parameters=parameters)) for rows in (baseline, candidate)]
    found = difference(pair(*sides))
    assert found.delta < -0.2
    assert found.interval.high < 0
    assert found.p_worse < 0.001


def test_equal_differences_show_no_spread_and_say_so():
    found = compared(means([0.25] * 60), means([0.5] * 60), "token_f1")
    assert isinstance(found.interval, Absent)
    assert found.standard_error is None
    assert found.detectable is None
    assert found.p < 1e-6  # the exact sign-flip test needs no spread


def test_documents_without_any_change_bound_what_they_exclude():
    values = RNG.random(100)
    found = compared(means(values), means(values), "rouge1", margin=5.0)
    # the rule of three: no more than 1 - .05^(1/100) of others change, each by 100 points at most
    assert found.interval.high == pytest.approx(100 * (1 - 0.05**0.01))
    assert found.equivalence_interval.high == pytest.approx(100 * (1 - 0.1**0.01))
    assert found.standard_error > 0
    assert (found.p, found.is_identical) == (1, True)


def test_a_single_document_has_a_test_and_no_t_interval():
    found = compared(means([0.25]), means([0.5]), "token_f1")
    assert isinstance(found.interval, Absent)
    assert found.delta == 0.25


def test_the_detectable_effect_is_the_one_of_the_standard_error():
    found = compared(*outcomes(800, 60, 50, 90))
    # (z.975 + z.8) SE
    assert found.detectable == pytest.approx((1.959964 + 0.841621) * found.standard_error, rel=1e-6)


def test_the_p_value_within_a_margin_agrees_with_the_equivalence_interval():
    same = outcomes(1800, 10, 10, 180)
    inside = compared(*same, margin=0.02)
    assert inside.p_within < 0.05
    assert -0.02 < inside.equivalence_interval.low < inside.equivalence_interval.high < 0.02
    assert inside.equivalence_interval.level == 0.9
    assert compared(*same).p_within is None


def test_equal_scores_give_equal_draws_whatever_else_is_compared():
    baseline, candidate = outcomes(10, 4, 2, 8)
    clusters = [str(i // 2) for i in range(24)]
    first, again = (compared(baseline, candidate, clusters=clusters, seed=3) for _ in range(2))
    assert first == again


def test_a_metric_that_cannot_be_built_here_has_values_and_no_interval():
    rows = np.array([[0.0], [1.0]])
    found = difference(pair(*(scores(rows, result=of_a_gone_metric(value)) for value in (0.4, 0.5))))
    assert found.delta == pytest.approx(0.1)
    assert found.interval == Absent("metric: `gone` cannot be built here: unknown metric `gone`")
    assert found.p is None


def of_a_gone_metric(value):
    return result(means([1, 0])).model_copy(update={"metric": "gone", "aggregation": "rank", "value": value})


def test_values_of_an_unknown_formula_are_not_compared_on_a_part_of_the_documents():
    rows = np.array([[0.0], [1.0]])
    sides = (scores(rows, result=of_a_gone_metric(0.4), ids=ids) for ids in (["0", "1"], ["1", "2"]))
    assert isinstance(difference(pair(*sides, on_unpaired="intersect")), NotComparable)


def test_an_old_record_is_read_by_the_label_where_the_signature_is_its_own():
    baseline, candidate = outcomes(both=20, lost=8, won=3, neither=9)
    old = {"metric": None, "parameters": None, "aggregation": None}
    sides = [scores(rows, result=result(rows).model_copy(update=old)) for rows in (baseline, candidate)]
    assert difference(pair(*sides)).p == pytest.approx(464 / 2048)
    old |= {"signature": "exact_match|else"}
    sides = [scores(rows, result=result(rows).model_copy(update=old)) for rows in (baseline, candidate)]
    assert "does not say how" in difference(pair(*sides)).detectable_basis


def test_a_formula_that_does_not_give_the_recorded_value_is_not_used():
    rows = means([1, 0, 1])
    wrong = result(rows, value=0.9)
    found = difference(pair(scores(rows, result=wrong), scores(rows)))
    assert isinstance(found.interval, Absent)
    assert "does not give the value" in found.interval.reason


def test_all_documents_that_changed_are_named_and_the_most_changed_of_a_continuous_metric():
    baseline, candidate = outcomes(both=20, lost=2, won=3, neither=9)
    won, lost = changed_documents(pair(scores(baseline), scores(candidate)))
    assert (won, lost) == (("22", "23", "24"), ("20", "21"))
    values = np.linspace(0.01, 0.99, 99)
    sides = scores(means(np.full(99, 0.5)), "token_f1"), scores(means(values), "token_f1")
    won, lost = changed_documents(pair(*sides))
    assert (len(won), len(lost)) == (20, 20)
    assert (won[0], lost[0]) == ("98", "0")
