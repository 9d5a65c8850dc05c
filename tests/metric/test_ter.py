"""TER equals sacrebleu's, computed alone, for many at once, and on all cores."""

from functools import partial

import numpy as np
import pytest
from metric_samples import Watched, generated
from sacrebleu.metrics import TER

from evalharness.errors import MetricError
from evalharness.metric.base import UNWATCHED
from evalharness.metric.parallel import POOL_SECONDS, computed
from evalharness.metric.registry import build_metric
from evalharness.metric.ter import Ter, _edits

ANSWERS = ["the cat sat on the mat .", "", "a b c d e f", "我喜欢吃苹果。", "Hello", "x y", ""]
FIRST = ["The cat sat on the mat.", "some text", "d e f a b c", "我爱吃苹果。", "Hello", "", ""]
SECOND = ["a cat was sitting on a mat.", "text", "f e d c b a", "我喜欢苹果。", "Hi", "y", ""]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"case_sensitive": True},
        {"normalized": True},
        {"no_punct": True},
        {"normalized": True, "asian_support": True},
        {"normalized": True, "no_punct": True, "asian_support": True, "case_sensitive": True},
    ],
)
def test_ter_with_any_options_and_several_references_equals_sacrebleu(options):
    metric = Ter(**options)
    rows = np.array([metric.row(generated(a, f, s)) for a, f, s in zip(ANSWERS, FIRST, SECOND, strict=True)])
    expected = TER(**options).corpus_score(ANSWERS, [FIRST, SECOND]).score
    assert float(metric.value(rows.sum(axis=0))) == expected


# sacrebleu 2.6.0
@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [("", "a b", 100.0), ("a b", "", 100.0), ("", "", 0.0), ("a", "a", 0.0), ("a b c d", "a", 300.0)],
)
def test_ter_of_empty_and_short_texts(answer, reference, expected):
    assert float(Ter().value(np.array(Ter().row(generated(answer, reference))))) == expected


def test_prepared_rows_are_those_of_single_samples():
    samples = [generated(a, f, s) for a, f, s in zip(ANSWERS, FIRST, SECOND, strict=True)] * 2
    metric = Ter()
    metric.prepare([*samples, generated("no reference")], UNWATCHED)
    assert [metric.row(sample) for sample in samples] == [Ter().row(sample) for sample in samples]


def test_option_without_effect_is_refused():
    with pytest.raises(MetricError, match="asian_support does nothing"):
        build_metric("ter", {"asian_support": True}, where="here")


def test_all_cores_give_the_results_of_one_in_order():
    items = [f"{n:o}" for n in range(100)]
    watched = Watched()
    pooled = computed(len, items, watched, seconds=2 * POOL_SECONDS, n_workers=2)
    assert pooled == [len(item) for item in items]
    assert (watched.expected, watched.done) == ([100], 100)


def test_a_slow_metric_expects_each_distinct_pair_once():
    samples = [generated(a, f, s) for a, f, s in zip(ANSWERS, FIRST, SECOND, strict=True)] * 2
    watched = Watched()
    Ter().prepare([*samples, generated("no reference")], watched)
    assert (watched.expected, watched.done) == ([len(ANSWERS)], len(ANSWERS))


def test_ter_of_long_texts_says_beforehand_how_long_it_will_take():
    same = " ".join(map(str, range(400)))  # equal texts are quick, however long; the estimate cannot know
    watched = Watched()
    Ter().prepare([generated(same, same)] + [generated(f"{same} {i}", same) for i in range(4)], watched)
    (said,) = watched.notes
    assert "texts of 401 words on average" in said
    assert "hours:minutes:seconds" in said


def test_ter_of_short_texts_says_nothing_beforehand():
    watched = Watched()
    Ter().prepare([generated(f"{i} b c", "a b c") for i in range(50)], watched)
    assert watched.notes == []


@pytest.mark.slow
def test_edits_found_on_all_cores_are_those_found_on_one():
    pairs = [(f"{a} {i}", (f, s)) for i in range(20) for a, f, s in zip(ANSWERS, FIRST, SECOND, strict=True)]
    work = partial(_edits, (False, False, False, False))
    pooled = computed(work, pairs, UNWATCHED, seconds=2 * POOL_SECONDS, n_workers=2)
    assert pooled == computed(work, pairs, UNWATCHED, seconds=0.0)
