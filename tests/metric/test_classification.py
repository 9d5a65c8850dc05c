"""F1, Matthews' correlation, top-k, Brier, calibration and ranks equal scikit-learn's on random answers."""

import math
import warnings

import numpy as np
import pytest
from metric_samples import chosen, generated

from evalharness.errors import MetricError
from evalharness.metric.calibration import Brier, ExpectedCalibrationError
from evalharness.metric.choice import TopKAccuracy
from evalharness.metric.classification import F1, MatthewsCorrelation
from evalharness.metric.ranking import AreaUnderPrecisionRecall, AreaUnderRoc
from evalharness.metric.registry import build_metric
from evalharness.metric.summary import summarise

sklearn = pytest.importorskip("sklearn.metrics")

LABELS = ("a", "b", "c", "d")


def total(metric, samples):
    return float(metric.value(np.array([metric.row(sample) for sample in samples]).sum(axis=0)))


def labelled(seed, n=200, others=0.1):
    """References over three of four labels, and answers of which some are no label at all."""
    rng = np.random.default_rng(seed)
    references = rng.choice(LABELS[:3], n, p=[0.6, 0.3, 0.1])
    answers = np.where(rng.random(n) < 0.6, references, rng.choice(LABELS[:3], n))
    return references.tolist(), np.where(rng.random(n) < others, "unsure", answers).tolist()


def choices(seed, n=150, k=3):
    rng = np.random.default_rng(seed)
    return rng.normal(-5, 2, (n, k)), rng.integers(0, k, n)


def choice_samples(logprobs, correct):
    names = [f"choice {i}" for i in range(logprobs.shape[1])]
    return [chosen(row.tolist(), [int(at)], names) for row, at in zip(logprobs, correct, strict=True)]


def softmax(logprobs):
    weights = np.exp(logprobs - logprobs.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


# 1e-12 throughout: closed forms, summed in another order
@pytest.mark.parametrize("average", ["macro", "micro", "weighted"])
@pytest.mark.parametrize("seed", range(3))
def test_f1_equals_scikit_learn(average, seed):
    references, answers = labelled(seed)
    occurring = [label for label in LABELS if label in {*references, *answers}]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = sklearn.f1_score(references, answers, labels=occurring, average=average)
    samples = [generated(a, r) for a, r in zip(answers, references, strict=True)]
    assert total(F1(LABELS, average), samples) == pytest.approx(expected, rel=1e-12)


def test_binary_f1_equals_scikit_learn():
    references, answers = labelled(4)
    yes_no = [[("yes" if x == "a" else "no") for x in texts] for texts in (references, answers)]
    expected = sklearn.f1_score(*yes_no, pos_label="yes", average="binary")
    samples = [generated(a, r) for r, a in zip(*yes_no, strict=True)]
    assert total(F1(("yes", "no"), "binary", "yes"), samples) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_matthews_correlation_equals_scikit_learn(seed):
    references, answers = labelled(seed)
    samples = [generated(a, r) for a, r in zip(answers, references, strict=True)]
    expected = sklearn.matthews_corrcoef(references, answers)
    assert total(MatthewsCorrelation(LABELS), samples) == pytest.approx(expected, rel=1e-12)


def test_matthews_correlation_of_one_class_is_zero():
    assert total(MatthewsCorrelation(LABELS), [generated("a", "a")] * 3) == 0.0
    assert total(MatthewsCorrelation(LABELS), [generated("a", "a"), generated("a", "b")]) == 0.0


def test_labels_of_choices_are_those_of_the_choice_taken():
    logprobs, correct = choices(1)
    names = ("choice 0", "choice 1", "choice 2")
    expected = sklearn.f1_score(correct, logprobs.argmax(axis=1), average="macro")
    assert total(F1(names), choice_samples(logprobs, correct)) == pytest.approx(expected, rel=1e-12)


def test_reference_that_is_no_label_is_an_error_of_the_task():
    with pytest.raises(ValueError, match="reference 'z' is none of the labels a, b, c, d"):
        F1(LABELS).row(generated("a", "z"))


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("f1", {}, "lacks its parameter `labels`"),
        ("f1", {"labels": ["a"]}, "at least 2"),
        ("f1", {"labels": ["a", "a "]}, "labels must differ"),
        ("f1", {"labels": ["a", "b"], "average": "binary"}, "`positive` names the label"),
        ("f1", {"labels": ["a", "b"], "average": "binary", "positive": "c"}, "none of the labels a, b"),
        ("f1", {"labels": ["a", "b"], "positive": "a"}, "and of no other"),
        ("mcc", {"labels": ["b", "b"]}, "labels must differ"),
        ("ece", {"bins": 0}, "greater than or equal to 1"),
        ("top_k_accuracy", {}, "lacks its parameter `k`"),
        ("auroc", {}, "lacks its parameter `positive`"),
    ],
)
def test_wrong_parameter_is_told(name, parameters, message):
    with pytest.raises(MetricError) as raised:
        build_metric(name, parameters, where="here")
    assert message in str(raised.value)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_top_k_accuracy_equals_scikit_learn(k):
    logprobs, correct = choices(2, k=4)
    expected = sklearn.top_k_accuracy_score(correct, logprobs, k=k)
    assert total(TopKAccuracy(k), choice_samples(logprobs, correct)) == pytest.approx(expected, rel=1e-12)


