"""The four accuracies of multiple choice, and the probability of what is correct."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metric_samples import chosen

from evalharness.errors import EngineError
from evalharness.metric.choice import (
    Accuracy,
    AccuracyMutualInformation,
    AccuracyPerByte,
    AccuracyPerCharacter,
    CorrectProbability,
)
from evalharness.request import Failed

CHOICES = ("no", "certainly so", "äöü")  # 2, 12, 3 characters; 2, 12, 6 bytes


def taken(metric, logprobs, choices=CHOICES):
    """The choice that a metric takes: the one for which a sample counts as right."""
    right = [i for i in range(len(choices)) if metric.row(chosen(logprobs, [i], choices))[0] == 1.0]
    assert len(right) == 1
    return right[0]


LOGPROBS = [-2.0, -3.0, -2.1]
ALONE = [-1.0, -1.0, -4.0]


def test_accuracy_takes_the_most_probable_choice():
    assert taken(Accuracy(), LOGPROBS) == 0


def test_accuracy_per_character_divides_by_characters():
    assert taken(AccuracyPerCharacter(), LOGPROBS) == 1  # -1, -0.25, -0.7
    assert taken(AccuracyPerCharacter(), [-2.0, -12.0, -2.1]) == 2  # -1, -1, -0.7


def test_accuracy_per_byte_divides_by_utf8_bytes():
    assert taken(AccuracyPerByte(), [-2.0, -12.0, -2.1]) == 2  # -1, -1, -0.35
    assert taken(AccuracyPerByte(), [-0.9, -12.0, -3.3]) == 0  # -0.45, -1, -0.55 (per character -0.45, -1, -1.1)
    assert taken(AccuracyPerByte(), [-1.2, -12.0, -3.3]) == 2  # -0.6, -1, -0.55 (per character the first)
    assert taken(AccuracyPerCharacter(), [-1.2, -12.0, -3.3]) == 0


def test_mutual_information_subtracts_the_unconditional_logprob():
    assert taken(AccuracyMutualInformation(), LOGPROBS + ALONE) == 2  # -1, -2, +1.9


@pytest.mark.parametrize("metric", [Accuracy(), AccuracyPerCharacter(), AccuracyPerByte(), AccuracyMutualInformation()])
def test_first_of_equal_choices_is_taken(metric):
    assert taken(metric, [-1.0] * 8, ("same", "size", "each", "time")) == 0


def test_any_of_several_correct_choices_counts():
    assert Accuracy().row(chosen(LOGPROBS, [0, 2], CHOICES))[0] == 1.0
    assert Accuracy().row(chosen(LOGPROBS, [1, 2], CHOICES))[0] == 0.0


@pytest.mark.parametrize("metric", [AccuracyPerCharacter(), AccuracyPerByte()])
def test_empty_choice_cannot_be_scored_by_length(metric):
    with pytest.raises(ValueError, match="empty choice"):
        metric.row(chosen([-1.0, -2.0], [0], ("", "a")))


def test_missing_logprob_is_an_error():
    with pytest.raises(ValueError, match="3 choices, but 2 log-probabilities"):
        Accuracy().row(chosen([-1.0, -2.0], [0], CHOICES))
    with pytest.raises(ValueError, match="zip"):
        AccuracyMutualInformation().row(chosen(LOGPROBS, [0], CHOICES))


def test_failed_response_never_counts_as_an_answer():
    sample = chosen(LOGPROBS, [0], CHOICES)
    failed = Failed(sample.responses[0][0].key, "out of memory")
    broken = dataclasses.replace(sample, responses=((failed, *sample.responses[0][1:]),))
    with pytest.raises(EngineError, match="not Failed"):
        Accuracy().row(broken)


@given(st.lists(st.floats(-50, 0), min_size=2, max_size=6), st.floats(0.01, 100))
def test_scaling_logprobs_changes_no_choice(logprobs, factor):
    choices = tuple("abcdef"[: len(logprobs)])
    scaled = [logprob * factor for logprob in logprobs]
    if len(set(scaled)) == len(set(logprobs)):  # products may round together or underflow
        assert taken(Accuracy(), logprobs, choices) == taken(Accuracy(), scaled, choices)


def test_only_mutual_information_asks_for_unconditional_logprobs():
    classes = (Accuracy, AccuracyPerCharacter, AccuracyPerByte, AccuracyMutualInformation)
    assert [getattr(metric, "needs_unconditional", False) for metric in classes] == [False, False, False, True]


def test_the_probability_of_the_correct_choices_adds_up():
    logprobs = [math.log(0.1), math.log(0.3), math.log(0.1)]  # of 0.5 together
    assert CorrectProbability().row(chosen(logprobs, [0, 2], CHOICES))[0] == pytest.approx(0.4, abs=1e-12)


def test_the_probability_of_correct_choices_equals_truthfulqas_mc2():
    """`process_results_mc2` of lm-evaluation-harness 0.4.13 on these log-probabilities, labels 1, 0, 1."""
    logprobs = np.array([-12.5, -11.0, -13.25])
    probabilities = np.exp(logprobs) / np.exp(logprobs).sum()
    expected = probabilities[np.array([1, 0, 1]) == 1].sum()
    assert CorrectProbability().row(chosen(list(logprobs), [0, 2], CHOICES))[0] == pytest.approx(expected, rel=1e-12)
