"""WER and CER equal jiwer's, character F1 that of MLQA's script, and variety follows its papers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_samples import generated, repeated

from evalharness.metric.match import CharacterF1, chinese_tokens
from evalharness.metric.repetition import DistinctN, RepetitionRate
from evalharness.metric.speech import CharacterErrorRate, WordErrorRate
from evalharness.metric.summary import summarise

jiwer = pytest.importorskip("jiwer")
texts = st.text(alphabet="ab ,.A我", max_size=12)


def total(metric, samples):
    return float(metric.value(np.array([metric.row(sample) for sample in samples]).sum(axis=0)))


@settings(max_examples=60)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_error_rates_equal_jiwer(corpus):
    answers, references = (list(column) for column in zip(*corpus, strict=True))
    samples = [generated(a, r) for a, r in corpus]
    # 1e-12: one division
    assert total(WordErrorRate(), samples) == pytest.approx(jiwer.wer(references, answers), rel=1e-12)
    assert total(CharacterErrorRate(), samples) == pytest.approx(jiwer.cer(references, answers), rel=1e-12)


# jiwer 4.0.0
@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [("", "a b", 1.0), ("x y", "", 2.0), ("", "", 0.0), ("a b c d e f g", "x b y", 6 / 3), ("a", "a", 0.0)],
)
def test_word_error_rate_of_short_texts(answer, reference, expected):
    assert total(WordErrorRate(), [generated(answer, reference)]) == pytest.approx(expected)


def test_normalisation_is_asked_for():
    sample = generated("Hello world", "hello, world!")
    assert total(WordErrorRate(), [sample]) == 1.0
    assert total(WordErrorRate(lowercase=True, ignore_punctuation=True), [sample]) == 0.0


def test_nearest_reference_counts_by_its_rate():
    # 1 edit of 1 word against 2 edits of 4
    assert WordErrorRate().row(generated("a b", "x", "a b c d")) == (2.0, 4.0)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("我喜欢iPhone 15!", ["我", "喜", "欢", "iphone", "15"]),
        ("《红楼梦》，曹雪芹", list("红楼梦曹雪芹")),
        ("a-b c", ["ab", "c"]),
        ("……", []),
    ],
)
def test_chinese_is_split_into_characters_and_words(text, tokens):
    assert chinese_tokens(text) == tokens


# by hand, and by mlqa_evaluation_v1.py of facebookresearch/MLQA 5ef5c73, f1_score(answer, reference, "zh")
@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("北京市", "北京", 0.8),
        ("北京。", "北京", 1.0),
        ("上海", "北京", 0.0),
        ("", "北京", 0.0),
        ("", "", 0.0),
        ("。", "", 0.0),
    ],
)
def test_character_f1(answer, reference, expected):
    assert CharacterF1().row(generated(answer, reference))[0] == pytest.approx(expected)


def test_distinct_n_pools_all_answers_and_repeats():
    samples = [repeated(["a b a b", "a b c"]), repeated(["d"]), repeated([None])]
    for n, distinct in ((1, 4), (2, 3), (3, 3)):
        metric = DistinctN(n)
        rows = np.array([metric.row(sample) for sample in samples])
        assert metric.value_of_rows(rows) == distinct / 8  # tokens
    summary = summarise(metric, rows)
    assert "less distinct" in summary.absence


def test_distinct_n_without_any_token_has_no_value():
    metric = DistinctN()
    assert summarise(metric, np.array([metric.row(repeated([""]))])).value is None


@pytest.mark.parametrize(
    ("answer", "n", "expected"),
    [("a a a a", 1, 0.75), ("a b a b a b", 4, 1 / 3), ("a b c", 4, 0.0), (None, 1, 0.0), ("a b a", 2, 0.0)],
)
def test_repetition_is_the_share_of_ngrams_said_before(answer, n, expected):
    assert RepetitionRate(n).row(generated(answer))[0] == pytest.approx(expected)


def test_chinese_repetition_counts_characters():
    assert RepetitionRate(1, tokenizer="char").row(generated("好好好好"))[0] == 0.75
