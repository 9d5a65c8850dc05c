"""Exact match and token F1 against worked cases."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from metric_samples import generated

from evalharness.metric.match import ExactMatch, TokenF1, squad_words


@pytest.mark.parametrize(
    ("options", "answer", "reference", "expected"),
    [
        ({}, "Paris", "Paris", 1.0),
        ({}, "Paris", "paris", 0.0),
        ({}, "Paris ", "Paris", 0.0),  # nothing is stripped unless asked for
        ({"ignore_case": True}, "PARIS", "paris", 1.0),
        ({"ignore_punctuation": True}, "(Paris)!", "Paris", 1.0),
        ({"ignore_punctuation": True}, "Paris。", "Paris", 0.0),  # ASCII punctuation only
        ({"ignore_numbers": True}, "Paris 75", "Paris ", 1.0),
        ({"ignore_whitespace": True}, " new \n york", "new york", 1.0),
        ({"ignore_whitespace": True}, "newyork", "new york", 0.0),
        ({"regexes_to_ignore": (",", r"\$")}, "$1,000", "1000", 1.0),
        ({"regexes_to_ignore": ("(?s).*#### ",)}, "6 + 6\n#### 12", "12", 1.0),
        # Regexes come before lower-casing: "The " is cut only as it is written.
        ({"regexes_to_ignore": ("the ",), "ignore_case": True}, "The cat", "the cat", 0.0),
        ({"regexes_to_ignore": ("The ",), "ignore_case": True}, "The cat", "CAT", 1.0),
        # Regexes are applied one after the other: the second sees what the first left.
        ({"regexes_to_ignore": ("b", "ac")}, "abcd", "d", 1.0),
    ],
)
def test_exact_match_normalises_both_sides(options, answer, reference, expected):
    assert ExactMatch(**options).row(generated(answer, reference)) == (expected, 1.0)


def test_exact_match_takes_any_reference():
    assert ExactMatch().row(generated("b", "a", "b", "c")) == (1.0, 1.0)


def test_missing_answer_is_wrong_even_where_the_reference_is_empty():
    assert ExactMatch().row(generated(None, "")) == (0.0, 1.0)
    assert TokenF1().row(generated(None, "")) == (0.0, 1.0)


@pytest.mark.parametrize("metric", [ExactMatch(), TokenF1()])
def test_document_without_references_cannot_be_scored(metric):
    with pytest.raises(ValueError, match="no reference"):
        metric.row(generated("a"))


# The rules of SQuAD's evaluate-v2.0.py (compute_f1 over normalize_answer), worked by hand.
@pytest.mark.parametrize(
    ("answer", "references", "expected"),
    [
        ("the cat sat", ["cat sat down"], 0.8),  # 2 shared of 2 and 3 words: 2 * 1 * 2/3 / (1 + 2/3)
        ("The Cat, sat!", ["cat sat"], 1.0),
        ("cat cat cat", ["cat"], 0.5),  # a word counts as often as both have it: P 1/3, R 1
        ("dog", ["cat"], 0.0),
        ("", [""], 1.0),
        ("the", ["a"], 1.0),  # both normalise to nothing
        ("", ["cat"], 0.0),
        ("cat", ["an"], 0.0),
        ("theatre", ["atre"], 0.0),  # articles are whole words
        ("dog", ["cat", "big dog", "dog dog dog dog"], 2 / 3),
        ("我喜欢苹果", ["我喜欢香蕉"], 0.0),  # Chinese is not segmented
    ],
)
def test_token_f1_follows_squad(answer, references, expected):
    f1, count = TokenF1().row(generated(answer, *references))
    assert f1 == pytest.approx(expected, abs=1e-12)
    assert count == 1.0


def test_squad_words_drop_punctuation_before_articles():
    assert squad_words("A. The U.S. army's a-b") == ["us", "armys", "ab"]


words = st.lists(st.sampled_from(["cat", "dog", "the", "sat", "42", "Über", ","]), max_size=8).map(" ".join)


@given(words, words)
def test_token_f1_is_symmetric(a, b):
    there, back = (TokenF1().row(generated(x, y))[0] for x, y in ((a, b), (b, a)))
    assert there == pytest.approx(back, abs=1e-12)


@given(words, st.lists(words, min_size=1, max_size=4))
def test_more_references_never_lower_a_score(answer, references):
    for metric in (ExactMatch(ignore_case=True), TokenF1()):
        scores = [metric.row(generated(answer, *references[:n]))[0] for n in range(1, len(references) + 1)]
        assert np.all(np.diff(scores) >= 0)
