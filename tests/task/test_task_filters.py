"""From response text to answer: tables of cases for every filter."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalharness.errors import TaskError
from evalharness.task.filters import FILTERS, build_filter
from evalharness.task.outputs import FilterSpec


def applied(name, text, choices=(), **parameters):
    built = build_filter(FilterSpec(name=name, parameters=parameters), where="task.yaml:1")
    (answer,) = built.apply((text,), tuple(choices))
    return answer


# What a person would read as the last number of the text.
LAST_NUMBER = [
    ("The answer is 4", "4"),
    ("2 + 2 = 4.", "4"),
    ("3.", "3"),
    ("3.0", "3"),
    ("3.50", "3.50"),
    ("$1,234.50.", "1234.50"),
    ("1,234,567", "1234567"),
    ("1,2,3", "3"),
    ("12,3456", "3456"),
    ("-7", "-7"),
    ("it is -7.", "-7"),
    ("= -7", "-7"),
    ("+7", "7"),
    ("\u22127", "-7"),
    ("10-5", "5"),
    ("10 - 5", "5"),
    ("pages 3-5", "5"),
    ("2024-01-05", "05"),
    (".5", "0.5"),
    ("-.5", "-0.5"),
    ("wait...5", "5"),
    ("12.5%", "12.5"),
    ("\u0663", "3"),
    ("\uff11\uff12", "12"),
    ("one", None),
    ("", None),
    ("x²", None),
]


@pytest.mark.parametrize(("text", "answer"), LAST_NUMBER)
def test_last_number(text, answer):
    assert applied("last_number", text) == answer


@pytest.mark.parametrize(
    ("text", "answer"), [("4 or 5", "4"), ("1,000 of 2,000", "1000"), ("none", None), ("-3 to 3", "-3"), ("3. 4.", "3")]
)
def test_first_number(text, answer):
    assert applied("first_number", text) == answer


@given(st.integers(-(10**12), 10**12))
def test_a_whole_number_is_found_however_its_thousands_are_written(number):
    assert applied("last_number", f"so {number:,}.") == applied("last_number", f"so {number}") == str(number)


@pytest.mark.parametrize(
    ("text", "choices", "answer"),
    [
        ("I say New York City", ["New York", "New York City"], "New York City"),
        ("New York is it", ["New York", "New York City"], "New York"),
        ("(B) because not A", ["A", "B"], "B"),
        ("Bananas", ["A", "B"], None),
        ("YES", ["yes", "no"], "yes"),
        ("unknown", ["no", "known"], None),
        ("no. yes", ["yes", "no"], "no"),
        ("C++ it is", ["C", "C++"], "C++"),
        ("nothing", [], None),
    ],
)
def test_first_choice(text, choices, answer):
    assert applied("first_choice", text, choices) == answer


@pytest.mark.parametrize(
    ("text", "choices", "answer"),
    [
        ("我认为答案是北京，不是上海。", ["上海", "北京"], "北京"),
        ("答案是B。", ["A", "B"], "B"),
        ("选项A是错的", ["A", "B"], "A"),
        ("因此选择(C)项", ["(A)", "(B)", "(C)"], "(C)"),
        ("这不是对的", ["是", "不是"], "不是"),
        ("共有15只", ["5", "15"], "15"),
        ("使用CUDA编程", ["A", "B"], None),
        ("答えはBです", ["A", "B"], "B"),
        ("정답은 B입니다", ["A", "B"], "B"),
        ("คำตอบคือB", ["A", "B"], "B"),
    ],
)
def test_first_choice_finds_choices_in_text_without_blanks(text, choices, answer):
    assert applied("first_choice", text, choices) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Not (B), since it is first. So the answer is (C).", "(C)"),
        ("the answer is (A). Wait, so the answer is (B)", "(B)"),
        ("The Answer is: (D)", "(D)"),
        ("It is (A) or (B).", None),
    ],
)
def test_a_choice_in_brackets_is_parsed_as_the_documentation_shows(text, answer):
    """The pattern stands in docs/tasks.md; answers of this form are those of BIG-Bench Hard (Suzgun et al. 2022)."""
    assert applied("regex", text, pattern=r"(?i:answer is:?)\s*(\([A-Z]\))", pick="last") == answer


def test_first_choice_can_look_at_the_case():
    assert applied("first_choice", "a dog is A", ["A", "B"], ignore_case=False) == "A"
    assert applied("first_choice", "a dog", ["A", "B"], ignore_case=False) is None


@pytest.mark.parametrize(
    ("text", "parameters", "answer"),
    [
        ("a=1 a=2", {"pattern": r"a=(\d)"}, "1"),
        ("a=1 a=2", {"pattern": r"a=(\d)", "pick": "last"}, "2"),
        ("a=1 a=2", {"pattern": r"a=\d", "group": 0}, "a=1"),
        ("a= x ", {"pattern": r"a=(?P<v>.*)", "group": "v"}, "x"),
        ("b", {"pattern": r"(a)|b"}, None),
        ("c", {"pattern": r"(a)|b"}, None),
    ],
)
def test_regex(text, parameters, answer):
    assert applied("regex", text, **parameters) == answer


@pytest.mark.parametrize(("text", "answer"), [("\n \n a \nb", "a"), ("", None), ("a\r\nb", "a")])
def test_first_line(text, answer):
    assert applied("first_line", text) == answer


@pytest.mark.parametrize(
    ("answers", "vote"),
    [
        (("a", "b", "b"), "b"),
        (("b", "a", "a", "b"), "b"),
        (("a", "b", "b", "a"), "a"),
        ((None, None, "c"), "c"),
        ((None, None), None),
        (("",), ""),
    ],
)
def test_majority_vote_takes_the_earliest_of_the_most_frequent(answers, vote):
    built = build_filter(FilterSpec(name="majority_vote"), where="")
    assert built.apply(answers, ()) == (vote,)


@pytest.mark.parametrize("name", sorted(FILTERS))
def test_an_answer_that_was_not_found_stays_so(name):
    parameters = {"pattern": "(.*)"} if name == "regex" else {}
    assert applied(name, None, ["a", "b"], **parameters) is None


@given(st.text())
def test_no_filter_fails_on_any_text(text):
    for name in FILTERS:
        answer = applied(name, text, ["a", "b"], **({"pattern": r"(\w+)"} if name == "regex" else {}))
        assert answer is None or isinstance(answer, str)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (FilterSpec(name="stripp"), "did you mean `strip`?"),
        (FilterSpec(name="strip", parameters={"x": 1}), "no parameter `x`"),
        (FilterSpec(name="regex"), "pattern"),
        (FilterSpec(name="regex", parameters={"pattern": "a"}), "has no group 1; groups: 0"),
        (FilterSpec(name="regex", parameters={"pattern": "(a)", "pick": "middle"}), "pick"),
    ],
)
def test_a_wrong_filter_is_refused_with_its_place(spec, words):
    with pytest.raises(TaskError) as caught:
        build_filter(spec, where="task.yaml:7")
    assert words in str(caught.value)
    assert caught.value.problems[0].where == "task.yaml:7"
