"""BLEU and chrF equal sacrebleu on whole corpora, whatever their parameters are."""

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_samples import generated
from sacrebleu.metrics import BLEU, CHRF

from evalharness.errors import MetricError
from evalharness.metric.overlap import Bleu, Chrf, SentenceBleu
from evalharness.metric.registry import build_metric
from evalharness.metric.summary import summarise

# Answers and references with all that is awkward: empty, one word, identical, no overlap, Chinese, punctuation, case.
ANSWERS = [
    "the cat sat on the mat .", "It's 5 o'clock, isn't it?", "Hello", "", "我喜欢吃苹果。", "nothing shared here at all",
    "A   B\tC", "Der schnelle braune Fuchs springt über den faulen Hund.",
]  # fmt: skip
FIRST = [
    "The cat sat on the mat.", "It is 5 o'clock, is it not?", "Hello", "some text", "我爱吃苹果。", "wholly other words stand",
    "a b c", "Der flinke braune Fuchs springt über den trägen Hund.",
]  # fmt: skip
SECOND = [
    "a cat was sitting on the mat.", "It's five.", "Hi", "", "我喜欢苹果。", "nothing else",
    "A B C", "Ein schneller brauner Fuchs springt über einen faulen Hund.",
]  # fmt: skip


def value(metric, answers, *references):
    rows = np.array([metric.row(generated(a, *r)) for a, r in zip(answers, zip(*references, strict=True), strict=True)])
    return float(metric.value(rows.sum(axis=0)))


BLEU_PARAMETERS = [
    *({"tokenize": tokenize} for tokenize in ("13a", "zh", "intl", "char", "none")),
    {"lowercase": True},
    *({"smooth_method": method, "tokenize": "none"} for method in ("exp", "floor", "add-k", "none")),
    {"smooth_method": "floor", "smooth_value": 0.01},
    {"smooth_method": "add-k", "smooth_value": 2.0, "lowercase": True},
    *(
        {"max_ngram_order": order, "effective_order": effective}
        for order in (1, 2, 3, 4)
        for effective in (False, True)
    ),
]


# 1e-12: the same counts go through the same formula, in numpy.
@pytest.mark.parametrize("parameters", BLEU_PARAMETERS, ids=str)
def test_bleu_equals_sacrebleu(parameters):
    for references in ([FIRST], [FIRST, SECOND]):
        expected = BLEU(**parameters).corpus_score(ANSWERS, references).score
        assert value(Bleu(**parameters), ANSWERS, *references) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "parameters",
    [
        {}, {"word_order": 2}, {"word_order": 1, "char_order": 4}, {"beta": 1}, {"lowercase": True}, {"whitespace": True},
        {"eps_smoothing": True}, {"eps_smoothing": True, "word_order": 2, "beta": 3}, {"char_order": 1},
    ],
    ids=str,
)  # fmt: skip
def test_chrf_equals_sacrebleu(parameters):
    for references in ([FIRST], [FIRST, SECOND]):
        expected = CHRF(**parameters).corpus_score(ANSWERS, references).score
        assert value(Chrf(**parameters), ANSWERS, *references) == expected


segments = st.lists(st.sampled_from(list("abcde.,我们")), max_size=9).map(" ".join)


corpora = st.lists(st.tuples(segments, segments, segments), min_size=1, max_size=6)


@settings(max_examples=60)
@given(corpora, st.sampled_from(BLEU_PARAMETERS))
def test_bleu_of_any_corpus_equals_sacrebleu(corpus, parameters):
    answers, first, second = (list(column) for column in zip(*corpus, strict=True))
    expected = BLEU(**parameters).corpus_score(answers, [first, second]).score
    assert value(Bleu(**parameters), answers, first, second) == pytest.approx(expected, rel=1e-12)


# Exactly equal: the same counts go through the same function.
@settings(max_examples=60)
@given(corpora)
def test_chrf_of_any_corpus_equals_sacrebleu(corpus):
    answers, first, _ = (list(column) for column in zip(*corpus, strict=True))
    assert value(Chrf(word_order=2), answers, first) == CHRF(word_order=2).corpus_score(answers, [first]).score


def test_documents_may_have_different_numbers_of_references():
    rows = [
        Bleu().row(generated(a, *([f, s] if i % 2 else [f])))
        for i, (a, f, s) in enumerate(zip(ANSWERS, FIRST, SECOND, strict=True))
    ]
    second = [s if i % 2 else None for i, s in enumerate(SECOND)]
    expected = BLEU().corpus_score(ANSWERS, [FIRST, second]).score
    assert float(Bleu().value(np.sum(rows, axis=0))) == pytest.approx(expected, rel=1e-12)


