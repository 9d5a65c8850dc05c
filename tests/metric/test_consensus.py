"""What repeats say together: agreement, votes, best of k, pass@k and pass^k."""

import numpy as np
import pytest
from metric_samples import repeated

from evalharness.errors import MetricError
from evalharness.metric.consensus import (
    Agreement,
    BestOfK,
    MajorityAtK,
    PassAtK,
    PassPowerK,
)
from evalharness.metric.registry import build_metric
from evalharness.metric.summary import summarise


def test_best_of_k_of_right_and_wrong_is_pass_at_k():
    sample = repeated(["1", "2", "1", "3", "4"], "1")
    for k in range(1, 6):
        assert BestOfK(k).row(sample)[0] == pytest.approx(PassAtK(k).row(sample)[0], abs=1e-12)


def test_passes_count_repeats_that_match():
    sample = repeated(["1", "2", "1 ", None], "1")
    assert PassAtK(1).row(sample) == (0.25, 1.0)
    lenient = build_metric("pass_at_k", {"k": 1, "parameters": {"ignore_whitespace": True}}, where="here")
    assert lenient.row(sample) == (0.5, 1.0)
    assert "ignore_whitespace:yes" in lenient.signature()
    assert PassPowerK(2, parameters={"ignore_whitespace": True}).row(sample)[0] == pytest.approx(1 / 6)


def test_best_of_k_takes_the_lowest_where_low_is_good():
    sample = repeated(["a a a a", "a b"], "a b")
    metric = build_metric("best_of_k", {"metric": "repetition_rate", "parameters": {"n": 1}}, where="here")
    assert metric.row(sample)[0] == 0.0


@pytest.mark.parametrize(
    ("answers", "k", "expected"),
    [
        (["1", "2", "1"], None, 1.0),
        (["2", "1", "1"], 1, 0.0),
        (["2", "1"], None, 0.0),  # a tie: the earliest
        ([None, None, "1"], None, 1.0),  # what was not found does not vote
        ([None, None, "1"], 2, 0.0),
        ([None], None, 0.0),
    ],
)
def test_majority_votes_among_the_first_k(answers, k, expected):
    assert MajorityAtK(k).row(repeated(answers, "1")) == (expected, 1.0)


def test_votes_are_counted_after_the_metric_s_normalisation():
    sample = repeated(["YES", "no", "yes"], "yes")
    assert MajorityAtK(parameters={"ignore_case": True}).row(sample)[0] == 1.0
    assert MajorityAtK().row(sample)[0] == 0.0  # three different answers, the first is wrong


@pytest.mark.parametrize(
    ("answers", "expected"),
    [(["1", "1", "2"], 1 / 3), (["1", "1"], 1.0), (["1", "2"], 0.0), ([None, None], 0.0), (["", "", None, "a"], 1 / 6)],
)
def test_agreement_is_the_share_of_equal_pairs(answers, expected):
    assert Agreement().row(repeated(answers))[0] == pytest.approx(expected)


def test_too_few_repeats_are_an_error_that_counts_them():
    with pytest.raises(ValueError, match="agreement needs at least 2 answers a document, there is 1"):
        Agreement().row(repeated(["1"]))
    with pytest.raises(ValueError, match="pass_at_k needs at least 3 answers a document, there are 2"):
        PassAtK(3).row(repeated(["1", "2"], "1"))
    assert (PassAtK(3).least_repeats, MajorityAtK().least_repeats, Agreement().least_repeats) == (3, 1, 2)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"metric": "bleu"}, "`bleu` does not judge single answers"),
        ({"metric": "accuracy"}, "`accuracy` does not judge single answers"),
        ({"metric": "maj_at_k"}, "`maj_at_k` does not judge single answers"),
        ({"metric": "exact_mach"}, "unknown metric `exact_mach`"),
        ({"parameters": {"ignore_cas": True}}, "unknown parameter `ignore_cas`"),
        ({"k": 0}, "greater than or equal to 1"),
    ],
)
def test_metric_that_cannot_judge_is_refused(parameters, message):
    with pytest.raises(MetricError) as raised:
        build_metric("pass_at_k", parameters, where="here")
    assert message in str(raised.value)


def test_success_must_be_yes_or_no():
    with pytest.raises(ValueError, match="pass_at_k counts successes, but token_f1 gave 0"):
        PassAtK(metric="token_f1").row(repeated(["x y", "z"], "x"))


def test_votes_of_right_and_wrong_have_the_interval_of_a_share():
    metric = MajorityAtK()
    rows = np.array([metric.row(repeated([answer] * 3, "1")) for answer in ("1", "1", "2", "1")])
    summary = summarise(metric, rows)
    assert (summary.value, summary.method) == (0.75, "wilson")
    assert (metric.bounds, metric.unit) == ((0.0, 1.0), "fraction")
    assert BestOfK(metric="sentence_bleu").unit == "percent"
    assert not BestOfK(metric="repetition_rate").higher_is_better
