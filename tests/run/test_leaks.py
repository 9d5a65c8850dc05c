"""``evalharness tasks leaks``: planted leaks are found, each by its id, and nothing else is."""

import gzip
import json

import numpy as np
import pytest
import yaml

from evalharness.cli.main import main
from evalharness.run.corpus import find_corpus
from evalharness.run.leaks import Copies, find_leaks
from evalharness.task.loading import load_task

ROWS = [
    {"q": "Who wrote Hamlet?", "a": "Shakespeare"},
    {"q": "Who wrote Faust?", "a": "Goethe"},
    {"q": "Who wrote Emma?", "a": "Austen"},
]
WORDS = [f"word{i}" for i in range(500)]


def row(question, answer="Goethe", **more):
    return {"q": question, "a": answer, **more}


def write(folder, test, train=None, **changes):
    inline = {"test": test} | ({} if train is None else {"train": train})
    content = {
        "name": "authors",
        "data": {"inline": inline, **({} if train is None else {"shots": "train"})},
        "prompt": "Q: {{ q }}",
        "reference": "{{ a }}",
        "output": {"generate": {"max_new_tokens": 4}},
    }
    path = folder / "authors.yaml"
    path.write_text(yaml.safe_dump({**content, **changes}, sort_keys=False))
    return path


def leaks_of(folder, test, train=None, **changes):
    (leaks,) = find_leaks([load_task(write(folder, test, train, **changes))])
    return leaks


# Among the shots


@pytest.mark.parametrize(
    ("shot", "likeness", "same_reference"),
    [
        (ROWS[1], "content", True),
        ({**ROWS[1], "source": "web"}, "prompt", True),
        (row("who  wrote «faust»"), "normalised", True),
        (row("Who wrote Faust?", "Marlowe"), "prompt", False),
    ],
)
def test_a_document_among_the_shots_is_found_by_its_closest_likeness(tmp_path, shot, likeness, same_reference):
    leaks = leaks_of(tmp_path, ROWS, [row("Who wrote Ulysses?"), shot])
    assert leaks.shots == (Copies(likeness, ("1",), same_reference, ("shot 1",)),)


def test_counts_of_a_likeness_include_the_closer_ones(tmp_path):
    leaks = leaks_of(tmp_path, ROWS, [ROWS[0], {**ROWS[1], "n": 1}, row("WHO WROTE EMMA")])
    assert [leaks.n_among_shots(likeness) for likeness in ("content", "prompt", "normalised")] == [1, 2, 3]


def test_questions_with_other_choices_are_not_the_same(tmp_path):
    choose = {"output": "choose", "choices": "{{ c }}"}
    test = [row("Which?", "x", c=["x", "y"])]
    assert leaks_of(tmp_path, test, [row("Which?", "x", c=["x", "z"])], **choose).shots == ()
    assert len(leaks_of(tmp_path, test, [row("Which?", "X.", c=["X.", "y"])], **choose).shots) == 1


def test_documents_with_empty_prompts_differ_by_their_references(tmp_path):
    leaks = leaks_of(tmp_path, [row("", "a"), row("", "b"), row("", "A")], prompt="{{ q }}")
    assert [copies.document_ids for copies in leaks.duplicates] == [("0", "2")]


def test_prompts_of_nothing_but_punctuation_are_compared_to_the_letter(tmp_path):
    leaks = leaks_of(tmp_path, [row("+", "a"), row("-", "b"), row("+ ", "a")], prompt="{{ q }}")
    assert [copies.document_ids for copies in leaks.duplicates] == [("0", "2")]


def test_shots_written_in_the_task_are_compared(tmp_path):
    leaks = leaks_of(tmp_path, ROWS, shots={"documents": [ROWS[2]]})
    assert (leaks.n_shots, leaks.shots[0].document_ids) == (1, ("2",))


def test_a_shot_without_the_columns_of_choices_is_no_fault(tmp_path):
    test = [row("Which?", "x", c=["x", "y"])]
    shots = {"documents": [{"q": "Worked example"}], "answer": "because"}
    assert leaks_of(tmp_path, test, output="choose", choices="{{ c }}", shots=shots).shots == ()


def test_a_task_that_takes_shots_from_the_evaluated_split_is_told_so(tmp_path):
    leaks = leaks_of(tmp_path, ROWS, data={"inline": {"test": ROWS}, "shots": "test"})
    assert leaks.shots is None
    assert "evaluated split `test` itself" in leaks.no_shots


def test_a_task_without_shots_is_told_so(tmp_path):
    assert leaks_of(tmp_path, ROWS).no_shots == "the task names none"


# Duplicates


