"""What the table of models becomes in files, and that nothing in them runs."""

import csv
import io
import json

from board_cases import cell

from leaderboard.scores import scores_of
from leaderboard.standing import aggregates, standing
from leaderboard.standing_export import to_csv, to_json, to_latex, to_markdown


def table(*cells):
    scores = scores_of(cells)
    return standing(scores, aggregates(scores, "normalised"), "normalised"), scores


def three():
    return table(
        cell("a", "t_1", 0.9),
        cell("b", "t_1", 0.89),
        cell("c", "t_1", 0.1),
        cell("a", "u", 0.9),
        cell("b", "u", 0.9),
        cell("c", "u", 0.1),
        cell("d", "u", 0.5),
    )


def test_csv_has_full_precision_and_leaves_holes_empty():
    rows = list(csv.DictReader(io.StringIO(to_csv(*three()))))
    assert [row["model"] for row in rows] == ["a", "b", "c", "d"]
    assert float(rows[1]["t_1"]) == 0.89
    assert (rows[3]["value"], rows[3]["t_1"], rows[3]["u"]) == ("", "", "0.5")


def test_csv_runs_no_formula():
    rows = list(csv.DictReader(io.StringIO(to_csv(*table(cell("=cmd()", "@t", 0.5))))))
    assert rows[0]["model"] == "'=cmd()"
    assert "'@t" in rows[0]


def test_json_says_how_the_numbers_were_made():
    found = json.loads(to_json("suite", *three()))
    assert (found["suite"], found["aggregation"], found["level"], found["averaged"]) == (
        "suite",
        "normalised",
        0.95,
        ["t_1", "u"],
    )
    assert found["models"][3]["value"] is None
    assert found["models"][0]["tasks"]["t_1"]["value"] == 0.9


def test_latex_marks_the_whole_top_rank_set_in_bold_and_escapes_names():
    text = to_latex(*three(), ["t_1"])
    lines = text.splitlines()
    assert lines[1] == r"\toprule"
    assert r"t\_1" in text
    assert r"\textbf{a}" in text
    assert r"\textbf{b}" in text
    assert r"\textbf{c}" not in text
    assert "1--2 & " in text


def test_latex_marks_every_model_that_may_be_the_best_on_a_task():
    line = next(line for line in to_latex(*three(), ["t_1"]).splitlines() if r"\textbf{b}" in line)
    assert line.count(r"\textbf") == 3


def test_markdown_shows_the_chosen_tasks_and_no_markup_of_strangers():
    text = to_markdown(*table(cell("a|<b>", "t", 0.5), cell("x", "t", 0.1)), ["t"])
    assert r"a\|&lt;b&gt;" in text
    assert text.splitlines()[0].count("|") == 6


def test_digits_follow_the_interval():
    assert "| 0.900 |" not in to_markdown(*three(), ["t_1"])
