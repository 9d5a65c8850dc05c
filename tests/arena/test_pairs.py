"""What a person is shown next: unseen, in random order, the least certain pairs most often, and none never."""

import numpy as np
import pytest
from arena_cases import vote
from hypothesis import given, settings
from hypothesis import strategies as st

from evalharness.arena.answers import AnsweredTask, StoredAnswer, read_answers
from evalharness.arena.pairs import by_task, draw_match, draw_single, pair_probabilities, sides
from evalharness.cli.main import main
from evalharness.run.store import ResultStore

MODELS = ("a", "b", "c", "d")
ANSWERED = by_task(
    AnsweredTask(task, model, f"run-{model}", f"/x/{model}") for task in ("sum", "qa") for model in reversed(MODELS)
)
N_DOCUMENTS = 3

counts = st.dictionaries(
    st.sampled_from([("a", "b"), ("a", "c"), ("b", "c"), ("c", "d"), ("b", "zz")]),
    st.tuples(*[st.integers(0, 200)] * 3),
)


def read(answered):
    keys = [f"{answered.task}-{i}" for i in range(N_DOCUMENTS)]
    return {key: StoredAnswer(key, key, "Q?", f"{answered.model} says {key}") for key in keys}


@given(counts, st.floats(0.01, 1))
def test_every_pair_keeps_its_floor_and_all_chances_sum_to_one(counts, floor):
    chances = pair_probabilities(MODELS, counts, floor=floor)
    assert chances.shape == (6,)
    assert chances.sum() == pytest.approx(1)
    assert (chances >= floor / 6 * (1 - 1e-12)).all()


@given(st.tuples(*[st.integers(0, 50)] * 3).filter(any), st.integers(2, 500))
def test_a_pair_is_drawn_less_often_the_more_votes_of_the_same_kind_it_has(outcome, times):
    few = pair_probabilities(MODELS, {("a", "b"): outcome})
    many = pair_probabilities(MODELS, {("a", "b"): tuple(times * n for n in outcome)})
    assert many[0] < few[0]


def test_chances_do_not_depend_on_the_names_of_models():
    one = pair_probabilities(["a", "b", "c"], {("a", "c"): (7, 1, 2)})
    other = pair_probabilities(["z", "b", "c"], {("c", "z"): (2, 1, 7)})
    assert one == pytest.approx(other)


def test_the_weight_of_a_pair_is_what_one_more_vote_takes_off_its_standard_error():
    # by hand: 3 wins, 1 tie, 0 losses: share 4/5, second moment (3 + 1/4 + 1/2)/5, variance 0.75 - 0.64 = 0.11
    chances = pair_probabilities(["a", "b", "c"], {("a", "b"): (3, 1, 0)}, floor=0.01)
    voted = (0.11 / 5) ** 0.5 - (0.11 / 6) ** 0.5
    fresh = 0.5 - (0.25 / 2) ** 0.5
    assert chances[0] == pytest.approx(0.99 * voted / (voted + 2 * fresh) + 0.01 / 3)


def test_sides_are_balanced():
    rng = np.random.default_rng(5)
    n_first = sum(sides(("a", "b"), rng)[0] == "a" for _ in range(4000))
    assert abs(n_first - 2000) < 5 * (4000 * 0.25) ** 0.5  # five standard errors


def test_each_model_is_shown_first_as_often_as_second_over_whole_draws():
    rng = np.random.default_rng(6)
    drawn = [draw_match(ANSWERED, {}, lambda task, pair: (), read, rng) for _ in range(1200)]
    for model in MODELS:
        shown = [match.first.model == model for match in drawn if model in (match.first.model, match.second.model)]
        assert abs(np.mean(shown) - 0.5) < 5 * (0.25 / len(shown)) ** 0.5


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_a_voter_sees_every_pair_on_every_document_once_and_then_is_told_that_nothing_is_left(seed):
    rng = np.random.default_rng(seed)
    seen = set()

    def judged(task, pair):
        return {key for each, of, key in seen if (each, of) == (task, tuple(sorted(pair)))}

    while (match := draw_match(ANSWERED, {}, judged, read, rng)) is not None:
        assert match.first.model != match.second.model
        assert match.first.text == f"{match.first.model} says {match.input_hash}"
        assert match.second.text == f"{match.second.model} says {match.input_hash}"
        key = (match.task, tuple(sorted((match.first.model, match.second.model))), match.input_hash)
        assert key not in seen
        seen.add(key)
    assert len(seen) == 2 * 6 * N_DOCUMENTS


def test_the_same_seed_draws_the_same_match():
    drawn = [draw_match(ANSWERED, {}, lambda task, pair: (), read, np.random.default_rng(9)) for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_equal_answers_are_never_shown():
    def same(answered):
        return {"k": StoredAnswer("k", "k", "Q?", " yes\n" if answered.model == "a" else "yes")}

    assert draw_match(ANSWERED, {}, lambda task, pair: (), same, np.random.default_rng(0)) is None


def test_models_that_share_no_document_are_never_paired():
    def apart(answered):
        return {answered.model: StoredAnswer("d", answered.model, "Q?", answered.model)}

    assert draw_match(ANSWERED, {}, lambda task, pair: (), apart, np.random.default_rng(0)) is None


def test_one_model_has_nothing_to_be_compared_with_but_can_be_rated():
    alone = {task: {"a": models["a"]} for task, models in ANSWERED.items()}
    rng = np.random.default_rng(0)
    assert draw_match(alone, {}, lambda task, pair: (), read, rng) is None
    single = draw_single(alone, lambda task, model: (), read, rng)
    assert single.answer.text == f"a says {single.input_hash}"


def test_every_answer_is_offered_for_rating_once():
    rng = np.random.default_rng(3)
    seen = set()

    def rated(task, model):
        return {key for each, of, key in seen if (each, of) == (task, model)}

    while (single := draw_single(ANSWERED, rated, read, rng)) is not None:
        key = (single.task, single.answer.model, single.input_hash)
        assert key not in seen
        seen.add(key)
    assert len(seen) == 2 * len(MODELS) * N_DOCUMENTS


def test_a_pair_needs_two_models_and_a_floor():
    with pytest.raises(ValueError, match="1 models"):
        pair_probabilities(["a"], {})
    with pytest.raises(ValueError, match="floor of 0"):
        pair_probabilities(MODELS, {}, floor=0)


def test_answers_are_what_stored_runs_generated(tmp_path):
    assert main(["run", "-m", "fake", "-t", "demo_qa", "--limit", "4", "--output", str(tmp_path / "results")]) == 0
    store = ResultStore(tmp_path / "results")
    (entry,) = store.runs()
    answers = read_answers(store, AnsweredTask("demo_qa", "fake", entry.run_id, entry.where))
    samples = list(store.samples(entry.where, "demo_qa"))
    assert {key: answer.text for key, answer in answers.items()} == {
        sample["input_hash"]: sample["responses"][0][0]["text"] for sample in samples
    }
    assert len(answers) == 4
    assert vote().pair == ("a", "b")