def test_duplicates_are_grouped_and_counted_at_each_likeness(tmp_path):
    test = [*ROWS, ROWS[0], {**ROWS[1], "n": 1}, row("who wrote FAUST", "Marlowe"), row("Who wrote Ulysses?")]
    leaks = leaks_of(tmp_path, test)
    assert leaks.duplicates == (Copies("content", ("0", "3"), True), Copies("normalised", ("1", "4", "5"), False))
    assert leaks.n_surplus == {"content": 1, "prompt": 2, "normalised": 3}


def test_a_task_without_leaks_reports_none(tmp_path):
    leaks = leaks_of(tmp_path, ROWS, [row("Who wrote Ulysses?", "Joyce")])
    assert (leaks.shots, leaks.duplicates, leaks.overlaps) == ((), (), None)


# A corpus


def planted(tmp_path):
    """Ten documents of 40 words; a corpus that holds all of document 3, and 20 words of document 7."""
    generator = np.random.default_rng(1)
    test = [row(" ".join(generator.choice(WORDS, 40)), "the end") for _ in range(10)]
    noise = [" ".join(generator.choice(WORDS, 300)) for _ in range(20)]
    noise[4] += f" {test[3]['q'].upper()}, The End! "
    noise[9] += " " + ", ".join(test[7]["q"].split()[10:30])
    corpus = tmp_path / "web.jsonl.gz"
    corpus.write_bytes(gzip.compress("".join(json.dumps({"text": text}) + "\n" for text in noise).encode()))
    return write(tmp_path, test, prompt="{{ q }}"), corpus


def test_planted_passages_are_found_with_their_shares(tmp_path):
    task, corpus = planted(tmp_path)
    (leaks,) = find_leaks([load_task(task)], corpus=find_corpus([str(corpus)]))
    # 42 words make 30 n-grams of 13; a passage of 20 words, 8.
    worst = [(item.document_id, item.n_ngrams, item.n_found, item.n_run_words) for item in leaks.worst_overlaps()]
    assert worst == [("3", 30, 30, 42), ("7", 30, 8, 20)]
    assert leaks.worst_overlaps()[0].share == 1.0


def test_several_tasks_share_one_reading_of_the_corpus(tmp_path):
    task, path = planted(tmp_path)
    corpus = find_corpus([str(path)])
    first, second = find_leaks([load_task(task)] * 2, corpus=corpus)
    assert first.overlaps == second.overlaps
    assert corpus.n_texts == 20


# The command


def test_the_command_prints_everything_as_json(tmp_path, capsys):
    task, corpus = planted(tmp_path)
    assert main(["tasks", "leaks", str(task), "--corpus", str(corpus), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["task"] == "authors"
    assert said["shots"] == {"not_compared": "the task names none"}
    assert said["duplicates"] == {"groups": [], "n_surplus": {"content": 0, "normalised": 0, "prompt": 0}}
    assert [(item["document_id"], item["share"]) for item in said["corpus"]["documents"]] == [("3", 1.0), ("7", 8 / 30)]
    assert (said["corpus"]["n_words"], said["corpus"]["ngram"]) == (20 * 300 + 42 + 20, 13)


def test_the_command_shows_the_worst_documents_as_tables(tmp_path, capsys):
    task, corpus = planted(tmp_path)
    assert main(["tasks", "leaks", str(task), "--corpus", str(corpus), "--worst", "1"]) == 0
    shown = capsys.readouterr().out
    assert "100.0%" in shown
    assert "30 of 30" in shown
    assert "... and 1 more" in shown


def test_texts_of_strangers_are_inert_on_the_terminal(tmp_path, capsys):
    task = write(tmp_path, [row("a \x1b[2J b [red]c", n=i) for i in range(2)], prompt="{{ q }}", id="\x1b]0;{{ n }}[b]")
    (tmp_path / "c.txt").write_text("a \x1b[2J b [red]c goethe")
    assert main(["tasks", "leaks", str(task), "--corpus", str(tmp_path / "c.txt"), "--ngram", "2"]) == 0
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[b]" in shown


def test_documents_too_short_for_an_ngram_are_told(tmp_path, capsys):
    (tmp_path / "c.txt").write_text("some words")
    assert main(["tasks", "leaks", str(write(tmp_path, ROWS)), "--corpus", str(tmp_path / "c.txt")]) == 0
    assert "fewer than 13 words: 3" in capsys.readouterr().out


def test_a_corpus_that_is_not_there_ends_with_exit_code_2(tmp_path, capsys):
    assert main(["tasks", "leaks", str(write(tmp_path, ROWS)), "--corpus", str(tmp_path / "none")]) == 2
    assert "there is no such file" in capsys.readouterr().err
