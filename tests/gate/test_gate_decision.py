"""What a gate says of evidence, rule by rule."""

import dataclasses
import math

import numpy as np
import pytest
from gate_cases import config, evidence, gain_of_counts, judged, means, outcomes, pair_of, row_of, scores, side
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.errors import GateError
from evalharness.gate.decision import decide
from evalharness.gate.error_budget import shares
from evalharness.gate.evidence import BaselineEvidence, Obstacle, Performance
from evalharness.gate.gate import judge_candidate
from evalharness.gate.sides import MissingBaseline
from evalharness.gate.verdict import WORDS
from evalharness.stats.multiplicity import holm


def decided(gate, *tasks, **changes):
    return decide(gate, [BaselineEvidence("main", tuple(tasks), **changes)])


def many(gate, counts, n=1319):
    return [evidence(f"task{i}", gain_of_counts(*each, n), gate) for i, each in enumerate(counts)]


def test_the_shares_of_alpha_add_up_to_one():
    suites, tasks = shares([20, 3, 0], [True, False, True], 0.5)
    assert sum(suites) + 20 * tasks[0] + 3 * tasks[1] == pytest.approx(1)
    assert suites == pytest.approx([1 / 6, 0, 1 / 3])


def test_with_equal_weights_holm_is_holm():
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p, [0.25] * 4) == pytest.approx(holm(p))


def test_with_weights_holm_is_the_step_down_procedure_by_hand():
    # p / w: 0.02, 0.04, 0.3; 0.01 * 1 / 0.5, then 0.01 * 0.5 / 0.25, then 0.075 * 0.25 / 0.25
    assert holm([0.01, 0.01, 0.075], [0.5, 0.25, 0.25]) == pytest.approx([0.02, 0.02, 0.075])


def test_a_tests_weight_must_be_positive():
    with pytest.raises(ValueError, match="positive weight"):
        holm([0.1, 0.2], [1.0, 0.0])


def test_a_proven_drop_of_one_task_fails_the_gate():
    found = decided(config(), *many(config(), [(120, 50), *[(60, 60)] * 9]))
    assert (found.verdict, found.exit_code) == ("fail", 3)
    assert [row.name for row in found.rows if row.verdict == "fail" and row.kind == "task"] == ["task0"]


def test_a_small_drop_of_every_task_fails_by_the_average_alone():
    found = decided(config(), *many(config(), [(80, 60)] * 20))
    assert [row.name for row in found.rows if row.verdict == "fail"] == ["suite"]


def test_few_documents_are_inconclusive_and_say_how_many_are_needed():
    found = decided(config(), evidence("a", gain_of_counts(2, 2, 50), config()))
    assert (found.verdict, found.exit_code) == ("inconclusive", 0)
    assert found.rows[0].n_needed > 1000


@pytest.mark.parametrize(
    ("policy", "verdict", "code"), [("pass", "pass", 0), ("warn", "inconclusive", 0), ("fail", "inconclusive", 4)]
)
def test_what_inconclusive_means_is_a_policy(policy, verdict, code):
    gate = config(on_inconclusive=policy)
    found = decided(gate, evidence("a", gain_of_counts(2, 2, 50), gate))
    assert (found.verdict, found.exit_code) == (verdict, code)


def test_no_discordant_pair_on_50_documents_has_an_interval_and_its_verdict_depends_on_the_margin():
    gain = gain_of_counts(0, 0, 50)
    assert gain.low < 0 < gain.high
    words = {}
    for margin in (0.01, 0.1):
        gate = config(suite={"margin": margin})
        words[margin] = decided(gate, evidence("a", gain, gate)).verdict
    assert words == {0.01: "inconclusive", 0.1: "pass"}


def test_a_lucky_draw_does_not_pass_what_equal_scores_could_not():
    gate = config()
    lucky = evidence("a", gain_of_counts(2, 7, 50), gate)  # +10 points, low bound just above -1 point
    assert -0.01 < lucky.gain.low < 0
    assert decided(gate, lucky).verdict == "inconclusive"


