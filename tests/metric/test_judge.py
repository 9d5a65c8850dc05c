"""Ratings and verdicts of a judge: what is asked, what is read from its text, and what counts, by hand-given verdicts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metric_samples import judged

from evalharness.errors import MetricError
from evalharness.metric.base import Asks
from evalharness.metric.registry import build_metric
from evalharness.request import Decoding, Document, Generated, Message, RequestKey, Sample, StepAnswer


def metric(name, **parameters):
    built = build_metric(name, parameters, where="task.yaml:7")
    assert isinstance(built, Asks)
    return built


def sample(answer="42", *, fields=None, references=("41",), prompt="What is it?", steps=()):
    document = Document("7", fields or {"baseline": "forty"}, "0" * 64)
    responses = ((Generated(RequestKey("task", "7"), answer or "", 1, "eos"),),)
    return Sample("task", document, prompt, references, responses, "0" * 64, answers=(answer,), steps=steps)


def texts(requests):
    return [request.prompt[-1].text for request in requests]


def test_the_answer_stands_first_once_and_second_once():
    asked = metric("judge_win_rate", prompt="{{ answer_a }} or {{ answer_b }}?").requests(sample())
    assert texts(asked) == ["42 or 41?", "41 or 42?"]
    assert [request.key.slot for request in asked] == [0, 1]


def test_the_other_answer_is_what_against_says():
    asked = metric("judge_win_rate", prompt="{{ answer_a }}/{{ answer_b }}", against="{{ baseline }}!").requests(
        sample()
    )
    assert texts(asked) == ["42/forty!", "forty!/42"]


def test_both_metrics_of_comparisons_ask_the_same():
    questions = [
        metric(name, prompt="{{ answer_a }}/{{ answer_b }}", system="Be fair.").requests(sample())
        for name in ("judge_win_rate", "judge_position_consistency")
    ]
    assert questions[0] == questions[1]


# In the first order the answer is A, in the second it is B. half: as `win_rate_adjusted` of FastChat's
# llm_judge/show_result.py (commit 02d4581), where a win or a loss needs both orders and all else is a tie of half a win.
@pytest.mark.parametrize(
    ("first", "second", "half", "mean", "loss", "consistent"),
    [
        ("A", "B", 1.0, 1.0, 1.0, 1.0),
        ("B", "A", 0.0, 0.0, 0.0, 1.0),
        ("C", "C", 0.5, 0.5, 0.5, 1.0),
        ("A", "A", 0.5, 0.5, 0.0, 0.0),
        ("B", "B", 0.5, 0.5, 0.0, 0.0),
        ("A", "C", 0.5, 0.75, 0.0, 0.0),
        ("C", "B", 0.5, 0.75, 0.0, 0.0),
        ("B", "C", 0.5, 0.25, 0.0, 0.0),
        ("C", "A", 0.5, 0.25, 0.0, 0.0),
    ],
)
def test_what_two_verdicts_count(first, second, half, mean, loss, consistent):
    verdicts = judged("x", f"so [[{first}]]", f"[[C]]? No: [[{second}]]")
    counts = {"half": half, "mean": mean, "loss": loss}
    for inconsistent, win in counts.items():
        assert metric("judge_win_rate", inconsistent=inconsistent).row(verdicts) == (win, 1.0)
    assert metric("judge_position_consistency").row(verdicts) == (consistent, 1.0)


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.sampled_from("ABC")), min_size=1, max_size=30))
def test_exchanging_the_two_systems_exchanges_wins_and_losses(pairs):
    """What one system wins, the other loses: the two win rates add up to 1."""
    win_rate = metric("judge_win_rate", inconsistent="mean")
    swapped = {"A": "B", "B": "A", "C": "C"}
    ours = [win_rate.row(judged("x", f"[[{a}]]", f"[[{b}]]"))[0] for a, b in pairs]
    theirs = [win_rate.row(judged("x", f"[[{swapped[a]}]]", f"[[{swapped[b]}]]"))[0] for a, b in pairs]
    assert sum(ours) + sum(theirs) == pytest.approx(len(pairs))


@pytest.mark.parametrize(
    ("text", "rating"),
    [("[[7]]", 7.0), ("[[2]] at first, but [[8.5]]", 8.5), ("Rating: [[10]]\nThanks!", 10.0), ("[[1]]", 1.0)],
)
def test_the_last_rating_counts(text, rating):
    assert metric("judge_rating").row(judged("x", text)) == (rating, 1.0)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("seven", "no rating"),
        ("", "no rating"),
        ("[[0]]", "off the scale from 1 to 10"),
        ("[[10.5]]", "off the scale"),
        ("[7]", "no rating"),
        ("[[-3]]", "no rating"),
    ],
)
def test_a_text_without_a_rating_on_the_scale_is_no_rating(text, why):
    with pytest.raises(ValueError, match=why):
        metric("judge_rating").row(judged("x", text))


def test_a_pattern_that_finds_no_number_says_so():
    with pytest.raises(ValueError, match="'good' is not a number"):
        metric("judge_rating", pattern=r"\[\[(\w+)\]\]").row(judged("x", "[[good]]"))


@pytest.mark.parametrize("name", ["judge_win_rate", "judge_position_consistency"])
def test_one_verdict_that_cannot_be_read_spoils_both(name):
    with pytest.raises(ValueError, match="no verdict"):
        metric(name).row(judged("x", "[[A]]", "They are both good."))


def test_a_verdict_of_another_pattern_must_be_a_letter_of_the_three():
    with pytest.raises(ValueError, match="'D' is none of A, B and C"):
        metric("judge_win_rate", pattern=r"\[\[(\w)\]\]").row(judged("x", "[[A]]", "[[D]]"))


def test_a_text_that_was_cut_is_named_as_such():
    cut = judged("x", "I have not made up my")
    (text,) = cut.judgements["label"][0]
    cut.judgements["label"] = ((Generated(text.key, text.text, 3, "length"),),)
    with pytest.raises(ValueError, match="cut at max_new_tokens"):
        metric("judge_rating").row(cut)


def test_bounds_are_the_scale():
    assert metric("judge_rating", low=-1, high=1).bounds == (-1.0, 1.0)


def test_the_judge_decodes_greedily_and_reads_the_system_text_first():
    (asked,) = metric("judge_rating", prompt="{{ answer }}", system="Be strict.", max_new_tokens=9).requests(sample())
    assert asked.prompt == (Message("system", "Be strict."), Message("user", "42"))
    assert asked.decoding == Decoding(max_new_tokens=9)


def test_templates_see_prompt_answer_references_and_columns():
    template = (
        "{{ prompt }}|{{ answer }}|{{ reference }}|{{ references | join('+') }}|{{ topic }}|{{ document['answer'] }}"
    )
    shown = sample(fields={"topic": "numbers", "answer": "gold"}, references=("41", "43"))
    (asked,) = metric("judge_rating", prompt=template).requests(shown)
    assert texts([asked]) == ["What is it?|42|41|41+43|numbers|gold"]


def test_turns_of_a_chat_are_shown_as_lines_and_a_single_turn_as_its_text():
    turns = (Message("user", "Hi"), Message("assistant", "Ho"), Message("user", "And?"))
    rating = metric("judge_rating", prompt="{{ prompt }} -> {{ answer }}")
    assert texts(rating.requests(sample(prompt=turns))) == ["user: Hi\nassistant: Ho\nuser: And? -> 42"]
    assert texts(rating.requests(sample(prompt=turns[:1]))) == ["Hi -> 42"]


def test_templates_see_the_steps_of_their_repeat():
    steps = ((StepAnswer("think", "Think.", " hm ", "hm"), StepAnswer("say", "Say.", "42", "42")),)
    rating = metric("judge_rating", prompt="{{ steps.think.prompt }}{{ steps.think.response }}{{ steps.think.answer }}")
    assert texts(rating.requests(sample(steps=steps))) == ["Think. hm hm"]


def test_the_default_prompts_show_question_and_answers_and_name_the_scale():
    (rating,) = texts(metric("judge_rating", low=0, high=5).requests(sample()))
    assert all(f"\n{text}\n" in rating for text in ("What is it?", "42", "41"))
    assert "from 0 (of no use) to 5 (nothing to improve)" in rating
    (unreferenced,) = texts(metric("judge_rating").requests(sample(references=())))
    assert "known to be right" not in unreferenced
    first, second = texts(metric("judge_win_rate").requests(sample()))
    assert "<answer_a>\n42\n</answer_a>" in first
    assert "<answer_a>\n41\n</answer_a>" in second


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("judge_rating", {"prompt": "Rate {{ question }}"}, "the judge would see no answer"),
        ("judge_rating", {"prompt": "{{ answer"}, "prompt: not a valid template"),
        ("judge_rating", {"low": 5, "high": 5}, r"low \(5\) must be less than high \(5\)"),
        ("judge_rating", {"pattern": "("}, "not a regular expression"),
        ("judge_rating", {"pattern": r"\d+"}, "has no group"),
        ("judge_rating", {"max_new_tokens": 0}, "max_new_tokens"),
        ("judge_win_rate", {"prompt": "{{ answer_a }}"}, "the judge needs both answers"),
        ("judge_win_rate", {"prompt": "{{ answer_a }}{{ answer_b }}{{ answer }}"}, "would say whose it is"),
        ("judge_win_rate", {"against": "{{ answer }}"}, "against: `answer`"),
        ("judge_win_rate", {"inconsistent": "win"}, "inconsistent"),
        ("judge_position_consistency", {"inconsistent": "half"}, "unknown parameter"),
    ],
)
def test_parameters_that_make_no_sense_are_refused_with_the_place(name, parameters, words):
    with pytest.raises(MetricError, match=words) as caught:
        metric(name, **parameters)
    assert caught.value.problems[0].where == "task.yaml:7"


def test_signatures_differ_with_every_text_that_the_judge_reads():
    variants = [
        {},
        {"prompt": "{{ answer_a }}{{ answer_b }}"},
        {"system": "Be strict."},
        {"against": "{{ baseline }}"},
        {"model": "another"},
    ]
    assert len({metric("judge_win_rate", **each).signature() for each in variants}) == len(variants)
