"""ROUGE equals rouge-score pair by pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_samples import generated
from rouge_score.rouge_scorer import RougeScorer

from evalharness.metric.rouge import Rouge1, Rouge2, RougeL, RougeLsum

ALL = [Rouge1, Rouge2, RougeL, RougeLsum]
STEMMERS = {stem: RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=stem) for stem in (False, True)}

texts = st.lists(st.sampled_from(["the", "cats", "cat", "running", "ran", ".", "\n", "42", "ü"]), max_size=10).map(
    " ".join
)


@settings(max_examples=50)
@given(texts, st.lists(texts, min_size=1, max_size=3), st.booleans())
def test_row_is_the_best_f1_over_references(answer, references, use_stemmer):
    scorer = STEMMERS[use_stemmer]
    for metric in ALL:
        expected = max(scorer.score(reference, answer)[metric.name].fmeasure for reference in references)
        assert metric(use_stemmer=use_stemmer).row(generated(answer, *references)) == (expected, 1.0)


def test_value_is_the_mean_f1_times_a_hundred():
    rows = np.array([Rouge1().row(generated("a b", "a b")), Rouge1().row(generated("a x", "a b"))])
    assert float(Rouge1().value(rows.sum(axis=0))) == 75.0


@pytest.mark.parametrize("metric", ALL)
def test_empty_answer_scores_zero(metric):
    for answer in ("", None):
        assert metric().row(generated(answer, "some words here")) == (0.0, 1.0)


# rouge-score 0.1.2 keeps [a-z0-9]+ only, so Chinese has no tokens at all.
@pytest.mark.parametrize("metric", [Rouge1, RougeL, RougeLsum])
def test_chinese_scores_zero_unless_characters_are_compared(metric):
    same = generated("我喜欢吃苹果", "我喜欢吃苹果")
    assert metric().row(same) == (0.0, 1.0)
    assert metric(tokenizer="char").row(same) == (1.0, 1.0)


def test_characters_ignore_case_and_blanks():
    assert Rouge2(tokenizer="char").row(generated("A b\tC", "abc")) == (1.0, 1.0)


def test_sentences_of_rouge_lsum_are_lines():
    swapped = generated("one two three\nfour five six", "four five six\none two three")
    assert RougeLsum().row(swapped)[0] == 1.0
    assert RougeL().row(swapped)[0] == 0.5