def test_a_proven_improvement_passes_on_few_documents():
    assert decided(config(), evidence("a", gain_of_counts(0, 20, 50), config())).verdict == "pass"


def test_a_significant_drop_within_the_margin_passes_with_a_note():
    gate = config(tasks={"task0": {"margin": 0.05}}, suite={"margin": 0.05})
    tasks = many(gate, [(700, 500)], n=14_000)
    found = decided(gate, *tasks)
    assert found.verdict == "pass"
    assert "small significant drop" in " ".join(row_of(found, "task0").notes)


def test_a_proven_drop_smaller_than_min_effect_does_not_fail():
    gate = config(tasks={"*": {"margin": 0.01, "min_effect": 0.02}}, suite={"required": False})
    found = decided(gate, *many(gate, [(700, 500)], n=14_000))
    assert found.verdict == "pass"


def test_a_pass_tells_the_drop_that_it_could_have_missed():
    found = decided(config(), *many(config(), [(60, 60)] * 20))
    row = row_of(found, "task0")
    # (z at 0.05 / 40 + z at 0.8) * SE, SE = sqrt((122 / 1321) / 1321)
    assert row.verdict == "pass"
    assert row.detectable_drop == pytest.approx((3.0233 + 0.8416) * math.sqrt(122 / 1321 / 1321), rel=1e-4)


def test_a_required_task_must_be_shown_to_be_within_its_margin():
    gate = config(tasks={"task0": {"required": True}})
    found = decided(gate, *many(gate, [(60, 60)] * 20))
    assert row_of(found, "task0").verdict == "pass"
    small = [evidence("task0", gain_of_counts(2, 2, 50), gate), *many(gate, [(60, 60)] * 20)[1:]]
    assert row_of(decided(gate, *small), "task0").verdict == "inconclusive"
    assert decided(gate, *small).verdict == "inconclusive"


def test_a_task_for_information_neither_fails_the_gate_nor_enters_the_average():
    gate = config(tasks={"task0": {"required": False}})
    found = decided(gate, *many(gate, [(300, 10), *[(60, 60)] * 19]))
    assert found.verdict == "pass"
    assert (row_of(found, "task0").verdict, row_of(found, "task0").counts) == ("fail", False)
    assert "task0: for information only" in " ".join(row_of(found, "suite").notes)


def test_tasks_for_information_cost_the_others_no_alpha():
    gate = config(tasks={"task?*": {"required": False}, "task0": {"required": "regression-only"}})
    beside = row_of(decided(gate, *many(gate, [(60, 60)] * 20)), "task0")
    alone = row_of(decided(config(), *many(config(), [(60, 60)])), "task0")
    assert beside.detectable_drop == pytest.approx(alone.detectable_drop)
    assert beside.p_adjusted == pytest.approx(alone.p_adjusted)


def test_a_task_outside_the_correction_is_tested_at_the_whole_alpha():
    gate = config(tasks={"task0": {"correction": "none"}})
    counts = [(80, 56), *[(60, 60)] * 19]
    assert row_of(decided(gate, *many(gate, counts)), "task0").verdict == "fail"
    assert row_of(decided(config(), *many(config(), counts)), "task0").verdict == "pass"
    assert "task0" in " ".join(decided(gate, *many(gate, counts)).notes)


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ({"min": 0.6}, "fail"),
        ({"min": 0.5}, "pass"),
        ({"min": 0.5, "on": "ci_low"}, "inconclusive"),
        ({"min": 0.4, "on": "ci_low"}, "pass"),
        ({"max": 0.5}, "fail"),
        ({"max": 0.56, "on": "ci_low"}, "inconclusive"),
    ],
)
def test_a_floor_is_held_against_the_value_or_the_worse_end_of_its_interval(rule, verdict):
    gate = config(tasks={"task0": rule}, suite={"required": False})
    limits = {"candidate_value": 0.55, "candidate_low": 0.45, "candidate_high": 0.65}
    found = decided(gate, evidence("task0", gain_of_counts(60, 60, 1319), gate, **limits))
    assert found.verdict == verdict