# sacrebleu 2.6.0: sentence_score("the cat", ["the cat"]) is 0 without effective_order, since there are no 3-grams.
def test_short_identical_sentence_needs_the_effective_order():
    assert value(Bleu(), ["the cat"], ["the cat"]) == 0.0
    assert value(Bleu(effective_order=True), ["the cat"], ["the cat"]) == pytest.approx(100.0, abs=1e-9)


@pytest.mark.parametrize("metric", [Bleu(), Bleu(smooth_method="add-k"), Chrf(), Chrf(word_order=2)])
def test_corpus_of_empty_answers_scores_zero(metric):
    assert value(metric, ["", ""], ["a b c d", "e f g"]) == 0.0
    assert value(metric, ["", ""], ["", ""]) == 0.0


def test_chinese_needs_a_tokenizer_that_knows_it():
    # 13a takes a run of Chinese for one token.
    assert value(Bleu(), ["我喜欢吃苹果和香蕉"], ["我喜欢吃苹果和梨"]) == 0.0
    assert value(Bleu(tokenize="zh"), ["我喜欢吃苹果和香蕉"], ["我喜欢吃苹果和梨"]) > 50


def test_answers_ending_in_a_detached_period_are_scored_in_silence(caplog):
    with caplog.at_level(logging.WARNING):
        value(Bleu(), ["a b ."] * 150, ["a b ."] * 150)
    assert not caplog.records


@pytest.mark.parametrize("metric", [Bleu(), Bleu(smooth_method="floor"), Chrf(), Chrf(word_order=2)])
def test_rows_may_be_means_over_repeats(metric):
    rows = np.array([metric.row(generated(a, r)) for a, r in zip(ANSWERS, FIRST, strict=True)])
    whole, halves = metric.value(rows.sum(axis=0)), metric.value((rows / 2).sum(axis=0))
    assert float(halves) == pytest.approx(float(whole), rel=1e-12)


def test_document_without_references_cannot_be_scored():
    for metric in (Bleu(), Chrf()):
        with pytest.raises(ValueError, match="no reference"):
            metric.row(generated("a"))


def test_interval_is_that_of_sacrebleu_s_own_bootstrap():
    rng = np.random.default_rng(5)
    words = np.array(list("abcdefghij"))
    first = [" ".join(rng.choice(words, 12)) for _ in range(200)]
    answers = [" ".join(w if rng.random() < 0.7 else "x" for w in line.split()) for line in first]
    score = BLEU().corpus_score(answers, [first], n_bootstrap=1000)
    summary = summarise(Bleu(), np.array([Bleu().row(generated(a, r)) for a, r in zip(answers, first, strict=True)]))
    # sacrebleu reports a half-width around its bootstrap mean; the ends of 1000 resamples wander by about 6 % of it
    assert (summary.high - summary.low) / 2 == pytest.approx(score._ci, rel=0.2)
    assert summary.low < score.score < summary.high


def test_sentence_bleu_is_the_mean_of_sacrebleu_s_sentence_scores():
    expected = [BLEU(effective_order=True).sentence_score(a, [f, s]).score for a, f, s in zip(ANSWERS, FIRST, SECOND, strict=True)]  # fmt: skip  # noqa: E501
    assert value(SentenceBleu(), ANSWERS, FIRST, SECOND) == pytest.approx(np.mean(expected), rel=1e-12)


@pytest.mark.parametrize(
    ("tokenizer", "module", "answer", "reference"),
    [
        ("ja-mecab", "MeCab", "私は猫が好きです。", "私は犬が好きです。"),
        ("ko-mecab", "mecab_ko", "나는 고양이를 좋아한다.", "나는 개를 좋아한다."),
    ],
)
def test_morphological_tokenizers_are_those_of_sacrebleu(tokenizer, module, answer, reference):
    pytest.importorskip(module)
    expected = BLEU(tokenize=tokenizer).corpus_score([answer], [[reference]]).score
    assert 0 < value(Bleu(tokenize=tokenizer), [answer], [reference]) == pytest.approx(expected, rel=1e-12)


def test_tokenizer_whose_model_is_absent_is_refused_before_anything_is_scored(monkeypatch, tmp_path):
    monkeypatch.setenv("SACREBLEU", str(tmp_path))
    with pytest.raises(MetricError, match=r"model of tokenizer `flores200` is not there; download https://"):
        build_metric("bleu", {"tokenize": "flores200"}, where="here")