def test_first_of_equal_choices_is_the_more_probable():
    assert TopKAccuracy(1).row(chosen([-1.0, -1.0], [1], ["a", "b"]))[0] == 0.0
    assert TopKAccuracy(2).row(chosen([-1.0, -1.0, -1.0], [1], ["a", "b", "c"]))[0] == 1.0


@pytest.mark.parametrize("half", [False, True])
def test_brier_score_equals_scikit_learn(half):
    logprobs, correct = choices(3)
    expected = sklearn.brier_score_loss(correct, softmax(logprobs), labels=[0, 1, 2], scale_by_half=half)
    assert total(Brier(half), choice_samples(logprobs, correct)) == pytest.approx(expected, rel=1e-12)


def test_several_correct_choices_count_as_one():
    assert Brier().row(chosen([math.log(0.5), math.log(0.5)], [0, 1], ["a", "b"]))[0] == 0.0
    row = Brier().row(chosen([math.log(0.5), math.log(0.3), math.log(0.2)], [0, 1], ["a", "b", "c"]))
    assert row[0] == pytest.approx(2 * 0.2**2, rel=1e-12)


def test_calibration_error_equals_that_of_scikit_learn_s_bins():
    calibration = pytest.importorskip("sklearn.calibration")
    logprobs, correct = choices(5, n=400)
    confidence, right = softmax(logprobs).max(axis=1), logprobs.argmax(axis=1) == correct
    accuracy, mean = calibration.calibration_curve(right, confidence, n_bins=10)
    samples = choice_samples(logprobs, correct)
    metric = ExpectedCalibrationError(10)
    bins = metric.reliability(np.array([metric.row(sample) for sample in samples]).sum(axis=0))
    np.testing.assert_allclose([b.accuracy for b in bins], accuracy, rtol=1e-12)
    np.testing.assert_allclose([b.confidence for b in bins], mean, rtol=1e-12)
    expected = sum(b.n * abs(a - c) for b, a, c in zip(bins, accuracy, mean, strict=True)) / 400
    assert total(metric, samples) == pytest.approx(expected, rel=1e-12)
    assert sum(b.n for b in bins) == 400


# hand-made: bins (0, .5] and (.5, 1]
def test_confidence_on_an_edge_belongs_to_the_bin_below():
    metric = ExpectedCalibrationError(2)
    half, sure = [math.log(0.5)] * 2, [math.log(0.75), math.log(0.25)]
    samples = [chosen(half, [0], ["a", "b"]), chosen(sure, [0], ["a", "b"]), chosen(sure, [1], ["a", "b"])]
    # |.5 - 1| * 1/3 + |.75 - .5| * 2/3
    assert total(metric, samples) == pytest.approx(0.5 / 3 + 0.25 * 2 / 3, rel=1e-12)


def ranked(seed, n=300, ties=False):
    rng = np.random.default_rng(seed)
    positive = rng.random(n) < 0.2
    merits = rng.normal(0, 1, n) + positive
    if ties:
        merits = np.round(merits)
    logprobs = np.column_stack([np.zeros(n), merits])
    samples = [chosen([-3.0, m - 3.0], [int(p)], ["no", "yes"]) for m, p in zip(merits, positive, strict=True)]
    return positive, softmax(logprobs)[:, 1], samples


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_areas_equal_scikit_learn(ties, seed):
    positive, probability, samples = ranked(seed, ties=ties)
    for metric, reference in (
        (AreaUnderRoc("yes"), sklearn.roc_auc_score),
        (AreaUnderPrecisionRecall("yes"), sklearn.average_precision_score),
    ):
        rows = np.array([metric.row(sample) for sample in samples])
        if ties:  # softmax splits some ties by rounding, log-odds none
            probability = np.round(probability, 9)
            rows[:, 0] = np.round(rows[:, 0], 9)
        assert metric.value_of_rows(rows) == pytest.approx(reference(positive, probability), rel=1e-12)


def test_area_has_a_bootstrap_interval_with_and_without_clusters():
    _, _, samples = ranked(7, n=120)
    metric = AreaUnderRoc("yes")
    rows = np.array([metric.row(sample) for sample in samples])
    alone = summarise(metric, rows, resamples=300)
    clustered = summarise(metric, np.repeat(rows, 3, axis=0), np.repeat(np.arange(120), 3), resamples=300)
    assert alone.method == "bootstrap"
    assert clustered.method == "cluster-bootstrap"
    assert alone.low < alone.value < alone.high
    # three equal rows a cluster are one: the same spread, up to the noise of 300 resamples
    assert clustered.high - clustered.low == pytest.approx(alone.high - alone.low, rel=0.25)


def test_area_without_both_labels_has_no_value():
    metric = AreaUnderRoc("yes")
    rows = np.array([metric.row(chosen([-1.0, -2.0], [0], ["no", "yes"]))] * 3)
    assert summarise(metric, rows).value is None


def test_certain_and_impossible_choices_still_rank():
    metric = AreaUnderRoc("yes")
    merits = [metric.row(chosen(x, [1], ["no", "yes"]))[0] for x in ([-math.inf, 0.0], [-800.0, 0.0], [0.0, -math.inf])]
    assert merits[0] > merits[1] > merits[2]
    assert np.isfinite(merits).all()


def test_positive_must_be_a_choice():
    with pytest.raises(ValueError, match="positive 'maybe' is none of the choices 'no', 'yes'"):
        AreaUnderRoc("maybe").row(chosen([-1.0, -2.0], [0], ["no", "yes"]))