def test_the_worst_verdict_of_what_counts_is_the_gates():
    gate = config(on_missing_task="error")
    missing = evidence("gone", None, gate, obstacle=Obstacle("absent"))
    found = decided(gate, *many(gate, [(300, 10)]), missing)
    assert (found.verdict, found.exit_code) == ("not comparable", 5)


def test_zero_compared_tasks_never_pass():
    gate = config(on_missing_task="warn")
    assert decided(gate).exit_code == 5
    missing = evidence("gone", None, gate, obstacle=Obstacle("absent", "warn"))
    assert (decided(gate, missing).verdict, decided(gate, missing).exit_code) == ("not comparable", 5)


def test_without_an_average_tasks_must_be_shown_to_be_within_their_margins():
    gate = config()
    perplexity = evidence("a", gain_of_counts(1, 1, 20), gate, unit="perplexity")
    found = decided(gate, perplexity)
    assert [row.kind for row in found.rows] == ["task"]
    assert found.verdict == "inconclusive"


def test_a_task_without_any_test_is_inconclusive_even_where_no_regression_is_all_that_is_demanded():
    gate = config(suite={"required": False})
    untested = dataclasses.replace(
        gain_of_counts(3, 1, 50), p_worse=None, low=None, high=None, absence="no metric here"
    )
    found = decided(gate, evidence("a", untested, gate), *many(gate, [(60, 60)]))
    assert found.verdict == "inconclusive"
    assert row_of(found, "a").reason == "no test can be made: no metric here"


def test_two_baselines_share_alpha_and_both_must_pass():
    gate = config()
    tasks = tuple(many(gate, [(60, 60)] * 10))
    worse = (evidence("task0", gain_of_counts(160, 60, 1319), gate), *tasks[1:])
    both = decide(gate, [BaselineEvidence("main", tasks), BaselineEvidence("release", worse)])
    assert both.verdict == "fail"
    assert [row.baseline for row in both.rows if row.verdict == "fail" and row.kind == "task"] == ["release"]
    one = decided(gate, *tasks)
    first = next(row for row in both.rows if row.name == "task1")
    assert first.detectable_drop > row_of(one, "task1").detectable_drop


@pytest.mark.parametrize(("after", "verdict"), [(85.0, "fail"), (95.0, "pass")])
def test_speed_is_held_against_a_relative_limit(after, verdict):
    gate = config(performance={"tokens_per_second": {"max_drop_rel": 0.1, "required": True}}, suite={"margin": 0.5})
    measured = (Performance(100.0, hardware="cpu"), Performance(after, hardware="cpu"))
    found = decided(gate, *many(gate, [(60, 60)]), performance=measured)
    assert found.verdict == verdict


def test_memory_may_rise_to_its_limit_and_does_not_count_unless_required():
    gate = config(performance={"peak_memory": {"max_rise_rel": 0.05}}, suite={"margin": 0.5})
    measured = (Performance(peak_memory_bytes=100), Performance(peak_memory_bytes=106))
    found = decided(gate, *many(gate, [(60, 60)]), performance=measured)
    assert (found.verdict, row_of(found, "peak_memory").verdict) == ("pass", "fail")


@pytest.mark.parametrize(
    ("measured", "same_work"),
    [
        ((Performance(100.0, hardware="a"), Performance(50.0, hardware="b")), True),
        ((Performance(100.0), Performance(50.0)), False),
        ((Performance(), Performance(50.0)), True),
    ],
)
def test_speeds_of_other_hardware_or_other_work_are_not_compared(measured, same_work):
    gate = config(performance={"tokens_per_second": {"max_drop_rel": 0.1, "required": True}})
    found = decided(gate, *many(gate, [(60, 60)]), performance=measured, is_same_work=same_work)
    assert row_of(found, "tokens_per_second").verdict == "not comparable"
    assert found.exit_code == 5


