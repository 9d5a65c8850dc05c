"""Documents that code makes: right answers, needles where they should be, the same in every process and version."""

import pytest
from task_files import loaded, prepared

from evalharness.errors import TaskError
from evalharness.run.preparation import RunSettings, prepare
from evalharness.task.documents import content_hash
from evalharness.task.spec import SyntheticSpec
from evalharness.task.synthetic import GENERATORS, make_rows


def rows(name, split="test", **parameters):
    return make_rows(SyntheticSpec(name=name, parameters=parameters), split, where="task.yaml:2")


def test_last_letters_are_those_of_the_words():
    for row in rows("last_letters", n_documents=50, n_words=4):
        assert row["answer"] == "".join(word[-1] for word in row["name"].split())
        assert len(row["words"]) == 4


def test_no_name_occurs_twice():
    names = [row["name"] for row in rows("last_letters", n_documents=500)]
    assert len(set(names)) == 500


def test_more_names_than_there_are_is_an_error_not_a_loop():
    with pytest.raises(TaskError, match="fewer than 100 names of 1 words"):
        rows("last_letters", n_documents=100, n_words=1)


def test_a_coin_is_heads_up_after_an_even_number_of_flips():
    found = rows("coin_flip", n_documents=200, n_people=3)
    for row in found:
        n_flips = row["story"].count(" flips the coin")
        assert n_flips == sum(row["flips"])
        assert row["answer"] == ("yes" if n_flips % 2 == 0 else "no")
    assert 60 < sum(row["answer"] == "yes" for row in found) < 140


@pytest.mark.parametrize("length", [100, 1000])
@pytest.mark.parametrize("depth", [0.0, 0.5, 1.0])
def test_the_needle_stands_at_its_depth_in_a_text_of_its_length(length, depth):
    for row in rows("needle", lengths_words=[length], depths=[depth], per_cell=3, n_distractors=2):
        before, _, after = row["text"].partition(row["needle"])
        assert len(row["text"].split()) == length
        assert row["answer"] in row["needle"]
        assert row["text"].count("access code") == 3
        found = len(before.split()) / max(1, len(before.split()) + len(after.split()))
        assert abs(found - depth) < 0.12  # half a sentence of the shorter text


def test_every_length_and_depth_has_its_documents():
    found = rows("needle", lengths_words=[100, 200], depths=[0, 1], per_cell=2)
    assert [(row["length_words"], row["depth"]) for row in found] == [
        (length, depth) for length in (100, 200) for depth in (0, 1) for _ in range(2)
    ]
    assert len({row["text"] for row in found}) == 8


#: Of the first row with default parameters; they hold as long as nobody changes what a seed means.
HASHES = {
    "coin_flip": "9b9fa8bd6944dd84ffd3c6206b926d83d53d4dd5a75cda5a34efef8571ac32d1",
    "last_letters": "c24922d5d6954dfced2a984f00ccc9f478a67cb41c828d5f174419406774513f",
    "needle": "8d47ac7eacbd0161eb99f9e17f657c9d0b4cd3246910402e6b004b1a9e59277a",
}


@pytest.mark.parametrize("name", GENERATORS)
def test_a_seed_means_the_same_documents_for_ever(name):
    assert content_hash(rows(name)[0]) == HASHES[name]


@pytest.mark.parametrize("name", GENERATORS)
def test_seeds_and_splits_have_documents_of_their_own(name):
    found = [rows(name)[:5], rows(name, seed=1)[:5], rows(name, split="train")[:5]]
    assert found[0] != found[1] != found[2] != found[0]


def test_shots_come_from_another_split(tmp_path):
    task = {
        "data": {"synthetic": {"last_letters": {"n_documents": 3}}, "shots": "shots"},
        "prompt": "{{ name }}:",
        "reference": "{{ answer }}",
    }
    (first, *_) = prepared(tmp_path, shots={"count": 2}, **task).asked
    assert len(first.shots) == 2


@pytest.mark.parametrize(
    ("synthetic", "message"),
    [
        ("last_leters", "unknown generator of documents `last_leters`"),
        ({"last_letters": {"words": 2}}, "generator `last_letters` has no parameter `words`"),
        ({"needle": {"depths": [2]}}, "generator `needle`, parameter `depths.0`"),
    ],
)
def test_what_a_generator_cannot_do_is_said_with_the_place(synthetic, message, tmp_path):
    task = loaded(tmp_path, data={"synthetic": synthetic}, prompt="x", reference="y")
    with pytest.raises(TaskError, match=message):
        prepare(task, RunSettings(), chat=False)
