"""Classification, choices, calibration and ranks by scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rows.row import Row, choice, ours, sample
from rows.texts import lines

Array = npt.NDArray[np.float64]


def classes(data: Path) -> Iterator[Row]:
    """Compare classification with scikit-learn."""
    from sklearn import metrics

    by = f"scikit-learn {version('scikit-learn')}"
    rng = np.random.default_rng(20261121)
    targets = [row["target"] for row in lines(data / "bbh/sports_understanding.jsonl")]
    names, name = ["no", "yes", "maybe"], "BBH sports_understanding, drawn answers"
    answers = [t if rng.random() < 0.7 else str(rng.choice(names)) for t in targets]
    samples = [sample([a], [t]) for a, t in zip(answers, targets, strict=True)]
    for average in ("macro", "micro", "weighted"):
        expected = metrics.f1_score(targets, answers, average=average, labels=names)
        yield Row("f1", average, name, ours("f1", {"labels": names, "average": average}, samples), expected, by)
    parameters = {"labels": names, "average": "binary", "positive": "yes"}
    expected = metrics.f1_score([t == "yes" for t in targets], [a == "yes" for a in answers])
    yield Row("f1", "binary", name, ours("f1", parameters, samples), expected, by)
    mine = ours("mcc", {"labels": names}, samples)
    yield Row("mcc", "", name, mine, metrics.matthews_corrcoef(targets, answers), by)


def choices(data: Path) -> Iterator[Row]:
    """Compare choices, calibration and ranks with scikit-learn, and normalised accuracies with numpy."""
    from sklearn import metrics
    from sklearn.calibration import calibration_curve

    by = f"scikit-learn {version('scikit-learn')}"
    rng = np.random.default_rng(20261121)
    targets = [row["target"] for row in lines(data / "bbh/sports_understanding.jsonl")]
    names = ["no", "yes", "maybe"]
    name, correct = "BBH sports_understanding, drawn log-probabilities", np.array([names.index(t) for t in targets])
    logprobs = rng.normal(-6, 1.5, (len(targets), 3))
    logprobs[np.arange(len(targets)), correct] += 1.5
    probability = np.exp(logprobs) / np.exp(logprobs).sum(axis=1, keepdims=True)
    samples = [choice(row, int(at), names) for row, at in zip(logprobs, correct, strict=True)]
    taken = logprobs.argmax(axis=1)
    yield Row("accuracy", "", name, ours("accuracy", {}, samples), metrics.accuracy_score(correct, taken), by)
    for k in (1, 2):
        expected = metrics.top_k_accuracy_score(correct, logprobs, k=k, labels=[0, 1, 2])
        yield Row("top_k_accuracy", f"k={k}", name, ours("top_k_accuracy", {"k": k}, samples), expected, by)
    expected = metrics.brier_score_loss(correct, probability, labels=[0, 1, 2], scale_by_half=False)
    yield Row("brier", "", name, ours("brier", {}, samples), expected, by)
    expected = float(probability[np.arange(len(targets)), correct].mean())
    mine = ours("correct_probability", {}, samples)
    yield Row("correct_probability", "", name, mine, expected, "softmax in numpy")
    confidence, right = probability.max(axis=1), taken == correct
    share, mean = calibration_curve(right, confidence, n_bins=15)
    weights = np.histogram(confidence, np.linspace(0, 1, 16))[0]
    expected = float((weights[weights > 0] * np.abs(share - mean)).sum() / len(targets))
    yield Row("ece", "15 bins", name, ours("ece", {}, samples), expected, f"{by}, calibration_curve")
    for metric, function in (("auroc", metrics.roc_auc_score), ("auprc", metrics.average_precision_score)):
        expected = function(correct == 1, probability[:, 1])
        yield Row(metric, "", name, ours(metric, {"positive": "yes"}, samples), expected, by)
    yield from _normalised(name, logprobs, correct)


def _normalised(name: str, logprobs: Array, correct: Array) -> Iterator[Row]:
    """Compare accuracies per character, per byte and by mutual information; one choice has more bytes than characters."""
    names, by = ["不", "yes", "perhaps"], "argmax in numpy"
    alone = np.random.default_rng(11).normal(-6, 1.5, logprobs.shape)
    pairs = zip(np.hstack([logprobs, alone]), correct, strict=True)
    samples = [choice(row, int(at), names) for row, at in pairs]
    merits = {
        "accuracy_per_character": logprobs / np.array([1, 3, 7]),
        "accuracy_per_byte": logprobs / np.array([3, 3, 7]),
        "accuracy_mutual_information": logprobs - alone,
    }
    for metric, merit in merits.items():
        expected = float((merit.argmax(axis=1) == correct).mean())
        yield Row(metric, "", name, ours(metric, {}, samples), expected, by)