# Whole sides, through pairing and tests


def test_the_same_scores_pass_with_enough_documents():
    verdict = judged(*[[each] for each in pair_of("a", 800, 0, 0, 519)])
    assert (verdict.verdict, verdict.exit_code) == ("pass", 0)
    assert "could have been missed" in verdict.sentence


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(1, 40)), min_size=1, max_size=4))
def test_exchanging_the_sides_turns_every_gain(counts):
    tasks = [pair_of(f"task{i}", both, lost, won, 1) for i, (lost, won, both) in enumerate(counts)]
    one, other = ([pair[i] for pair in tasks] for i in (0, 1))
    for there, back in zip(judged(one, other).rows, judged(other, one).rows, strict=True):
        assert there.difference == pytest.approx(-back.difference, abs=1e-12)
        assert there.low == pytest.approx(-back.high, abs=1e-12)
        assert there.detectable_drop == pytest.approx(back.detectable_drop)
        assert {there.verdict, back.verdict} != {"fail"}


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.001, 0.3), st.floats(1, 3))
def test_a_wider_margin_never_makes_a_verdict_worse(lost, won, margin, factor):
    baseline, candidate = pair_of("a", 100, lost, won, 100)
    narrow, wide = (judged([baseline], [candidate], suite={"margin": m}) for m in (margin, margin * factor))
    assert WORDS.index(wide.verdict) <= WORDS.index(narrow.verdict)


def test_cut_prompts_are_told():
    baseline, _ = pair_of("a", 800, 0, 0, 519)
    _, cut = pair_of("a", 800, 0, 0, 519, n_truncated=7)
    assert (
        "prompts cut in 0 documents of the baseline, 7 of the candidate" in row_of(judged([baseline], [cut]), "a").notes
    )


def test_a_metric_that_is_better_when_lower_fails_when_it_rises():
    rng = np.random.default_rng(0)
    rates = rng.uniform(0.1, 0.3, 600)
    worse = rates + 0.05 + 0.01 * rng.normal(size=600)
    baseline, candidate = (scores("choices", means(x), "brier") for x in (rates, worse))
    verdict = judged([baseline], [candidate])
    assert verdict.verdict == "fail"
    assert row_of(verdict, "choices").difference == pytest.approx(-0.05, abs=0.002)
    assert judged([candidate], [baseline]).verdict == "pass"


def test_a_direction_in_the_gate_turns_a_metric_round():
    baseline, candidate = pair_of("refusals", 100, 10, 120, 500)
    assert row_of(judged([baseline], [candidate]), "refusals").verdict == "pass"
    turned = row_of(judged([baseline], [candidate], tasks={"refusals": {"direction": "lower"}}), "refusals")
    assert turned.verdict == "fail"
    assert (turned.n_better, turned.n_worse) == (10, 120)
    assert turned.difference == pytest.approx(-110 / 730)
    assert turned.low < turned.difference < turned.high


def test_one_changed_hash_is_not_comparable_and_can_be_left_out_on_purpose():
    one, other = outcomes(200, 0, 0, 200)
    hashes = [f"hash {i}" for i in range(400)]
    baseline = scores("a", means(one), hashes=hashes)
    candidate = scores("a", means(other), hashes=["other", *hashes[1:]])
    verdict = judged([baseline], [candidate])
    assert (verdict.verdict, verdict.exit_code) == ("not comparable", 5)
    assert "another input" in row_of(verdict, "a").reason
    left_out = judged([baseline], [candidate], pairing={"on_unpaired": "intersect"}, suite={"margin": 0.1})
    assert left_out.verdict == "pass"
    assert row_of(left_out, "a").n == 399
    assert "1 changed" in " ".join(row_of(left_out, "a").notes)


def test_too_small_an_overlap_is_not_comparable():
    one, other = outcomes(50, 0, 0, 50)
    hashes = [f"hash {i}" for i in range(100)]
    baseline = scores("a", means(one), hashes=hashes)
    candidate = scores("a", means(other), hashes=[*["other"] * 5, *hashes[5:]])
    verdict = judged([baseline], [candidate], pairing={"on_unpaired": "intersect"})
    assert verdict.exit_code == 5
    assert "95 of 100" in row_of(verdict, "a").reason


@pytest.mark.parametrize(("policy", "code"), [("error", 5), ("warn", 0), ("ignore", 0)])
def test_a_missing_task_is_a_policy(policy, code):
    (a, a2), (b, _) = pair_of("a", 800, 0, 0, 519), pair_of("b", 8, 0, 0, 8)
    verdict = judged([a, b], [a2], on_missing_task=policy)
    assert verdict.exit_code == code
    assert ("b" in [row.name for row in verdict.rows]) == (policy != "ignore")
    assert policy != "ignore" or "b" in " ".join(verdict.notes)


@pytest.mark.parametrize(("policy", "rows"), [("warn", 1), ("ignore", 0)])
def test_a_new_task_is_told_and_does_not_count(policy, rows):
    (a, a2), (_, b) = pair_of("a", 800, 0, 0, 519), pair_of("b", 8, 0, 0, 8)
    verdict = judged([a], [a2, b], on_new_task=policy)
    assert verdict.verdict == "pass"
    assert [row.name for row in verdict.rows].count("b") == rows
    assert "new" in " ".join(verdict.notes)


def test_a_new_task_is_held_against_its_floor():
    (a, a2), (_, b) = pair_of("a", 800, 0, 0, 519), pair_of("b", 8, 0, 0, 8)
    verdict = judged([a], [a2, b], tasks={"b": {"min": 0.9}})
    assert (verdict.verdict, row_of(verdict, "b").verdict) == ("fail", "fail")


@pytest.mark.parametrize(("policy", "code"), [("error", 5), ("warn", 0)])
def test_a_changed_task_is_a_policy(policy, code):
    (a, a2), (b, _) = pair_of("a", 800, 0, 0, 519), pair_of("b", 800, 0, 0, 519)
    _, changed = pair_of("b", 800, 0, 0, 519, fingerprint="0" * 64)
    verdict = judged([a, b], [a2, changed], on_changed_task=policy)
    assert verdict.exit_code == code
    assert "task fingerprint" in row_of(verdict, "b").reason


def test_failed_documents_count_as_wrong():
    one, other = outcomes(600, 0, 0, 600)
    failed = tuple(f"{i:05}" for i in range(10))
    baseline = scores("a", means(one))
    candidate = scores("a", means(other[10:]), failed=failed)
    row = row_of(judged([baseline], [candidate]), "a")
    assert (row.n, row.n_worse) == (1200, 10)
    assert "10 failed documents counted as wrong" in row.notes
    apart = row_of(judged([baseline], [candidate], errors={"count_as": "unpaired"}), "a")
    assert (apart.n, apart.n_worse) == (1190, 0)


def test_more_failures_than_allowed_are_not_a_regression_but_an_error():
    one, other = outcomes(60, 0, 0, 60)
    candidate = scores("a", means(other[3:]), failed=("00000", "00001", "00002"))
    verdict = judged([scores("a", means(one))], [candidate])
    assert verdict.exit_code == 5
    assert "3 of 120 documents failed in the candidate" in row_of(verdict, "a").reason


def test_failed_documents_keep_their_clusters():
    one, other = outcomes(300, 0, 0, 300)
    labels = [f"passage {i // 4}" for i in range(600)]
    baseline = scores("a", means(one), clusters=labels)
    candidate = scores("a", means(other[2:]), failed=("00000", "00001"), clusters=labels[2:])
    row = row_of(judged([baseline], [candidate]), "a")
    assert row.n == 600
    assert row.method.startswith("cluster")


def test_a_perplexity_has_a_relative_margin_and_fails_by_its_ratio():
    rng = np.random.default_rng(1)
    surprise, tokens = rng.uniform(20, 40, 400), np.full(400, 10.0)
    baseline = scores("text", np.stack([-surprise, tokens], axis=1), "perplexity")
    words = {}
    for factor in (1.0, 1.002, 1.03):
        nats = surprise + tokens * math.log(factor) + rng.normal(0, 0.05, 400)
        candidate = scores("text", np.stack([-nats, tokens], axis=1), "perplexity")
        rule = {"margin_rel": 0.01, "required": True}
        verdict = judged([baseline], [candidate], tasks={"text": rule})
        words[factor] = verdict.verdict
        row = row_of(verdict, "text")
        assert row.scale == "log-ratio"
        assert row.difference == pytest.approx(-math.log(factor), abs=1e-3)
    assert words == {1.0: "pass", 1.002: "pass", 1.03: "fail"}


def test_a_candidate_that_is_its_own_baseline_is_noted():
    (a, a2) = pair_of("a", 800, 0, 0, 519)
    verdict = judge_candidate("test", config(), side("candidate", a2, run_id="r"), [side("main", a, run_id="r")])
    assert "this very run" in " ".join(verdict.notes)


@pytest.mark.parametrize(("policy", "code"), [("error", 5), ("warn", 0)])
def test_a_missing_baseline_is_a_policy_and_never_a_pass(policy, code):
    _, a = pair_of("a", 800, 0, 0, 519)
    missing = MissingBaseline("main", "there is no baseline yet")
    verdict = judge_candidate("test", config(on_missing_baseline=policy), side("candidate", a), [missing])
    assert (verdict.verdict, verdict.exit_code) == ("not comparable", code)


def test_without_a_baseline_floors_still_fail():
    _, a = pair_of("a", 800, 0, 0, 519)
    gate = config(on_missing_baseline="warn", tasks={"a": {"min": 0.9}})
    verdict = judge_candidate("test", gate, side("candidate", a), [MissingBaseline("main", "none yet")])
    assert (verdict.verdict, verdict.exit_code) == ("fail", 3)


def test_the_simulated_counts_give_what_documents_give():
    row = row_of(judged(*[[each] for each in pair_of("a", 500, 40, 25, 435)]), "a")
    gain = gain_of_counts(40, 25, 1000)
    assert (row.difference, row.low, row.high, row.p_worse) == pytest.approx(
        (gain.value, gain.low, gain.high, gain.p_worse), rel=1e-12
    )


def test_a_rule_with_a_metric_that_its_task_does_not_have_is_an_error():
    a, a2 = pair_of("a", 8, 0, 0, 8)
    with pytest.raises(GateError, match="did you mean `exact_match`"):
        judged([a], [a2], tasks={"a": {"metric": "exact_mach"}})


def test_the_average_takes_off_what_guessing_gives():
    a, a2 = pair_of("a", 400, 20, 0, 100, result={"random_baseline": 0.5})
    verdict = judged([a], [a2])
    assert row_of(verdict, "suite").difference == pytest.approx(2 * -20 / 520)
    plain = judged([a], [a2], suite={"aggregate": "macro"})
    assert row_of(plain, "suite").difference == pytest.approx(-20 / 520)


def test_a_micro_average_weighs_tasks_by_their_documents():
    tasks = [pair_of("a", 80, 20, 0, 0), pair_of("b", 300, 0, 0, 0)]
    baseline, candidate = ([pair[i] for pair in tasks] for i in (0, 1))
    verdict = judged(baseline, candidate, suite={"aggregate": "micro"})
    assert row_of(verdict, "suite").difference == pytest.approx(-20 / 400)
